/* SPDX-License-Identifier: MIT */
/* exec.c - a child that shares the memory of its parent until it runs its program.
 *
 * The child is made by clone(CLONE_VM | CLONE_VFORK), as posix_spawn makes it. Nothing is copied,
 * and only the calling thread waits until the program has begun. With 500 MB of memory in use this
 * takes 0.3 ms; a fork takes 3.5 ms.
 *
 * Why not posix_spawn itself. It cannot give the child another limit of open descriptors. It does
 * not tell which step has failed. And before glibc 2.39 it gives no pidfd that is the child's from
 * the beginning. Where SIGCHLD is ignored, a child that has ended has no number any more: a pidfd
 * that is opened afterwards is refused, or is a stranger's.
 *
 * What the child may do. It runs on a stack of its own, but in the memory of a process whose other
 * threads go on.
 *
 *   - No handler of the parent's may run in the child. So all signals are blocked from before the
 *     clone until each signal has the action with which the program begins.
 *   - The child makes system calls and nothing else. A wrapper of the C library, or of a sanitizer,
 *     might note in the shared memory what is true of the child alone.
 *   - The parent looks up beforehand which signals are ignored. To read an action the child would
 *     need the kernel's own structure; to set the default action a structure of zeros is enough. */
#include "io/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/nofile.h"

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* A sanitizer replaces clone(), by one for children that have their memory to themselves. */
#ifdef __GLIBC__
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
#define clone __clone
#endif

#define IN_CHILD __attribute__((no_sanitize("thread", "address", "undefined")))

enum { STACK = 64 << 10, LAST_SIGNAL = 64 };
static const size_t kernel_set = LAST_SIGNAL / 8; /* the size of the kernel's set of signals */

typedef struct Limit64 {
  uint64_t cur, max;
} Limit64;

typedef struct Child {
  const GrExec *s;
  bool stays_ignored[LAST_SIGNAL + 1];
  bool has_limit;
  Limit64 limit;
  int err; /* set by the child: 0, or the errno of the step that failed */
  bool of_cwd;
} Child;

static sigset_t mask_at_load, defaults;

__attribute__((constructor)) static void remember_signals(void) {
  pthread_sigmask(SIG_BLOCK, NULL, &mask_at_load);
  sigfillset(&defaults);
  for (int sig = 1; sig <= LAST_SIGNAL; sig++) {
    struct sigaction a;
    if (sigaction(sig, NULL, &a) == 0 && a.sa_handler == SIG_IGN) sigdelset(&defaults, sig);
  }
}

const sigset_t *gr_exec_defaults(void) { return &defaults; }

/* ---- in the child: 0 or errno ---- */

IN_CHILD static int result(long r) { return r < 0 ? errno : 0; }

IN_CHILD static void reset_signals(const Child *c) {
  static const uint64_t zeros[32]; /* more than any kernel's struct sigaction has */
  for (int sig = 1; sig <= LAST_SIGNAL; sig++)
    if (!c->stays_ignored[sig]) syscall(SYS_rt_sigaction, sig, zeros, NULL, kernel_set);
}

IN_CHILD static int set_fd(int fd, int i) {
  if (fd == GR_EXEC_INHERIT) return 0;
  if (fd == GR_EXEC_NULL) {
    int null = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", i == 0 ? O_RDONLY : O_WRONLY);
    if (null < 0 || null == i) return result(null);
    int err = result(syscall(SYS_dup3, null, i, 0));
    syscall(SYS_close, null);
    return err;
  }
  return result(fd == i ? syscall(SYS_fcntl, fd, F_SETFD, 0) : syscall(SYS_dup3, fd, i, 0));
}

IN_CHILD static int prepare(Child *c) {
  const GrExec *s = c->s;
  int err = s->group ? result(syscall(SYS_setpgid, 0, 0)) : 0;
  for (int i = 0; i < 3 && err == 0; i++) err = set_fd(s->fds[i], i);
  if (err == 0 && c->has_limit) syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &c->limit, NULL);
  if (err != 0 || s->cwd == NULL) return err;
  err = result(syscall(SYS_chdir, s->cwd));
  c->of_cwd = err != 0;
  return err;
}

IN_CHILD static int child_main(void *arg) {
  Child *c = arg;
  reset_signals(c);
  c->err = prepare(c);
  if (c->err == 0) {
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask_at_load, NULL, kernel_set);
    c->err = result(syscall(SYS_execve, c->s->file, c->s->argv, c->s->env));
  }
  syscall(SYS_exit, 127);
  return 0;
}

/* ---- pidfds ---- */

enum { UNKNOWN, HAS_NONE, HAS_THEM };
static atomic_int pidfds = UNKNOWN;

#ifdef GORO_TESTING
void gr_exec_without_pidfds(bool without) { atomic_store(&pidfds, without ? HAS_NONE : UNKNOWN); }
#endif

static void drop(int *pidfd) {
  if (pidfd != NULL && *pidfd >= 0) close(*pidfd);
  if (pidfd != NULL) *pidfd = -1;
}

/* Before Linux 5.2 there are no pidfds, before 5.3 they cannot be polled, before 5.4 waitid does
 * not know them. So waitid is the test. Somebody else may have reaped the child already
 * (ECHILD). */
static void look_at_pidfd(int *pidfd) {
  siginfo_t info;
  if (atomic_load_explicit(&pidfds, memory_order_relaxed) == UNKNOWN) {
    bool known = *pidfd >= 0 && (waitid((idtype_t)P_PIDFD, (id_t)*pidfd, &info,
                                        WEXITED | WNOHANG | WNOWAIT) == 0 ||
                                 errno == ECHILD);
    atomic_store(&pidfds, known ? HAS_THEM : HAS_NONE);
  }
  if (atomic_load_explicit(&pidfds, memory_order_relaxed) == HAS_NONE) drop(pidfd);
}

/* ---- in the parent ---- */

static void look_at_actions(Child *c) {
  for (int sig = 1; sig <= LAST_SIGNAL; sig++) {
    struct sigaction a;
    if (sigismember(c->s->defaults, sig) != 1 && sigaction(sig, NULL, &a) == 0)
      c->stays_ignored[sig] = a.sa_handler == SIG_IGN;
  }
}

static void look_at_limit(Child *c) {
  struct rlimit before;
  c->has_limit = gr_nofile_of_child(&before);
  if (c->has_limit) c->limit = (Limit64){before.rlim_cur, before.rlim_max};
}

/* The child's number, or -1 and errno. When the caller wants no pidfd, none is made: there may be
 * no descriptor left for it. */
static pid_t make_child(Child *c, char *stack, int *pidfd) {
  const int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
  if (pidfd != NULL && atomic_load_explicit(&pidfds, memory_order_relaxed) != HAS_NONE) {
    pid_t pid = clone(child_main, stack + STACK, flags | CLONE_PIDFD, c, pidfd);
    if (pid >= 0 || errno != EINVAL) return pid;
    *pidfd = -1;
  }
  return clone(child_main, stack + STACK, flags, c);
}

/* Nothing may interrupt this thread while the child runs in its memory. */
static pid_t make_child_undisturbed(Child *c, char *stack, int *pidfd) {
  sigset_t all, before;
  int cancel;
  sigfillset(&all);
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  look_at_actions(c);
  pid_t pid = make_child(c, stack, pidfd);
  int err = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_setcancelstate(cancel, NULL);
  errno = err;
  return pid;
}

int gr_exec(const GrExec *s, pid_t *pid, int *pidfd, bool *of_cwd) {
  Child c = {.s = s};
  *of_cwd = false;
  if (pidfd != NULL) *pidfd = -1;
  void *stack =
      mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return ENOMEM;
  look_at_limit(&c);
  *pid = make_child_undisturbed(&c, stack, pidfd);
  int err = *pid < 0 ? errno : c.err;
  munmap(stack, STACK);
  if (*pid < 0) return err;
  if (err != 0) {
    while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) {}
    drop(pidfd);
  } else if (pidfd != NULL) {
    look_at_pidfd(pidfd);
  }
  *of_cwd = c.of_cwd;
  return err;
}

/* SPDX-License-Identifier: MIT */
/* child.c - starting children and knowing when they have ended.
 *
 * Why not uv_process_t. libuv learns of a child's end by SIGCHLD: it puts its own handler in the
 * place of the program's for as long as any child lives, and the default action there afterwards;
 * where the program (or a C module) calls wait() itself, libuv waits for ever. A pidfd (Linux 5.3)
 * needs no signal: the program keeps its handler, and other children are others' business. And
 * uv_spawn forks (1.44), on the one thread that polls, which then waits for the exec: with 500 MB
 * of memory in use that takes 3.5 ms a child, while posix_spawn, which shares memory until the exec
 * (vfork), takes 0.3 ms there, and runs on the caller's thread, several at a time.
 *
 * Where there is no pidfd (an older kernel, a sandbox) a small thread waits for the child, without
 * reaping it, and tells by a pipe. What uses the descriptor sees no difference.
 *
 * A program that ignores SIGCHLD, or reaps all children by itself, takes the status away from us:
 * the child's end is seen, its code is not known.
 *
 * Signals. Our threads block nearly all signals, and a child would inherit that. So it gets the
 * mask of the thread that loaded goro. What was ignored then (by nohup) stays so, as exec keeps it
 * for everybody; everything else starts with its default action, also what the program itself
 * ignores now (SIGPIPE). */
#include "io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

extern char **environ;

static sigset_t mask_at_load, default_in_child;

__attribute__((constructor)) static void remember_signals(void) {
  pthread_sigmask(SIG_BLOCK, NULL, &mask_at_load);
  sigfillset(&default_in_child);
  for (int sig = 1; sig < NSIG; sig++) {
    struct sigaction a;
    if (sigaction(sig, NULL, &a) == 0 && a.sa_handler == SIG_IGN) sigdelset(&default_in_child, sig);
  }
}

/* ---- the file ---- */

static const char *variable(char *const *env, const char *name) {
  size_t n = strlen(name);
  for (; *env != NULL; env++)
    if (strncmp(*env, name, n) == 0 && (*env)[n] == '=') return *env + n + 1;
  return NULL;
}

/* Can `path`, as seen from the child's folder, be executed? 0 or errno. */
static int look_at(const char *path, const char *cwd) {
  char buf[2 * PATH_MAX];
  struct stat st;
  if (path[0] != '/' && cwd != NULL) {
    snprintf(buf, sizeof buf, "%s/%s", cwd, path);
    path = buf;
  }
  if (stat(path, &st) != 0) return errno;
  if (!S_ISREG(st.st_mode)) return EACCES;
  return access(path, X_OK) == 0 ? 0 : errno;
}

/* As execvp does it, but in the child's own PATH: what was found and may not be executed tells more
 * than what was not found. */
static int search(const GrCommand *cmd, char *const *env, char found[PATH_MAX]) {
  const char *dir = variable(env, "PATH");
  int err = ENOENT;
  if (cmd->argv[0][0] == '\0') return ENOENT; /* not the folder itself */
  if (dir == NULL) dir = "/usr/local/bin:/bin:/usr/bin";
  for (const char *next; dir != NULL; dir = next) {
    const char *colon = strchr(dir, ':');
    int n = colon != NULL ? (int)(colon - dir) : (int)strlen(dir);
    next = colon != NULL ? colon + 1 : NULL;
    if (snprintf(found, PATH_MAX, "%.*s%s%s", n, dir, n > 0 ? "/" : "./", cmd->argv[0]) >= PATH_MAX)
      continue;
    int e = look_at(found, cmd->cwd);
    if (e == 0) return 0;
    if (e == EACCES) err = e;
  }
  return err;
}

/* ---- the child's end ---- */

typedef struct Waiter {
  pid_t pid;
  int fd;
} Waiter;

static void *await_end(void *arg) {
  Waiter w = *(Waiter *)arg;
  siginfo_t info;
  gr_free(arg);
  while (waitid(P_PID, (id_t)w.pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {}
  while (write(w.fd, "", 1) < 0 && errno == EINTR) {
  } /* closing is not enough: a fork without exec may have the other one */
  close(w.fd);
  return NULL;
}

static int start_waiter(Waiter *w) {
  sigset_t all, before;
  pthread_attr_t attr;
  pthread_t thread;
  int err = pthread_attr_init(&attr);
  if (err != 0) return err;
  sigfillset(&all);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attr, 128 << 10);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  err = pthread_create(&thread, &attr, await_end, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attr);
  return err;
}

static int end_by_thread(pid_t pid, int *end) {
  int ends[2];
  Waiter *w = gr_malloc(sizeof *w);
  if (w == NULL) return ENOMEM;
  int err = pipe2(ends, O_CLOEXEC) == 0 ? 0 : errno;
  if (err == 0) {
    *w = (Waiter){pid, ends[1]};
    if ((err = start_waiter(w)) == 0) {
      *end = ends[0];
      return 0;
    }
    close(ends[0]);
    close(ends[1]);
  }
  gr_free(w);
  return err;
}

static int open_end(pid_t pid, int *end) {
  *end = (int)syscall(SYS_pidfd_open, pid, 0);
  if (*end >= 0) return 0;
  return errno == ENOSYS || errno == EPERM || errno == EINVAL ? end_by_thread(pid, end) : errno;
}

bool gr_child_ended(pid_t pid, bool keep, GrExit *out) {
  siginfo_t info = {0};
  int r;
  do r = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | (keep ? WNOWAIT : 0));
  while (r != 0 && errno == EINTR);
  if (r == 0 && info.si_pid == 0) return false;
  if (r != 0) *out = (GrExit){.code = -1};
  else if (info.si_code == CLD_EXITED) *out = (GrExit){.code = info.si_status};
  else *out = (GrExit){.signal = info.si_status};
  return true;
}

bool gr_child_kill(pid_t pid, bool group, GrExit *out) {
  enum { TRIES = 1000 };
  if (kill(group ? -pid : pid, SIGKILL) != 0)
    return gr_child_ended(pid, false, out); /* another user's by now (a setuid program) */
  for (int i = 0; i < TRIES; i++) {
    if (gr_child_ended(pid, false, out)) return true;
    nanosleep(&(struct timespec){.tv_nsec = i < 20 ? 50000 : 1000000}, NULL);
  }
  return false;
}

/* ---- starting ---- */

static void close_all(int fds[3]) {
  for (int i = 0; i < 3; i++) {
    if (fds[i] >= 0) close(fds[i]);
    fds[i] = -1;
  }
}

/* Where stdin to stderr are closed in this process, a pipe must not get their numbers: they are
 * going to be the child's own. */
static int above_stdio(int *fd) {
  if (*fd > STDERR_FILENO) return 0;
  int higher = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), err = errno;
  if (higher < 0) return err;
  close(*fd);
  *fd = higher;
  return 0;
}

static int open_pipe(int i, int *ours, int *theirs) {
  int ends[2], err;
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  *ours = ends[i == 0];
  *theirs = ends[i != 0];
  if ((err = above_stdio(ours)) != 0 || (err = above_stdio(theirs)) != 0) return err;
  return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0 ? 0 : errno;
}

static int open_pipes(const GrCommand *cmd, int ours[3], int theirs[3]) {
  int err = 0;
  for (int i = 0; i < 3 && err == 0; i++)
    if (cmd->stdio[i] == GR_STDIO_PIPE) err = open_pipe(i, &ours[i], &theirs[i]);
  return err;
}

static int set_files(const GrCommand *cmd, const int theirs[3], posix_spawn_file_actions_t *files) {
  int err = 0;
  for (int i = 0; i < 3 && err == 0; i++) {
    if (theirs[i] >= 0) err = posix_spawn_file_actions_adddup2(files, theirs[i], i);
    else if (cmd->stdio[i] == GR_STDIO_NULL)
      err =
          posix_spawn_file_actions_addopen(files, i, "/dev/null", i == 0 ? O_RDONLY : O_WRONLY, 0);
  }
  if (err == 0 && cmd->cwd != NULL) err = posix_spawn_file_actions_addchdir_np(files, cmd->cwd);
  return err;
}

static int exec_file(const GrCommand *cmd, const char *file, char *const *env, const int theirs[3],
                     pid_t *pid) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attr;
  int err = posix_spawn_file_actions_init(&files);
  if (err != 0) return err;
  if ((err = posix_spawnattr_init(&attr)) == 0) {
    posix_spawnattr_setflags(&attr, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                            (cmd->group ? POSIX_SPAWN_SETPGROUP : 0)));
    posix_spawnattr_setsigmask(&attr, &mask_at_load);
    posix_spawnattr_setsigdefault(&attr, &default_in_child);
    if ((err = set_files(cmd, theirs, &files)) == 0)
      err = posix_spawn(pid, file, &files, &attr, cmd->argv, env);
    posix_spawnattr_destroy(&attr);
  }
  posix_spawn_file_actions_destroy(&files);
  return err;
}

/* posix_spawn does not tell what it was that is missing. */
static bool bad_cwd(const GrCommand *cmd, int *err) {
  struct stat st;
  if (cmd->cwd == NULL) return false;
  if (stat(cmd->cwd, &st) != 0) *err = errno;
  else if (!S_ISDIR(st.st_mode)) *err = ENOTDIR;
  else if (access(cmd->cwd, X_OK) != 0) *err = errno;
  else return false;
  return true;
}

static int start(const GrCommand *cmd, const int theirs[3], pid_t *pid, int *end, bool *of_cwd) {
  char found[PATH_MAX];
  char *const *env = cmd->env != NULL ? cmd->env : environ;
  const char *file = strchr(cmd->argv[0], '/') != NULL ? cmd->argv[0] : found;
  int err = file == found ? search(cmd, env, found) : 0;
  if (err == 0) err = exec_file(cmd, file, env, theirs, pid);
  if (err != 0) {
    *of_cwd = bad_cwd(cmd, &err);
    return err;
  }
  GrExit none;
  if ((err = open_end(*pid, end)) != 0) gr_child_kill(*pid, cmd->group, &none);
  return err;
}

int gr_child_start(const GrCommand *cmd, G *g, pid_t *pid, int *end, int ours[3], bool *of_cwd) {
  int theirs[3] = {-1, -1, -1};
  ours[0] = ours[1] = ours[2] = -1;
  *of_cwd = false;
  int err = open_pipes(cmd, ours, theirs);
  if (err == 0) {
    if (g != NULL) gr_block_begin(g);
    err = start(cmd, theirs, pid, end, of_cwd);
    if (g != NULL) gr_block_end(g);
  }
  close_all(theirs);
  if (err != 0) close_all(ours);
  return err == 0 ? GR_OK : err == ENOMEM ? GR_NOMEM : GR_ERRNO(err);
}

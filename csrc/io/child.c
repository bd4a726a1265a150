/* SPDX-License-Identifier: MIT */
/* child.c - starting children and knowing when they have ended.
 *
 * A pidfd (Linux 5.4) tells of a child's end without any signal: the program keeps its SIGCHLD
 * handler, and goro leaves other children alone. Why libuv does not start children: loop.c.
 *
 * Where there is no pidfd (an older kernel, a sandbox), the child is looked at after pauses of 1 ms
 * to 20 ms, by the goroutine that waits for it or by the thread that polls. (Rejected: one thread
 * for each child, since a thousand children would be a thousand threads. One thread for all of
 * them, which would have to look at each in turn as well: waitid cannot wait for some of the
 * children and leave the program's others alone.)
 *
 * Groups and the terminal. A child in a process group of its own is in the background. When it
 * reads the terminal (SIGTTIN) or changes the terminal's settings (SIGTTOU), the kernel stops it,
 * and it would stay stopped for ever. goro never makes such a group the terminal's foreground
 * group, since Ctrl-C belongs to the program. So a child stays in the program's group, unless it
 * has to be killed with all its descendants. A child in its own group is looked at now and then,
 * since nothing but SIGCHLD, which is the program's, tells that a child has stopped. Signals go to
 * a group only if it is the child's own.
 *
 * A program that ignores SIGCHLD, or reaps all children by itself, takes the exit status away from
 * goro. goro then sees that the child has ended, but not how. The child's number may belong to
 * another process by then. So signals go to the pidfd. Where the kernel cannot signal a group by
 * the pidfd (before 6.9), goro signals the group by its number, but only as long as nobody has
 * reaped the child.
 *
 * Signals in the child. goro's threads block nearly all signals, and a child would inherit that. So
 * the child gets the mask of the thread that loaded goro. Signals that were ignored then (by nohup)
 * stay ignored, as exec keeps them for every program. All others begin with their default action,
 * even those that the program ignores now (SIGPIPE). A shell command differs in that, see
 * GrCommand. */
#include "io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/exec.h"

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
enum { TO_GROUP = 1 << 2 }; /* PIDFD_SIGNAL_PROCESS_GROUP */

extern char **environ;

/* ---- the file ---- */

static const char *variable(char *const *env, const char *name) {
  size_t n = strlen(name);
  for (; *env != NULL; env++)
    if (strncmp(*env, name, n) == 0 && (*env)[n] == '=') return *env + n + 1;
  return NULL;
}

/* Can the file at `path`, seen from the child's folder, be executed? 0 or errno. */
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

/* Searches as execvp does, but in the child's own PATH. A file that was found and may not be
 * executed (EACCES) is a better reason than one that was not found. */
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

/* As waitid. info->si_pid is 0 when there is nothing to tell yet. */
static int look(const GrChild *c, siginfo_t *info, int flags) {
  int r;
  do {
    *info = (siginfo_t){0};
    r = c->end >= 0 ? waitid((idtype_t)P_PIDFD, (id_t)c->end, info, flags | WNOHANG)
                    : waitid(P_PID, (id_t)c->pid, info, flags | WNOHANG);
  } while (r != 0 && errno == EINTR);
  return r;
}

bool gr_child_ended(const GrChild *c, bool keep, GrExit *out) {
  siginfo_t info;
  int r = look(c, &info, WEXITED | (keep ? WNOWAIT : 0));
  if (r == 0 && info.si_pid == 0) return false;
  if (r != 0) *out = (GrExit){.code = -1};
  else if (info.si_code == CLD_EXITED) *out = (GrExit){.code = info.si_status};
  else *out = (GrExit){.signal = info.si_status};
  return true;
}

int gr_child_stopped(const GrChild *c) {
  siginfo_t info;
  return look(c, &info, WSTOPPED | WNOWAIT) == 0 && info.si_pid != 0 ? info.si_status : 0;
}

static bool reaped_by_others(const GrChild *c) {
  siginfo_t info;
  return look(c, &info, WEXITED | WNOWAIT) != 0;
}

int gr_child_signal(const GrChild *c, int sig) {
  if (c->end >= 0) {
    if (syscall(SYS_pidfd_send_signal, c->end, sig, NULL, c->group ? TO_GROUP : 0) == 0) return 0;
    if (errno == ESRCH) return ESRCH; /* other errors: the system may not know the call; try kill */
  }
  if (reaped_by_others(c)) return ESRCH;
  return kill(c->group ? -c->pid : c->pid, sig) == 0 ? 0 : errno;
}

bool gr_child_kill(const GrChild *c, GrExit *out) {
  enum { TRIES = 1000 };
  if (gr_child_signal(c, SIGKILL) != 0)
    return gr_child_ended(c, false, out); /* it may be another user's (a setuid program) */
  for (int i = 0; i < TRIES; i++) {
    if (gr_child_ended(c, false, out)) return true;
    nanosleep(&(struct timespec){.tv_nsec = i < 20 ? 50000 : 1000000}, NULL);
  }
  return false;
}

int64_t gr_child_pause(const GrChild *c, uint32_t looks) {
  enum { FIRST_MS = 1, END_MS = 20, STOP_MS = 250 };
  if (c->end >= 0 && !c->group) return GR_FOREVER;
  int64_t ms = looks < 8 ? FIRST_MS << looks : STOP_MS, most = c->end < 0 ? END_MS : STOP_MS;
  return (ms < most ? ms : most) * 1000000;
}

/* ---- starting ---- */

static void close_all(int fds[3]) {
  for (int i = 0; i < 3; i++) {
    if (fds[i] >= 0) close(fds[i]);
    fds[i] = -1;
  }
}

/* When stdin, stdout or stderr is closed in this process, a new pipe may get its number. The pipe
 * must not keep it: the child needs these numbers for itself. */
static int above_stdio(int *fd) {
  if (*fd > STDERR_FILENO) return 0;
  int higher = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), err = errno;
  if (higher < 0) return err;
  close(*fd);
  *fd = higher;
  return 0;
}

static int open_pipe(int i, bool blocking, int *ours, int *theirs) {
  int ends[2], err;
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  *ours = ends[i == 0];
  *theirs = ends[i != 0];
  if ((err = above_stdio(ours)) != 0 || (err = above_stdio(theirs)) != 0) return err;
  return blocking || fcntl(*ours, F_SETFL, O_NONBLOCK) == 0 ? 0 : errno;
}

static int open_pipes(const GrCommand *cmd, int ours[3], int theirs[3]) {
  int err = 0;
  for (int i = 0; i < 3 && err == 0; i++)
    if (cmd->stdio[i] == GR_STDIO_PIPE) err = open_pipe(i, cmd->blocking, &ours[i], &theirs[i]);
  return err;
}

/* *set is used only where the command names signals of its own. */
static const sigset_t *defaults_of(const GrCommand *cmd, sigset_t *set) {
  if (cmd->defaults == NULL) return gr_exec_defaults();
  *set = *cmd->defaults;
  if (sigismember(gr_exec_defaults(), SIGPIPE) == 1) sigaddset(set, SIGPIPE);
  return set;
}

static int start(const GrCommand *cmd, const int theirs[3], GrChild *child, bool *of_cwd) {
  char found[PATH_MAX];
  sigset_t set;
  GrExec s = {.file = cmd->file,
              .argv = cmd->argv,
              .env = cmd->env != NULL ? cmd->env : environ,
              .cwd = cmd->cwd,
              .group = cmd->group,
              .defaults = defaults_of(cmd, &set)};
  if (s.file == NULL) s.file = strchr(cmd->argv[0], '/') != NULL ? cmd->argv[0] : found;
  for (int i = 0; i < 3; i++)
    s.fds[i] = theirs[i] >= 0                   ? theirs[i]
               : cmd->stdio[i] == GR_STDIO_NULL ? GR_EXEC_NULL
                                                : GR_EXEC_INHERIT;
  int err = s.file == found ? search(cmd, s.env, found) : 0;
  if (err == 0) err = gr_exec(&s, &child->pid, cmd->blocking ? NULL : &child->end, of_cwd);
  return err;
}

int gr_child_start(const GrCommand *cmd, G *g, GrChild *child, int ours[3], bool *of_cwd) {
  int theirs[3] = {-1, -1, -1};
  ours[0] = ours[1] = ours[2] = -1;
  *child = (GrChild){.end = -1, .group = cmd->group};
  *of_cwd = false;
  int err = open_pipes(cmd, ours, theirs);
  if (err == 0) {
    gr_block_begin(g);
    err = start(cmd, theirs, child, of_cwd);
    gr_block_end(g);
  }
  close_all(theirs);
  if (err != 0) close_all(ours);
  return gr_sys_result(-err);
}

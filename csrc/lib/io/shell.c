/* SPDX-License-Identifier: MIT */
/* shell.c - os.execute and io.popen: `/bin/sh -c` in such a way that other goroutines need not
 * wait.
 *
 * They differ from the stock functions in the following. No script can see it.
 *
 *   - child.h makes the children, with the signal mask and the limit of descriptors that the
 *     program had when goro was loaded. For goro's threads block nearly all signals, and a child
 *     would inherit that. SIGPIPE has its default action again, if it had it then.
 *   - Waiting for a child, and reading from one, happens in a blocking region: the goroutine's
 *     place runs others meanwhile. The region is around the system call alone. No Lua runs in
 *     it, so no error can jump over its end, and no finalizer can call goro from it. A pipe that
 *     is read needs a FILE whose read function is ours for that (fopencookie); the stock
 *     io.read, file:read and file:lines work on it unchanged. It has no fileno: that is the
 *     price. Pipes of hosts, and pipes that are written to, are plain FILEs: a write seldom
 *     waits long, and sysmon takes the place of one that does.
 *   - popen flushes stdout, stderr and the default output, not all files. fflush(NULL) would
 *     wait for each FILE that another thread is reading from, and every fopen would wait for it
 *     meanwhile. For the same reason io.popen is ours in hosts too.
 *   - system() ignores SIGINT and SIGQUIT while the command runs. That is a setting of the whole
 *     process, not of a goroutine. So only a host does it. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/lock.h"
#include "io/child.h"
#include "lib/core/replaced.h"

/* ---- children ---- */

/* Starts the command. `defaults` is as in GrCommand. `piped` is the child's descriptor that is a
 * pipe, or -1; ours[piped] is our end of the pipe. 0 or errno. */
static int start_shell(const char *command, const sigset_t *defaults, int piped, GrChild *child,
                       int ours[3]) {
  char shell[] = "sh", dash_c[] = "-c";
  char *argv[] = {shell, dash_c, (char *)(uintptr_t)command, NULL};
  GrCommand cmd = {.file = "/bin/sh",
                   .argv = argv,
                   .stdio = {GR_STDIO_INHERIT, GR_STDIO_INHERIT, GR_STDIO_INHERIT},
                   .blocking = true,
                   .defaults = defaults};
  bool of_cwd;
  if (piped >= 0) cmd.stdio[piped] = GR_STDIO_PIPE;
  int r = gr_child_start(&cmd, NULL, child, ours, &of_cwd);
  return r == GR_NOMEM ? ENOMEM : gr_sys_errno(r);
}

static sigset_t no_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  return set;
}

/* ---- blocking regions ---- */

static void region_end(GrState *st) {
  int err = errno;
  gr_block_end(st->g);
  errno = err;
}

/* The child's wait status, or -1 and errno. */
static int wait_child(GrState *st, pid_t pid) {
  int status;
  pid_t r = waitpid(pid, &status, WNOHANG);
  if (r == 0) {
    gr_block_begin(st->g);
    while ((r = waitpid(pid, &status, 0)) < 0 && errno == EINTR) {}
    region_end(st);
  }
  if (r < 0) return -1;
  errno = 0; /* otherwise luaL_execresult would report a failure */
  return status;
}

/* ---- os.execute ---- */

/* The command's wait status, or -1 and errno. */
static int run_shell(GrState *st, const char *command, const sigset_t *defaults) {
  GrChild child;
  int ours[3];
  errno = start_shell(command, defaults, -1, &child, ours);
  return errno != 0 ? -1 : wait_child(st, child.pid);
}

static int has_shell(lua_State *L) {
  lua_pushboolean(L, access("/bin/sh", X_OK) == 0);
  return 1;
}

int gr_shell_execute(lua_State *L) {
  const char *command = luaL_optstring(L, 1, NULL);
  const sigset_t none = no_signals();
  return command == NULL ? has_shell(L)
                         : luaL_execresult(L, run_shell(gr_state(L), command, &none));
}

/* The actions that SIGINT and SIGQUIT had before hosts began to run commands. When several hosts
 * run commands, the first one changes the actions and the last one puts them back. */
static struct {
  GrLock lock; /* what follows */
  int users;
  struct sigaction before[2];
} keyboard = {.lock = GR_LOCK_INIT(GR_RANK_LEAF)};
static const int keyboard_signals[2] = {SIGINT, SIGQUIT};

/* *defaults becomes the set of those of the two that were not ignored before. */
static void keyboard_off(sigset_t *defaults) {
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  sigemptyset(&ignore.sa_mask);
  *defaults = no_signals();
  gr_lock(&keyboard.lock);
  for (int i = 0; i < 2; i++) {
    if (keyboard.users == 0) sigaction(keyboard_signals[i], &ignore, &keyboard.before[i]);
    if (keyboard.before[i].sa_handler != SIG_IGN) sigaddset(defaults, keyboard_signals[i]);
  }
  keyboard.users++;
  gr_unlock(&keyboard.lock);
}

static void keyboard_on(void) {
  gr_lock(&keyboard.lock);
  keyboard.users--;
  for (int i = 0; i < 2 && keyboard.users == 0; i++)
    sigaction(keyboard_signals[i], &keyboard.before[i], NULL);
  gr_unlock(&keyboard.lock);
}

/* As system() does it. SIGCHLD is blocked, so that a handler of the program's does not take the
 * child's status away. */
static int run_as_system(GrState *st, const char *command) {
  sigset_t defaults, child, before;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  keyboard_off(&defaults);
  pthread_sigmask(SIG_BLOCK, &child, &before);
  int status = run_shell(st, command, &defaults), err = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  keyboard_on();
  errno = err;
  return status;
}

int gr_shell_host_execute(lua_State *L) {
  const char *command = luaL_optstring(L, 1, NULL);
  return command == NULL ? has_shell(L) : luaL_execresult(L, run_as_system(gr_state(L), command));
}

/* ---- io.popen ---- */

typedef struct Pipe {
  luaL_Stream stream; /* the part that liolib.c knows */
  GrState *st;
  int fd; /* our end; a FILE of fopencookie's has no descriptor itself */
  GrChild child;
} Pipe;

static ssize_t pipe_read(void *cookie, char *buf, size_t size) {
  Pipe *p = cookie;
  struct pollfd ready = {.fd = p->fd, .events = POLLIN};
  bool lasts = poll(&ready, 1, 0) == 0;
  ssize_t n;
  if (lasts) gr_block_begin(p->st->g);
  while ((n = read(p->fd, buf, size)) < 0 && errno == EINTR && !gr_exit_letting_go()) {}
  if (lasts) region_end(p->st);
  return n;
}

/* Without this function the C library would report EINVAL. */
static int pipe_seek(void *cookie, off64_t *offset, int whence) {
  (void)cookie, (void)offset, (void)whence;
  errno = ESPIPE;
  return -1;
}

static int pipe_close(void *cookie) { return close(((Pipe *)cookie)->fd); }

static FILE *open_stream(Pipe *p, const char *mode) {
  if (p->st->is_host || mode[0] == 'w') return fdopen(p->fd, mode);
  return fopencookie(
      p, mode, (cookie_io_functions_t){.read = pipe_read, .seek = pipe_seek, .close = pipe_close});
}

static int close_pipe(lua_State *L) {
  Pipe *p = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  fclose(p->stream.f); /* pclose does not report either that the last output was lost */
  return luaL_execresult(L, wait_child(p->st, p->child.pid));
}

static void flush_outputs(lua_State *L) {
  fflush(stdout);
  fflush(stderr);
  lua_getfield(L, LUA_REGISTRYINDEX, "_IO_output");
  luaL_Stream *p = luaL_testudata(L, -1, LUA_FILEHANDLE);
  if (p != NULL && p->closef != NULL && p->f != NULL) fflush(p->f);
  lua_pop(L, 1);
}

/* 0 or errno: then nothing is left open, and no child. */
static int open_pipe(Pipe *p, const char *command, const char *mode) {
  const sigset_t none = no_signals();
  int ours[3], piped = mode[0] == 'r' ? 1 : 0;
  int err = start_shell(command, &none, piped, &p->child, ours);
  if (err != 0) return err;
  p->fd = ours[piped];
  p->stream.f = open_stream(p, mode);
  if (p->stream.f != NULL) return 0;
  err = errno;
  close(p->fd);
  gr_child_kill(&p->child, &(GrExit){0});
  return err;
}

int gr_shell_popen(lua_State *L) {
  const char *command = luaL_checkstring(L, 1);
  const char *mode = luaL_optstring(L, 2, "r");
  luaL_argcheck(L, (mode[0] == 'r' || mode[0] == 'w') && mode[1] == '\0', 2, "invalid mode");
  Pipe *p = lua_newuserdatauv(L, sizeof *p, 0);
  gr_state(L)->heap.finalizers = true;
  *p = (Pipe){.st = gr_state(L)}; /* closef is NULL: so the file is closed, for liolib.c */
  luaL_setmetatable(L, LUA_FILEHANDLE);
  flush_outputs(L);
  errno = open_pipe(p, command, mode);
  if (errno != 0) return luaL_fileresult(L, 0, command);
  p->stream.closef = close_pipe;
  return 1;
}

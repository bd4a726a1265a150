/* SPDX-License-Identifier: MIT */
/* process.c - goro.process: run, spawn, and processes in Lua.
 *
 * A run belongs to its call. When the call ends before the child does (by an error, a panic, the
 * end of the program), the child is killed, and its group if it has one of its own. A process that
 * was spawned belongs to those who have its handle, and goes on when nobody has the handle. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "io/process.h"
#include "io/childrun.h"
#include "io/signame.h"
#include "lib/io/process.h"
#include "heap/keep.h"

/* ---- run. On its stack: command, options, the two values of gr_check_command, then these ---- */

enum { RUN_LIMIT = 5, RUN_INPUT, RUN_CAPTURED, RUN_BOX };

typedef struct RunBox {
  GrKeep keep; /* first */
  GrRunning *run;
} RunBox;

static void release_run(GrKeep *k) { gr_run_free(((RunBox *)k)->run); }
static const GrKeepType run_keep = {release_run, NULL};

static GrRunning *run_at(lua_State *L) { return ((RunBox *)lua_touserdata(L, RUN_BOX))->run; }

/* What messages call the command at 1: the program's name, or the command of the shell. */
static const char *command_name(lua_State *L) {
  if (lua_istable(L, 1)) lua_rawgeti(L, 1, 1);
  else lua_pushvalue(L, 1);
  return lua_tostring(L, -1);
}

/* Pushes nil, message, code: the child was stopped, and so it was killed. */
static int push_stopped(lua_State *L, int sig, const char *subject) {
  bool terminal = sig == SIGTTIN || sig == SIGTTOU;
  gr_push_signal(L, sig);
  const char *why =
      lua_pushfstring(L,
                      terminal ? "stopped by %s, for its process group is not the terminal's; with "
                                 "group = false it may use the terminal"
                               : "stopped by %s; with group = false it is left stopped",
                      lua_tostring(L, -1));
  return gr_push_failure(L, GR_ERRNO(EIO), why, subject, strlen(subject));
}

/* Pushes the result, a table; or a failure, three values. */
static int push_result(lua_State *L) {
  static const char *const names[] = {"stdout", "stderr"};
  lua_Integer captured = lua_tointeger(L, RUN_CAPTURED);
  GrRunEnd end;
  gr_run_end(run_at(L), &end);
  if (end.exit.stopped != 0) {
    gr_keep_release(lua_touserdata(L, RUN_BOX));
    return push_stopped(L, end.exit.stopped, command_name(L));
  }
  lua_createtable(L, 0, 4);
  if (end.exit.signal != 0) {
    gr_push_signal(L, end.exit.signal);
    lua_setfield(L, -2, "signal");
  } else if (end.exit.code >= 0 && !end.unknown) {
    lua_pushinteger(L, end.exit.code);
    lua_setfield(L, -2, "code");
  }
  for (int i = 0; i < 2; i++) {
    if (!(captured & 1 << i)) continue;
    lua_pushlstring(L, end.out[i].len > 0 ? end.out[i].data : "", end.out[i].len);
    lua_setfield(L, -2, names[i]);
  }
  if (end.timed_out) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "timed_out");
  }
  gr_keep_release(lua_touserdata(L, RUN_BOX));
  return 1;
}

static int run_begin(lua_State *L, GrStep *s) {
  size_t len = 0;
  const char *in = lua_tolstring(L, RUN_INPUT, &len);
  int r = gr_run_step(run_at(L), s->st->g, in, len, gr_limit_at(L, RUN_LIMIT), s->blocks, s->fresh);
  if (r == GR_OK) s->n = push_result(L);
  return r;
}

static int run_finish(lua_State *L, GrStep *s) {
  return gr_again(gr_run_awake(run_at(L), s->st->g, &s->cause));
}
static void run_quit(lua_State *L, GrState *st, int at, GrCause cause) {
  (void)cause;
  gr_run_quit(((RunBox *)lua_touserdata(L, at))->run, st->g);
}

static int run_failed(lua_State *L, int r) {
  gr_keep_release(lua_touserdata(L, RUN_BOX));
  return gr_push_failure(L, r, NULL, "process", strlen("process"));
}

static const GrCall run_call = {.begin = run_begin,
                                .finish = run_finish,
                                .failed = run_failed,
                                .quit = run_quit,
                                .object = RUN_BOX};

/* run(cmd [, opts]) -> { code=, signal=, stdout=, stderr=, timed_out= } */
static int l_run(lua_State *L) {
  GrState *st = gr_state(L);
  GrCommand cmd;
  bool of_cwd, has_options = lua_istable(L, 2);
  if (!gr_check_command(L, true, &cmd)) return 3;
  gr_enter(L, st);
  int64_t until = GR_FOREVER;
  if (has_options && lua_getfield(L, 2, "timeout") != LUA_TNIL)
    until = gr_check_seconds(L, -1, 2, "field 'timeout': ");
  gr_set_limit(L, RUN_LIMIT, until == GR_POLL ? gr_now_ns() : until);
  if (has_options) lua_getfield(L, 2, "stdin");
  else lua_pushnil(L);
  lua_pushinteger(L, (cmd.stdio[1] == GR_STDIO_PIPE) | (cmd.stdio[2] == GR_STDIO_PIPE) << 1);
  RunBox *box = gr_keep_new(L, sizeof *box, &run_keep);
  int r = gr_run_start(&cmd, st->g, &box->run, &of_cwd);
  return r == GR_OK ? gr_call(L, st, &run_call) : gr_start_failed(L, r, &cmd, of_cwd);
}

/* ---- processes ---- */

static void open_process(lua_State *L, const GrObjectType *type, uint32_t view);
static const GrObjectType process_type = {{GR_TYPE_CHILD, gr_process_destroy, false}, open_process};

static GrProcess *check_process(lua_State *L) {
  return gr_process_of(gr_object_check(L, 1, &process_type)->share);
}

static int process_failed(lua_State *L, int r) {
  char subject[32];
  int n = snprintf(subject, sizeof subject, "process %ld", (long)gr_process_pid(check_process(L)));
  if (gr_sys_errno(r) == ECHILD) { /* libuv has no name for it */
    lua_pushnil(L);
    lua_pushfstring(L, "ECHILD: no child processes: %s", subject);
    lua_pushliteral(L, "ECHILD");
    return 3;
  }
  return gr_push_failure(L, r, r == GR_TIMEOUT ? "timed out" : NULL, subject, (size_t)n);
}

/* spawn(cmd [, opts]) -> process */
static int l_spawn(lua_State *L) {
  GrState *st = gr_state(L);
  GrCommand cmd;
  GrProcess *p;
  bool of_cwd;
  if (!gr_check_command(L, false, &cmd)) return 3;
  gr_enter(L, st);
  int r = gr_process_start(&cmd, st->g, &process_type.share, &gr_conn_type.share, &p, &of_cwd);
  return r == GR_OK ? gr_push_owned(L, gr_process_share(p)) : gr_start_failed(L, r, &cmd, of_cwd);
}

/* ---- wait: process, limit ---- */

static int wait_begin(lua_State *L, GrStep *s) {
  GrExit end;
  int r = gr_process_wait(check_process(L), s->st->g, &end, gr_limit_at(L, 2), s->blocks);
  if (r != GR_OK) return r;
  if (end.stopped != 0) {
    char subject[32];
    snprintf(subject, sizeof subject, "process %ld", (long)gr_process_pid(check_process(L)));
    s->n = push_stopped(L, end.stopped, subject);
    return GR_OK;
  }
  if (end.signal == 0 && end.code < 0) return GR_ERRNO(ECHILD);
  if (end.signal == 0) lua_pushinteger(L, end.code);
  else lua_pushnil(L);
  if (end.signal != 0) gr_push_signal(L, end.signal);
  s->n = end.signal == 0 ? 1 : 2;
  return GR_OK;
}

static int wait_finish(lua_State *L, GrStep *s) {
  return gr_again(gr_process_awake(check_process(L), s->st->g, &s->cause));
}

static const GrCall wait_call = {
    .begin = wait_begin, .finish = wait_finish, .failed = process_failed};

/* wait([timeout]) -> code, signal */
static int process_wait(lua_State *L) {
  check_process(L);
  int64_t until = gr_check_timeout(L, 2);
  gr_enter(L, gr_state(L));
  gr_set_limit(L, 2, until);
  return gr_call(L, gr_state(L), &wait_call);
}

static int check_signal(lua_State *L, int arg) {
  char buf[GR_SIGNAL_NAME];
  if (lua_isnoneornil(L, arg)) return SIGTERM;
  if (lua_type(L, arg) == LUA_TNUMBER) {
    lua_Integer n = gr_check_integer(L, arg);
    if (n < 1 || n >= GR_SIGNALS || gr_signal_name((int)n, buf) == NULL)
      luaL_argerror(L, arg, lua_pushfstring(L, "unknown signal %I", (LUAI_UACINT)n));
    return (int)n;
  }
  size_t len;
  const char *name = luaL_checklstring(L, arg, &len);
  int sig = strlen(name) == len ? gr_signal_number(name) : 0;
  if (sig == 0) luaL_argerror(L, arg, lua_pushfstring(L, "unknown signal '%s'", name));
  return sig;
}

/* kill([sig]) -> true */
static int process_kill(lua_State *L) {
  GrProcess *p = check_process(L);
  int r = gr_process_kill(p, check_signal(L, 2));
  if (r != GR_OK) return process_failed(L, r);
  lua_pushboolean(L, 1);
  return 1;
}

/* Closes the pipes first, which wakes everybody who reads or writes there. */
static int process_leave(lua_State *L) {
  GrProcess *p = check_process(L);
  for (int i = 0; i < 3; i++)
    if (gr_process_stream(p, i) != NULL) gr_stream_close(gr_process_stream(p, i));
  gr_process_kill(p, SIGKILL);
  gr_set_limit(L, 2, GR_FOREVER);
  return gr_call(L, gr_state(L), &wait_call);
}

static int process_index(lua_State *L) {
  static const char *const names[] = {"stdin", "stdout", "stderr"};
  GrProcess *p = check_process(L);
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  for (int i = 0; i < 3; i++) {
    if (strcmp(key, names[i]) != 0) continue;
    if (gr_process_stream(p, i) != NULL)
      gr_object_push(L, gr_stream_share(gr_process_stream(p, i)), GR_VIEW_BOTH);
    else lua_pushnil(L);
    return 1;
  }
  if (strcmp(key, "pid") == 0) {
    lua_pushinteger(L, gr_process_pid(p));
    return 1;
  }
  luaL_getmetafield(L, 1, "methods");
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

static const luaL_Reg methods[] = {{"wait", process_wait}, {"kill", process_kill}, {NULL, NULL}};

static void open_process(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  GrState *st = gr_state_find(L);
  static const luaL_Reg meta[] = {
      {"__close", process_leave}, {"__index", process_index}, {NULL, NULL}};
  gr_setfuncs(L, st, meta);
  lua_createtable(L, 0, sizeof methods / sizeof *methods - 1);
  gr_setfuncs(L, st, methods);
  lua_setfield(L, -2, "methods");
}

/* ---- the module ---- */

void gr_process_names(void) { gr_methods_names(methods); }

int luaopen_goro_process(lua_State *L) {
  static const luaL_Reg functions[] = {{"run", l_run}, {"spawn", l_spawn}, {NULL, NULL}};
  return gr_open_submodule(L, functions);
}

/* SPDX-License-Identifier: MIT */
/* protect.c - goexit, and the pcall and xpcall that it passes through.
 *
 * goexit has two ways out. Where every level can yield, it yields outward with GR_OUT_EXIT, and is
 * never resumed. Each level of ours closes the coroutine below it and yields on, until the runner
 * closes the main thread. Pending __close run on the way, innermost first, and get no error value.
 * Where some level cannot yield (a sort comparator), goexit raises an error instead, whose value
 * is nobody else's: the sentinel. The error unwinds to the next level of ours, which tries to
 * yield again. C code of others may catch it (load does); then a hook raises it again (hook.c).
 *
 * Which levels must go on exiting? Those that were entered before goexit was called. A level that
 * was entered afterwards belongs to a __close that runs because of goexit. There pcall, coroutines
 * and all the rest work as ever, as deferred functions do in Go. Only a second goexit, known by
 * its sentinel, passes such a level. So each level notes st->exiting when it is entered, in the
 * context of its continuation.
 *
 * An error that a __close raises meanwhile is no part of the exit. Levels that exit hand it on
 * instead of the sentinel, and the runner finds it, so that it is reported like any error that
 * nobody caught.
 *
 * The handler of an xpcall must not see the sentinel, and must otherwise be called exactly as the
 * stock function calls it: a wrapper around it would show in every traceback. So the handlers stay
 * as they are. Before the sentinel is raised, the handlers of this thread's xpcalls, which lie in
 * slot 2 of their frames, are replaced through lua_setlocal. To find a frame takes time in
 * proportion to its depth, hence the limit. A handler that lies deeper is called with a light
 * userdata, which does no harm. */
#include "run/protect.h"

#include "heap/names.h"
#include "run/hook.h"

enum {
  HANDLER = 2,     /* where xpcall keeps its handler */
  WAS_EXITING = 4, /* bit of a continuation's context; below it: values under the results */
  SILENCE_DEPTH = 1000,
};

static const char sentinel = 0;

/* ---- goexit ---- */

bool gr_is_exit_sentinel(lua_State *L, int idx) {
  return lua_touserdata(L, idx) == (const void *)&sentinel;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
extern int lua_closethread(lua_State *L, lua_State *from) __attribute__((weak));
#pragma GCC diagnostic pop

int gr_close_thread(lua_State *L, GrState *st, lua_State *co) {
  bool chain_ok = st->chain_ok;
  lua_State *running = st->heap.running;
  st->chain_ok = false;
  if (st->armed != NULL) gr_hook_disarm(st);
  if (gr_unlikely(st->limit != 0)) gr_hook_limit(st, co, st->limit);
  st->heap.running = running != NULL ? co : NULL;
  int status = lua_closethread != NULL ? lua_closethread(co, L) : lua_resetthread(co);
  st->heap.running = running;
  if (st->armed != NULL) gr_hook_disarm(st);
  st->chain_ok = chain_ok;
  return status;
}

static int never(lua_State *L, int status, lua_KContext ctx) {
  (void)L, (void)status, (void)ctx;
  gr_throw("a goroutine went on after goexit");
}

static int keep_error(lua_State *L) {
  lua_settop(L, 1);
  return 1;
}

static int go_xpcall(lua_State *L);

static void silence_handlers(lua_State *L) {
  lua_Debug ar;
  for (int level = 0; level < SILENCE_DEPTH && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "f", &ar);
    bool ours = lua_tocfunction(L, -1) == go_xpcall;
    lua_pop(L, 1);
    if (!ours) continue;
    lua_pushcfunction(L, keep_error);
    if (lua_setlocal(L, &ar, HANDLER) == NULL) lua_pop(L, 1);
  }
}

int gr_exit_raise(lua_State *L, GrState *st) {
  silence_handlers(L);
  if (!st->ending && st->limit == 0) gr_hook_rethrow(st, L); /* else the hook that raises stays */
  lua_pushlightuserdata(L, (void *)(uintptr_t)&sentinel);
  return lua_error(L);
}

int gr_exit_on(lua_State *L, GrState *st) {
  lua_settop(L, 0);
  if (gr_can_yield(L, st)) {
    st->outward = GR_OUT_EXIT;
    return lua_yieldk(L, 0, 0, never);
  }
  return gr_exit_raise(L, st);
}

int gr_exit_with_host(lua_State *L, GrState *st) {
  if (gr_g_ends(st->g)) st->ending = true;
  st->exiting = true;
  return gr_exit_raise(L, st);
}

int gr_goexit(lua_State *L, GrState *st) {
  st->exiting = true;
  return gr_exit_on(L, st);
}

/* ---- pcall, xpcall ---- */

/* A protected call ended while the goroutine exits: returns only when this level has nothing to do
 * with it. */
static void pass_exit(lua_State *L, GrState *st, bool failed, bool was_exiting) {
  bool goexit = failed && gr_is_exit_sentinel(L, -1);
  if (was_exiting && !goexit) return;
  if (failed && !goexit) lua_error(L);
  gr_exit_on(L, st);
}

static int finish(lua_State *L, int status, lua_KContext ctx) {
  GrState *st = gr_state_own(L);
  bool failed = status != LUA_OK && status != LUA_YIELD;
  if (gr_unlikely(st->exiting)) pass_exit(L, st, failed, (ctx & WAS_EXITING) != 0);
  if (!failed) return lua_gettop(L) - (int)(ctx & (WAS_EXITING - 1));
  lua_pushboolean(L, 0);
  lua_pushvalue(L, -2);
  return 2;
}

static int go_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  lua_KContext ctx = gr_state_own(L)->exiting ? WAS_EXITING : 0;
  lua_pushboolean(L, 1); /* first result, if nothing goes wrong */
  lua_insert(L, 1);
  int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, ctx, finish);
  return finish(L, status, ctx);
}

static int go_xpcall(lua_State *L) {
  int n = lua_gettop(L);
  luaL_checktype(L, HANDLER, LUA_TFUNCTION);
  lua_KContext ctx = 2 + (gr_state_own(L)->exiting ? WAS_EXITING : 0);
  lua_pushboolean(L, 1); /* first result, if nothing goes wrong */
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2); /* both go below the arguments */
  int status = lua_pcallk(L, n - 2, LUA_MULTRET, HANDLER, ctx, finish);
  return finish(L, status, ctx);
}

/* ---- registration ---- */

void gr_protect_open(lua_State *L, GrHeap *h) {
  static const luaL_Reg functions[] = {{"pcall", go_pcall}, {"xpcall", go_xpcall}, {NULL, NULL}};
  lua_pushglobaltable(L);
  gr_heap_setfuncs(L, h, functions);
  lua_pop(L, 1);
}

void gr_protect_names(void) {
  gr_names_alias(go_pcall, "_G", "pcall");
  gr_names_alias(go_xpcall, "_G", "xpcall");
}

/* SPDX-License-Identifier: MIT */
/* life.c - a goroutine's Lua state: made by the thread that first runs it, resumed, and closed
 * when the goroutine ends.
 *
 *   run -> begin      a state from an image; the message is unpacked
 *       -> enter      lua_resume, again and again:
 *             GR_OUT_PARK, GR_OUT_YIELD   back to the M
 *             returned                    end_ok:    pack the results, tell the join
 *             goexit                      end_exit:  pending __close, tell the join
 *             error                       end_error: traceback, pending __close; then fail:
 *                                         goes on with the join's `handle`, or a panic
 *       -> free_state closes or drops the Lua state
 *
 * The main thread of the state is the coroutine that we resume. That saves a thread object for
 * each goroutine, and `coroutine.running` tells a program what it would tell a script. It is
 * legal: lua_resume counts its own non-yieldable calls, and lua_resetthread brings the thread back
 * before anything else is called on it.
 *
 * Everything that may raise runs inside a lua_pcall or lua_resume, so the panic function is never
 * reached. A wait in a finalizer keeps its thread, since co_top is NULL outside lua_resume. */
#include "run/life.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <lualib.h>

#include "base/chunk.h"
#include "copy/pack.h"
#include "heap/foreign.h"
#include "heap/image.h"
#include "heap/keep.h"
#include "heap/need.h"
#include "heap/object.h"
#include "run/hook.h"
#include "run/inherit.h"
#include "run/panic.h"
#include "run/protect.h"
#include "run/setup.h"
#include "run/turn.h"
#include "run/warn.h"
#include "sync/chan.h"

/* ---- a state's beginning ---- */

static int unprotected(lua_State *L) {
  gr_throw("unprotected error in a goroutine: %s", lua_tostring(L, -1));
}

/* (GrNeed *): opens what each new goroutine with these standard globals finds in its state. For the
 * templates of images; and for each state, when there are no images. */
static int open_state(lua_State *L) {
  GrHeap *h = gr_heap_own(L);
  GrNeed have = *(GrNeed *)gr_check_pointer(L, 1);
  lua_atpanic(L, unprotected);
  gr_warn_open(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushglobaltable(L);
  lua_setfield(L, -2, "_G");
  lua_pushlightuserdata(L, lua_getextraspace(L));
  gr_heap_remember(L, -1);
  gr_pack_open(L);
  gr_need_trap(L);
  gr_object_open(L);
  h->have = 0;
  gr_need_open(L, h, have);
  return 0;
}

/* gr_need_filled: all libraries are open, so what the state inherited is put in place. */
static void filled(lua_State *L, GrHeap *h, GrNeed before) {
  GrState *st = gr_container_of(h, GrState, heap);
  if (st->settled) return;
  st->settled = true;
  gr_inherit_install(L, st, before, false);
}

/* The same before the goroutine's first function runs. */
static void settle(lua_State *L, GrState *st) {
  if (st->settled) return;
  st->settled = true;
  gr_inherit_install(L, st, 0, true);
}

/* (start message, perhaps the function, which the state's image had) */
static int unpack_start(lua_State *L) {
  GrState *st = gr_state_own(L);
  const GrMsg *start = gr_check_pointer(L, 1);
  int function = lua_gettop(L) - 1;
  lua_remove(L, 1);
  if (st->heap.have == GR_NEED_ALL) settle(L, st);
  else gr_need_fill(L, gr_msg_need(start));
  return gr_unpack_start(L, start, function);
}

static int open_plain(lua_State *L) {
  GrNeed all = GR_NEED_ALL;
  lua_pushcfunction(L, open_state);
  lua_pushlightuserdata(L, &all);
  return lua_pcall(L, 1, 0, 0);
}

/* LUA_OK, or the error value is on top; LUA_ERRMEM: perhaps there is no state. */
static int make_state(GrState *st, const GrImage *image, GrNeed need) {
  bool ready;
  lua_State *L = gr_image_state(image, need, &st->heap.arena, &st->heap.have, &ready);
  if (L == NULL) return LUA_ERRMEM;
  st->L = L;
  st->heap.arena->owner = &st->heap;
  *(GrState **)lua_getextraspace(L) = st;
  st->heap.running = L;
  int status = ready ? LUA_OK : open_plain(L);
  if (gr_unlikely(st->warns)) gr_warn_on(L);
  return status;
}

/* A state for the message, in which it is unpacked. */
static int begin_with(GrState *st, GrMsg *start, bool *opened) {
  int status = make_state(st, gr_msg_image(start), gr_msg_need(start));
  if (status != LUA_OK) return status;
  *opened = true;
  lua_State *L = st->L;
  lua_pushcfunction(L, unpack_start);
  lua_insert(L, 1);
  lua_pushlightuserdata(L, start);
  lua_insert(L, 2);
  return lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
}

/* (message of a function of goro.setup) */
static int unpack_setup(lua_State *L) {
  const GrMsg *m = gr_check_pointer(L, 1);
  GrMsg copy;
  lua_settop(L, 0);
  settle(L, gr_state_own(L));
  if (!gr_msg_copy(m, &copy)) gr_raise_nomem(L);
  gr_msg_set_start(&copy);
  return gr_unpack(L, &copy);
}

/* What is to run next, instead of what is on the state's stack: a function of goro.setup, or when
 * all of these have run, the goroutine's own with its arguments. */
static int next_to_run(GrState *st) {
  lua_State *L = st->L;
  const GrMsg *setup = gr_setting_next(st->setting);
  lua_settop(L, 0);
  lua_pushcfunction(L, setup != NULL ? unpack_setup : unpack_start);
  lua_pushlightuserdata(L,
                        (void *)(uintptr_t)(setup != NULL ? setup : gr_setting_start(st->setting)));
  int status = lua_pcall(L, 1, LUA_MULTRET, 0);
  if (setup == NULL) gr_setting_done(st->setting);
  return status;
}

/* Functions of goro.setup may lead anywhere, so the state has all. */
static int begin_with_setup(GrState *st, GrMsg *start, bool *opened) {
  gr_setting_keep(st->setting, start);
  int status = make_state(st, NULL, GR_NEED_ALL);
  *opened = status == LUA_OK;
  return *opened ? next_to_run(st) : status;
}

/* Leaves the function and its arguments, or the error value, on the state's stack. Not *opened:
 * there is no state in which anything can run. */
static int begin(GrState *st, bool *opened) {
  GrMsg start = st->start;
  *opened = false;
  st->start = GR_MSG_EMPTY;
  if (gr_unlikely(st->setting != NULL)) return begin_with_setup(st, &start, opened);
  int status = begin_with(st, &start, opened);
  gr_msg_drop(&start);
  return status;
}

/* ---- its end ---- */

/* Is there nothing in the state whose finalizer has to run? A C library may have made something, so
 * none must be loaded. */
static bool may_drop(GrState *st) {
  lua_State *L = st->L;
  if (st->heap.finalizers || st->heap.foreign || !lua_checkstack(L, 2)) return false;
  if (st->heap.have != GR_NEED_ALL) return true;
  lua_getfield(L, LUA_REGISTRYINDEX, "_CLIBS");
  bool none = lua_rawlen(L, -1) == 0;
  lua_pop(L, 1);
  return none;
}

/* States with functions of goro.setup are closed one at a time. A finalizer of a tool for coverage
 * reads a file, adds to it and writes it. */
static GrTurn closing = GR_TURN_INIT(closing);

static void close_state(GrState *st) {
  if (!may_drop(st) || !gr_keep_close(st->L)) {
    atomic_fetch_add_explicit(&gr_states_closed, 1, memory_order_relaxed);
    bool in_turn = gr_unlikely(st->setting != NULL) && gr_turn_take(&closing, st) == GR_OK;
    lua_close(st->L);
    if (in_turn) gr_turn_give(&closing);
  }
  gr_arena_free(st->heap.arena);
}

/* A goroutine with functions of goro.setup tells of its end when its state has been closed
 * (setup.c). Takes *m. */
static void tell_end(GrState *st, GrEnd how, GrMsg *m) {
  bool later = gr_unlikely(st->setting != NULL) && st->join.object != NULL &&
               (how == GR_END_RETURN || how == GR_END_EXIT);
  if (later) gr_setting_keep_end(st->setting, (int)how, m);
  else gr_join_end(&st->join, st->g, how, m, NULL);
}

/* The state has been closed. Now those who wait for the goroutine are told. */
static void end_setting(GrState *st) {
  int how;
  GrMsg m;
  GrSetting *s = st->setting;
  st->setting = NULL;
  if (gr_setting_take_end(s, &how, &m)) tell_end(st, (GrEnd)how, &m);
  gr_setting_free(s);
}

/* Pre-emption finds the state through its G, so from here on the G does not lead to it. */
static void free_state(GrState *st) {
  gr_msg_drop(&st->start);
  st->heap.running = NULL;
  *(void *volatile *)&st->g->data = NULL;
  if (st->L != NULL) {
    st->co_top = NULL;
    if (st->armed != NULL) gr_hook_disarm(st);
    close_state(st);
  }
  if (gr_unlikely(st->setting != NULL)) end_setting(st);
  tell_end(st, GR_END_DROPPED, &(GrMsg){0});
  gr_inherit_unref(st->inherited);
  gr_free(st->frames);
  gr_free(st->warning);
  gr_chunk_put(st, sizeof *st);
}

static int pack_results(lua_State *L) {
  GrMsg *out = gr_check_pointer(L, 1);
  lua_pushboolean(L, 1);
  lua_replace(L, 1);
  gr_pack(L, 1, lua_gettop(L), GR_NAME_RESULT, 0, out);
  return 0;
}

/* Tells the join the n results on top of the stack, if it wants them. LUA_OK, or an error with its
 * value on top. */
static int deliver_results(GrState *st, int n) {
  GrMsg m = GR_MSG_EMPTY;
  lua_State *L = st->L;
  if (st->join.object == NULL) return LUA_OK;
  if (!st->join.ops->results) {
    tell_end(st, GR_END_RETURN, &m);
    return LUA_OK;
  }
  if (!lua_checkstack(L, 4)) return LUA_ERRMEM;
  lua_pushcfunction(L, pack_results);
  lua_pushlightuserdata(L, &m);
  lua_rotate(L, -n - 2, 2);
  int status = lua_pcall(L, n + 1, 0, 0);
  if (status == LUA_OK) tell_end(st, GR_END_RETURN, &m);
  return status;
}

static GrRun enter(GrState *st, int n);

static int push_text(lua_State *L) {
  const char *text = lua_islightuserdata(L, 1) ? lua_touserdata(L, 1) : NULL;
  lua_pushstring(L, text != NULL ? text : "stack traceback:");
  return 1;
}

/* Leaves the join's function for errors and its arguments on the stack, instead of the error on
 * top. False: the join has none, or there is no memory for it. */
static bool hand_over(GrState *st, const char *traceback) {
  const GrJoin *join = &st->join;
  lua_State *L = st->L;
  if (join->object == NULL || join->ops->handle == NULL) return false;
  if (L == NULL || gr_sched_stopping() || !lua_checkstack(L, 10)) return false;
  lua_pushcfunction(L, join->ops->handle);
  lua_insert(L, -2);
  lua_pushcfunction(L, push_text);
  lua_pushlightuserdata(L, (void *)(uintptr_t)traceback);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  lua_pushlightuserdata(L, join->object);
  st->join.ops = join->ops->after;
  st->exiting = false;
  return true;
}

/* The goroutine ends by the error on top of its reset state. Takes the traceback. */
static GrRun fail(GrState *st, char *traceback) {
  gr_setting_done(st->setting);
  bool goes_on = hand_over(st, traceback);
  if (!goes_on) gr_panic(st, traceback);
  gr_free(traceback);
  if (goes_on) return enter(st, 3);
  free_state(st);
  return GR_RUN_DONE;
}

/* There was no memory for a state, or for opening it. */
static GrRun end_unborn(GrState *st) {
  gr_panic(st, NULL);
  free_state(st);
  return GR_RUN_DONE;
}

static GrRun end_ok(GrState *st, int nresults) {
  if (deliver_results(st, nresults) != LUA_OK) return fail(st, NULL);
  free_state(st);
  return GR_RUN_DONE;
}

static void disarm(GrState *st) {
  if (st->armed != NULL) gr_hook_disarm(st);
  st->ending = false;
}

static GrRun end_exit(GrState *st) {
  disarm(st);
  int status = lua_resetthread(
      st->L); /* LUA_OK, the sentinel, or the error of a __close that ran because of it */
  if (status != LUA_OK && !gr_is_exit_sentinel(st->L, -1)) return fail(st, NULL);
  tell_end(st, GR_END_EXIT, &(GrMsg){0});
  free_state(st);
  return GR_RUN_DONE;
}

/* Where Lua is built as C++, it catches what others throw: the status is one of Lua's own, and
 * there is no error value. */
static GrRun end_error(GrState *st, int status) {
  char *traceback = gr_panic_traceback(st->L);
  disarm(st);
  lua_resetthread(st->L);
  if (status < 0) lua_pushliteral(st->L, "a C++ exception that nobody caught");
  return fail(st, traceback);
}

/* Its host closed before it began. */
static GrRun end_unstarted(GrState *st) {
  tell_end(st, GR_END_EXIT, &(GrMsg){0});
  free_state(st);
  return GR_RUN_DONE;
}

/* Before others run: gives chunks of memory back that have become empty. */
static void give_back(GrState *st) {
  if (gr_unlikely(gr_arena_is_large(st->heap.arena)))
    gr_arena_trim(st->heap.arena, (size_t)lua_gc(st->L, LUA_GCCOUNT, 0) << 10);
}

static int resume(GrState *st, int n, int *nresults) {
  st->outward = GR_OUT_NONE;
  st->heap.running = st->L;
  st->co_top = st->L;
  st->chain_ok = true;
  int status = lua_resume(st->L, NULL, n, nresults);
  st->co_top = NULL;
  st->chain_ok = false;
  return status;
}

/* Runs it until it ends or yields: from its beginning, with a function and n arguments on top, or
 * from where it yielded. */
static GrRun enter(GrState *st, int n) {
  int nresults, status = resume(st, n, &nresults);
  while (gr_unlikely(gr_setting_runs(st->setting)) && status == LUA_OK) {
    if (next_to_run(st) != LUA_OK) return fail(st, NULL);
    status = resume(st, lua_gettop(st->L) - 1, &nresults);
  }
  if (status == LUA_YIELD) {
    switch (st->outward) {
      case GR_OUT_PARK:
      case GR_OUT_YIELD:
        st->heap.running = NULL;
        give_back(st);
        return st->outward == GR_OUT_PARK ? GR_RUN_PARK : GR_RUN_YIELD;
      case GR_OUT_EXIT: return end_exit(st);
      default: /* a C module called lua_yield at the top */
        lua_resetthread(st->L);
        lua_pushliteral(st->L, "attempt to yield from outside a coroutine");
        return fail(st, NULL);
    }
  }
  if (status == LUA_OK) return end_ok(st, nresults);
  return st->exiting && gr_is_exit_sentinel(st->L, -1) ? end_exit(st) : end_error(st, status);
}

/* A function or arguments that cannot be rebuilt are an error like others. */
static GrRun run(G *g) {
  GrState *st = g->data;
  int n = 0;
  if (st->L == NULL && gr_g_must_end(g)) return end_unstarted(st);
  if (st->L == NULL) {
    bool opened;
    if (begin(st, &opened) != LUA_OK) return opened ? fail(st, NULL) : end_unborn(st);
    n = lua_gettop(st->L) - 1;
  }
  return enter(st, n);
}

/* The pool ends while it is parked, or before it ran. */
static void destroy(G *g, int64_t until) {
  GrState *st = g->data;
  gr_wait_abandon(g);
  if (st->L != NULL) {
    disarm(st);
    gr_hook_limit(st, st->L, until);
    lua_resetthread(st->L);
  }
  free_state(st);
}

static size_t where(G *g, char *buf, size_t size) {
  GrState *st = g->data;
  lua_Debug ar;
  *buf = '\0';
  if (st->L == NULL || st->parked == NULL) return 0;
  for (int level = 0; lua_getstack(st->parked, level, &ar); level++)
    if (lua_getinfo(st->parked, "Sl", &ar) && ar.currentline > 0)
      return (size_t)snprintf(buf, size, "%s:%d", ar.short_src, ar.currentline);
  return 0;
}

const GOps gr_life_ops = {run, destroy, gr_hook_preempt, where};

/* ---- at start ---- */

static void make_image(void) {
  gr_need_filled = filled;
  gr_foreign_init();
  static GrState nobody; /* the proof of an image runs Lua code */
  gr_image_init(open_state, &nobody);
}

void gr_life_init(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_image);
}

/* SPDX-License-Identifier: MIT */
/* coroutine.c - the coroutine library of a goroutine's state. A program sees the stock library;
 * below it there is a second kind of yield.
 *
 * A goroutine that waits inside coroutines yields out of all of them. Each lua_resume on the way
 * returns LUA_YIELD, and st->outward tells that this is not the program's own coroutine.yield. So
 * the level yields too, with no values. When the runner resumes inward, the level's continuation
 * resumes the same coroutine, with no values. The program sees neither. Between the two no Lua
 * code of this state runs, so not even a status can be observed. The results of a resume are
 * fetched by the piece of the resume that runs last.
 *
 *   M:  lua_resume(main)       <--- yields ---+   resumes ---+
 *         coroutine.resume(a)  <--- yields ---+              +--> continuation resumes a
 *           coroutine.resume(b) <-- yields ---+              +--> continuation resumes b
 *             ch:recv() must wait: lua_yieldk                +--> goes on
 *
 * That works only where each level can yield. So each resume of ours sets two things for the time
 * of its lua_resume. Both are put back at once when lua_resume returns: while the goroutine is
 * parked they belong to the level that the runner enters first.
 *
 *   - co_top: the thread that the resume entered. A thread that somebody else's C code resumed is
 *     never co_top, and a wait inside it keeps its M.
 *   - chain_ok: can the level that called the resume yield, and all levels outside it?
 *
 * An outward yield happens only when L == co_top and chain_ok (gr_must_block). So each level that
 * meets one may pass it on.
 *
 * goexit: a level that meets GR_OUT_EXIT, or whose coroutine ends after goexit was called in it,
 * closes that coroutine first. protect.c has more about exiting. */
#include <lualib.h>

#include "run/coroutine.h"

#include "heap/names.h"
#include "run/hook.h"
#include "run/protect.h"

typedef enum Status { CO_RUN, CO_DEAD, CO_YIELD, CO_NORM } Status;

static const char *const status_name[] = {"running", "dead", "suspended", "normal"};

static lua_State *check_co(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co != NULL, 1, "thread");
  return co;
}

static Status status_of(lua_State *L, lua_State *co) {
  if (L == co) return CO_RUN;
  int status = lua_status(co);
  if (status == LUA_YIELD) return CO_YIELD;
  if (status != LUA_OK) return CO_DEAD; /* an error ended it */
  lua_Debug ar;
  if (lua_getstack(co, 0, &ar)) return CO_NORM;
  return lua_gettop(co) == 0 ? CO_DEAD : CO_YIELD; /* without a function: it has returned */
}

/* ---- resume ---- */

/* lua_resume by the protocol above. */
static int enter(lua_State *L, GrState *st, lua_State *co, int nargs, int *nres) {
  lua_State *top = st->co_top;
  bool chain_ok = st->chain_ok;
  st->chain_ok = gr_can_yield(L, st);
  st->co_top = co;
  st->outward =
      GR_OUT_NONE; /* also when the runner closes the main thread: a __close may use coroutines */
  lua_State *running = st->heap.running;
  if (gr_unlikely(st->armed != NULL && st->armed != co)) gr_hook_disarm(st);
  if (gr_unlikely(st->limit != 0)) gr_hook_limit(st, co, st->limit);
  st->heap.running = co;
  int status = lua_resume(co, L, nargs, nres);
  if (gr_unlikely(gr_exit_letting_go())) gr_exit_hold();
  st->heap.running = running;
  if (gr_unlikely(st->armed != NULL && st->outward == GR_OUT_NONE)) gr_hook_disarm(st);
  st->co_top = top;
  st->chain_ok = chain_ok;
  return status;
}

/* goexit was called inside co: ends it and goes on exiting. An error of its __close goes on as an
 * error. */
static void exit_through(lua_State *L, GrState *st, lua_State *co) {
  st->outward = GR_OUT_NONE;
  lua_settop(L, 1);
  int status = gr_close_thread(L, st, co);
  if (status != LUA_OK && !gr_is_exit_sentinel(co, -1)) {
    lua_xmove(co, L, 1);
    lua_error(L);
  }
  gr_exit_on(L, st);
}

/* Must this level exit, now that co has ended or has yielded to it? */
static bool must_exit(GrState *st, lua_State *co, int status, bool was_exiting) {
  if (!was_exiting) return true;
  if (st->outward == GR_OUT_EXIT) return true;
  return status != LUA_OK && status != LUA_YIELD && gr_is_exit_sentinel(co, -1);
}

/* Runs co until its next stop that is meant for the program, in one piece or, when it parks,
 * through k. Returns the number of results, or -1 with the error's value on top of L. */
static int resume(lua_State *L, GrState *st, lua_State *co, int nargs, lua_KFunction k,
                  lua_KContext was_exiting) {
  int nres;
  int status = enter(L, st, co, nargs, &nres);
  if (status == LUA_YIELD && (st->outward == GR_OUT_PARK || st->outward == GR_OUT_YIELD))
    return lua_yieldk(L, 0, was_exiting, k);
  if (gr_unlikely(st->exiting) && must_exit(st, co, status, was_exiting != 0))
    exit_through(L, st, co);
  if (gr_unlikely(status != LUA_OK && status != LUA_YIELD)) {
    lua_xmove(co, L, 1);
    return -1;
  }
  if (gr_unlikely(!lua_checkstack(L, nres + 1))) {
    lua_pop(co, nres);
    lua_pushliteral(L, "too many results to resume");
    return -1;
  }
  lua_xmove(co, L, nres);
  return nres;
}

/* The first piece: moves the nargs values on top of L. */
static int start(lua_State *L, lua_State *co, int nargs, lua_KFunction k) {
  GrState *st = gr_state_own(L);
  if (gr_unlikely(!lua_checkstack(co, nargs))) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  lua_xmove(L, co, nargs);
  return resume(L, st, co, nargs, k, st->exiting);
}

static int resume_results(lua_State *L, int nres) {
  lua_pushboolean(L, nres >= 0);
  if (nres < 0) nres = 1;
  if (nres > 0) lua_insert(L, -(nres + 1));
  return nres + 1;
}

static int resume_on(lua_State *L, int status, lua_KContext was_exiting) {
  (void)status;
  return resume_results(L,
                        resume(L, gr_state_own(L), lua_tothread(L, 1), 0, resume_on, was_exiting));
}

static int go_resume(lua_State *L) {
  lua_State *co = check_co(L);
  return resume_results(L, start(L, co, lua_gettop(L) - 1, resume_on));
}

/* ---- wrap: a closure whose upvalue 1 is the coroutine ---- */

static int wrap_results(lua_State *L, lua_State *co, int nres) {
  if (gr_likely(nres >= 0)) return nres;
  int status = lua_status(co);
  if (status != LUA_OK &&
      status != LUA_YIELD) { /* the error was raised in it, not by the attempt to resume it */
    status = gr_close_thread(L, gr_state_own(L), co);
    lua_xmove(co, L, 1); /* of a __close, perhaps */
    if (gr_unlikely(gr_is_exit_sentinel(L, -1))) gr_exit_on(L, gr_state_own(L));
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int wrap_on(lua_State *L, int status, lua_KContext was_exiting) {
  (void)status;
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  return wrap_results(L, co, resume(L, gr_state_own(L), co, 0, wrap_on, was_exiting));
}

static int wrap_call(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  return wrap_results(L, co, start(L, co, lua_gettop(L), wrap_on));
}

/* ---- the rest ---- */

/* A new thread gets its maker's hook. It is taken away here. The hook that pre-empts is meant for
 * one thread only. A program's own (debug.sethook) looks up its function by thread, and so does
 * nothing in a new thread in stock Lua either. */
static int go_create(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_sethook(co, NULL, 0, 0);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  return 1;
}

static int go_wrap(lua_State *L) {
  go_create(L);
  lua_pushcclosure(L, wrap_call, 1);
  return 1;
}

/* The main thread of a goroutine is run by lua_resume, so Lua itself would let it yield. */
static int go_yield(lua_State *L) {
  if (gr_unlikely(L == gr_state_own(L)->L)) {
    lua_pushliteral(L, "attempt to yield from outside a coroutine");
    return lua_error(L);
  }
  return lua_yield(L, lua_gettop(L));
}

static int go_isyieldable(lua_State *L) {
  lua_State *co = lua_isnone(L, 1) ? L : check_co(L);
  lua_pushboolean(L, co != gr_state_own(L)->L && lua_isyieldable(co));
  return 1;
}

static int go_status(lua_State *L) {
  lua_State *co = check_co(L);
  lua_pushstring(L, status_name[status_of(L, co)]);
  return 1;
}

static int go_running(lua_State *L) {
  lua_pushboolean(L, lua_pushthread(L));
  return 2;
}

static int go_close(lua_State *L) {
  lua_State *co = check_co(L);
  GrState *st = gr_state_own(L);
  Status now = status_of(L, co);
  if (now != CO_DEAD && now != CO_YIELD)
    return luaL_error(L, "cannot close a %s coroutine", status_name[now]);
  bool was_exiting = st->exiting;
  int status = gr_close_thread(L, st, co);
  if (gr_unlikely(st->exiting)) {
    bool goexit = status != LUA_OK && gr_is_exit_sentinel(co, -1);
    if (goexit || (!was_exiting && status == LUA_OK)) gr_exit_on(L, st);
  }
  lua_pushboolean(L, status == LUA_OK);
  if (status == LUA_OK) return 1;
  lua_xmove(co, L, 1);
  if (gr_unlikely(st->exiting && !was_exiting)) lua_error(L);
  return 2;
}

/* ---- registration ---- */

static const luaL_Reg functions[] = {
    {"create", go_create},
    {"resume", go_resume},
    {"wrap", go_wrap},
    {"yield", go_yield},
    {"close", go_close},
    {"status", go_status},
    {"isyieldable", go_isyieldable},
    {"running", go_running},
    {NULL, NULL},
};

void gr_coroutine_open(lua_State *L, GrHeap *h) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  luaL_getsubtable(L, -1, LUA_COLIBNAME);
  gr_heap_setfuncs(L, h, functions);
  lua_pop(L, 2);
}

void gr_coroutine_names(void) {
  for (const luaL_Reg *l = functions; l->name != NULL; l++)
    gr_names_alias(l->func, LUA_COLIBNAME, l->name);
}

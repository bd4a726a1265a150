/* SPDX-License-Identifier: MIT */
/* once.c - goro.sync.once: a function that is called once, and whose results all callers get.
 *
 * The function is packed when the once is made. The first caller unpacks the function in its own
 * state and calls it. Then the first caller packs the outcome: the results or the error. Every
 * other state unpacks the outcome once, and keeps the list of values. The list is in a weak table,
 * with the once as its key, and the weak table is in the metatable of the once. So later calls are
 * cheap, and return the same tables each time. The list goes with the last reference that the state
 * has to the once. Unpacking may run Lua code, so two coroutines may do it at the same time; then
 * the list that is there first counts.
 *
 * A caller that finds the once not yet done first makes a Run: a userdata, and a to-be-closed
 * variable, in slot 2. The function may never return: it may call goexit, or its coroutine may be
 * collected. Then the Run marks the once as done, without a result, and callers get an error that
 * says so. */
#include "sync/once.h"

#include "lib/sync/sync.h"
#include "run/panic.h"
#include "heap/keep.h"
#include "run/protect.h"

static int once_call(lua_State *L);
static void open_once(lua_State *L, const GrObjectType *type, uint32_t view);
static const GrObjectType once_type = {{GR_TYPE_ONCE, gr_once_destroy, false}, open_once};

static GrOnce *check(lua_State *L) { return gr_once_of(gr_object_check(L, 1, &once_type)->share); }

enum { SLOT_RUN = 2, SLOT_HANDLER, SLOT_BODY, SLOT_RESULTS };

/* One call's part in a once. The user value of the userdata is the traceback of an error. */
typedef struct Run {
  GrKeep keep; /* first */
  GrShare *share;
  bool runs;  /* true: this call is the first, and has not yet told the outcome */
  GrMsg task; /* the function; later the outcome */
} Run;

static void tell(Run *run, bool failed) {
  run->runs = false;
  gr_once_done(gr_once_of(run->share), &run->task, failed);
}

static void release(GrKeep *k) {
  Run *run = gr_container_of(k, Run, keep);
  if (run->runs) {
    gr_msg_drop(&run->task);
    tell(run, true);
  }
  gr_share_unref(run->share);
}

static void left(lua_State *L, GrKeep *k, bool failed) {
  (void)L, (void)failed;
  gr_keep_release(k);
}

static const GrKeepType run_type = {release, left};

/* ---- the outcome ---- */

static const char lists_key;

/* Pushes the table of lists. The once is at 1. */
static void push_lists(lua_State *L) {
  lua_getmetatable(L, 1);
  if (lua_rawgetp(L, -1, &lists_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -3, &lists_key);
  }
  lua_remove(L, -2);
}

/* Pushes this state's list, or nil. Returns whether there is a list. */
static bool push_list(lua_State *L) {
  push_lists(L);
  lua_pushvalue(L, 1);
  bool known = lua_rawget(L, -2) == LUA_TTABLE;
  lua_remove(L, -2);
  return known;
}

/* Pushes this state's list. If there is none yet, makes it of the n values at `first` and above.
 * The list has the number of values at index 0. */
static void keep_list(lua_State *L, int first, int n) {
  gr_check_stack(L, 6);
  if (push_list(L)) return;
  lua_pop(L, 1);
  push_lists(L);
  lua_createtable(L, n, 1);
  lua_pushinteger(L, n);
  lua_rawseti(L, -2, 0);
  for (int i = 0; i < n; i++) {
    lua_pushvalue(L, first + i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -2);
  lua_rawset(L, -4);
  lua_remove(L, -2);
}

/* Pushes the values of the list on top of the stack, or raises the error that the list holds. */
static int push_values(lua_State *L, bool failed) {
  int list = lua_gettop(L);
  lua_rawgeti(L, list, 0);
  int n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  gr_check_stack(L, n + 4);
  for (int i = 1; i <= n; i++) lua_rawgeti(L, list, i);
  return failed ? gr_raise_remote(L, list + 1) : n;
}

static int push_result(lua_State *L) {
  bool failed;
  const GrMsg *m = gr_once_result(check(L), &failed);
  GrMsg copy = *m;
  if (m->kind == 0) return luaL_error(L, "the function of this once did not return");
  gr_check_stack(L, 6);
  if (!failed && gr_msg_is_plain(m) && gr_unpack_scalar(L, &copy)) return 1;
  if (push_list(L)) return push_values(L, failed);
  if (!gr_msg_copy(m, &copy)) gr_raise_code(L, GR_NOMEM);
  int base = lua_gettop(L), n = gr_unpack(L, &copy);
  keep_list(L, base + 1, n);
  return push_values(L, failed);
}

/* ---- the first caller ---- */

/* (run, results…) -> results; packs them as the outcome */
static int pack_results(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  Run *run = lua_touserdata(L, 1);
  int n = lua_gettop(L) - 1;
  if (n != 1 || !gr_pack_scalar(L, 2, &run->task)) gr_pack(L, 2, n, GR_NAME_RESULT, 1, &run->task);
  return n;
}

/* (run) -> results: unpacks the function and calls it */
static int body(lua_State *L) {
  Run *run = gr_keep_check(L, 1, &run_type, "run of a once");
  luaL_argcheck(L, run->runs && run->task.kind != 0, 1, "the function has been called");
  lua_settop(L, 1);
  GrMsg task = run->task;
  run->task = GR_MSG_EMPTY;
  gr_unpack(L, &task);
  lua_callk(L, 0, LUA_MULTRET, 0, pack_results);
  return pack_results(L, LUA_OK, 0);
}

/* (error) -> error: the message handler. It keeps the traceback in the user value of the Run, its
 * upvalue. */
static int handler(lua_State *L) {
  luaL_traceback(L, L, NULL, 1);
  gr_panic_whole_traceback(L, 1);
  lua_setiuservalue(L, lua_upvalueindex(1), 1);
  return 1;
}

/* The function has failed; the error is on top of the stack. Packs the error as the outcome, and
 * raises it. */
static int failed(lua_State *L, Run *run) {
  if (gr_is_exit_sentinel(L, -1)) return lua_error(L);
  int value = lua_gettop(L);
  lua_pushnil(L);
  lua_insert(L, value); /* the same layout as in a message: something, value, traceback */
  lua_getiuservalue(L, SLOT_RUN, 1);
  lua_pushvalue(L, value + 1);
  gr_panic_pack(L, lua_tostring(L, -2), &run->task);
  tell(run, true);
  return gr_raise_remote(L, value);
}

static int ran(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  Run *run = lua_touserdata(L, SLOT_RUN);
  if (status != LUA_OK && status != LUA_YIELD) return failed(L, run);
  tell(run, false);
  int n = lua_gettop(L) - (SLOT_RESULTS - 1);
  keep_list(L, SLOT_RESULTS, n);
  lua_pop(L, 1);
  return n;
}

/* Calls the function, which is in run->task. */
static int run_first(lua_State *L) {
  Run *run = lua_touserdata(L, SLOT_RUN);
  run->runs = true;
  lua_pushvalue(L, SLOT_BODY);
  lua_pushvalue(L, SLOT_RUN);
  return ran(L, lua_pcallk(L, 1, LUA_MULTRET, SLOT_HANDLER, 0, ran), 0);
}

/* ---- entering ---- */

/* r is GR_OK: the once is done. r is GR_CLOSED: the caller is the first. */
static int entered(lua_State *L, GrStep *s, int r) {
  if (r != GR_OK && r != GR_CLOSED) return r;
  s->n = r == GR_OK ? push_result(L) : run_first(L);
  return GR_OK;
}

static int enter_begin(lua_State *L, GrStep *s) {
  Run *run = lua_touserdata(L, SLOT_RUN);
  return entered(L, s, gr_once_enter(s->st->g, check(L), s->blocks, &run->task));
}

static int enter_finish(lua_State *L, GrStep *s) {
  return entered(L, s, gr_once_finish(s->st->g, check(L), &s->cause));
}

static const GrCall enter_call = {.begin = enter_begin, .finish = enter_finish};

static int prepare(lua_State *L, GrState *st, GrOnce *o) {
  Run *run = gr_keep_new(L, sizeof *run, &run_type);
  run->share = gr_once_share(o);
  gr_share_ref(run->share);
  lua_toclose(L, SLOT_RUN);
  lua_pushvalue(L, SLOT_RUN);
  lua_pushcclosure(L, handler, 1);
  gr_pushcfunction(L, st, body);
  return gr_call(L, st, &enter_call);
}

/* once() -> the results of f; raises the error of f */
static int once_call(lua_State *L) {
  GrState *st = gr_state(L);
  GrOnce *o = check(L);
  gr_enter(L, st);
  lua_settop(L, 1);
  return gr_likely(gr_once_is_done(o)) ? push_result(L) : prepare(L, st, o);
}

/* ---- registration ---- */

static void open_once(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  static const luaL_Reg meta[] = {{"__call", once_call}, {NULL, NULL}};
  gr_setfuncs(L, gr_state_find(L), meta);
}

/* once(f) -> once */
int gr_lib_once(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  gr_enter(L, gr_state(L));
  GrMsg task;
  gr_pack(L, 1, 1, GR_NAME_ARGUMENT, 1, &task);
  GrOnce *o = gr_once_new(&task, &once_type.share);
  if (o == NULL) {
    gr_msg_drop(&task);
    gr_raise_code(L, GR_NOMEM);
  }
  return gr_push_owned(L, gr_once_share(o));
}

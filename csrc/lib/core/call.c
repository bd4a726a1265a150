/* SPDX-License-Identifier: MIT */
/* call.c - the driver of all calls that wait.
 *
 *            .-- GR_AGAIN, a hook has run --.
 *            v                              |
 *   gr_call: begin -- GR_PARK --> park --> finish -- GR_OK --> results
 *              |                                '-- GR_PARK --> park (a lock lost its race)
 *              '-- GR_OK --> results; refused --> failed
 *
 * Parking. A goroutine that can yield goes out of Lua for each wait, and comes back in `resumed`,
 * on a fresh C stack. Where the goroutine cannot yield, and in a host, the thread waits in the loop
 * of go_on. The loop does not call itself again, since ten thousand waits would be ten thousand
 * frames.
 *
 * Ends of a wait. The finish of a call knows what the call waits for, and its time limit. Every
 * other reason comes here, to `aborted`, as a GrCause. A new reason (cancellation) is a line in
 * GrCause, a call of gr_wait_win with it, and its error in gr_raise_cause; no binding knows of it.
 * A reason raises its error, or the call goes on: its limit is absolute and its arguments are on
 * the stack, so nothing is lost. Before an error leaves the call, the call gives up what it holds
 * (quit): the turn of a connection, a child, the place of a waiter.
 *
 * Hooks. A hook of the main script (Ctrl-C) may raise, or return and let the wait go on. So the
 * call keeps what it holds while the hook runs: the bytes of another writer must not come into the
 * middle of a write. The hook runs as a hook of the function that waits. So its error and the
 * traceback name the line of the script. If the hook raises, a to-be-closed variable calls quit.
 * That does not work in a coroutine of the program: an error that ends a coroutine leaves such
 * variables open. There the hook runs in a protected call, and the error does not name the line.
 *
 * Calls that may not be left. The block of a group is left when all members have ended. A
 * condition's wait is left with its mutex locked. If an error comes to a host during such a call,
 * the error is kept on the stack (keeps), and the call goes on; the binding raises the error at the
 * end.
 *
 * Rejected: a userdata for each call, with its limit and phase. Each wait would need an allocation,
 * although the stack is there. */
#include "lib/core/call.h"

#include "heap/keep.h"

/* ---- a hook runs ---- */

/* A to-be-closed variable, while a hook runs. Its user value is the call's object. */
typedef struct Guard {
  GrKeep keep; /* first */
  GrState *st;
  const GrCall *call;
} Guard;

static void release_nothing(GrKeep *k) { (void)k; }

static void left_by_error(lua_State *L, GrKeep *k, bool failed) {
  Guard *guard = gr_container_of(k, Guard, keep);
  gr_keep_release(k);
  if (!failed) return;
  lua_getiuservalue(L, 1, 1);
  guard->call->quit(L, guard->st, lua_gettop(L), GR_CAUSE_SIGNAL);
}

/* (object) -> guard */
static int new_guard(lua_State *L) {
  static const GrKeepType type = {release_nothing, left_by_error};
  gr_keep_new(L, sizeof(Guard), &type);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* (cause): raises the error of this cause, or returns nothing */
static int raise_cause(lua_State *L) {
  gr_raise_cause(L, gr_state_find(L), (GrCause)lua_tointeger(L, 1));
  return 0;
}

static bool in_coroutine(lua_State *L) {
  bool is_main = lua_pushthread(L);
  lua_pop(L, 1);
  return !is_main;
}

/* Pushes the guard. Takes the hook off meanwhile: otherwise the call of a C function would already
 * run it. */
static int push_guard(lua_State *L, const GrStep *s) {
  lua_Hook hook = lua_gethook(L);
  int mask = lua_gethookmask(L), count = lua_gethookcount(L);
  lua_sethook(L, NULL, 0, 0);
  lua_pushcfunction(L, new_guard);
  lua_pushvalue(L, s->call->object);
  int status = lua_pcall(L, 1, 1, 0);
  lua_sethook(L, hook, mask, count);
  if (status != LUA_OK) return status;
  Guard *guard = lua_touserdata(L, -1);
  guard->st = s->st;
  guard->call = s->call;
  return LUA_OK;
}

static int call_protected(lua_State *L, GrCause cause) {
  lua_pushcfunction(L, raise_cause);
  lua_pushinteger(L, (lua_Integer)cause);
  return lua_pcall(L, 1, 0, 0);
}

/* Runs the hook. An error of the hook, or of the preparations for it, leaves the call. */
static void run_hook_or_quit(lua_State *L, const GrStep *s) {
  bool protects = in_coroutine(L);
  int status = protects ? call_protected(L, GR_CAUSE_SIGNAL) : push_guard(L, s);
  if (status != LUA_OK) {
    s->call->quit(L, s->st, s->call->object, GR_CAUSE_SIGNAL);
    lua_error(L);
  }
  if (protects) return;
  lua_toclose(L, -1);
  gr_raise_cause(L, s->st, GR_CAUSE_SIGNAL);
  lua_closeslot(L, -1);
  lua_pop(L, 1);
}

/* ---- a wait was ended from outside ---- */

static bool is_kept(const GrCall *call, GrCause cause) {
  if (call->keeps == 0) return false;
  return cause == GR_CAUSE_INBOX || (cause == GR_CAUSE_SIGNAL && call->keeps_hook);
}

/* Keeps the first error. Other panics have gone to stderr already. */
static void keep_error(lua_State *L, const GrStep *s) {
  const GrCall *call = s->call;
  gr_check_stack(L, 4);
  if (call_protected(L, s->cause) == LUA_OK) return;
  call->quit(L, s->st, call->object, s->cause);
  lua_settop(L, call->keeps);
}

/* Raises, or returns; then the call goes on. */
static void aborted(lua_State *L, const GrStep *s) {
  const GrCall *call = s->call;
  if (is_kept(call, s->cause)) {
    keep_error(L, s);
  } else if (call->quit != NULL && s->cause == GR_CAUSE_SIGNAL) {
    run_hook_or_quit(L, s);
  } else {
    if (call->quit != NULL) call->quit(L, s->st, call->object, s->cause);
    if (call->keeps != 0 && lua_gettop(L) >= call->keeps) lua_error(L);
    gr_raise_cause(L, s->st, s->cause);
  }
}

/* ---- the driver ---- */

static int nothing(lua_State *L, int status, lua_KContext ctx) {
  (void)L, (void)status, (void)ctx;
  return 0;
}

static int begin(lua_State *L, GrStep *s) {
  s->blocks = gr_must_block(L, s->st);
  s->cause = GR_CAUSE_SHUTDOWN;
  return s->call->begin(L, s);
}

static int finish(lua_State *L, GrStep *s) {
  s->fresh = false;
  s->cause = GR_CAUSE_SUDOG;
  return s->call->finish(L, s);
}

static int resumed(lua_State *L, int status, lua_KContext ctx);

/* Goes on with the call, after its first or second half returned r. */
static int go_on(lua_State *L, GrStep *s, int r) {
  const GrCall *call = s->call;
  for (;;) switch (r) {
      case GR_OK: return s->n;
      case GR_PARK:
        if (!s->blocks) return gr_park(L, s->st, resumed, (lua_KContext)call);
        gr_park(L, s->st, nothing, 0);
        r = finish(L, s);
        break;
      case GR_ABORTED: aborted(L, s); /* fall through */
      case GR_AGAIN: r = begin(L, s); break;
      default:
        if (call->failed == NULL) gr_raise_code(L, r);
        return call->failed(L, r);
    }
}

static int resumed(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  GrStep s = {.st = gr_state(L), .call = (const GrCall *)ctx};
  int r = finish(L, &s);
  return gr_likely(r == GR_OK) ? s.n : go_on(L, &s, r);
}

int gr_call_begun(lua_State *L, GrState *st, const GrCall *call, bool blocks, int r) {
  if (gr_likely(r == GR_PARK && !blocks)) return gr_park(L, st, resumed, (lua_KContext)call);
  GrStep s = {.st = st, .call = call, .blocks = blocks, .cause = GR_CAUSE_SHUTDOWN};
  return go_on(L, &s, r);
}

int gr_call(lua_State *L, GrState *st, const GrCall *call) {
  GrStep s = {.st = st, .call = call, .fresh = true};
  return go_on(L, &s, begin(L, &s));
}

void gr_call_look_up(lua_State *L, GrState *st) {
  gr_raise_cause(L, st, GR_CAUSE_SIGNAL);
  gr_check_inbox(L, st);
}

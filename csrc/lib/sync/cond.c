/* SPDX-License-Identifier: MIT */
/* cond.c - goro.sync.cond.
 *
 * What `wait` promises. The caller is in the queue of the condition before `wait` unlocks the
 * mutex. The caller holds the mutex again when `wait` returns or raises, however the wait has
 * ended. So if a panic or the error of an interrupt comes to a host meanwhile, the error is kept,
 * and raised when the mutex is held. Otherwise the caller's block would unlock a mutex that another
 * goroutine holds. Two reasons leave no time to get the mutex back: all goroutines are asleep, or
 * the pool ends. Then `wait` locks the mutex only if it is free at this moment, and raises.
 *
 * So a call has two phases: it waits, and then it locks. Its begin and finish ask in which phase
 * the call is.
 *
 * A host leaves the queue while a hook runs, and may miss a signal meanwhile. So the condition
 * counts its signals and broadcasts. When the host is back in the queue, it compares the count with
 * the count at the beginning of the wait. If they differ, the wait is over. */
#include "sync/cond.h"

#include "lib/sync/sync.h"

static void open_cond(lua_State *L, const GrObjectType *type, uint32_t view);
static const GrObjectType cond_type = {{GR_TYPE_COND, gr_cond_destroy, false}, open_cond};

static GrCond *check_at(lua_State *L, int arg) {
  return gr_cond_of(gr_object_check(L, arg, &cond_type)->share);
}
static GrCond *check(lua_State *L) { return check_at(L, 1); }

/* SLOT_TOLD holds, in the first phase, the condition's count when the wait began (an integer); in
 * the second phase, whether the wait ended in time (a boolean). SLOT_ERROR exists when an error is
 * kept. */
enum { SLOT_LIMIT = 2, SLOT_TOLD, SLOT_ERROR };

/* ---- the second phase: locking the mutex again ---- */

static bool locks_again(lua_State *L) { return lua_isboolean(L, SLOT_TOLD); }
static bool has_error(lua_State *L) { return lua_gettop(L) >= SLOT_ERROR; }

static int locked_again(lua_State *L, GrStep *s, int r) {
  if (r != GR_OK) return r;
  if (has_error(L)) return lua_error(L);
  s->n = gr_push_in_time(L, lua_toboolean(L, SLOT_TOLD));
  return GR_OK;
}

static int lock_again(lua_State *L, GrStep *s, bool in_time) {
  GrShare *m = gr_cond_mutex(check(L));
  lua_pushboolean(L, in_time);
  lua_replace(L, SLOT_TOLD);
  return locked_again(L, s, gr_locker_of(m)->lock(s->st->g, m, GR_FOREVER, s->blocks));
}

/* ---- the first phase: waiting ---- */

/* cond_wait makes the first wait itself. This function is called after a hook has run, or after an
 * error was kept. */
static int wait_begin(lua_State *L, GrStep *s) {
  GrCond *c = check(L);
  if (locks_again(L)) return lock_again(L, s, lua_toboolean(L, SLOT_TOLD));
  if (has_error(L)) return lock_again(L, s, true);
  int r = gr_cond_wait(s->st->g, c, gr_kept_limit(L, SLOT_LIMIT), s->blocks);
  if (r != GR_PARK) return lock_again(L, s, r != GR_TIMEOUT);
  if (gr_cond_told(c) == (uint64_t)lua_tointeger(L, SLOT_TOLD)) return GR_PARK;
  gr_cond_unwait(s->st->g, c);
  return lock_again(L, s, true);
}

static int wait_finish(lua_State *L, GrStep *s) {
  GrCond *c = check(L);
  G *g = s->st->g;
  if (locks_again(L)) {
    GrShare *m = gr_cond_mutex(c);
    return locked_again(L, s, gr_locker_of(m)->finish(g, m, GR_FOREVER, s->blocks, &s->cause));
  }
  int r = gr_cond_finish(g, c, &s->cause);
  return r == GR_ABORTED ? r : lock_again(L, s, r == GR_OK);
}

/* Called when an error is kept, or leaves the call. In the second case, tries to lock the mutex. */
static void wait_quit(lua_State *L, GrState *st, int at, GrCause cause) {
  (void)st;
  GrShare *m = gr_cond_mutex(check_at(L, at));
  if (cause != GR_CAUSE_INBOX && cause != GR_CAUSE_SIGNAL) gr_locker_of(m)->try_lock(m);
}

static const GrCall wait_call = {.begin = wait_begin,
                                 .finish = wait_finish,
                                 .quit = wait_quit,
                                 .object = 1,
                                 .keeps = SLOT_ERROR,
                                 .keeps_hook = true};

static int not_locked(lua_State *L) { return luaL_error(L, "wait with an unlocked mutex"); }

/* wait([timeout]) -> true; false, "timeout". Raises when the mutex is not locked. */
static int cond_wait(lua_State *L) {
  GrState *st = gr_state(L);
  GrCond *c = check(L);
  GrShare *m = gr_cond_mutex(c);
  int64_t until = gr_check_timeout(L, SLOT_LIMIT);
  gr_enter(L, st);
  bool blocks = gr_must_block(L, st);
  lua_settop(L, 1);
  lua_pushinteger(L, (lua_Integer)until);
  lua_pushinteger(L, (lua_Integer)gr_cond_told(c));
  if (!gr_locker_of(m)->is_locked(m)) return not_locked(L);
  int r = gr_cond_wait(st->g, c, until, blocks);
  if (r == GR_TIMEOUT) return gr_push_in_time(L, false);
  if (r != GR_PARK) gr_raise_code(L, r);
  if (gr_likely(gr_locker_of(m)->unlock(m))) return gr_call_begun(L, st, &wait_call, blocks, r);
  gr_cond_unwait(st->g, c);
  return not_locked(L);
}

/* ---- the rest ---- */

/* signal(): wakes the goroutine that has waited longest; no results */
static int cond_signal(lua_State *L) {
  GrCond *c = check(L);
  gr_enter(L, gr_state(L));
  gr_cond_signal(c);
  return 0;
}

/* broadcast(): wakes all goroutines that wait; no results */
static int cond_broadcast(lua_State *L) {
  GrCond *c = check(L);
  gr_enter(L, gr_state(L));
  gr_cond_broadcast(c);
  return 0;
}

static const luaL_Reg methods[] = {
    {"wait", cond_wait}, {"signal", cond_signal}, {"broadcast", cond_broadcast}, {NULL, NULL}};

static void open_cond(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  gr_open_methods(L, methods);
}

void gr_cond_names(void) { gr_methods_names(methods); }

/* cond(mutex or rwmutex) -> cond */
int gr_lib_cond(lua_State *L) {
  GrShare *m;
  gr_check_locker(L, 1, &m);
  gr_enter(L, gr_state(L));
  GrCond *c = gr_cond_new(m, &cond_type.share);
  if (c == NULL) gr_raise_code(L, GR_NOMEM);
  return gr_push_owned(L, gr_cond_share(c));
}

/* SPDX-License-Identifier: MIT */
/* cond.c - goro.sync.cond.
 *
 * wait is in the queue of the condition before it unlocks the mutex, and has it again when it
 * returns or raises, whatever has ended the wait. So what comes to a host meanwhile, a panic or an
 * interrupt's error, is kept, and raised when the mutex is held: a block that holds it would else
 * unlock another's. Two things cannot be waited out: that all are asleep, and that the pool ends.
 * Then the mutex is taken if it is free.
 *
 * A host whose hook has to run leaves the queue for that. The condition counts what it has told:
 * back in the queue, the host sees whether it has missed something. */
#include "sync/cond.h"

#include "lib/sync/sync.h"

static void open_cond(lua_State *L, const GrObjectType *type, uint32_t view);
static const GrObjectType cond_type = {{GR_TYPE_COND, gr_cond_destroy, false}, open_cond};

static GrCond *check(lua_State *L) { return gr_cond_of(gr_object_check(L, 1, &cond_type)->share); }

/* SLOT_TOLD: the condition's count when the wait began; then, whether it ended in time. SLOT_RAISE:
 * in hosts, a function; SLOT_ERROR: there when an error is kept. */
enum { SLOT_LIMIT = 2, SLOT_TOLD, SLOT_RAISE, SLOT_ERROR };

/* ---- the mutex again ---- */

/* (cause) */
static int raise_cause(lua_State *L) {
  gr_raise_cause(L, gr_state(L), (GrCause)lua_tointeger(L, 1));
  return 0;
}

/* Lets what came to the host happen, and keeps its first error. What cannot be waited out is
 * raised. */
static void keep_cause(lua_State *L, GrState *st, GrCause cause) {
  GrShare *m = gr_cond_mutex(check(L));
  if (cause != GR_CAUSE_INBOX && cause != GR_CAUSE_SIGNAL) {
    gr_locker_of(m)->try_lock(m);
    if (lua_gettop(L) >= SLOT_ERROR) lua_error(L);
    gr_raise_cause(L, st, cause);
    return;
  }
  lua_pushvalue(L, SLOT_RAISE);
  lua_pushinteger(L, (lua_Integer)cause);
  lua_pcall(L, 1, 0, 0);
  if (lua_gettop(L) > SLOT_ERROR) lua_settop(L, SLOT_ERROR);
}

static int relocked(lua_State *L, int status, lua_KContext ctx);

static int relock_result(lua_State *L, GrState *st, int r, GrCause cause) {
  GrShare *m = gr_cond_mutex(check(L));
  while (r == GR_ABORTED) {
    keep_cause(L, st, cause);
    cause = GR_CAUSE_SHUTDOWN;
    r = gr_locker_of(m)->lock(st->g, m, GR_FOREVER, gr_still_blocks(L, st));
  }
  if (r == GR_PARK) return gr_park(L, st, relocked, 0);
  if (r != GR_OK) gr_raise_code(L, r);
  if (lua_gettop(L) >= SLOT_ERROR) return lua_error(L);
  return gr_push_in_time(L, lua_toboolean(L, SLOT_TOLD));
}

static int relocked(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  GrState *st = gr_state(L);
  GrShare *m = gr_cond_mutex(check(L));
  GrCause cause = GR_CAUSE_SUDOG;
  int r = gr_locker_of(m)->finish(st->g, m, GR_FOREVER, gr_still_blocks(L, st), &cause);
  return relock_result(L, st, r, cause);
}

static int relock(lua_State *L, GrState *st, bool in_time) {
  GrShare *m = gr_cond_mutex(check(L));
  lua_pushboolean(L, in_time);
  lua_replace(L, SLOT_TOLD);
  return relock_result(L, st, gr_locker_of(m)->lock(st->g, m, GR_FOREVER, gr_still_blocks(L, st)),
                       GR_CAUSE_SHUTDOWN);
}

/* ---- wait ---- */

static int waited(lua_State *L, int status, lua_KContext ctx);

/* A hook has run, without the mutex and out of the queue. */
static int wait_on(lua_State *L, GrState *st) {
  GrCond *c = check(L);
  int r = gr_cond_wait(st->g, c, (int64_t)lua_tointeger(L, SLOT_LIMIT), gr_still_blocks(L, st));
  if (r != GR_PARK) return relock(L, st, r != GR_TIMEOUT);
  if (gr_cond_told(c) == (uint64_t)lua_tointeger(L, SLOT_TOLD)) return gr_park(L, st, waited, 0);
  gr_cond_unwait(st->g, c);
  return relock(L, st, true);
}

static int waited(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  GrState *st = gr_state(L);
  GrCause cause = GR_CAUSE_SUDOG;
  int r = gr_cond_finish(st->g, check(L), &cause);
  if (r != GR_ABORTED) return relock(L, st, r == GR_OK);
  keep_cause(L, st, cause);
  return lua_gettop(L) >= SLOT_ERROR ? relock(L, st, true) : wait_on(L, st);
}

static int not_locked(lua_State *L) { return luaL_error(L, "wait with an unlocked mutex"); }

/* wait([timeout]) -> true; false, "timeout" */
static int cond_wait(lua_State *L) {
  GrState *st = gr_state(L);
  GrCond *c = check(L);
  GrShare *m = gr_cond_mutex(c);
  int64_t until = gr_check_timeout(L, SLOT_LIMIT);
  gr_enter(L, st);
  bool blocks = gr_blocks(L, st);
  lua_settop(L, 1);
  lua_pushinteger(L, (lua_Integer)until);
  lua_pushinteger(L, (lua_Integer)gr_cond_told(c));
  if (st->is_host) gr_pushcfunction(L, st, raise_cause);
  if (!gr_locker_of(m)->is_locked(m)) return not_locked(L);
  int r = gr_cond_wait(st->g, c, until, blocks);
  if (r == GR_TIMEOUT) return gr_push_in_time(L, false);
  if (r != GR_PARK) gr_raise_code(L, r);
  if (gr_likely(gr_locker_of(m)->unlock(m))) return gr_park(L, st, waited, 0);
  gr_cond_unwait(st->g, c);
  return not_locked(L);
}

/* ---- the rest ---- */

static int cond_signal(lua_State *L) {
  GrCond *c = check(L);
  gr_enter(L, gr_state(L));
  gr_cond_signal(c);
  return 0;
}

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

/* cond(mutex) */
int gr_lib_cond(lua_State *L) {
  GrShare *m;
  gr_check_locker(L, 1, &m);
  gr_enter(L, gr_state(L));
  GrCond *c = gr_cond_new(m, &cond_type.share);
  if (c == NULL) gr_raise_code(L, GR_NOMEM);
  return gr_push_owned(L, gr_cond_share(c));
}

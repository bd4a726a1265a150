/* SPDX-License-Identifier: MIT */
/* cond.c - goro.sync.cond.
 *
 * wait is in the queue of the condition before it unlocks the mutex, and has it again when it
 * returns or raises, whatever has ended the wait. So what comes to a host meanwhile, a panic or an
 * interrupt's error, is kept, and raised when the mutex is held: a block that holds it would else
 * unlock another's. Two things cannot be waited out: that all are asleep, and that the pool ends.
 * Then the mutex is taken if it is free.
 *
 * So a call has two phases, waiting and then locking, and its begin and finish ask in which it is.
 *
 * A host whose hook has to run leaves the queue for that. The condition counts what it has told:
 * back in the queue, the host sees whether it has missed something. */
#include "sync/cond.h"

#include "lib/sync/sync.h"

static void open_cond(lua_State *L, const GrObjectType *type, uint32_t view);
static const GrObjectType cond_type = {{GR_TYPE_COND, gr_cond_destroy, false}, open_cond};

static GrCond *check_at(lua_State *L, int arg) {
  return gr_cond_of(gr_object_check(L, arg, &cond_type)->share);
}
static GrCond *check(lua_State *L) { return check_at(L, 1); }

/* SLOT_TOLD: while it waits, the condition's count when the wait began; from then on, whether the
 * wait ended in time. SLOT_ERROR: there when an error is kept. */
enum { SLOT_LIMIT = 2, SLOT_TOLD, SLOT_ERROR };

/* ---- the mutex again ---- */

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

/* ---- wait ---- */

/* The first time is cond_wait's. Here a hook has run, or an error was kept. */
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

/* What can be waited out is kept. */
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

/* wait([timeout]) -> true; false, "timeout" */
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

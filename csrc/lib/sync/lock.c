/* SPDX-License-Identifier: MIT */
/* lock.c - goro.sync.mutex and goro.sync.rwmutex.
 *
 * A mutex can be held in one way, an rwmutex in two: for reading and for writing. Each way is a
 * GrLocker. A method combines a locker and an operation. A call that waits for a lock may park
 * several times, since a waiter that was woken may lose the lock to a newcomer (sync/mutex.c). Then
 * the waiter parks again with the same time limit, which is in slot 2.
 *
 * A guard is a userdata that holds a lock for a block: it unlocks the lock when the block is left.
 * `with` puts a guard of its own around a call, as a to-be-closed variable in slot 1. So the lock
 * is given back whichever way the call is left: by a return, an error, goexit, or coroutine.close.
 * The guard is made before the lock is taken, so nothing can fail in between. A guard in a
 * coroutine that is collected gives its lock back when the guard is collected too. */
#include "lib/sync/sync.h"
#include "sync/mutex.h"
#include "sync/rwmutex.h"
#include "run/panic.h"
#include "heap/keep.h"
#include "heap/names.h"

static void open_mutex(lua_State *L, const GrObjectType *type, uint32_t view);
static void open_rwmutex(lua_State *L, const GrObjectType *type, uint32_t view);
static const GrObjectType mutex_type = {{GR_TYPE_MUTEX, gr_mutex_destroy, false}, open_mutex},
                          rwmutex_type = {{GR_TYPE_RWMUTEX, gr_rwmutex_destroy, false},
                                          open_rwmutex};

/* ---- lockers ---- */

static bool m_try(GrShare *s) { return gr_mutex_try_lock(gr_mutex_of(s)); }
static int m_lock(G *g, GrShare *s, int64_t until, bool blocks) {
  return gr_mutex_lock(g, gr_mutex_of(s), until, blocks);
}
static int m_finish(G *g, GrShare *s, int64_t until, bool blocks, GrCause *cause) {
  return gr_mutex_lock_finish(g, gr_mutex_of(s), until, blocks, cause);
}
static bool m_unlock(GrShare *s) { return gr_mutex_unlock(gr_mutex_of(s)); }
static bool m_locked(GrShare *s) { return gr_mutex_is_locked(gr_mutex_of(s)); }

static bool w_try(GrShare *s) { return gr_rwmutex_try_lock(gr_rwmutex_of(s)); }
static int w_lock(G *g, GrShare *s, int64_t until, bool blocks) {
  return gr_rwmutex_lock(g, gr_rwmutex_of(s), until, blocks);
}
static bool w_unlock(GrShare *s) { return gr_rwmutex_unlock(gr_rwmutex_of(s)); }
static bool w_locked(GrShare *s) { return gr_rwmutex_is_locked(gr_rwmutex_of(s)); }

static bool r_try(GrShare *s) { return gr_rwmutex_try_rlock(gr_rwmutex_of(s)); }
static int r_lock(G *g, GrShare *s, int64_t until, bool blocks) {
  return gr_rwmutex_rlock(g, gr_rwmutex_of(s), until, blocks);
}
static bool r_unlock(GrShare *s) { return gr_rwmutex_runlock(gr_rwmutex_of(s)); }

static int rw_finish(G *g, GrShare *s, int64_t until, bool blocks, GrCause *cause) {
  (void)until, (void)blocks;
  return gr_rwmutex_finish(g, gr_rwmutex_of(s), cause);
}

static const GrLocker mutex = {m_try,    m_lock,   m_finish,
                               m_unlock, m_locked, "unlock of unlocked mutex"},
                      writer = {w_try,    w_lock,   rw_finish,
                                w_unlock, w_locked, "unlock of unlocked rwmutex"},
                      reader = {r_try,     r_lock,
                                rw_finish, r_unlock,
                                NULL,      "runlock of rwmutex that is not locked for reading"};

const GrLocker *gr_locker_of(const GrShare *s) {
  if (s->type == &mutex_type.share) return &mutex;
  return s->type == &rwmutex_type.share ? &writer : NULL;
}

const GrLocker *gr_check_locker(lua_State *L, int arg, GrShare **s) {
  GrObject *o = gr_object_test(L, arg);
  const GrLocker *k = o != NULL ? gr_locker_of(o->share) : NULL;
  if (k == NULL) luaL_typeerror(L, arg, GR_TYPE_MUTEX " or " GR_TYPE_RWMUTEX);
  *s = o->share;
  return k;
}

/* Returns the lock at 1, which must be of the type that locker k is for. */
static GrShare *check(lua_State *L, const GrLocker *k) {
  return gr_object_check(L, 1, k == &mutex ? &mutex_type : &rwmutex_type)->share;
}

/* ---- lock ---- */

enum { SLOT_LIMIT = 2 };

static int lock_begin(lua_State *L, GrStep *s) {
  const GrLocker *k = s->call->with;
  int64_t until = gr_kept_limit(L, SLOT_LIMIT);
  return gr_in_time(L, s, k->lock(s->st->g, check(L, k), until, s->blocks));
}

static int lock_finish(lua_State *L, GrStep *s) {
  const GrLocker *k = s->call->with;
  int64_t until = gr_kept_limit(L, SLOT_LIMIT);
  return gr_in_time(L, s, k->finish(s->st->g, check(L, k), until, s->blocks, &s->cause));
}

#define LOCK(k) \
  { .begin = lock_begin, .finish = lock_finish, .with = &(k) }
static const GrCall lock_mutex = LOCK(mutex), lock_writer = LOCK(writer),
                    lock_reader = LOCK(reader);

/* lock([timeout]), rlock([timeout]) -> true; false, "timeout" */
static inline int lock(lua_State *L, const GrCall *call) {
  const GrLocker *k = call->with;
  GrState *st = gr_state(L);
  GrShare *s = check(L, k);
  gr_enter(L, st);
  if (lua_gettop(L) > 1) gr_keep_limit(L, SLOT_LIMIT);
  if (gr_likely(k->try_lock(s))) return gr_push_in_time(L, true);
  return gr_call(L, st, call);
}

/* try_lock(), try_rlock() -> was the lock free, so that the caller holds it now? */
static inline int try_lock(lua_State *L, const GrLocker *k) {
  GrShare *s = check(L, k);
  gr_enter(L, gr_state(L));
  lua_pushboolean(L, k->try_lock(s));
  return 1;
}

/* unlock(), runlock(); no results. Raises when the lock is not held in this way. */
static inline int unlock(lua_State *L, const GrLocker *k) {
  GrShare *s = check(L, k);
  gr_enter_quietly(L);
  if (gr_unlikely(!k->unlock(s))) return luaL_error(L, k->unlocked);
  return 0;
}

/* ---- guards ---- */

typedef struct Guard {
  GrKeep keep; /* first */
  GrShare *share;
  const GrLocker *locker;
  bool holds;
} Guard;

/* Unlocks. The program may have unlocked the lock itself; then the misuse is ignored. */
static void let_go(Guard *guard) {
  if (guard->holds) guard->locker->unlock(guard->share);
  guard->holds = false;
}

static void release_guard(GrKeep *k) {
  Guard *guard = gr_container_of(k, Guard, keep);
  let_go(guard);
  gr_share_unref(guard->share);
}

static void left_guard(lua_State *L, GrKeep *k, bool failed) {
  (void)L, (void)failed;
  gr_keep_release(k);
}

/* Pushes a guard for the lock at 1. */
static void push_guard(lua_State *L, const GrLocker *k) {
  static const GrKeepType type = {release_guard, left_guard};
  GrShare *s = check(L, k);
  Guard *guard = gr_keep_new(L, sizeof *guard, &type);
  gr_share_ref(s);
  guard->share = s;
  guard->locker = k;
}

static int called(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return lua_gettop(L) - 1;
}

static int call_function(lua_State *L) {
  lua_callk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, called);
  return called(L, LUA_OK, 0);
}

/* If r is GR_OK, the guard at 1 has its lock. Then the function at 2 is called; without one, the
 * guard is the result. */
static int got_guard(lua_State *L, GrStep *s, int r) {
  if (r != GR_OK) return r;
  ((Guard *)lua_touserdata(L, 1))->holds = true;
  s->n = lua_gettop(L) > 1 ? call_function(L) : 1;
  return GR_OK;
}

static int guard_begin(lua_State *L, GrStep *s) {
  Guard *guard = lua_touserdata(L, 1);
  return got_guard(L, s, guard->locker->lock(s->st->g, guard->share, GR_FOREVER, s->blocks));
}

static int guard_finish(lua_State *L, GrStep *s) {
  Guard *guard = lua_touserdata(L, 1);
  int r = guard->locker->finish(s->st->g, guard->share, GR_FOREVER, s->blocks, &s->cause);
  return got_guard(L, s, r);
}

static const GrCall guard_call = {.begin = guard_begin, .finish = guard_finish};

/* guard(), rguard() -> a guard, for `local g <close>` */
static int guard(lua_State *L, const GrLocker *k) {
  GrState *st = gr_state(L);
  check(L, k);
  gr_enter(L, st);
  push_guard(L, k);
  lua_replace(L, 1);
  lua_settop(L, 1);
  return gr_call(L, st, &guard_call);
}

/* with(f, ...), rwith(f, ...) -> the results of f */
static int with(lua_State *L, const GrLocker *k) {
  GrState *st = gr_state(L);
  check(L, k);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  gr_enter(L, st);
  gr_check_stack(L, 4);
  push_guard(L, k);
  lua_replace(L, 1);
  lua_toclose(L, 1);
  return gr_call(L, st, &guard_call);
}

/* ---- the methods ---- */

static int mutex_lock(lua_State *L) { return lock(L, &lock_mutex); }
static int mutex_try_lock(lua_State *L) { return try_lock(L, &mutex); }
static int mutex_unlock(lua_State *L) { return unlock(L, &mutex); }
static int mutex_with(lua_State *L) { return with(L, &mutex); }
static int mutex_guard(lua_State *L) { return guard(L, &mutex); }

static int rwmutex_lock(lua_State *L) { return lock(L, &lock_writer); }
static int rwmutex_try_lock(lua_State *L) { return try_lock(L, &writer); }
static int rwmutex_unlock(lua_State *L) { return unlock(L, &writer); }
static int rwmutex_with(lua_State *L) { return with(L, &writer); }
static int rwmutex_guard(lua_State *L) { return guard(L, &writer); }
static int rwmutex_rlock(lua_State *L) { return lock(L, &lock_reader); }
static int rwmutex_try_rlock(lua_State *L) { return try_lock(L, &reader); }
static int rwmutex_runlock(lua_State *L) { return unlock(L, &reader); }
static int rwmutex_rwith(lua_State *L) { return with(L, &reader); }
static int rwmutex_rguard(lua_State *L) { return guard(L, &reader); }

static const luaL_Reg mutex_methods[] = {
    {"lock", mutex_lock}, {"try_lock", mutex_try_lock}, {"unlock", mutex_unlock},
    {"with", mutex_with}, {"guard", mutex_guard},       {NULL, NULL},
};
static const luaL_Reg rwmutex_methods[] = {
    {"lock", rwmutex_lock},
    {"try_lock", rwmutex_try_lock},
    {"unlock", rwmutex_unlock},
    {"with", rwmutex_with},
    {"guard", rwmutex_guard},
    {"rlock", rwmutex_rlock},
    {"try_rlock", rwmutex_try_rlock},
    {"runlock", rwmutex_runlock},
    {"rwith", rwmutex_rwith},
    {"rguard", rwmutex_rguard},
    {NULL, NULL},
};

static void open_mutex(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  gr_open_methods(L, mutex_methods);
}

static void open_rwmutex(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  gr_open_methods(L, rwmutex_methods);
}

void gr_lock_names(void) {
  gr_methods_names(mutex_methods);
  gr_methods_names(rwmutex_methods);
}

/* mutex() -> mutex */
int gr_lib_mutex(lua_State *L) {
  gr_enter(L, gr_state(L));
  GrMutex *m = gr_mutex_new(&mutex_type.share);
  if (m == NULL) gr_raise_code(L, GR_NOMEM);
  return gr_push_owned(L, gr_mutex_share(m));
}

/* rwmutex() -> rwmutex */
int gr_lib_rwmutex(lua_State *L) {
  gr_enter(L, gr_state(L));
  GrRwmutex *rw = gr_rwmutex_new(&rwmutex_type.share);
  if (rw == NULL) gr_raise_code(L, GR_NOMEM);
  return gr_push_owned(L, gr_rwmutex_share(rw));
}

/* SPDX-License-Identifier: MIT */
/* sync.h - what the bindings of goro.sync share. */
#ifndef GR_LIB_SYNC_H
#define GR_LIB_SYNC_H

#include "lib/core/call.h"

/* Keeps the time limit of a call on the stack, for its continuation. The timeout is argument `arg`,
 * the last one that the call uses. The absolute limit takes its place, as an integer. Without a
 * limit, the stack ends below `arg`. */
int64_t gr_keep_limit(lua_State *L, int arg);
static inline int64_t gr_kept_limit(lua_State *L, int arg) {
  return lua_gettop(L) < arg ? GR_FOREVER : (int64_t)lua_tointeger(L, arg);
}

/* Pushes true, or false and "timeout". Returns how many values were pushed. */
int gr_push_in_time(lua_State *L, bool in_time);
/* What begin or finish of such a call returns when the core has returned r. */
static inline int gr_in_time(lua_State *L, GrStep *s, int r) {
  if (r != GR_OK && r != GR_TIMEOUT) return r;
  s->n = gr_push_in_time(L, r == GR_OK);
  return GR_OK;
}

/* Checks for fork only. For calls that give something back, such as unlock: a panic that was posted
 * must not prevent that. */
static inline void gr_enter_quietly(lua_State *L) {
  if (gr_unlikely(atomic_load_explicit(&gr_forked, memory_order_relaxed))) gr_check_forked(L);
}

/* One way in which a lock can be held; see sync/mutex.h for the functions. */
typedef struct GrLocker {
  bool (*try_lock)(GrShare *s);
  int (*lock)(G *g, GrShare *s, int64_t until, bool blocks);
  int (*finish)(G *g, GrShare *s, int64_t until, bool blocks, GrCause *cause);
  bool (*unlock)(GrShare *s);
  bool (*is_locked)(GrShare *s);
  const char *unlocked; /* the error message for unlocking a lock that is not held in this way */
} GrLocker;

/* Returns the locker of the lock at arg, and the lock in *s: of a mutex, or of an rwmutex for
 * writing. Any other value is misuse. */
const GrLocker *gr_check_locker(lua_State *L, int arg, GrShare **s);
/* The same for a shared object. NULL: it is not a lock. */
const GrLocker *gr_locker_of(const GrShare *s);

int gr_lib_mutex(lua_State *L);
int gr_lib_rwmutex(lua_State *L);
int gr_lib_cond(lua_State *L);
int gr_lib_once(lua_State *L);
int gr_lib_atomic(lua_State *L);
int gr_lib_semaphore(lua_State *L);
int gr_lib_waitgroup(lua_State *L);

void gr_lock_names(void);
void gr_cond_names(void);
void gr_atomic_names(void);
void gr_semaphore_names(void);
void gr_waitgroup_names(void);

#endif

/* SPDX-License-Identifier: MIT */
/* sync.h - what the bindings of goro.sync share. */
#ifndef GR_LIB_SYNC_H
#define GR_LIB_SYNC_H

#include "lib/core/call.h"

/* The timeout is argument `arg`, the last one that is wanted: its limit takes its place, as an
 * integer, and nothing is there when there is none. For a continuation. */
int64_t gr_keep_limit(lua_State *L, int arg);
static inline int64_t gr_kept_limit(lua_State *L, int arg) {
  return lua_gettop(L) < arg ? GR_FOREVER : (int64_t)lua_tointeger(L, arg);
}

/* true; false, "timeout". */
int gr_push_in_time(lua_State *L, bool in_time);
/* What a half of such a call returns when the core has said r. */
static inline int gr_in_time(lua_State *L, GrStep *s, int r) {
  if (r != GR_OK && r != GR_TIMEOUT) return r;
  s->n = gr_push_in_time(L, r == GR_OK);
  return GR_OK;
}

/* For calls that give something back, which a panic that is posted must not keep from it. */
static inline void gr_enter_quietly(lua_State *L) {
  if (gr_unlikely(atomic_load_explicit(&gr_forked, memory_order_relaxed))) gr_check_forked(L);
}

/* A lock in one of the ways in which it can be held, as sync/mutex.h describes them. */
typedef struct GrLocker {
  bool (*try_lock)(GrShare *s);
  int (*lock)(G *g, GrShare *s, int64_t until, bool blocks);
  int (*finish)(G *g, GrShare *s, int64_t until, bool blocks, GrCause *cause);
  bool (*unlock)(GrShare *s);
  bool (*is_locked)(GrShare *s);
  const char *unlocked; /* the misuse of unlocking what is not locked so */
} GrLocker;

/* The mutex at arg, or rwmutex as its writers lock it; else misuse. */
const GrLocker *gr_check_locker(lua_State *L, int arg, GrShare **s);
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

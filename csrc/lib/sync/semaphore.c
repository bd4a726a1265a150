/* SPDX-License-Identifier: MIT */
/* semaphore.c - goro.sync.semaphore. */
#include "lib/sync/sync.h"
#include "sync/sema.h"

static void open_semaphore(lua_State *L, const GrObjectType *type, uint32_t view);
static const GrObjectType semaphore_type = {{GR_TYPE_SEMAPHORE, gr_sema_destroy, false},
                                            open_semaphore};

static GrSema *check(lua_State *L) {
  return gr_sema_of(gr_object_check(L, 1, &semaphore_type)->share);
}

enum { SLOT_WEIGHT = 2, SLOT_LIMIT = 3 };

static int64_t check_weight(lua_State *L, GrSema *s) {
  lua_Integer k = gr_opt_integer(L, SLOT_WEIGHT, 1);
  luaL_argcheck(L, k >= 0, SLOT_WEIGHT, "weight must not be negative");
  luaL_argcheck(L, k <= gr_sema_size(s), SLOT_WEIGHT, "more than the semaphore's size");
  return k;
}

/* ---- acquire ---- */

static int acquire_begin(lua_State *L, GrStep *s) {
  GrSema *sema = check(L);
  int64_t k = check_weight(L, sema);
  return gr_in_time(L, s,
                    gr_sema_acquire(s->st->g, sema, k, gr_kept_limit(L, SLOT_LIMIT), s->blocks));
}

static int acquire_finish(lua_State *L, GrStep *s) {
  return gr_in_time(L, s, gr_sema_finish(s->st->g, check(L), &s->cause));
}

static const GrCall acquire_call = {.begin = acquire_begin, .finish = acquire_finish};

/* acquire([k [, timeout]]) -> true; false, "timeout" */
static int semaphore_acquire(lua_State *L) {
  GrSema *s = check(L);
  int64_t k = check_weight(L, s);
  GrState *st = gr_state(L);
  gr_enter(L, st);
  if (lua_gettop(L) > 2) gr_keep_limit(L, SLOT_LIMIT);
  if (gr_likely(gr_sema_try_acquire(s, k))) return gr_push_in_time(L, true);
  return gr_call(L, st, &acquire_call);
}

/* try_acquire([k]) -> boolean */
static int semaphore_try_acquire(lua_State *L) {
  GrSema *s = check(L);
  int64_t k = check_weight(L, s);
  gr_enter(L, gr_state(L));
  lua_pushboolean(L, gr_sema_try_acquire(s, k));
  return 1;
}

/* ---- release ---- */

/* release([k]); no results. Raises when less than k is acquired. */
static int semaphore_release(lua_State *L) {
  GrSema *s = check(L);
  lua_Integer k = gr_opt_integer(L, SLOT_WEIGHT, 1);
  luaL_argcheck(L, k >= 0, SLOT_WEIGHT, "weight must not be negative");
  gr_enter_quietly(L);
  if (k > gr_sema_size(s) || !gr_sema_release(s, k))
    return luaL_error(L, "release of more than was acquired");
  return 0;
}

/* ---- registration ---- */

static const luaL_Reg methods[] = {
    {"acquire", semaphore_acquire},
    {"try_acquire", semaphore_try_acquire},
    {"release", semaphore_release},
    {NULL, NULL},
};

static void open_semaphore(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  gr_open_methods(L, methods);
}

void gr_semaphore_names(void) { gr_methods_names(methods); }

/* semaphore(n) -> semaphore of size n */
int gr_lib_semaphore(lua_State *L) {
  lua_Integer n = gr_check_integer(L, 1);
  luaL_argcheck(L, n >= 0, 1, "size must not be negative");
  luaL_argcheck(L, n <= GR_SEMA_MAX, 1, "size is too large");
  gr_enter(L, gr_state(L));
  GrSema *s = gr_sema_new(n, &semaphore_type.share);
  if (s == NULL) gr_raise_code(L, GR_NOMEM);
  return gr_push_owned(L, gr_sema_share(s));
}

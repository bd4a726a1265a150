/* SPDX-License-Identifier: MIT */
/* waitgroup.c - goro.sync.waitgroup.
 *
 * A goroutine that `go` has started is counted from before it runs until it has ended, in whatever
 * way. Its join counts it down, so neither an error nor goexit can prevent that. An error in the
 * goroutine is a panic, as in any goroutine. */
#include "sync/waitgroup.h"

#include "lib/sync/sync.h"
#include "run/go.h"

static void open_waitgroup(lua_State *L, const GrObjectType *type, uint32_t view);
static const GrObjectType waitgroup_type = {{GR_TYPE_WAITGROUP, gr_waitgroup_destroy, false},
                                            open_waitgroup};

static GrWaitgroup *check(lua_State *L) {
  return gr_waitgroup_of(gr_object_check(L, 1, &waitgroup_type)->share);
}

static int negative(lua_State *L) { return luaL_error(L, "negative WaitGroup counter"); }

/* ---- counting ---- */

static int add(lua_State *L, GrWaitgroup *wg, int64_t n) {
  int r = gr_waitgroup_add(wg, n);
  if (gr_likely(r == GR_OK)) return 0;
  return r == GR_CLOSED ? negative(L) : luaL_error(L, "WaitGroup counter is too large");
}

/* add(n); no results. Raises when the counter would become negative. */
static int waitgroup_add(lua_State *L) {
  GrWaitgroup *wg = check(L);
  lua_Integer n = gr_check_integer(L, 2);
  gr_enter_quietly(L);
  return add(L, wg, n);
}

/* done(); no results. The same as add(-1). */
static int waitgroup_done(lua_State *L) {
  GrWaitgroup *wg = check(L);
  gr_enter_quietly(L);
  return add(L, wg, -1);
}

/* ---- go ---- */

static void begin(GrShare *s) { gr_waitgroup_enter(gr_waitgroup_of(s)); }

/* The goroutine has ended. The count down fails when the counter is already 0: then the program has
 * called done() once too often, and that call has counted this goroutine down. */
static void end(GrShare *s, G *g, GrEnd how, GrMsg *m, const GrFailure *failure) {
  (void)g, (void)how, (void)failure;
  gr_msg_drop(m);
  gr_waitgroup_add(gr_waitgroup_of(s), -1);
}

static const GrJoinOps member = {.begin = begin, .end = end};

/* go(f, ...): starts a goroutine that is counted; no results */
static int waitgroup_go(lua_State *L) {
  GrState *st = gr_state(L);
  GrWaitgroup *wg = check(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  gr_enter(L, st);
  lua_rotate(L, 1, -1); /* the wait group goes behind the arguments */
  gr_go(L, st, lua_gettop(L) - 1, "waitgroup:go", &(GrJoin){gr_waitgroup_share(wg), &member});
  return 0;
}

/* ---- wait ---- */

enum { SLOT_LIMIT = 2 };

static int wait_begin(lua_State *L, GrStep *s) {
  int64_t until = gr_kept_limit(L, SLOT_LIMIT);
  return gr_in_time(L, s, gr_waitgroup_wait(s->st->g, check(L), until, s->blocks));
}

static int wait_finish(lua_State *L, GrStep *s) {
  return gr_in_time(L, s, gr_waitgroup_finish(s->st->g, check(L), &s->cause));
}

static const GrCall wait_call = {.begin = wait_begin, .finish = wait_finish};

/* wait([timeout]) -> true; false, "timeout" */
static int waitgroup_wait(lua_State *L) {
  GrState *st = gr_state(L);
  check(L);
  gr_enter(L, st);
  if (lua_gettop(L) > 1) gr_keep_limit(L, SLOT_LIMIT);
  return gr_call(L, st, &wait_call);
}

/* ---- registration ---- */

static const luaL_Reg methods[] = {
    {"add", waitgroup_add}, {"done", waitgroup_done},
    {"go", waitgroup_go},   {"wait", waitgroup_wait},
    {NULL, NULL},
};

static void open_waitgroup(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  gr_open_methods(L, methods);
}

void gr_waitgroup_names(void) { gr_methods_names(methods); }

/* waitgroup([n]) -> waitgroup, with the counter n or 0 */
int gr_lib_waitgroup(lua_State *L) {
  lua_Integer n = gr_opt_integer(L, 1, 0);
  if (n < 0) return negative(L);
  luaL_argcheck(L, n <= GR_WAITGROUP_MAX, 1, "counter is too large");
  gr_enter(L, gr_state(L));
  GrWaitgroup *wg = gr_waitgroup_new(n, &waitgroup_type.share);
  if (wg == NULL) gr_raise_code(L, GR_NOMEM);
  return gr_push_owned(L, gr_waitgroup_share(wg));
}

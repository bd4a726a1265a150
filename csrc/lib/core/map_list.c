/* SPDX-License-Identifier: MIT */
/* map_list.c - goro.map: calls a function for each item of a list, in parallel.
 *
 * A few workers take the items one by one: a goroutine for each item would cost more than the work
 * on a small item. Each worker has its own copy of the function, which is made once. All items are
 * packed before the first worker starts. A result is packed when its item is done, into the slot of
 * the item. Only the worker that has taken the item writes the slot until all workers have ended.
 *
 * The first error stops the hand-out of items. Calls that already run are not interrupted. When the
 * function calls goexit, its worker ends, and the result of the item is nil. When all workers have
 * ended in this way, the caller starts new workers for the other items. */
#include <string.h>

#include "lib/core/call.h"
#include "run/go.h"
#include "sync/group.h"
#include "sync/queue.h"
#include "heap/names.h"
#include "copy/pack.h"

typedef struct Work {
  GrShare share;
  GrGroup gr;
  atomic_int_fast64_t next; /* the first item that no worker has taken */
  int64_t n, packed;        /* the number of items, and how many of them have been packed */
  int64_t limit;
  GrMsg slots[]; /* each holds the item, and its result after the item is done */
} Work;

static void destroy(GrShare *s) {
  Work *w = gr_container_of(s, Work, share);
  for (int64_t i = 0; i < w->packed; i++) gr_msg_drop(&w->slots[i]);
  gr_group_fini(&w->gr);
  gr_free(w);
}

static void open_work(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)L, (void)type, (void)view;
}
static const GrObjectType work_type = {{"goro.map", destroy, false}, open_work};

static Work *check_work(lua_State *L, int arg) {
  return gr_container_of(gr_object_check(L, arg, &work_type)->share, Work, share);
}

/* ---- a worker: (f, work) ---- */

static void begin(GrShare *s) { gr_group_begin(&gr_container_of(s, Work, share)->gr); }

static void end(GrShare *s, G *g, GrEnd how, GrMsg *m, const GrFailure *failure) {
  (void)g;
  Work *w = gr_container_of(s, Work, share);
  if (how == GR_END_ERROR) {
    atomic_store(&w->next, w->n);
    if (gr_group_fail(&w->gr, m))
      gr_group_note(&w->gr, gr_panic_untold(failure, "(nobody waits any more for its goro.map)"));
  }
  gr_msg_drop(m);
  gr_group_end(&w->gr);
}

static const GrJoinOps join = {.errors = true, .begin = begin, .end = end};

/* Takes an item, and returns its index; n: there is none. Each worker may push `next` beyond n once
 * at most. */
static int64_t take(Work *w) {
  return atomic_load_explicit(&w->next, memory_order_relaxed) < w->n ? atomic_fetch_add(&w->next, 1)
                                                                     : w->n;
}

static int worked(lua_State *L, int status, lua_KContext i);

static int work_on(lua_State *L, Work *w) {
  for (int64_t i; (i = take(w)) < w->n;) {
    lua_pushvalue(L, 1);
    GrMsg item = w->slots[i];
    w->slots[i] = GR_MSG_EMPTY;
    gr_push_msg(L, &item);
    lua_pushinteger(L, i + 1);
    lua_callk(L, 2, 1, (lua_KContext)i, worked);
    gr_pack(L, -1, 1, GR_NAME_RESULT, 1, &w->slots[i]);
    lua_settop(L, 2);
  }
  return 0;
}

static int worked(lua_State *L, int status, lua_KContext i) {
  (void)status;
  Work *w = check_work(L, 2);
  gr_pack(L, -1, 1, GR_NAME_RESULT, 1, &w->slots[i]);
  lua_settop(L, 2);
  return work_on(L, w);
}

static int worker(lua_State *L) { return work_on(L, check_work(L, 2)); }

/* ---- the caller; its stack: worker, f, work ---- */

enum { SLOT_WORK = 3, SLOT_PANIC };

/* An error is going to leave the call: workers get no more items. */
static void stop(lua_State *L, GrState *st, int at, GrCause cause) {
  (void)st, (void)cause;
  Work *w = check_work(L, at);
  atomic_store(&w->next, w->n);
}

/* Starts as many workers as are useful. Without memory for all of them, it starts fewer; it raises
 * only when it cannot start one. The function is packed once. */
static void start(lua_State *L, GrState *st, Work *w) {
  int64_t rest = w->n - atomic_load(&w->next), n = rest < w->limit ? rest : w->limit;
  int err = GR_OK;
  GrState *model = gr_go_model(L, st, 1, SLOT_WORK, "goro.map"), *child = NULL;
  for (int64_t i = 0; i < n && (i == 0 || child != NULL); i++) {
    child = gr_go_prepare(model, &err);
    if (child != NULL) gr_go_start(child, &(GrJoin){&w->share, &join});
    else if (i > 0) err = GR_OK;
  }
  gr_go_discard(model);
  if (child == NULL && err != GR_OK) gr_raise_code(L, err);
}

static int push_results(lua_State *L, Work *w) {
  if (gr_group_error(&w->gr) != NULL) gr_group_raise(L, &w->gr);
  if (lua_gettop(L) >= SLOT_PANIC) return lua_error(L); /* a panic came meanwhile */
  lua_createtable(L, w->n < INT32_MAX ? (int)w->n : INT32_MAX, 0);
  for (int64_t i = 0; i < w->n; i++) {
    if (w->slots[i].kind == 0) continue; /* nil: the function has called goexit */
    GrMsg m = w->slots[i];
    w->slots[i] = GR_MSG_EMPTY;
    gr_push_msg(L, &m);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* Waits until all workers have ended. Then all items have been taken, and the call is over; or new
 * workers start, since goexit has ended the others. */
static int map_begin(lua_State *L, GrStep *s) {
  Work *w = check_work(L, SLOT_WORK);
  for (;;) {
    int r = gr_group_wait(s->st->g, &w->gr, s->blocks);
    if (r != GR_OK) return r;
    if (atomic_load(&w->next) >= w->n) break;
    start(L, s->st, w);
  }
  s->n = push_results(L, w);
  return GR_OK;
}

static int map_finish(lua_State *L, GrStep *s) {
  return gr_again(gr_group_wait_finish(s->st->g, &check_work(L, SLOT_WORK)->gr, &s->cause));
}

static const GrCall map_call = {.begin = map_begin,
                                .finish = map_finish,
                                .quit = stop,
                                .object = SLOT_WORK,
                                .keeps = SLOT_PANIC};

/* How many workers run when there is no limit. When the items mostly wait, many workers cost
 * little. When the items compute, more workers than places cost only memory. */
static int64_t default_limit(void) {
  enum { FOR_WAITING = 16, FOR_EACH_PLACE = 4 };
  int64_t places = gr_maxprocs_set(0) * (int64_t)FOR_EACH_PLACE;
  return places > FOR_WAITING ? places : FOR_WAITING;
}

/* Returns the option `limit` of the options at arg: a number, or "io" for items that only wait. */
static int64_t check_limit(lua_State *L, int arg) {
  enum { FOR_IO = 256 };
  bool for_io = !lua_isnil(L, arg) && lua_getfield(L, arg, "limit") == LUA_TSTRING &&
                strcmp(lua_tostring(L, -1), "io") == 0;
  return for_io ? FOR_IO : gr_check_limit(L, arg, default_limit());
}

static const GrWaitType mapping = {"goro.map", gr_queue_abandon};

static Work *push_work(lua_State *L, int64_t n, int64_t limit) {
  Work *w = n < INT32_MAX ? gr_zalloc(sizeof *w + (size_t)n * sizeof w->slots[0]) : NULL;
  if (w == NULL) gr_raise_code(L, GR_NOMEM);
  gr_share_init(&w->share, &work_type.share);
  gr_group_init(&w->gr, &w->share, &mapping, 0, NULL);
  atomic_init(&w->next, 0);
  w->n = n;
  w->limit = limit;
  gr_push_owned(L, &w->share);
  return w;
}

/* map(list, f [, { limit = n or "io" }]) -> list of results; raises the first error */
int gr_lib_map_list(lua_State *L) {
  GrState *st = gr_state(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 3);
  gr_check_options(L, 3, GR_OPTIONS("limit"));
  int64_t limit = check_limit(L, 3);
  lua_settop(L, 3);
  gr_check_inbox(L, st);
  lua_Integer n = luaL_len(L, 1);
  Work *w = push_work(L, n > 0 ? n : 0, limit);
  lua_replace(L, SLOT_WORK);
  for (; w->packed < w->n; w->packed++) {
    lua_geti(L, 1, w->packed + 1);
    gr_pack(L, -1, 1, GR_NAME_ITEM, (int)w->packed + 1, &w->slots[w->packed]);
    lua_settop(L, SLOT_WORK);
  }
  gr_pushcfunction(L, st, worker);
  lua_replace(L, 1);
  return gr_call(L, st, &map_call);
}

void gr_map_list_names(void) { gr_names_native(worker); }

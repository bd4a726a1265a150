/* SPDX-License-Identifier: MIT */
/* group.c - goro.group: goroutines that belong together. A group may limit how many of them run.
 * The first error of a member cancels the context of the group.
 *
 * Errors of members. An error of a member does not end the program: the member's join takes it. The
 * first error becomes the error of the group. The join cancels the context, with this error as the
 * cause, before it wakes any goroutine that waits for the members. If the program never waits for
 * the group, the error goes to stderr when the group is dropped (base/untold.h). A group with
 * on_error never gets an error of a member: the member goes on and calls on_error.
 *
 * Limit. In a group with a limit, `go` first takes a place. The place is held by a to-be-closed
 * variable, so the group gets it back whatever prevents the start of the member.
 *
 * Leaving the block. The end of the block waits until all members have ended. A panic of another
 * goroutine that is posted to the host meanwhile is kept, and raised at the end. Three things end
 * this wait early, and then the context is cancelled: a hook raises an error (Ctrl-C), all
 * goroutines are asleep, or the pool ends.
 *
 * If an error has left the block, and no member had failed before, this error is the first one, and
 * goes on. Then errors of members that were cancelled because of it are ignored, like all errors
 * after a first one. */
#include <math.h>

#include "lib/core/call.h"
#include "sync/group.h"
#include "heap/keep.h"
#include "copy/pack.h"
#include "run/go.h"
#include "run/panic.h"
#include "run/protect.h"

static void open_group(lua_State *L, const GrObjectType *type, uint32_t view);
static void destroy(GrShare *s);
static const GrObjectType group_type = {{GR_TYPE_GROUP, destroy, false}, open_group};

static const char on_error[] = "on_error";

typedef struct Group {
  GrShare share;
  GrGroup gr;
  GrMsg options; /* { on_error = f }, or empty; read only */
} Group;

static void destroy(GrShare *s) {
  Group *group = gr_container_of(s, Group, share);
  gr_group_fini(&group->gr);
  gr_msg_drop(&group->options);
  gr_free(group);
}

static Group *check_group(lua_State *L, int arg) {
  return gr_container_of(gr_object_check(L, arg, &group_type)->share, Group, share);
}

/* ---- members ---- */

static void begin(GrShare *s) { gr_group_begin(&gr_container_of(s, Group, share)->gr); }

/* A member has ended. The group keeps the error, so the cause of the cancellation is a copy.
 * Without memory for the copy, the context is cancelled without a cause. */
static void end(GrShare *s, G *g, GrEnd how, GrMsg *m, const GrFailure *failure) {
  (void)g;
  GrGroup *gr = &gr_container_of(s, Group, share)->gr;
  if (how == GR_END_ERROR && gr_group_fail(gr, m)) {
    GrMsg cause;
    gr_group_note(gr, gr_panic_untold(failure, "(nobody has waited for its group)"));
    if (!gr_msg_error_value(gr_group_error(gr), &cause)) cause = GR_MSG_EMPTY;
    gr_context_cancel(gr->ctx, &cause);
  }
  gr_msg_drop(m);
  gr_group_end(gr);
}

static const GrJoinOps member = {.errors = true, .begin = begin, .end = end},
                       placed = {.errors = true, .end = end};

/* ---- members of a group with on_error ---- */

/* A guard for the time of on_error. Its user value is a function that reports the member's error on
 * stderr, for the case that on_error itself fails. */
static void release_nothing(GrKeep *k) { (void)k; }

static void left_handler(lua_State *L, GrKeep *k, bool failed) {
  gr_keep_release(k);
  if (!failed || gr_is_exit_sentinel(L, 2)) return;
  lua_getiuservalue(L, 1, 1);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* (error of on_error): reports the member's error; upvalues: that error and its traceback */
static int say_error(lua_State *L) {
  char created[GR_CREATED_SIZE];
  gr_state_created(gr_state_find(L), created, sizeof created);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, lua_upvalueindex(2));
  gr_panic_say(L, 1, created, "(the group's on_error failed)");
  return 0;
}

enum { SLOT_GROUP = 3 };

static int handled(lua_State *L, int status, lua_KContext ctx) {
  (void)L, (void)status, (void)ctx;
  return 0;
}

/* (error, traceback or nil, group): calls on_error. A member that has failed runs this function and
 * then ends. */
static int handle(lua_State *L) {
  static const GrKeepType type = {release_nothing, left_handler};
  Group *group = gr_container_of((GrShare *)lua_touserdata(L, SLOT_GROUP), Group, share);
  GrMsg options;
  gr_keep_new(L, sizeof(GrKeep), &type);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, say_error, 2);
  lua_setiuservalue(L, -2, 1);
  lua_toclose(L, -1);
  if (!gr_msg_copy(&group->options, &options)) gr_raise_code(L, GR_NOMEM);
  gr_unpack(L, &options);
  lua_getfield(L, -1, on_error);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_callk(L, 2, 0, 0, handled);
  return 0;
}

/* Ends a member of a group with on_error. If `how` is an error, there was no memory to call
 * on_error, and nobody waits for the error. */
static void end_handled(GrShare *s, G *g, GrEnd how, GrMsg *m, const GrFailure *failure) {
  (void)g;
  if (how == GR_END_ERROR)
    gr_untold_print(gr_panic_untold(failure, "(not enough memory for the group's on_error)"));
  gr_msg_drop(m);
  gr_group_end(&gr_container_of(s, Group, share)->gr);
}

static void end_handler(GrShare *s, G *g, GrEnd how, GrMsg *m, const GrFailure *failure) {
  (void)g, (void)how, (void)failure;
  gr_msg_drop(m);
  gr_group_end(&gr_container_of(s, Group, share)->gr);
}

/* Joins of a group with on_error. An error of on_error itself is a panic. */
static const GrJoinOps handling = {.end = end_handler};
static const GrJoinOps handled_member = {
    .errors = true, .begin = begin, .end = end_handled, .handle = handle, .after = &handling};
static const GrJoinOps handled_placed = {
    .errors = true, .end = end_handled, .handle = handle, .after = &handling};

static GrJoin join_of(Group *group, bool has_place) {
  bool handles = group->options.kind != 0;
  if (has_place) return (GrJoin){&group->share, handles ? &handled_placed : &placed};
  return (GrJoin){&group->share, handles ? &handled_member : &member};
}

/* ---- places ---- */

typedef struct Place {
  GrKeep keep; /* first */
  GrPlace p;
} Place;

static void release_place(GrKeep *k) { gr_place_release(&gr_container_of(k, Place, keep)->p); }

static void left_place(lua_State *L, GrKeep *k, bool failed) {
  (void)L, (void)failed;
  gr_keep_release(k);
}

/* Starts the member. The stack holds f, its arguments, the group, the place. */
static int start_placed(lua_State *L) {
  int n = lua_gettop(L) - 2;
  Group *group = check_group(L, n + 1);
  Place *place = lua_touserdata(L, n + 2);
  GrJoin join = join_of(group, true);
  gr_go(L, gr_state(L), n, "group:go", &join);
  gr_place_give(&place->p);
  return 0;
}

static int placed_result(lua_State *L, GrStep *s, int r) {
  if (r == GR_OK) s->n = start_placed(L);
  return r;
}

static int take_begin(lua_State *L, GrStep *s) {
  Place *place = lua_touserdata(L, -1);
  Group *group = check_group(L, lua_gettop(L) - 1);
  return placed_result(L, s, gr_group_take(s->st->g, &group->gr, &place->p, s->blocks));
}

static int take_finish(lua_State *L, GrStep *s) {
  Place *place = lua_touserdata(L, -1);
  return placed_result(L, s, gr_group_take_finish(s->st->g, &place->p, &s->cause));
}

static const GrCall take_call = {.begin = take_begin, .finish = take_finish};

/* go(f, ...): starts a member; waits for a place first when there is a limit; no results */
static int group_go(lua_State *L) {
  GrState *st = gr_state(L);
  Group *group = check_group(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  gr_enter(L, st);
  gr_check_stack(L, 4);
  lua_rotate(L, 1, -1); /* the group goes behind the arguments */
  if (group->gr.limit == 0) {
    GrJoin join = join_of(group, false);
    gr_go(L, st, lua_gettop(L) - 1, "group:go", &join);
    return 0;
  }
  static const GrKeepType type = {release_place, left_place};
  gr_keep_new(L, sizeof(Place), &type);
  lua_toclose(L, -1);
  return gr_call(L, st, &take_call);
}

/* ---- wait ---- */

void gr_group_raise(lua_State *L, GrGroup *gr) {
  const GrMsg *error = gr_group_error(gr);
  GrMsg copy;
  gr_group_tell(gr);
  if (error->kind == 0 || !gr_msg_copy(error, &copy)) gr_raise_code(L, GR_NOMEM);
  gr_check_stack(L, 8);
  int idx = lua_gettop(L) + 1;
  gr_unpack(L, &copy);
  gr_raise_remote(L, idx);
  gr_throw("an error was not raised");
}

static int wait_result(lua_State *L, int r) {
  Group *group = check_group(L, 1);
  if (r == GR_OK && gr_group_error(&group->gr) != NULL) gr_group_raise(L, &group->gr);
  return r;
}

static int wait_begin(lua_State *L, GrStep *s) {
  return wait_result(L, gr_group_wait(s->st->g, &check_group(L, 1)->gr, s->blocks));
}

static int wait_finish(lua_State *L, GrStep *s) {
  GrGroup *gr = &check_group(L, 1)->gr;
  return wait_result(L, gr_group_wait_finish(s->st->g, gr, &s->cause));
}

static const GrCall wait_call = {.begin = wait_begin, .finish = wait_finish};

/* wait(): waits for all members; raises the first error of a member; no results */
static int group_wait(lua_State *L) {
  GrState *st = gr_state(L);
  check_group(L, 1);
  gr_check_inbox(L, st);
  lua_settop(L, 1);
  return gr_call(L, st, &wait_call);
}

/* ---- leaving the block ---- */

/* Stack slots of the end of a block: the group at 1, the error that leaves the block or nil,
 * whether a member had failed before, and then a panic that is kept. */
enum { SLOT_ERROR = 2, LEAVE_FAILED, LEAVE_PANIC };

static int leave_result(lua_State *L, int r) {
  if (r != GR_OK) return r;
  GrGroup *gr = &check_group(L, 1)->gr;
  bool untold = gr_group_error(gr) != NULL && gr_group_tell(gr);
  bool tells = lua_isnil(L, SLOT_ERROR) || lua_toboolean(L, LEAVE_FAILED);
  if (untold && tells) gr_group_raise(L, gr);
  if (lua_gettop(L) >= LEAVE_PANIC) return lua_error(L);
  return GR_OK;
}

static int leave_begin(lua_State *L, GrStep *s) {
  return leave_result(L, gr_group_wait(s->st->g, &check_group(L, 1)->gr, s->blocks));
}

static int leave_finish(lua_State *L, GrStep *s) {
  GrGroup *gr = &check_group(L, 1)->gr;
  return leave_result(L, gr_group_wait_finish(s->st->g, gr, &s->cause));
}

static void leave_quit(lua_State *L, GrState *st, int at, GrCause cause) {
  (void)st, (void)cause;
  gr_context_cancel(check_group(L, at)->gr.ctx, &(GrMsg){0});
}

static const GrCall leave_call = {.begin = leave_begin,
                                  .finish = leave_finish,
                                  .quit = leave_quit,
                                  .object = 1,
                                  .keeps = LEAVE_PANIC};

/* (error, message): packs the error into the message; raises when it cannot be sent */
static int pack_cause(lua_State *L) {
  gr_pack_msg(L, 1, gr_check_pointer(L, 2));
  return 0;
}

/* Cancels the context because of the error that leaves the block. The error is the cause if it can
 * be sent; otherwise there is no cause. */
static void cancel_by(lua_State *L, GrGroup *gr) {
  GrMsg cause = GR_MSG_EMPTY;
  gr_check_stack(L, 4);
  lua_pushcfunction(L, pack_cause);
  lua_pushvalue(L, SLOT_ERROR);
  lua_pushlightuserdata(L, &cause);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
  gr_context_cancel(gr->ctx, &cause);
}

/* __close(group, error or nil): waits for all members; raises the first error of a member */
static int group_leave(lua_State *L) {
  GrState *st = gr_state(L);
  GrGroup *gr = &check_group(L, 1)->gr;
  lua_settop(L, SLOT_ERROR);
  lua_pushboolean(L, gr_group_error(gr) != NULL);
  if (!lua_isnil(L, SLOT_ERROR)) cancel_by(L, gr);
  return gr_call(L, st, &leave_call);
}

/* ---- the rest ---- */

static const luaL_Reg methods[] = {{"go", group_go}, {"wait", group_wait}, {NULL, NULL}};

/* __index(group, key) -> the context for "ctx", else the method. The methods are in the field
 * `methods` of the metatable, and each group has a context of its own. */
static int group_index(lua_State *L) {
  Group *group = check_group(L, 1);
  static const char ctx[] = "ctx";
  lua_pushstring(L, ctx);
  if (lua_rawequal(L, 2, -1)) {
    gr_object_push(L, gr_context_share(group->gr.ctx), GR_VIEW_BOTH);
    return 1;
  }
  luaL_getmetafield(L, 1, "methods");
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

static void open_group(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  GrState *st = gr_state_find(L);
  static const luaL_Reg meta[] = {{"__index", group_index}, {"__close", group_leave}, {NULL, NULL}};
  gr_setfuncs(L, st, meta);
  lua_createtable(L, 0, sizeof methods / sizeof *methods - 1);
  gr_setfuncs(L, st, methods);
  lua_setfield(L, -2, "methods");
}

void gr_group_names(void) { gr_methods_names(methods); }

int64_t gr_check_limit(lua_State *L, int arg, int64_t fallback) {
  int64_t limit = fallback;
  if (lua_isnoneornil(L, arg)) return limit;
  if (lua_getfield(L, arg, "limit") != LUA_TNIL) {
    int is_integer;
    limit = lua_tointegerx(L, -1, &is_integer);
    if (lua_type(L, -1) != LUA_TNUMBER)
      luaL_argerror(L, arg,
                    lua_pushfstring(L, "'limit': number expected, got %s", gr_type_name(L, -1)));
    if (lua_tonumber(L, -1) >= (lua_Number)INT64_MAX) limit = INT64_MAX; /* infinity */
    else if (!is_integer) luaL_argerror(L, arg, "'limit': number has no integer representation");
    if (limit < 1) luaL_argerror(L, arg, "'limit' must be at least 1");
  }
  lua_pop(L, 1);
  return limit;
}

/* Returns the option ctx of the table at 1, or the background context. */
static GrContext *check_parent(lua_State *L) {
  if (lua_isnoneornil(L, 1) || lua_getfield(L, 1, "ctx") == LUA_TNIL)
    return gr_context_background();
  GrObject *o = gr_object_test(L, -1);
  if (o == NULL || o->share->type != &gr_context_type.share)
    luaL_argerror(
        L, 1,
        lua_pushfstring(L, "'ctx': " GR_TYPE_CONTEXT " expected, got %s", gr_type_name(L, -1)));
  return gr_context_of(o->share); /* the object stays on the stack, which keeps the context alive */
}

/* Packs the option on_error of the table at 1. Without the option, *m is empty. */
static void pack_options(lua_State *L, GrMsg *m) {
  *m = GR_MSG_EMPTY;
  if (lua_isnoneornil(L, 1) || lua_getfield(L, 1, on_error) == LUA_TNIL) return;
  if (!lua_isfunction(L, -1))
    luaL_argerror(L, 1,
                  lua_pushfstring(L, "'on_error': function expected, got %s", gr_type_name(L, -1)));
  lua_createtable(L, 0, 1);
  lua_insert(L, -2);
  lua_setfield(L, -2, on_error);
  gr_pack(L, -1, 1, GR_NAME_ARGUMENT, 1, m);
}

/* group([{ limit = n, ctx = context, on_error = f }]) -> group */
int gr_lib_group(lua_State *L) {
  lua_settop(L, 1);
  gr_check_options(L, 1, GR_OPTIONS("limit", "ctx", "on_error"));
  int64_t limit = gr_check_limit(L, 1, INT64_MAX);
  GrContext *parent = check_parent(L), *ctx;
  GrMsg options;
  gr_check_inbox(L, gr_state(L));
  pack_options(L, &options);
  int r = gr_context_new(parent, GR_FOREVER, 0, &ctx);
  Group *group = r == GR_OK ? gr_zalloc(sizeof *group) : NULL;
  if (group == NULL) {
    gr_msg_drop(&options);
    if (r == GR_OK) gr_share_unref(gr_context_share(ctx));
    gr_raise_code(L, r != GR_OK ? r : GR_NOMEM);
  }
  gr_share_init(&group->share, &group_type.share);
  gr_group_init(&group->gr, &group->share, &gr_group_waits, limit == INT64_MAX ? 0 : limit, ctx);
  group->options = options;
  return gr_push_owned(L, &group->share);
}

/* SPDX-License-Identifier: MIT */
/* context.c - goro.context: background, with_cancel and the other makers, and the methods of
 * contexts.
 *
 * Keys. Two keys are equal when a table would find them equal, but the comparison works across
 * states. So strings, numbers and booleans can be keys. A table or a function cannot, since it has
 * its identity in one state alone. For the core, a key is some bytes and a letter that tells the
 * type.
 *
 * Values. A value is packed once, and unpacked for each caller that asks for it. The same goes for
 * a cause. */
#include <math.h>
#include <string.h>

#include "lib/core/lib.h"
#include "sync/context.h"
#include "copy/pack.h"

static void open_context(lua_State *L, const GrObjectType *type, uint32_t view);
const GrObjectType gr_context_type = {{GR_TYPE_CONTEXT, gr_context_destroy, false}, open_context};

GrContext *gr_check_context(lua_State *L, int arg) {
  return gr_context_of(gr_object_check(L, arg, &gr_context_type)->share);
}

/* Pushes an unpacked copy of the message. */
static void push_copy(lua_State *L, const GrMsg *m) {
  GrMsg copy;
  if (!gr_msg_copy(m, &copy)) gr_raise_code(L, GR_NOMEM);
  gr_push_msg(L, &copy);
}

/* ---- making ---- */

/* background() -> the context that is never cancelled */
static int l_background(lua_State *L) {
  gr_enter(L, gr_state(L));
  gr_object_push(L, gr_context_share(gr_context_background()), GR_VIEW_BOTH);
  return 1;
}

static int push_child(lua_State *L, GrContext *parent, int64_t until, double wall) {
  GrContext *c;
  int r = gr_context_new(parent, until, wall, &c);
  if (r != GR_OK) gr_raise_code(L, r);
  return gr_push_owned(L, gr_context_share(c));
}

/* with_cancel(parent) -> a child that cancel() cancels */
static int l_with_cancel(lua_State *L) {
  GrContext *parent = gr_check_context(L, 1);
  gr_enter(L, gr_state(L));
  return push_child(L, parent, GR_FOREVER, 0);
}

/* with_timeout(parent, seconds) -> a child that is cancelled after `seconds`, at the latest */
static int l_with_timeout(lua_State *L) {
  GrContext *parent = gr_check_context(L, 1);
  int64_t until = gr_check_seconds(L, 2, 2, "");
  gr_enter(L, gr_state(L));
  return push_child(L, parent, until, gr_wall_s() + lua_tonumber(L, 2));
}

/* with_deadline(parent, when) -> a child that is cancelled when time.now() is `when`, at the
 * latest. The wall clock may be set later; what counts is how far away `when` is now. */
static int l_with_deadline(lua_State *L) {
  GrContext *parent = gr_check_context(L, 1);
  gr_check_seconds(L, 2, 2, "");
  gr_enter(L, gr_state(L));
  double wall = lua_tonumber(L, 2);
  return push_child(L, parent, gr_deadline(wall - gr_wall_s()), wall);
}

/* ---- values ---- */

typedef struct Key {
  char kind;
  const void *bytes;
  size_t len;
  union {
    lua_Integer i;
    lua_Number n;
    bool b;
  } u;
} Key;

#define set_key(k, letter, field) \
  ((k)->kind = (letter), (k)->bytes = &(k)->u.field, (k)->len = sizeof(k)->u.field)

/* Reads the key. A float with the value of an integer is that integer, as in tables. */
static void check_key(lua_State *L, int arg, Key *k) {
  switch (lua_type(L, arg)) {
    case LUA_TSTRING:
      k->kind = 's';
      k->bytes = lua_tolstring(L, arg, &k->len);
      return;
    case LUA_TBOOLEAN:
      k->u.b = lua_toboolean(L, arg);
      set_key(k, 'b', b);
      return;
    case LUA_TNUMBER:
      k->u.n = lua_tonumber(L, arg);
      luaL_argcheck(L, !isnan(k->u.n), arg, "key is NaN");
      int is_integer;
      lua_Integer i = lua_tointegerx(L, arg, &is_integer);
      if (is_integer) {
        k->u.i = i;
        set_key(k, 'i', i);
      } else {
        set_key(k, 'n', n);
      }
      return;
    default:
      luaL_argerror(
          L, arg,
          lua_pushfstring(L, "string, number or boolean expected, got %s", gr_type_name(L, arg)));
  }
}

/* with_value(parent, key, v) -> a child that has v under this key */
static int l_with_value(lua_State *L) {
  GrContext *parent = gr_check_context(L, 1);
  Key k;
  check_key(L, 2, &k);
  luaL_checkany(L, 3);
  gr_enter(L, gr_state(L));
  GrMsg value;
  gr_pack(L, 3, 1, GR_NAME_ARGUMENT, 3, &value);
  GrContext *c = gr_context_with_value(parent, k.kind, k.bytes, k.len, &value);
  if (c == NULL) {
    gr_msg_drop(&value);
    gr_raise_code(L, GR_NOMEM);
  }
  return gr_push_owned(L, gr_context_share(c));
}

/* value(key) -> a copy of the value under this key, here or in an ancestor; nil without one */
static int context_value(lua_State *L) {
  GrContext *c = gr_check_context(L, 1);
  Key k;
  check_key(L, 2, &k);
  gr_enter(L, gr_state(L));
  const GrMsg *value = gr_context_value(c, k.kind, k.bytes, k.len);
  if (value == NULL) lua_pushnil(L);
  else push_copy(L, value);
  return 1;
}

/* ---- the other methods ---- */

/* done() -> a receive-only channel, which is closed when the context is cancelled */
static int context_done(lua_State *L) {
  GrContext *c = gr_check_context(L, 1);
  gr_enter(L, gr_state(L));
  GrChan *done;
  int r = gr_context_done(c, &done);
  if (r != GR_OK) gr_raise_code(L, r);
  return gr_push_owned_view(L, gr_chan_share(done), GR_VIEW_RECV);
}

/* cancel([cause]): cancels the context and its descendants; no results */
static int context_cancel(lua_State *L) {
  GrContext *c = gr_check_context(L, 1);
  if (!gr_context_can_cancel(c))
    return luaL_error(
        L, "cancel of a context that was not made by with_cancel, with_timeout or with_deadline");
  gr_enter(L, gr_state(L));
  GrMsg cause = GR_MSG_EMPTY;
  if (!lua_isnoneornil(L, 2)) gr_pack(L, 2, 1, GR_NAME_ARGUMENT, 1, &cause);
  gr_context_cancel(c, &cause);
  return 0;
}

/* __close(): cancels the context, if cancel() could; no results */
static int context_leave(lua_State *L) {
  GrContext *c = gr_check_context(L, 1);
  GrMsg none = GR_MSG_EMPTY;
  if (gr_context_can_cancel(c)) gr_context_cancel(c, &none);
  return 0;
}

/* err() -> a string that says why the context is cancelled; nil while it is not */
static int context_err(lua_State *L) {
  GrContext *c = gr_check_context(L, 1);
  gr_enter(L, gr_state(L));
  lua_pushstring(L, gr_context_err_text(gr_context_err(c)));
  return 1;
}

/* cause() -> a copy of the cause that cancel was given; without one, as err() */
static int context_cause(lua_State *L) {
  GrContext *c = gr_check_context(L, 1);
  gr_enter(L, gr_state(L));
  const GrMsg *cause = gr_context_cause(c);
  if (cause != NULL) push_copy(L, cause);
  else lua_pushstring(L, gr_context_err_text(gr_context_err(c)));
  return 1;
}

/* deadline() -> when the context is cancelled at the latest, as time.now() counts; nil: no limit */
static int context_deadline(lua_State *L) {
  GrContext *c = gr_check_context(L, 1);
  gr_enter(L, gr_state(L));
  double wall;
  if (gr_context_deadline(c, &wall)) lua_pushnumber(L, wall);
  else lua_pushnil(L);
  return 1;
}

/* ---- registration ---- */

static const luaL_Reg methods[] = {
    {"done", context_done},
    {"cancel", context_cancel},
    {"err", context_err},
    {"cause", context_cause},
    {"deadline", context_deadline},
    {"value", context_value},
    {NULL, NULL},
};

static void open_context(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  GrState *st = gr_state_find(L);
  static const luaL_Reg meta[] = {{"__close", context_leave}, {NULL, NULL}};
  gr_setfuncs(L, st, meta);
  lua_createtable(L, 0, sizeof methods / sizeof *methods - 1);
  gr_setfuncs(L, st, methods);
  lua_setfield(L, -2, "__index");
}

void gr_context_names(void) {
  gr_context_init(&gr_context_type.share, &gr_chan_type.share);
  gr_methods_names(methods);
}

int luaopen_goro_context(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"background", l_background},     {"with_cancel", l_with_cancel},
      {"with_timeout", l_with_timeout}, {"with_deadline", l_with_deadline},
      {"with_value", l_with_value},     {NULL, NULL},
  };
  return gr_open_submodule(L, functions);
}

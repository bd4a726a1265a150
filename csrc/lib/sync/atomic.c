/* SPDX-License-Identifier: MIT */
/* atomic.c - goro.sync.atomic: a number, a boolean or a string that all goroutines share.
 *
 * A string is copied once when it is stored, and once into each state that loads it. */
#include "sync/atomic.h"

#include "lib/sync/sync.h"

static void open_atomic(lua_State *L, const GrObjectType *type, uint32_t view);
static const GrObjectType atomic_type = {{GR_TYPE_ATOMIC, gr_atomic_destroy, false}, open_atomic};

static GrAtomic *check(lua_State *L) {
  return gr_atomic_of(gr_object_check(L, 1, &atomic_type)->share);
}

/* ---- values ---- */

static void check_type(lua_State *L, int arg) {
  int t = lua_type(L, arg);
  if (gr_unlikely(t != LUA_TNUMBER && t != LUA_TBOOLEAN && t != LUA_TSTRING))
    luaL_typeerror(L, arg, "number, boolean or string");
}

/* Converts the argument, whose type has been checked. False: there is no memory. */
static bool to_value(lua_State *L, int arg, GrValue *v) {
  size_t len;
  const char *s;
  switch (lua_type(L, arg)) {
    case LUA_TBOOLEAN: *v = (GrValue){GR_VALUE_BOOLEAN, {.b = lua_toboolean(L, arg)}}; return true;
    case LUA_TSTRING:
      s = lua_tolstring(L, arg, &len);
      *v = (GrValue){GR_VALUE_STRING, {.s = gr_text_new(s, len)}};
      return v->u.s != NULL;
    default:
      if (lua_isinteger(L, arg)) *v = (GrValue){GR_VALUE_INTEGER, {.i = lua_tointeger(L, arg)}};
      else *v = (GrValue){GR_VALUE_FLOAT, {.n = lua_tonumber(L, arg)}};
      return true;
  }
}

static GrValue check_value(lua_State *L, int arg) {
  GrValue v;
  check_type(L, arg);
  if (!to_value(L, arg, &v)) gr_raise_code(L, GR_NOMEM);
  return v;
}

static int push_string(lua_State *L) {
  size_t len;
  const char *s = gr_text_bytes(gr_check_pointer(L, 1), &len);
  lua_pushlstring(L, s, len);
  return 1;
}

/* Takes *v. */
static int push_text(lua_State *L, GrValue *v) {
  lua_pushcfunction(L, push_string);
  lua_pushlightuserdata(L, v->u.s);
  int status = lua_pcall(L, 1, 1, 0);
  gr_value_drop(v);
  return status == LUA_OK ? 1 : lua_error(L);
}

static int push_value(lua_State *L, GrValue v) {
  switch (v.kind) {
    case GR_VALUE_INTEGER: lua_pushinteger(L, v.u.i); return 1;
    case GR_VALUE_FLOAT: lua_pushnumber(L, v.u.n); return 1;
    case GR_VALUE_BOOLEAN: lua_pushboolean(L, v.u.b); return 1;
    default: return push_text(L, &v);
  }
}

/* ---- methods ---- */

/* load() -> v */
static int atomic_load_value(lua_State *L) {
  GrAtomic *a = check(L);
  gr_enter(L, gr_state(L));
  return push_value(L, gr_atomic_load(a));
}

/* store(v); no results */
static int atomic_store_value(lua_State *L) {
  GrAtomic *a = check(L);
  gr_enter(L, gr_state(L));
  GrValue old = gr_atomic_swap(a, check_value(L, 2));
  gr_value_drop(&old);
  return 0;
}

/* swap(v) -> the value before */
static int atomic_swap_value(lua_State *L) {
  GrAtomic *a = check(L);
  gr_enter(L, gr_state(L));
  return push_value(L, gr_atomic_swap(a, check_value(L, 2)));
}

/* cas(old, new) -> true: the value was old, and now it is new; false: nothing has changed */
static int atomic_cas_value(lua_State *L) {
  GrAtomic *a = check(L);
  check_type(L, 2);
  check_type(L, 3);
  gr_enter(L, gr_state(L));
  GrValue old = check_value(L, 2), new;
  if (!to_value(L, 3, &new)) {
    gr_value_drop(&old);
    gr_raise_code(L, GR_NOMEM);
  }
  bool done = gr_atomic_cas(a, &old, new);
  gr_value_drop(&old);
  lua_pushboolean(L, done);
  return 1;
}

/* add(n) -> the new value; raises when the value is not a number */
static int atomic_add_value(lua_State *L) {
  GrAtomic *a = check(L);
  GrValue n = {GR_VALUE_INTEGER, {.i = lua_tointeger(L, 2)}}, sum;
  if (gr_unlikely(!lua_isinteger(L, 2))) {
    luaL_checktype(L, 2, LUA_TNUMBER);
    n = check_value(L, 2);
  }
  gr_enter(L, gr_state(L));
  if (gr_likely(gr_atomic_add(a, n, &sum))) return push_value(L, sum);
  return luaL_error(L, "add to an atomic %s", sum.kind == GR_VALUE_BOOLEAN ? "boolean" : "string");
}

/* ---- registration ---- */

static const luaL_Reg methods[] = {
    {"load", atomic_load_value}, {"store", atomic_store_value}, {"swap", atomic_swap_value},
    {"cas", atomic_cas_value},   {"add", atomic_add_value},     {NULL, NULL},
};

static void open_atomic(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  gr_open_methods(L, methods);
}

void gr_atomic_names(void) { gr_methods_names(methods); }

/* atomic([v]) -> atomic, with the value v or 0 */
int gr_lib_atomic(lua_State *L) {
  GrValue v = {0};
  gr_enter(L, gr_state(L));
  if (!lua_isnoneornil(L, 1)) v = check_value(L, 1);
  GrAtomic *a = gr_atomic_new(&v, &atomic_type.share);
  if (a == NULL) {
    gr_value_drop(&v);
    gr_raise_code(L, GR_NOMEM);
  }
  return gr_push_owned(L, gr_atomic_share(a));
}

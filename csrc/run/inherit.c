/* SPDX-License-Identifier: MIT */
/* inherit.c - the parent's package settings, packed once for many goroutines; see inherit.h.
 *
 * A sum over the settings tells whether they have changed: over scalars, and strings by their
 * content. A function or a table among them (in package.preload, an added searcher) may change
 * inside without a trace. When there is one, the settings are packed for each goroutine. What
 * cannot be sent is left out. Stock searchers are packed as their number, and the receiver's own
 * take their places. */
#include "run/inherit.h"

#include <string.h>

#include <lauxlib.h>

#include "base/hash.h"
#include "heap/names.h"
#include "heap/need.h"

struct GrInherited {
  atomic_int refs;
  GrMsg message; /* arg, path, cpath, preload, searchers: each a value or false */
};

enum { PARTS = 5 };

void gr_inherit_unref(GrInherited *inherited) {
  if (inherited == NULL || atomic_fetch_sub(&inherited->refs, 1) > 1) return;
  gr_msg_drop(&inherited->message);
  gr_free(inherited);
}

GrInherited *gr_inherit_ref(GrInherited *inherited) {
  if (inherited != NULL) atomic_fetch_add(&inherited->refs, 1);
  return inherited;
}

/* ---- the sum ---- */

typedef struct Sum {
  uint64_t value;
  bool exact; /* else nothing may be concluded from it */
} Sum;

static void add(Sum *s, uint64_t word) { s->value = gr_hash_word(s->value, word); }

static void add_value(lua_State *L, Sum *s, int idx) {
  add(s, (uint64_t)lua_type(L, idx));
  switch (lua_type(L, idx)) {
    case LUA_TNIL: break;
    case LUA_TBOOLEAN: add(s, (uint64_t)lua_toboolean(L, idx)); break;
    case LUA_TNUMBER: {
      lua_Number n = lua_tonumber(L, idx);
      uint64_t word;
      memcpy(&word, &n, sizeof word);
      add(s, word);
      add(s, (uint64_t)lua_tointeger(L, idx));
      break;
    }
    case LUA_TSTRING: {
      size_t len;
      const char *text = lua_tolstring(L, idx, &len);
      add(s, gr_hash_bytes(text, len));
      break;
    }
    default: s->exact = false;
  }
}

static void add_table(lua_State *L, Sum *s, int idx) {
  for (lua_pushnil(L); s->exact && lua_next(L, idx) != 0; lua_settop(L, idx + 1)) {
    add_value(L, s, idx + 1);
    add_value(L, s, idx + 2);
  }
  lua_settop(L, idx);
}

/* ---- what there is ---- */

static void push_package(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushliteral(L, "package");
  if (lua_istable(L, -2)) lua_rawget(L, -2);
  lua_remove(L, -2);
}

static void push_field(lua_State *L, int package, const char *name) {
  lua_pushstring(L, name);
  if (lua_istable(L, package)) {
    lua_rawget(L, package);
  } else {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
}

static void push_arg(lua_State *L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  lua_pushliteral(L, "arg");
  lua_rawget(L, -2);
  lua_remove(L, -2);
}

/* The list of searchers at idx. */
static void add_searchers(lua_State *L, Sum *s, int idx) {
  lua_Integer n = lua_istable(L, idx) ? (lua_Integer)lua_rawlen(L, idx) : 0;
  add(s, (uint64_t)n);
  for (lua_Integer i = 1; i <= n && s->exact; i++) {
    lua_rawgeti(L, idx, i);
    int stock = gr_names_stock_searcher(lua_tocfunction(L, -1));
    if (stock > 0) add(s, (uint64_t)stock);
    else s->exact = false;
    lua_pop(L, 1);
  }
}

/* 0: nothing may be concluded. */
static uint64_t sum_of(lua_State *L) {
  Sum s = {1, true};
  int top = lua_gettop(L);
  push_arg(L);
  if (lua_istable(L, -1)) add_table(L, &s, top + 1);
  push_package(L);
  for (int i = 0; i < 2; i++) {
    push_field(L, top + 2, i == 0 ? "path" : "cpath");
    add_value(L, &s, top + 3);
    lua_settop(L, top + 2);
  }
  push_field(L, top + 2, "preload");
  if (lua_istable(L, -1)) add_table(L, &s, top + 3);
  push_field(L, top + 2, "searchers");
  add_searchers(L, &s, top + 4);
  lua_settop(L, top);
  return s.exact ? s.value | 1 : 0;
}

/* ---- packing ---- */

static int try_pack(lua_State *L) {
  GrMsg m;
  gr_pack(L, 1, 1, GR_NAME_MESSAGE, 0, &m);
  gr_msg_drop(&m);
  return 0;
}

/* Can the value at idx be sent? Raises other errors, such as those of want of memory. */
static bool sendable(lua_State *L, int idx) {
  int type = lua_type(L, idx);
  if (type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TBOOLEAN) return true;
  lua_pushcfunction(L, try_pack);
  lua_pushvalue(L, idx);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return true;
  if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "not enough memory") == 0)
    lua_error(L);
  lua_pop(L, 1);
  return false;
}

/* Pushes the entries of the table at idx that can be sent, or false when there are none. */
static void push_sendable(lua_State *L, int idx) {
  lua_newtable(L);
  int out = lua_gettop(L);
  bool any = false;
  for (lua_pushnil(L); lua_next(L, idx) != 0; lua_settop(L, out + 1)) {
    if (!sendable(L, out + 1) || !sendable(L, out + 2)) continue;
    lua_pushvalue(L, out + 1);
    lua_pushvalue(L, out + 2);
    lua_rawset(L, out);
    any = true;
  }
  lua_settop(L, out);
  if (any) return;
  lua_pushboolean(L, 0);
  lua_replace(L, out);
}

/* Pushes false when the searchers at idx are those of a new state. */
static void push_searchers(lua_State *L, int idx) {
  lua_Integer n = lua_istable(L, idx) ? (lua_Integer)lua_rawlen(L, idx) : GR_SEARCHERS;
  bool same = n == GR_SEARCHERS;
  lua_createtable(L, (int)(n < 16 ? n : 16), 0);
  int out = lua_gettop(L);
  for (lua_Integer i = 1; i <= n && lua_istable(L, idx); i++) {
    lua_rawgeti(L, idx, i);
    int stock = gr_names_stock_searcher(lua_tocfunction(L, -1));
    same = same && stock == i;
    if (stock > 0) lua_pushinteger(L, stock);
    else if (sendable(L, out + 1)) lua_pushvalue(L, out + 1);
    else lua_pushboolean(L, 0);
    lua_rawseti(L, out, i);
    lua_settop(L, out);
  }
  if (!same) return;
  lua_pushboolean(L, 0);
  lua_replace(L, out);
}

/* Pushes the parts; true: there is something in them. */
static bool push_parts(lua_State *L) {
  int top = lua_gettop(L);
  push_arg(L);
  push_package(L);
  push_field(L, top + 2, "preload");
  push_field(L, top + 2, "searchers");
  for (int part = 0; part < PARTS; part++) {
    if (part == 0 && lua_istable(L, top + 1)) {
      push_sendable(L, top + 1);
    } else if (part == 1 || part == 2) {
      push_field(L, top + 2, part == 1 ? "path" : "cpath");
      if (lua_isstring(L, -1) && !gr_names_is_stock_path(lua_tostring(L, -1), part - 1)) continue;
      lua_pop(L, 1);
      lua_pushboolean(L, 0);
    } else if (part == 3 && lua_istable(L, top + 3)) {
      push_sendable(L, top + 3);
    } else if (part == 4) {
      push_searchers(L, top + 4);
    } else {
      lua_pushboolean(L, 0);
    }
  }
  bool any = false;
  for (int i = 1; i <= PARTS; i++) any = any || lua_toboolean(L, -i);
  lua_rotate(L, top + 1, PARTS);
  lua_settop(L, top + PARTS);
  return any;
}

/* A __goro function that runs meanwhile may start a goroutine, and so come here. So the state is
 * changed only when all is packed. */
static void pack_anew(lua_State *L, GrState *st, uint64_t sum) {
  int top = lua_gettop(L);
  GrInherited *inherited = NULL;
  if (push_parts(L)) {
    GrMsg m;
    gr_pack(L, top + 1, PARTS, GR_NAME_MESSAGE, 0, &m);
    inherited = gr_malloc(sizeof *inherited);
    if (inherited == NULL) {
      gr_msg_drop(&m);
      gr_raise_nomem(L);
    }
    atomic_init(&inherited->refs, 1);
    inherited->message = m;
  }
  lua_settop(L, top);
  gr_inherit_unref(st->inherited);
  st->inherited = inherited;
  st->inherited_sum = sum;
}

void gr_inherit_prepare(lua_State *L, GrState *st) {
  if (!st->is_host && !st->settled) return;
  gr_check_stack(L, 20);
  uint64_t sum = sum_of(L);
  if (sum == 0 || sum != st->inherited_sum) pack_anew(L, st, sum);
}

/* ---- putting it in place ---- */

/* The parent's list, in which a number stands for a stock searcher and false for what could not be
 * sent, replaces ours. */
static void set_searchers(lua_State *L, int list, int ours) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, list), stock = (lua_Integer)lua_rawlen(L, ours),
              count = 0;
  lua_newtable(L);
  for (lua_Integer i = 1; i <= n; i++) {
    if (lua_rawgeti(L, list, i) == LUA_TNUMBER) lua_rawgeti(L, ours, lua_tointeger(L, -1));
    if (lua_toboolean(L, -1)) lua_rawseti(L, ours + 1, ++count);
    lua_settop(L, ours + 1);
  }
  for (lua_Integer i = 1; i <= count || i <= stock; i++) {
    lua_rawgeti(L, ours + 1, i);
    lua_rawseti(L, ours, i);
  }
}

static void set_parts(lua_State *L, int first, GrNeed before) {
  if (lua_istable(L, first) && !(before & gr_need_global("arg", 3))) {
    lua_pushvalue(L, first);
    lua_setglobal(L, "arg");
  }
  push_package(L);
  int package = lua_gettop(L);
  for (int i = 0; i < 2; i++) {
    if (!lua_isstring(L, first + 1 + i)) continue;
    lua_pushvalue(L, first + 1 + i);
    lua_setfield(L, package, i == 0 ? "path" : "cpath");
  }
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  int preload = lua_gettop(L);
  if (lua_istable(L, first + 3))
    for (lua_pushnil(L); lua_next(L, first + 3) != 0; lua_settop(L, preload + 1)) {
      lua_pushvalue(L, preload + 1);
      lua_pushvalue(L, preload + 2);
      lua_rawset(L, preload);
    }
  lua_getfield(L, package, "searchers");
  if (lua_istable(L, first + 4)) set_searchers(L, first + 4, lua_gettop(L));
}

void gr_inherit_install(lua_State *L, GrState *st, GrNeed before, bool begins) {
  int top = lua_gettop(L);
  gr_check_stack(L, 20);
  if (st->inherited != NULL) {
    GrMsg copy;
    if (!gr_msg_copy(&st->inherited->message, &copy)) gr_raise_nomem(L);
    if (begins) gr_msg_set_start(&copy);
    bool foreign = st->heap.foreign;
    gr_unpack(L, &copy);
    st->heap.foreign = foreign; /* what is merely in package.preload does not count (foreign.h) */
    set_parts(L, top + 1, before);
    lua_settop(L, top);
  }
  st->inherited_sum = sum_of(L);
}

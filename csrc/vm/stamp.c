/* SPDX-License-Identifier: MIT */
/* stamp.c - see stamp.h.
 *
 * One walk takes stamps and compares them: over the pairs of each table in the order of lua_next, which stays while a table is not changed, its metatable, the
 * variables of each function, the globals that the functions name. A stamp is a value's type and its bits, or its address; nothing is compared by Lua, and no
 * metamethod is met. What is equal by other bits counts as changed: that costs time, not truth.
 *
 * An address tells a value only as long as that value lives. So all of them are in a list, which is weak: a record shall not keep alive what the class has let go of.
 * What has gone from the list was changed. Strings do not go from weak lists. */
#include "vm/stamp.h"

#include <string.h>

#include "vm/names.h"

typedef struct Walk {
  Stamps *s;
  uint32_t next; /* the stamp that comes next; while they are taken: how many there are */
  bool taking;
  bool ok;
  int seen, held, strings; /* stack indices, while they are taken: what is in the list; what will be */
} Walk;

static Stamp stamp_of(lua_State *L, int idx) {
  Stamp s = {0, (uint32_t)lua_type(L, idx)};
  switch (s.type) {
    case LUA_TNIL: break;
    case LUA_TBOOLEAN: s.bits = (uint64_t)lua_toboolean(L, idx); break;
    case LUA_TNUMBER:
      if (lua_isinteger(L, idx)) {
        s.bits = (uint64_t)lua_tointeger(L, idx);
      } else {
        lua_Number n = lua_tonumber(L, idx);
        memcpy(&s.bits, &n, sizeof n);
        s.type = LUA_NUMTYPES;
      }
      break;
    case LUA_TLIGHTUSERDATA: s.bits = (uintptr_t)lua_touserdata(L, idx); break;
    default: s.bits = (uintptr_t)lua_topointer(L, idx);
  }
  return s;
}

/* The value at idx (absolute) will be in the list. */
static void hold(lua_State *L, Walk *w, int idx) {
  int type = lua_type(L, idx), to = type == LUA_TSTRING ? w->strings : w->held;
  if (type < LUA_TSTRING) return;
  lua_pushvalue(L, idx);
  bool seen = lua_rawget(L, w->seen) != LUA_TNIL;
  lua_pop(L, 1);
  if (seen) return;
  lua_pushvalue(L, idx);
  lua_pushboolean(L, 1);
  lua_rawset(L, w->seen);
  lua_pushvalue(L, idx);
  lua_rawseti(L, to, (lua_Integer)lua_rawlen(L, to) + 1);
}

static void take(Walk *w, Stamp stamp) {
  Stamps *s = w->s;
  if (s->n == s->cap) {
    uint32_t cap = s->cap > 0 ? s->cap * 2 : 64;
    Stamp *at = gr_realloc(s->at, cap * sizeof *at);
    if (at == NULL) {
      w->ok = false;
      return;
    }
    s->at = at;
    s->cap = cap;
  }
  s->at[s->n++] = stamp;
}

static void meet_stamp(Walk *w, Stamp stamp) {
  const Stamp *was = &w->s->at[w->next];
  if (w->taking) take(w, stamp);
  else if (w->next++ >= w->s->n || was->bits != stamp.bits || was->type != stamp.type) w->ok = false;
}

/* The value at idx (absolute). */
static void meet(lua_State *L, Walk *w, int idx) {
  if (w->taking) hold(L, w, idx);
  meet_stamp(w, stamp_of(L, idx));
}

/* The field of the metatable on top. */
static void meet_field(lua_State *L, Walk *w, const char *name) {
  lua_pushstring(L, name);
  lua_rawget(L, -2);
  meet(L, w, lua_gettop(L));
  lua_pop(L, 1);
}

/* A metatable may be a module's, and nobody walks over that; what in it concerns its table is asked here. */
static void walk_table(lua_State *L, Walk *w, int table) {
  if (lua_getmetatable(L, table)) {
    meet(L, w, table + 1);
    meet_field(L, w, "__goro");
    meet_field(L, w, "__gc");
    lua_settop(L, table);
  }
  for (lua_pushnil(L); w->ok && lua_next(L, table) != 0; lua_settop(L, table + 1)) {
    meet(L, w, table + 1);
    meet(L, w, table + 2);
  }
  lua_settop(L, table);
  lua_pushnil(L);
  meet(L, w, table + 1); /* no key */
}

static void walk_function(lua_State *L, Walk *w, int function) {
  for (int i = 1; w->ok && lua_getupvalue(L, function, i) != NULL; i++) {
    meet_stamp(w, (Stamp){(uintptr_t)lua_upvalueid(L, function, i), LUA_NUMTYPES});
    meet(L, w, function + 1);
    lua_settop(L, function);
  }
}

/* Objects are the first in the list. */
static void walk_objects(lua_State *L, Walk *w, int list) {
  int top = lua_gettop(L);
  for (lua_Integer i = 1; w->ok && i <= w->s->nobjects; i++, lua_settop(L, top)) {
    switch (lua_rawgeti(L, list, i)) {
      case LUA_TTABLE: walk_table(L, w, top + 1); break;
      case LUA_TFUNCTION: walk_function(L, w, top + 1); break;
      default: w->ok = false;
    }
  }
}

/* Names are in the list from after `from` on. What an __index of the globals gives cannot be told without asking it. */
static void walk_names(lua_State *L, Walk *w, int list, lua_Integer from) {
  int top = lua_gettop(L);
  if (w->s->nnames == 0) return;
  lua_pushglobaltable(L);
  if (!lua_getmetatable(L, top + 1)) lua_pushnil(L);
  meet(L, w, top + 2);
  for (lua_Integer i = 1; w->ok && i <= w->s->nnames; i++, lua_settop(L, top + 2)) {
    lua_rawgeti(L, list, from + i);
    bool absent = lua_rawget(L, top + 1) == LUA_TNIL;
    if (absent && !lua_isnil(L, top + 2)) w->ok = false;
    meet(L, w, top + 3);
  }
  lua_settop(L, top);
}

/* ---- taking ---- */

static void append(lua_State *L, Walk *w, int list, int idx) {
  lua_pushvalue(L, idx);
  lua_pushboolean(L, 1);
  lua_rawset(L, w->seen);
  lua_pushvalue(L, idx);
  lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
}

/* Appends those of the packer's items that are links, or what has content. */
static uint32_t append_items(lua_State *L, const Packer *k, Walk *w, int list, bool links) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < k->p.nitems; i++) {
    uint8_t kind = k->p.items[i].kind;
    if (links ? kind != I_LINK : kind != I_TABLE && kind != I_CLASS && kind != I_FUNCTION) continue;
    lua_rawgeti(L, k->values, (lua_Integer)i + 1);
    append(L, w, list, lua_gettop(L));
    lua_pop(L, 1);
    n++;
  }
  return n;
}

static uint32_t append_list(lua_State *L, Walk *w, int list, int from) {
  uint32_t n = (uint32_t)lua_rawlen(L, from);
  for (uint32_t i = 1; i <= n; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, from, i);
    append(L, w, list, lua_gettop(L));
  }
  return n;
}

static uint32_t append_keys(lua_State *L, Walk *w, int list, int from) {
  uint32_t n = 0;
  for (lua_pushnil(L); lua_next(L, from) != 0; lua_pop(L, 1), n++) append(L, w, list, lua_gettop(L) - 1);
  return n;
}

static void push_weak_list(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

bool gr_stamps_take(lua_State *L, Packer *k, Stamps *s, int owned, int names) {
  luaL_checkstack(L, 20, NULL);
  push_weak_list(L);
  int list = lua_gettop(L);
  for (int i = 0; i < 3; i++) lua_newtable(L);
  Walk w = {.s = s, .taking = true, .ok = true, .seen = list + 1, .held = list + 2, .strings = list + 3};
  s->n = 0;
  s->nobjects = append_items(L, k, &w, list, false);
  s->nlinks = append_items(L, k, &w, list, true);
  s->nowned = append_list(L, &w, list, owned);
  lua_Integer from = (lua_Integer)lua_rawlen(L, list);
  s->nnames = append_keys(L, &w, list, names);
  gr_packer_need_index(L, k);
  meet(L, &w, k->index);
  walk_objects(L, &w, list);
  walk_names(L, &w, list, from);
  s->nheld = append_list(L, &w, list, w.held);
  append_list(L, &w, list, w.strings);
  lua_settop(L, list);
  if (!w.ok) lua_pop(L, 1);
  return w.ok;
}

/* ---- comparing ---- */

/* n values from `from` on are still there; `owned`: and the module's. */
static bool all_there(lua_State *L, Packer *k, int list, lua_Integer from, uint32_t n, bool owned) {
  bool ok = true;
  int top = lua_gettop(L);
  for (lua_Integer i = from + 1; ok && i <= from + n; i++, lua_settop(L, top))
    ok = lua_rawgeti(L, list, i) != LUA_TNIL && (!owned || gr_names_find(L, top + 1, k->index));
  return ok;
}

bool gr_stamps_hold(lua_State *L, Packer *k, const Stamps *s, int list) {
  if (s->n == 0) return false;
  luaL_checkstack(L, 20, NULL);
  Walk w = {.s = (Stamps *)s, .ok = true};
  gr_packer_need_index(L, k);
  meet(L, &w, k->index);
  walk_objects(L, &w, list);
  lua_Integer from = (lua_Integer)s->nobjects;
  if (!w.ok || !all_there(L, k, list, from, s->nlinks, false)) return false;
  if (!all_there(L, k, list, from += s->nlinks, s->nowned, true)) return false;
  walk_names(L, &w, list, from += s->nowned);
  return w.ok && w.next == s->n && all_there(L, k, list, from + s->nnames, s->nheld, false);
}

void gr_stamps_free(Stamps *s) {
  gr_free(s->at);
  *s = (Stamps){.at = NULL};
}

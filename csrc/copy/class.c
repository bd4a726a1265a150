/* SPDX-License-Identifier: MIT */
/* class.c - the identities of metatables.
 *
 * An identity is a number from one counter of the process. Each state has two weak tables in its
 * registry: from table to number, and from number to table. A state that receives a class for the
 * first time keeps the table under the class's number. From then on that table is the class in
 * this state, whoever sends it, also when it comes back to the state where it was made. When a
 * state has sent a class, it negates the number in its first table: from the second time on it
 * pays to have a record of the class (record.c). */
#include "copy/class.h"

#include <string.h>

#include <lauxlib.h>

static atomic_uint_fast64_t last_id;
static const char ids_key, classes_key;

bool gr_class_is_metamethod(const char *name) {
  static const char *const names[] = {
      "__index",     "__newindex", "__call",  "__eq",    "__lt",   "__le",   "__len",
      "__concat",    "__add",      "__sub",   "__mul",   "__div",  "__mod",  "__pow",
      "__unm",       "__idiv",     "__band",  "__bor",   "__bxor", "__shl",  "__shr",
      "__bnot",      "__tostring", "__pairs", "__close", "__gc",   "__mode", "__name",
      "__metatable", "__goro",     NULL};
  if (name[0] != '_' || name[1] != '_') return false;
  for (int i = 0; names[i] != NULL; i++)
    if (strcmp(names[i] + 2, name + 2) == 0) return true;
  return false;
}

bool gr_class_has_metamethod(lua_State *L, int idx) {
  int top = lua_gettop(L);
  bool found = false;
  idx = lua_absindex(L, idx);
  for (lua_pushnil(L); !found && lua_next(L, idx) != 0; lua_settop(L, top + 1))
    found = lua_type(L, top + 1) == LUA_TSTRING && gr_class_is_metamethod(lua_tostring(L, top + 1));
  lua_settop(L, top);
  return found;
}

void gr_class_push_weak(lua_State *L, const char *key, const char *mode) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushstring(L, mode);
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void gr_class_keep(lua_State *L, int idx, uint64_t id) {
  idx = lua_absindex(L, idx);
  gr_class_push_weak(L, &ids_key, "k");
  lua_pushvalue(L, idx);
  lua_pushinteger(L, (lua_Integer)id);
  lua_rawset(L, -3);
  gr_class_push_weak(L, &classes_key, "v");
  lua_pushvalue(L, idx);
  lua_rawseti(L, -2, (lua_Integer)id);
  lua_pop(L, 2);
}

uint64_t gr_class_id(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  gr_class_push_weak(L, &ids_key, "k");
  lua_pushvalue(L, idx);
  lua_rawget(L, -2);
  lua_Integer known = lua_tointeger(L, -1);
  lua_pop(L, 2);
  if (known != 0) return (uint64_t)(known < 0 ? -known : known);
  uint64_t id = atomic_fetch_add(&last_id, 1) + 1;
  gr_class_keep(L, idx, id);
  return id;
}

bool gr_class_sent(lua_State *L, int idx, uint64_t id) {
  idx = lua_absindex(L, idx);
  gr_class_push_weak(L, &ids_key, "k");
  lua_pushvalue(L, idx);
  lua_rawget(L, -2);
  bool sent = lua_tointeger(L, -1) < 0;
  lua_pop(L, 1);
  if (!sent) {
    lua_pushvalue(L, idx);
    lua_pushinteger(L, -(lua_Integer)id);
    lua_rawset(L, -3);
  }
  lua_pop(L, 1);
  return sent;
}

#ifdef GORO_HOSTILE
bool gr_class_is_given(uint64_t id) { return id != 0 && id <= atomic_load(&last_id); }
#endif

bool gr_class_push(lua_State *L, uint64_t id) {
  gr_class_push_weak(L, &classes_key, "v");
  bool found = lua_rawgeti(L, -1, (lua_Integer)id) == LUA_TTABLE;
  lua_remove(L, -2);
  if (!found) lua_pop(L, 1);
  return found;
}

void gr_class_forget(lua_State *L, uint64_t id) {
  gr_class_push_weak(L, &ids_key, "k");
  gr_class_push_weak(L, &classes_key, "v");
  if (lua_rawgeti(L, -1, (lua_Integer)id) == LUA_TTABLE) {
    lua_pushnil(L);
    lua_rawset(L, -4);
  } else {
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  lua_rawseti(L, -2, (lua_Integer)id);
  lua_pop(L, 2);
}

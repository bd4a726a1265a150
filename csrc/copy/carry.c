/* SPDX-License-Identifier: MIT */
/* carry.c - what comes along with functions without being asked for: the globals that they name.
 *
 * Their values are written with all that hangs on them, one after the other, since each may hold
 * functions that name more. When no name is left they are written once more, as a list of names and
 * references, at the place where the receiver looks for it; the few bytes of the first time stay
 * behind as filler. What cannot be sent in them gets a placeholder (placeholder.h). */
#include <string.h>

#include "heap/names.h"
#include "copy/packer.h"
#include "heap/raise.h"
#include "copy/record.h"

static int look_up(lua_State *L) {
  lua_gettable(L, 1);
  return 1;
}

void gr_carry_look_up(lua_State *L, int env, int key) {
  lua_pushvalue(L, key);
  if (lua_rawget(L, env) != LUA_TNIL || !lua_getmetatable(L, env)) return;
  lua_pop(L, 2);
  lua_pushcfunction(L, look_up);
  lua_pushvalue(L, env);
  lua_pushvalue(L, key);
  if (lua_pcall(L, 2, 1, 0) == LUA_OK) return;
  lua_pop(L, 1);
  lua_pushnil(L);
}

/* Is there nothing to carry, as for most names: it is what every state has, or nothing? */
static bool is_plain(lua_State *L, int environment, const char *name) {
  if (lua_isnil(L, -1)) {
    if (!lua_getmetatable(L, environment)) return true;
    lua_pop(L, 1);
    return false;
  }
  return gr_names_is_standard(L, lua_gettop(L), name);
}

/* (name, environment) at the end of `globals`, once: globals[environment][name] tells. */
void gr_carry_note(lua_State *L, Packer *k, int environment, const char *name, size_t len) {
  int top = lua_gettop(L);
  gr_check_stack(L, 10);
  if (k->recording != 0) gr_record_name(L, k, environment, name, len);
  lua_pushlstring(L, name, len);
  lua_pushvalue(L, -1);
  lua_rawget(L, environment);
  if (is_plain(L, environment, lua_tostring(L, top + 1))) {
    lua_settop(L, top);
    return;
  }
  lua_settop(L, top + 1);
  if (lua_isnil(L, k->globals)) {
    lua_newtable(L);
    lua_replace(L, k->globals);
  }
  lua_pushvalue(L, environment);
  if (lua_rawget(L, k->globals) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, environment);
    lua_pushvalue(L, -2);
    lua_rawset(L, k->globals);
  }
  lua_pushvalue(L, top + 1);
  if (lua_rawget(L, top + 2) == LUA_TNIL) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, k->globals);
    lua_pushvalue(L, top + 1);
    lua_pushboolean(L, 1);
    lua_rawset(L, top + 2);
    lua_pushvalue(L, top + 1);
    lua_rawseti(L, k->globals, n + 1);
    lua_pushvalue(L, environment);
    lua_rawseti(L, k->globals, n + 2);
  }
  lua_settop(L, top);
}

/* Values that were written go to `kept` (name, value, name, value…; kept[name] = true); writing one
 * may find more names. The first value of each name is the one. */
static void collect_globals(lua_State *L, Packer *k, int kept) {
  for (lua_Integer i = 1, n = 0; !k->failed && i < (lua_Integer)lua_rawlen(L, k->globals); i += 2) {
    int top = lua_gettop(L);
    gr_check_stack(L, 20);
    lua_rawgeti(L, k->globals, i);
    lua_rawgeti(L, k->globals, i + 1);
    lua_pushvalue(L, top + 1);
    bool carried = lua_rawget(L, kept) != LUA_TNIL;
    gr_carry_look_up(L, top + 2, top + 1);
    int value = lua_gettop(L);
    if (!carried && !lua_isnil(L, value) && lua_topointer(L, value) != k->globals_table &&
        !gr_names_is_standard(L, value, lua_tostring(L, top + 1))) {
      k->carrying = i;
      gr_pack_value(L, k, value, &(Origin){.kind = O_GLOBAL});
      gr_pack_items(L, k);
      k->carrying = 0;
      lua_pushvalue(L, value);
      lua_rawseti(L, kept, n + 2);
      lua_pushvalue(L, top + 1);
      lua_rawseti(L, kept, n + 1);
      lua_pushvalue(L, top + 1);
      lua_pushboolean(L, 1);
      lua_rawset(L, kept);
      n += 2;
    }
    lua_settop(L, top);
  }
}

void gr_carry_globals(lua_State *L, Packer *k) {
  int top = lua_gettop(L);
  lua_Integer n = 0;
  if (!lua_isnil(L, k->globals)) {
    lua_newtable(L);
    collect_globals(L, k, top + 1);
    n = (lua_Integer)lua_rawlen(L, top + 1);
  }
  k->p.globals = k->p.nbytes;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, top + 1, i);
    gr_pack_value(L, k, top + 2, &(Origin){.kind = O_GLOBAL});
    lua_settop(L, top + 1);
  }
  gr_packer_put_tag(L, k, T_END);
  gr_pack_items(L, k); /* the names, when they are long */
  lua_settop(L, top);
}

/* SPDX-License-Identifier: MIT */
/* carry.c - globals that come along with functions, because the functions name them.
 *
 * The value of each such global is written with everything that hangs on it. It may hold functions
 * that name more globals, so the list of names grows while it is worked off. When no name is left,
 * the names and references to their values are written as a list, at the place where the receiver
 * looks for globals. The few bytes that were written for each value at first stay behind, and
 * nobody reads them. What cannot be sent in a global gets a placeholder (placeholder.h). */
#include <string.h>

#include "copy/draft.h"
#include "copy/record.h"
#include "heap/modules.h"
#include "heap/raise.h"

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

/* Is there nothing to carry, as for most names: is the value on top what every state has, or nil?
 */
static bool is_plain(lua_State *L, int environment, const char *name) {
  if (lua_isnil(L, -1)) {
    if (!lua_getmetatable(L, environment)) return true;
    lua_pop(L, 1);
    return false;
  }
  return gr_modules_is_standard(L, lua_gettop(L), name);
}

/* Appends (name, environment) to `globals`, unless they are in it: globals[environment][name]
 * tells. */
void gr_carry_note(lua_State *L, Draft *d, int environment, const char *name, size_t len) {
  int top = lua_gettop(L);
  gr_check_stack(L, 10);
  if (d->recording != 0) gr_record_name(L, d, environment, name, len);
  lua_pushlstring(L, name, len);
  lua_pushvalue(L, -1);
  lua_rawget(L, environment);
  if (is_plain(L, environment, lua_tostring(L, top + 1))) {
    lua_settop(L, top);
    return;
  }
  lua_settop(L, top + 1);
  if (lua_isnil(L, d->globals)) {
    lua_newtable(L);
    lua_replace(L, d->globals);
  }
  lua_pushvalue(L, environment);
  if (lua_rawget(L, d->globals) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, environment);
    lua_pushvalue(L, -2);
    lua_rawset(L, d->globals);
  }
  lua_pushvalue(L, top + 1);
  if (lua_rawget(L, top + 2) == LUA_TNIL) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, d->globals);
    lua_pushvalue(L, top + 1);
    lua_pushboolean(L, 1);
    lua_rawset(L, top + 2);
    lua_pushvalue(L, top + 1);
    lua_rawseti(L, d->globals, n + 1);
    lua_pushvalue(L, environment);
    lua_rawseti(L, d->globals, n + 2);
  }
  lua_settop(L, top);
}

/* Writes the values of all names, and notes them in `kept`: name, value, name, value, …, and
 * kept[name] = true. To write one may add names to the list. Of several values of a name the first
 * counts. */
static void collect_globals(lua_State *L, Draft *d, int kept) {
  for (lua_Integer i = 1, n = 0; !d->failed && i < (lua_Integer)lua_rawlen(L, d->globals); i += 2) {
    int top = lua_gettop(L);
    gr_check_stack(L, 20);
    lua_rawgeti(L, d->globals, i);
    lua_rawgeti(L, d->globals, i + 1);
    lua_pushvalue(L, top + 1);
    bool carried = lua_rawget(L, kept) != LUA_TNIL;
    gr_carry_look_up(L, top + 2, top + 1);
    int value = lua_gettop(L);
    if (!carried && !lua_isnil(L, value) && lua_topointer(L, value) != d->globals_table &&
        !gr_modules_is_standard(L, value, lua_tostring(L, top + 1))) {
      d->carrying = i;
      gr_pack_value(L, d, value, &(Origin){.kind = O_GLOBAL});
      gr_pack_items(L, d);
      d->carrying = 0;
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

void gr_carry_globals(lua_State *L, Draft *d) {
  int top = lua_gettop(L);
  lua_Integer n = 0;
  if (!lua_isnil(L, d->globals)) {
    lua_newtable(L);
    collect_globals(L, d, top + 1);
    n = (lua_Integer)lua_rawlen(L, top + 1);
  }
  d->p.globals = d->p.nbytes;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, top + 1, i);
    gr_pack_value(L, d, top + 2, &(Origin){.kind = O_GLOBAL});
    lua_settop(L, top + 1);
  }
  gr_draft_put_tag(L, d, T_END);
  gr_pack_items(L, d); /* the names, when they are long */
  lua_settop(L, top);
}

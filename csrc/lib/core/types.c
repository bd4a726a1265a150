/* SPDX-License-Identifier: MIT */
/* types.c - what a value is, for errors; see types.h. */
#include "lib/core/types.h"

#include <lauxlib.h>

const char *gr_type_name(lua_State *L, int idx) {
  if (luaL_getmetafield(L, idx, "__name") == LUA_TSTRING) return lua_tostring(L, -1);
  return lua_islightuserdata(L, idx) ? "light userdata" : luaL_typename(L, idx);
}

/* SPDX-License-Identifier: MIT */
/* types.c - what all of goro's types share; see types.h. */
#include "lib/core/types.h"

#include "heap/names.h"
#include "run/state.h"

const char *gr_type_name(lua_State *L, int idx) {
  if (luaL_getmetafield(L, idx, "__name") == LUA_TSTRING) return lua_tostring(L, -1);
  return lua_islightuserdata(L, idx) ? "light userdata" : luaL_typename(L, idx);
}

void gr_open_methods(lua_State *L, const luaL_Reg *methods) {
  int n = 0;
  while (methods[n].name != NULL) n++;
  lua_createtable(L, 0, n);
  gr_setfuncs(L, gr_state_find(L), methods);
  lua_setfield(L, -2, "__index");
}

void gr_methods_names(const luaL_Reg *methods) {
  for (; methods->name != NULL; methods++) gr_names_native(methods->func);
}

/* SPDX-License-Identifier: MIT */
/* sync.c - the module goro.sync. */
#include "lib/lib.h"

GR_API int luaopen_goro_sync(lua_State *L);

int luaopen_goro_sync(lua_State *L) {
  GrState *st = gr_state_find(L);
  static const luaL_Reg functions[] = {{"map", gr_lib_map}, {NULL, NULL}};
  if (st == NULL) return luaL_error(L, "require \"goro\" first");
  lua_newtable(L);
  gr_setfuncs(L, st, functions);
  return 1;
}

/* SPDX-License-Identifier: MIT */
/* testing.c - goro.testing: the fault injector, for specs. In GORO_TESTING builds only. */
#include "lib/lib.h"

#ifdef GORO_TESTING

GR_API int luaopen_goro_testing(lua_State *L);

/* fail_at(n [, forever]): the n-th allocation of goro from now on fails (0: none) -> how many there were since the last call */
static int l_fail_at(lua_State *L) {
  lua_pushinteger(L, gr_mem_fail_at(luaL_checkinteger(L, 1), lua_toboolean(L, 2)));
  return 1;
}

/* live() -> blocks allocated and not freed */
static int l_live(lua_State *L) {
  lua_pushinteger(L, gr_mem_live());
  return 1;
}

int luaopen_goro_testing(lua_State *L) {
  static const luaL_Reg functions[] = {{"fail_at", l_fail_at}, {"live", l_live}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

#endif

/* SPDX-License-Identifier: MIT */
/* raise.c - errors that every floor raises; see raise.h. */
#include "heap/raise.h"

#include <lauxlib.h>

#include "heap/arena.h"

void gr_raise_nomem(lua_State *L) {
  lua_pushliteral(L, "not enough memory");
  lua_error(L);
  gr_throw("lua_error returned");
}

/* Of a host's allocator nothing is known. */
void gr_raise_stack(lua_State *L) {
  void *arena;
  if (lua_getallocf(L, &arena) == gr_arena_alloc && ((GrArena *)arena)->failed) gr_raise_nomem(L);
  luaL_error(L, "stack overflow");
  gr_throw("luaL_error returned");
}

void gr_check_stack(lua_State *L, int n) {
  if (gr_unlikely(!lua_checkstack(L, n))) gr_raise_stack(L);
}

void *gr_check_pointer(lua_State *L, int arg) {
  void *p = lua_islightuserdata(L, arg) ? lua_touserdata(L, arg) : NULL;
  if (gr_unlikely(p == NULL)) luaL_typeerror(L, arg, "pointer of goro's own");
  return p;
}

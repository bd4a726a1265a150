/* SPDX-License-Identifier: MIT */
/* things.c - an interpreter with objects of its own: things SCRIPT.
 *
 * The script has thing(), a userdata with a finalizer; gone(), a table with one; and the module
 * `things` in package.preload with both. wrap(f, …) calls f in a coroutine that C code resumes.
 * counts() -> made, finalized. At the end the program prints both. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_int made, finalized;

static int finalize(lua_State *L) {
  (void)L;
  atomic_fetch_add(&finalized, 1);
  return 0;
}

static int with_finalizer(lua_State *L) {
  if (luaL_newmetatable(L, "thing")) {
    lua_pushcfunction(L, finalize);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  atomic_fetch_add(&made, 1);
  return 1;
}

static int l_thing(lua_State *L) {
  lua_newuserdatauv(L, 8, 0);
  return with_finalizer(L);
}

static int l_gone(lua_State *L) {
  lua_newtable(L);
  return with_finalizer(L);
}

static int l_wrap(lua_State *L) {
  int n = lua_gettop(L) - 1, results;
  lua_State *co = lua_newthread(L);
  lua_insert(L, 1);
  lua_xmove(L, co, n + 1);
  if (lua_resume(co, L, n, &results) != LUA_OK) {
    lua_xmove(co, L, 1);
    return lua_error(L);
  }
  return 0;
}

static int l_counts(lua_State *L) {
  lua_pushinteger(L, atomic_load(&made));
  lua_pushinteger(L, atomic_load(&finalized));
  return 2;
}

static const luaL_Reg functions[] = {
    {"thing", l_thing}, {"gone", l_gone}, {"wrap", l_wrap}, {"counts", l_counts}, {NULL, NULL}};

static int open_things(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_pushglobaltable(L);
  luaL_setfuncs(L, functions, 0);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, open_things);
  lua_setfield(L, -2, "things");
  lua_settop(L, 0);
  int failed = argc < 2 || luaL_dofile(L, argv[1]) != LUA_OK;
  if (failed) fprintf(stderr, "%s\n", argc < 2 ? "no script" : lua_tostring(L, -1));
  lua_close(L);
  printf("made %d, finalized %d\n", atomic_load(&made), atomic_load(&finalized));
  return failed;
}

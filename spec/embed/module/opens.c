/* SPDX-License-Identifier: MIT */
/* opens.c - C modules whose luaopen_* functions count how many of them run at once, take their
 * time, and call the global function `at_open`, if there is one, with the module's name. All of
 * them in one library. For the specs. */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdatomic.h>
#include <time.h>

static atomic_int calls, inside, most;

/* counts() -> how many calls there were, and how many at once at most */
static int l_counts(lua_State *L) {
  lua_pushinteger(L, calls);
  lua_pushinteger(L, most);
  return 2;
}

static int module(lua_State *L) {
  struct timespec left = {.tv_nsec = 20000000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
  if (lua_getglobal(L, "at_open") == LUA_TFUNCTION) {
    lua_pushvalue(L, 1);
    lua_call(L, 1, 0);
  }
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, l_counts);
  lua_setfield(L, -2, "counts");
  return 1;
}

static int open_module(lua_State *L) {
  int n = ++inside, before = most;
  calls++;
  while (n > before && !atomic_compare_exchange_weak(&most, &before, n)) {}
  lua_pushcfunction(L, module);
  lua_pushvalue(L, 1);
  int status = lua_pcall(L, 1, 1, 0);
  inside--;
  return status == LUA_OK ? 1 : lua_error(L);
}

#define MODULE(name) \
  __attribute__((visibility("default"))) int luaopen_##name(lua_State *L); \
  int luaopen_##name(lua_State *L) { return open_module(L); }
MODULE(opens)
MODULE(opens_a)
MODULE(opens_b)
MODULE(opens_c)

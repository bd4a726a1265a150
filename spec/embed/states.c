/* SPDX-License-Identifier: MIT */
/* states.c - an interpreter whose script opens and closes other states on its thread: states
 * SCRIPT.
 *
 * The script, and the code in each state, have: open(code): a new state, in which the code has run,
 * as a number; close(state); add(counter, n): counters 1 to 9, which all share, returns the new
 * value; nap(seconds): sleeps in C, whatever signals come. */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { STATES = 1000, COUNTERS = 10 };

static lua_State *states[STATES];
static int count;
static atomic_llong counters[COUNTERS];

static lua_State *new_state(void);

static int l_open(lua_State *L) {
  const char *code = luaL_checkstring(L, 1);
  luaL_argcheck(L, count < STATES, 1, "too many states");
  lua_State *S = states[count++] = new_state();
  if (luaL_dostring(S, code) != LUA_OK)
    return luaL_error(L, "in the state: %s", lua_tostring(S, -1));
  lua_pushinteger(L, count);
  return 1;
}

static int l_close(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 1 && n <= count && states[n - 1] != NULL, 1, "no state");
  lua_State *S = states[n - 1];
  states[n - 1] = NULL;
  lua_close(S);
  return 0;
}

static int l_add(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 1 && n < COUNTERS, 1, "no counter");
  long long by = luaL_optinteger(L, 2, 1);
  lua_pushinteger(L, atomic_fetch_add(&counters[n], by) + by);
  return 1;
}

static int l_nap(lua_State *L) {
  double s = luaL_checknumber(L, 1);
  struct timespec t = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};
  while (nanosleep(&t, &t) != 0 && errno == EINTR) {}
  return 0;
}

static lua_State *new_state(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_register(L, "open", l_open);
  lua_register(L, "close", l_close);
  lua_register(L, "add", l_add);
  lua_register(L, "nap", l_nap);
  return L;
}

int main(int argc, char **argv) {
  lua_State *L = new_state();
  if (argc != 2 || luaL_dofile(L, argv[1]) != LUA_OK) {
    fprintf(stderr, "%s\n", argc != 2 ? "usage: states SCRIPT" : luaL_tolstring(L, -1, NULL));
    return 1;
  }
  lua_close(L);
  return 0;
}

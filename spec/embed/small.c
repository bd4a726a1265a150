/* SPDX-License-Identifier: MIT */
/* small.c - a Lua script on a thread with a small stack: small script.lua, with the stack's
 * size in KB in GORO_TEST_STACK. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void *run(void *script) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  int failed = luaL_dofile(L, script);
  if (failed) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return failed ? script : NULL;
}

int main(int argc, char **argv) {
  pthread_attr_t attr;
  pthread_t thread;
  void *failed = NULL;
  const char *kb = getenv("GORO_TEST_STACK");
  if (argc != 2 || kb == NULL) return 2;
  pthread_attr_init(&attr);
  if (pthread_attr_setstacksize(&attr, (size_t)atoi(kb) << 10) != 0) return 2;
  if (pthread_create(&thread, &attr, run, argv[1]) != 0) return 2;
  pthread_join(thread, &failed);
  return failed != NULL;
}

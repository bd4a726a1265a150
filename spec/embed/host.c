/* SPDX-License-Identifier: MIT */
/* host.c - a program with Lua inside: host SCRIPT [THREADS [ROUNDS]].
 *
 * Each of the threads makes a lua_State of its own, runs the script in it with the thread's and the
 * round's number as arguments, and closes it; that is repeated in each round, when all threads of
 * the last one have ended. An error that reaches the program is printed to stdout and does not
 * change its exit status: so a status other than 0 is goro's doing. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 64 };

typedef struct {
  const char *script;
  int number, round;
} Host;

static void *run_script(void *arg) {
  Host *h = arg;
  lua_State *L = luaL_newstate();
  if (L == NULL) abort();
  luaL_openlibs(L);
  int status = luaL_loadfile(L, h->script);
  if (status == LUA_OK) {
    lua_pushinteger(L, h->number);
    lua_pushinteger(L, h->round);
    status = lua_pcall(L, 2, 0, 0);
  }
  if (status != LUA_OK) printf("thread %d: %s\n", h->number, luaL_tolstring(L, -1, NULL));
  lua_close(L);
  return NULL;
}

int main(int argc, char **argv) {
  int threads = argc > 2 ? atoi(argv[2]) : 1, rounds = argc > 3 ? atoi(argv[3]) : 1;
  if (argc < 2 || threads < 1 || threads > MOST || rounds < 1) {
    fprintf(stderr, "usage: host SCRIPT [THREADS [ROUNDS]]\n");
    return 2;
  }
  for (int round = 1; round <= rounds; round++) {
    pthread_t ids[MOST];
    Host hosts[MOST];
    for (int i = 0; i < threads; i++) {
      hosts[i] = (Host){argv[1], i + 1, round};
      if (pthread_create(&ids[i], NULL, run_script, &hosts[i]) != 0) abort();
    }
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  }
  puts("end");
  return 0;
}

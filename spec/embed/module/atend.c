/* SPDX-License-Identifier: MIT */
/* atend.c - what others do in exit(): a C module, atend. */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static atomic_bool ending;
static double seconds;

static void doze(double s) {
  struct timespec t = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};
  while (nanosleep(&t, &t) != 0 && errno == EINTR) {}
}

static void flush_all(void) { fflush(NULL); }

static void last(void) {
  atomic_store(&ending, true);
  doze(seconds);
}

/* flush(): exit() locks and writes out each FILE, as the C library itself does from glibc 2.39 on,
 * and musl. */
static int l_flush(lua_State *L) {
  (void)L;
  atexit(flush_all);
  return 0;
}

/* last(seconds): exit() takes so long */
static int l_last(lua_State *L) {
  seconds = luaL_checknumber(L, 1);
  atexit(last);
  return 0;
}

/* await(): until it does */
static int l_await(lua_State *L) {
  (void)L;
  while (!atomic_load(&ending)) doze(0.001);
  return 0;
}

__attribute__((visibility("default"))) int luaopen_atend(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"flush", l_flush}, {"last", l_last}, {"await", l_await}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

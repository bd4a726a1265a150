/* SPDX-License-Identifier: MIT */
/* ctest.c - a C module that knows nothing of goro, and blocks and computes as such modules do. For
 * the specs. */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) int luaopen_ctest(lua_State *L);

static struct timespec seconds(lua_State *L) {
  double s = luaL_checknumber(L, 1);
  return (struct timespec){(time_t)floor(s), (long)((s - floor(s)) * 1e9)};
}

/* sleep(seconds): all of it, whatever signals come */
static int l_sleep(lua_State *L) {
  struct timespec left = seconds(L);
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
  return 0;
}

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* spin(seconds): of CPU time, in C */
static int l_spin(lua_State *L) {
  double end = now(CLOCK_THREAD_CPUTIME_ID) + luaL_checknumber(L, 1);
  while (now(CLOCK_THREAD_CPUTIME_ID) < end) {}
  return 0;
}

/* now() -> monotonic seconds */
static int l_now(lua_State *L) {
  lua_pushnumber(L, now(CLOCK_MONOTONIC));
  return 1;
}

/* cpu() -> CPU seconds of the process */
static int l_cpu(lua_State *L) {
  lua_pushnumber(L, now(CLOCK_PROCESS_CPUTIME_ID));
  return 1;
}

/* kill(signal): to this process */
static int l_kill(lua_State *L) {
  kill(getpid(), (int)luaL_checkinteger(L, 1));
  return 0;
}

/* chdir(path) -> did it work? */
static int l_chdir(lua_State *L) {
  lua_pushboolean(L, chdir(luaL_checkstring(L, 1)) == 0);
  return 1;
}

/* catch(f, ...): calls it where it cannot yield, and catches whatever it raises -> did it not
 * raise? */
static int l_catch(lua_State *L) {
  lua_pushboolean(L, lua_pcall(L, lua_gettop(L) - 1, 0, 0) == LUA_OK);
  return 1;
}

static int deeper(volatile char *from, lua_Integer bytes) {
  volatile char here[1024];
  here[0] = 1;
  return from - here >= bytes ? here[0] : deeper(from, bytes) + here[0];
}

/* recurse(bytes): so deep into the C stack -> in how many calls */
static int l_recurse(lua_State *L) {
  volatile char here = 0;
  lua_pushinteger(L, deeper(&here, luaL_checkinteger(L, 1)));
  return 1;
}

int luaopen_ctest(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"sleep", l_sleep}, {"spin", l_spin},       {"now", l_now},
      {"cpu", l_cpu},     {"kill", l_kill},       {"catch", l_catch},
      {"chdir", l_chdir}, {"recurse", l_recurse}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

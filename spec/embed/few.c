/* SPDX-License-Identifier: MIT */
/* few.c - an interpreter to which the system gives few threads: `few script.lua arguments…`.
 *
 * It runs the script as lua would, with one more global function: ration(n) lets n more threads be
 * made from then on, and returns how many were left. It may be called in any goroutine. With
 * FEW_CPUS=n in the environment the machine has that many CPUs, and the kernel's sets of them are
 * for 8,192. */
#include <dlfcn.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_int left = 1 << 30;

/* Stands before the C library's, for goro.so too. */
__attribute__((visibility("default"))) int
pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg) {
  int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
  if (atomic_fetch_sub(&left, 1) <= 0) {
    atomic_fetch_add(&left, 1);
    return EAGAIN;
  }
  return real(thread, attr, start, arg);
}

/* The same. */
__attribute__((visibility("default"))) int sched_getaffinity(pid_t pid, size_t size,
                                                             cpu_set_t *set) {
  int (*real)(pid_t, size_t, cpu_set_t *);
  *(void **)&real = dlsym(RTLD_NEXT, "sched_getaffinity");
  const char *cpus = getenv("FEW_CPUS");
  if (cpus == NULL) return real(pid, size, set);
  if (size < 8192 / 8) {
    errno = EINVAL;
    return -1;
  }
  CPU_ZERO_S(size, set);
  for (int i = 0; i < atoi(cpus); i++) CPU_SET_S((size_t)i, size, set);
  return 0;
}

static int l_ration(lua_State *L) {
  int n = (int)luaL_checkinteger(L, 1);
  lua_pushinteger(L, atomic_exchange(&left, n));
  return 1;
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  if (argc < 2 || L == NULL) return 2;
  luaL_openlibs(L);
  lua_pushcfunction(L, l_ration);
  lua_setglobal(L, "ration");
  lua_createtable(L, argc, 0);
  for (int i = 1; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - 1);
  }
  lua_setglobal(L, "arg");
  int failed = luaL_loadfile(L, argv[1]);
  for (int i = 2; i < argc; i++) lua_pushstring(L, argv[i]);
  if (!failed) failed = lua_pcall(L, argc - 2, 0, 0);
  if (failed) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return failed != 0;
}

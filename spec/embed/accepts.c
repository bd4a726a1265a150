/* SPDX-License-Identifier: MIT */
/* accepts.c - an interpreter in which the script says what accept4 answers: accepts SCRIPT. In
 * place of the C library's, which goro finds here.
 *
 * The script has: refuse(errno [, times]): the next so many calls (for ever when absent) fail by
 * this; asked(): how many calls there were; errno: numbers by name. */
#include <dlfcn.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>

static atomic_int code, left, count;

__attribute__((visibility("default"))) int accept4(int fd, __SOCKADDR_ARG addr,
                                                   socklen_t *restrict len, int flags) {
  int (*real)(int, struct sockaddr *, socklen_t *, int);
  *(void **)&real = dlsym(RTLD_NEXT, "accept4");
  atomic_fetch_add(&count, 1);
  if (atomic_load(&left) > 0) {
    atomic_fetch_sub(&left, 1);
    errno = atomic_load(&code);
    return -1;
  }
  return real(fd, (struct sockaddr *)addr.__sockaddr__, len, flags);
}

static int l_refuse(lua_State *L) {
  atomic_store(&code, (int)luaL_checkinteger(L, 1));
  atomic_store(&left, (int)luaL_optinteger(L, 2, 1 << 30));
  return 0;
}

static int l_asked(lua_State *L) {
  lua_pushinteger(L, atomic_load(&count));
  return 1;
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    int value;
  } codes[] = {{"ECONNABORTED", ECONNABORTED},
               {"EPROTO", EPROTO},
               {"ENETDOWN", ENETDOWN},
               {"EHOSTUNREACH", EHOSTUNREACH},
               {"EINTR", EINTR},
               {"EPERM", EPERM},
               {"EMFILE", EMFILE},
               {"EACCES", EACCES},
               {"ENOSYS", ENOSYS},
               {"EINVAL", EINVAL},
               {"ENOMEM", ENOMEM}};
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_register(L, "refuse", l_refuse);
  lua_register(L, "asked", l_asked);
  lua_newtable(L);
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    lua_pushinteger(L, codes[i].value);
    lua_setfield(L, -2, codes[i].name);
  }
  lua_setglobal(L, "errno");
  if (argc != 2 || luaL_dofile(L, argv[1]) != LUA_OK) {
    fprintf(stderr, "%s\n", argc != 2 ? "usage: accepts SCRIPT" : luaL_tolstring(L, -1, NULL));
    return 1;
  }
  lua_close(L);
  return 0;
}

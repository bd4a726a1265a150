/* SPDX-License-Identifier: MIT */
/* pages.c - a kernel with larger pages than this machine's, as far as memory is given back: preload
 * it, with GORO_TEST_PAGE=16384 (Raspberry Pi 5, Apple's machines) or 65536 (some servers).
 *
 * With GORO_TEST_EMULATED the program is not told, as under an emulator, which shows it its own
 * machine's pages.
 *
 * Such a kernel refuses a start that is not at a page's beginning, and rounds a length up. The
 * program sees it as the Lua module `pages`: counts() -> dropped, refused, rounded: how many times
 * memory was given back, how many calls would have been refused, and how many rounded up. */
#include <dlfcn.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long dropped, refused, rounded;

static uintptr_t page(void) {
  const char *text = getenv("GORO_TEST_PAGE");
  return text != NULL ? (uintptr_t)atol(text) : 4096;
}

/* The length as that kernel takes it; 0: refused. */
static size_t length_of(const void *start, size_t n) {
  uintptr_t p = page();
  if ((uintptr_t)start % p != 0) {
    atomic_fetch_add(&refused, 1);
    return 0;
  }
  if (n % p != 0) atomic_fetch_add(&rounded, 1);
  return (n + p - 1) & ~(p - 1);
}

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int madvise(void *start, size_t n, int advice) {
  size_t len = length_of(start, n);
  if (len == 0 && n > 0) {
    errno = EINVAL;
    return -1;
  }
  if (advice == MADV_DONTNEED) atomic_fetch_add(&dropped, 1);
  return (int)syscall(SYS_madvise, start, len, advice);
}

EXPORTED long sysconf(int name) {
  static long (*_Atomic real)(int);
  if (name == _SC_PAGESIZE && getenv("GORO_TEST_EMULATED") == NULL) return (long)page();
  long (*f)(int) = atomic_load(&real);
  if (f == NULL) {
    f = (long (*)(int))(uintptr_t)dlsym(RTLD_NEXT, "sysconf");
    atomic_store(&real, f);
  }
  return f(name);
}

static int l_counts(lua_State *L) {
  lua_pushinteger(L, atomic_load(&dropped));
  lua_pushinteger(L, atomic_load(&refused));
  lua_pushinteger(L, atomic_load(&rounded));
  return 3;
}

EXPORTED int luaopen_pages(lua_State *L);
int luaopen_pages(lua_State *L) {
  static const luaL_Reg functions[] = {{"counts", l_counts}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

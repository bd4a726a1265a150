/* SPDX-License-Identifier: MIT */
/* foreign.c - who made a userdata; see foreign.h.
 *
 * Lua tells its allocator when it makes a userdata, and only C functions make userdata. So the
 * maker is the function that runs at that moment. There are three kinds of C functions.
 *
 *   - Goro's own lie in goro's own code. Their userdata is plain memory, or it hangs on the
 *     state's keeper (keep.h), which lets go of it whether the state is closed or dropped.
 *   - Lua's own are the fields of the standard libraries, the methods of files, and the functions
 *     that open the libraries. Their userdata is plain memory, too: buffers, the state of an
 *     iteration. Files are noted elsewhere (lib/core/replaced.c).
 *   - All others are foreign: functions that a program registered, a module of its own in
 *     package.preload. A function from a C library need not be found here, since a state that has
 *     loaded a C library is always closed.
 *
 * A foreign function can also give a table a __gc, by calls that nobody sees. So a state that got
 * a foreign function in a message counts as well. A state that merely inherited package.preload
 * does not.
 *
 * The running function is found on the stack of the running thread. The allocator may look there:
 * lua_newuserdatauv is about to push its result, so there is room for a value, and neither
 * lua_getstack nor lua_getinfo allocates. When foreign C code resumes a coroutine by itself, goro
 * knows only the thread outside, in which that C code runs; which is what is asked for. */
#include "heap/foreign.h"

#include <link.h>

#include <lualib.h>

#include "heap/names.h"

enum { METHODS = 24 };

GR_TLS bool gr_own_userdata_next;
atomic_int_fast64_t gr_states_closed;

static lua_CFunction methods[METHODS];
static int nmethods;
static uintptr_t code, code_end; /* goro's own */

static int find_code(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size, (void)arg;
  uintptr_t here = (uintptr_t)find_code;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    uintptr_t start = (uintptr_t)info->dlpi_addr + p->p_vaddr;
    if (p->p_type != PT_LOAD || here - start >= p->p_memsz) continue;
    code = start;
    code_end = start + p->p_memsz;
    return 1;
  }
  return 0;
}

void gr_foreign_init(void) { dl_iterate_phdr(find_code, NULL); }

void gr_foreign_not(lua_State *L) {
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
    if (lua_iscfunction(L, -1) && nmethods < METHODS) methods[nmethods++] = lua_tocfunction(L, -1);
}

static bool is_ours(lua_CFunction f) { return (uintptr_t)f - code < code_end - code; }

static bool is_stock(lua_CFunction f) {
  static const lua_CFunction opens[] = {
      luaopen_base, luaopen_package, luaopen_coroutine, luaopen_table, luaopen_io,
      luaopen_os,   luaopen_string,  luaopen_math,      luaopen_utf8,  luaopen_debug};
  const char *module, *field;
  if (gr_names_stock(f, &module, &field)) return true;
  for (size_t i = 0; i < sizeof opens / sizeof *opens; i++)
    if (opens[i] == f) return true;
  for (int i = 0; i < nmethods; i++)
    if (methods[i] == f) return true;
  return false;
}

/* Between finding and asking nothing can move: no other Lua code of this state runs. */
static lua_CFunction maker(lua_State *L) {
  lua_Debug ar;
  if (!lua_getstack(L, 0, &ar) || !lua_getinfo(L, "f", &ar)) return NULL;
  lua_CFunction f = lua_tocfunction(L, -1);
  lua_pop(L, 1);
  return f;
}

/* Where no thread is known to run (a __close while the pool ends) it may be anybody's. */
void gr_foreign_userdata(GrHeap *h) {
  bool own = gr_own_userdata_next;
  gr_own_userdata_next = false; /* the call may raise */
  if (own || h->finalizers) return;
  lua_CFunction f = h->running != NULL ? maker(h->running) : NULL;
  h->finalizers = f == NULL || !(is_ours(f) || is_stock(f));
}

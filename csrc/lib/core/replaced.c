/* SPDX-License-Identifier: MIT */
/* replaced.c - puts our versions of standard functions in place, and ends the process for os.exit.
 *
 * A goroutine's state is new, so our versions simply replace the stock functions. In a program's
 * own state, the program may have replaced a function already (a test framework's print). Such a
 * function stays. To know the stock functions, we look them up once, in a state that is made for
 * this purpose.
 *
 * os.exit calls exit() and not _exit(), like the stock function: the buffered output of all files
 * is written, and the functions that other libraries have registered run. Before that, os.exit
 * takes the steps of sched/exit.c. The first call ends the process, whether the main script or a
 * goroutine makes it. A later caller waits for the end; a goroutine waits in a blocking region. */
#include "lib/core/replaced.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lualib.h>

#include "lib/core/lib.h"
#include "heap/foreign.h"
#include "run/coroutine.h"
#include "run/hook.h"
#include "run/loader.h"
#include "run/program.h"
#include "heap/modules.h"
#include "heap/names.h"
#include "run/protect.h"

/* ---- os.exit ---- */

static int exit_status(lua_State *L) {
  if (lua_isboolean(L, 1)) return lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
  return (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
}

/* exit([code [, close]]) in a goroutine; does not return. The pool may have begun to end just
 * before. Then the script has ended first, and this call only ends its goroutine. */
static int go_exit(lua_State *L) {
  int status = exit_status(L);
  GrState *st = gr_state(L);
  bool forked = atomic_load(&gr_forked), first = forked || gr_exit_claim();
  if (first && !forked && gr_sched_stopping()) {
    gr_exit_unclaim();
    return gr_goexit(L, st);
  }
  if (!first) {
    gr_block_begin(st->g);
    gr_exit_hold();
  }
  if (lua_toboolean(L, 2)) {
    st->chain_ok = false; /* a finalizer that waits must not yield out of lua_close */
    G *g = st->g;
    st->heap.running = NULL;
    g->data = NULL; /* pre-emption and dumps read g->data */
    lua_close(st->L);
    gr_block_begin(g);
  } else {
    gr_block_begin(st->g);
  }
  atomic_store(&gr_exit_by_user, true);
  gr_exit_prepare(GR_EXIT_GRACE_NS);
  exit(status);
}

static lua_CFunction stock_exit;

/* exit([code [, close]]) in a program's own state; does not return */
static int host_exit(lua_State *L) {
  exit_status(L); /* a wrong argument raises here, before anything has ended */
  if (!atomic_load(&gr_forked)) {
    while (!gr_exit_claim()) gr_exit_await();
    if (!lua_toboolean(L, 2))
      gr_exit_prepare(GR_EXIT_GRACE_NS); /* else the close of the state does it */
  }
  atomic_store(&gr_exit_by_user, true);
  return stock_exit(L);
}

/* ---- functions that make finalizers ---- */

/* setmetatable(table, metatable or nil) -> table. Like the other functions here, it notes in the
 * heap that there may be finalizers: a state in which no finalizer was ever made is dropped in one
 * piece (run/life.c). */
static int go_setmetatable(lua_State *L) {
  int type = lua_type(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
    return luaL_error(L, "cannot change a protected metatable");
  if (type == LUA_TTABLE) gr_heap_note_gc(L, 2);
  lua_settop(L, 2);
  lua_setmetatable(L, 1);
  return 1;
}

/* Notes that there may be finalizers, and calls the stock function in our own frame, so that its
 * error messages name it as ever. This works because a stock function has no upvalues. */
#define MAKES_FINALIZERS(name) \
  static lua_CFunction stock_##name; \
  static int go_##name(lua_State *L) { \
    gr_heap_own(L)->finalizers = true; \
    return stock_##name(L); \
  }
MAKES_FINALIZERS(open)
MAKES_FINALIZERS(tmpfile)
MAKES_FINALIZERS(lines)
MAKES_FINALIZERS(input)
MAKES_FINALIZERS(output)
MAKES_FINALIZERS(debug_setmetatable)

/* ---- os.setlocale ---- */

static lua_CFunction stock_setlocale;

/* setlocale([locale [, category]]) in a goroutine -> the current locale; raises when a locale is
 * given. The locale belongs to the whole process. Other threads format and read numbers by it at
 * any moment, and the C library forbids a change beside them. */
static int go_setlocale(lua_State *L) {
  if (lua_isstring(L, 1))
    return luaL_error(L, "a goroutine cannot set the locale, which is the whole process's (set it "
                         "in the main script, before goroutines are started)");
  return stock_setlocale(L);
}

/* ---- the table of replacements ---- */

typedef struct Replacement {
  const char *module, *field; /* module NULL: the function is a method of files */
  lua_CFunction go, host;     /* host NULL: a program's own state keeps the stock function */
  lua_CFunction stock;        /* the stock function, looked up at the start */
  lua_CFunction *wrapped;     /* or NULL. Where our function finds the stock function to call */
} Replacement;

static Replacement replacements[] = {
    {"_G", "print", gr_stdio_print, gr_stdio_print, NULL, NULL},
    {"_G", "setmetatable", go_setmetatable, NULL, NULL, NULL},
    {"debug", "setmetatable", go_debug_setmetatable, NULL, NULL, &stock_debug_setmetatable},
    {"io", "write", gr_stdio_io_write, gr_stdio_io_write, NULL, NULL},
    {NULL, "write", gr_stdio_file_write, gr_stdio_file_write, NULL, NULL},
    {"io", "flush", gr_stdio_io_flush, NULL, NULL, &gr_stdio_stock_io_flush},
    {NULL, "flush", gr_stdio_file_flush, NULL, NULL, &gr_stdio_stock_file_flush},
    {"io", "popen", gr_shell_popen, gr_shell_popen, NULL, NULL},
    {"io", "open", go_open, NULL, NULL, &stock_open},
    {"io", "tmpfile", go_tmpfile, NULL, NULL, &stock_tmpfile},
    {"io", "lines", go_lines, NULL, NULL, &stock_lines},
    {"io", "input", go_input, NULL, NULL, &stock_input},
    {"io", "output", go_output, NULL, NULL, &stock_output},
    {"os", "execute", gr_shell_execute, gr_shell_host_execute, NULL, NULL},
    {"os", "setlocale", go_setlocale, NULL, NULL, &stock_setlocale},
    {"os", "exit", go_exit, host_exit, NULL, &stock_exit},
    {"package", "loadlib", gr_loader_loadlib, gr_loader_loadlib, NULL, &gr_loader_stock_loadlib},
};

#define each(r) \
  (Replacement *r = replacements; r < replacements + sizeof replacements / sizeof *replacements; \
   r++)

/* Pushes the table that holds the function. If the program has replaced the table itself, the value
 * may be of another type. */
static void push_holder(lua_State *L, const Replacement *r) {
  if (r->module != NULL) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushstring(L, r->module);
  } else {
    luaL_getmetatable(L, LUA_FILEHANDLE);
    lua_pushliteral(L, "__index");
  }
  if (lua_istable(L, -2)) lua_rawget(L, -2);
  lua_remove(L, -2);
}

static void put(lua_State *L, GrHeap *h, const Replacement *r, lua_CFunction f) {
  lua_pushstring(L, r->field);
  gr_heap_push(L, h, f);
  if (gr_heap_is_host(h)) gr_modules_keep(L, f);
  lua_rawset(L, -3);
}

static lua_CFunction current(lua_State *L, const Replacement *r) {
  lua_pushstring(L, r->field);
  lua_rawget(L, -2);
  lua_CFunction f = lua_tocfunction(L, -1);
  lua_pop(L, 1);
  return f;
}

/* Seeds math.random. Two goroutines must not get the same numbers, and Lua's own seed is only an
 * address and the time in seconds. */
static void seed_random(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_MATHLIBNAME);
  lua_getfield(L, -1, "randomseed");
  lua_pushinteger(L, (lua_Integer)gr_rand_seed());
  lua_pushinteger(L, (lua_Integer)gr_rand_seed());
  lua_call(L, 2, 0);
  lua_pop(L, 2);
}

/* Lua's loadlib.c unloads the C libraries of a state when the state closes. Functions and objects
 * of these libraries may live on in other states, so this takes the unloading away. */
static void keep_libraries(lua_State *L) {
  if (lua_getfield(L, LUA_REGISTRYINDEX, "_CLIBS") == LUA_TTABLE && lua_getmetatable(L, -1)) {
    lua_pushnil(L);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

void gr_replaced_open(lua_State *L, GrHeap *h, const char *module) {
  if (strcmp(module, LUA_GNAME) == 0) gr_protect_open(L, h);
  if (strcmp(module, LUA_COLIBNAME) == 0) gr_coroutine_open(L, h);
  if (strcmp(module, LUA_DBLIBNAME) == 0) gr_hook_open(L, h);
  for each (r) {
    if (strcmp(module, r->module != NULL ? r->module : LUA_IOLIBNAME) != 0) continue;
    push_holder(L, r);
    put(L, h, r, r->go);
    lua_pop(L, 1);
  }
  if (strcmp(module, LUA_MATHLIBNAME) == 0) seed_random(L);
  if (strcmp(module, LUA_LOADLIBNAME) != 0) return;
  keep_libraries(L);
  gr_loader_open(L);
  gr_capi_open(L);
}

void gr_replaced_open_host(lua_State *L, GrHeap *h) {
  keep_libraries(L);
  for each (r) {
    if (r->host == NULL || r->stock == NULL) continue;
    push_holder(L, r);
    if (lua_istable(L, -1) && current(L, r) == r->stock) put(L, h, r, r->host);
    lua_pop(L, 1);
  }
  gr_loader_open_host(L);
}

static int find_stock(lua_State *L) {
  luaL_openlibs(L);
  for each (r) {
    push_holder(L, r);
    r->stock = current(L, r);
    if (r->wrapped != NULL) *r->wrapped = r->stock;
    lua_pop(L, 1);
  }
  luaL_getmetatable(L, LUA_FILEHANDLE);
  gr_foreign_not(L);
  lua_getfield(L, -1, "__index");
  gr_foreign_not(L);
  gr_loader_stock(L);
  return 0;
}

/* Without memory for the state in which the stock functions are looked up, no function counts as
 * stock, and hosts keep all their functions. */
void gr_replaced_names(void) {
  lua_State *L = luaL_newstate();
  if (L != NULL) {
    lua_pushcfunction(L, find_stock);
    lua_pcall(L, 0, 0, 0);
    lua_close(L);
  }
  for each (r) {
    if (r->module == NULL) continue;
    gr_names_alias(r->go, r->module, r->field);
    if (r->host != NULL) gr_names_alias_in_hosts(r->host, r->module, r->field);
  }
  gr_loader_names();
}

/* SPDX-License-Identifier: MIT */
/* modules.c - values that are not copied: the receiver finds its own by the name of a module.
 *
 * An index in each state, from value to {module, field}, tells what loaded modules own. It is made
 * by a walk over package.loaded, and made anew when modules have come or gone. A hit counts only if
 * the module still has that value there. So a field that a program added later is copied like any
 * function, as it must be: the receiver's module would not have it.
 *
 * A stock function (names.h) arrives as what the receiver's state had under that name when it was
 * new. In general that is still there. Where the program has put another function, the standard one
 * is made from its address.
 *
 * A module counts only if the receiver's require could find it. The sender's searchers are asked,
 * since a program may have put a table into package.loaded by hand. */
#include "heap/modules.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "base/hash.h"
#include "heap/heap.h"
#include "heap/names.h"
#include "heap/raise.h"

static const char index_key, sum_key, held_key; /* registry */

/* index[module] = {name}; the module is at the top, its name below. */
static void index_itself(lua_State *L, int index) {
  int module = lua_gettop(L);
  if (!lua_istable(L, module) && !lua_isfunction(L, module)) return;
  gr_check_stack(L, 10);
  lua_pushvalue(L, module);
  if (lua_rawget(L, index) ==
      LUA_TTABLE) { /* loaded under two names: the shorter one is more likely to load all of it */
    lua_rawgeti(L, -1, 1);
    size_t known = lua_rawlen(L, -1);
    lua_settop(L, module);
    if (known <= lua_rawlen(L, module - 1)) return;
  }
  lua_settop(L, module);
  lua_pushvalue(L, module);
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, module - 1);
  lua_rawseti(L, -2, 1);
  lua_rawset(L, index);
}

/* index[value] = {name, field} for its functions and tables. */
static void index_fields(lua_State *L, int index) {
  int module = lua_gettop(L);
  if (!lua_istable(L, module)) return;
  lua_pushvalue(L, module);
  lua_rawget(L, index);
  lua_rawgeti(L, -1, 1);
  bool by_this_name =
      lua_rawequal(L, -1, module - 1); /* and not by another under which it is loaded too */
  lua_settop(L, module);
  if (!by_this_name) return;
  for (lua_pushnil(L); lua_next(L, module) != 0; lua_settop(L, module + 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || (!lua_isfunction(L, -1) && !lua_istable(L, -1))) continue;
    lua_pushvalue(L, -1);
    bool known = lua_rawget(L, index) != LUA_TNIL;
    lua_pop(L, 1);
    if (known) continue;
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, module - 1);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, module + 1);
    lua_rawseti(L, -2, 2);
    lua_rawset(L, index);
    lua_settop(L, module + 1);
  }
}

/* A number that changes when a module comes, goes or is another. */
static lua_Integer sum_of_loaded(lua_State *L, int loaded) {
  uint64_t sum = 0;
  for (lua_pushnil(L); lua_next(L, loaded) != 0; lua_pop(L, 1)) {
    uint64_t name = (uintptr_t)lua_topointer(L, -2), value = (uintptr_t)lua_topointer(L, -1);
    sum += gr_hash_word(gr_hash_word(0, name), value);
  }
  return (lua_Integer)(sum | 1);
}

/* Until the index is made anew, modules that went stay in memory: another one at the same address
 * would give the same sum. */
static void hold_loaded(lua_State *L, int loaded) {
  lua_newtable(L);
  int held = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, loaded) != 0;)
    lua_rawseti(L, held, (lua_Integer)lua_rawlen(L, held) + 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &held_key);
}

void gr_modules_push_index(lua_State *L, bool fresh) {
  if (fresh) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &index_key);
    return;
  }
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  int loaded = lua_gettop(L);
  lua_Integer n = sum_of_loaded(L, loaded);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &sum_key);
  fresh = lua_tointeger(L, -1) == n;
  lua_pop(L, 1);
  if (fresh && lua_rawgetp(L, LUA_REGISTRYINDEX, &index_key) == LUA_TTABLE) {
    lua_remove(L, loaded);
    return;
  }
  lua_settop(L, loaded);
  hold_loaded(L, loaded);
  lua_newtable(L);
  int index = lua_gettop(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, index);
  for (lua_pushnil(L); lua_next(L, loaded) != 0;
       lua_settop(L, index + 1)) /* a module is itself before it is another's field */
    if (lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), "_G") != 0)
      index_itself(L, index);
  for (lua_pushnil(L); lua_next(L, loaded) != 0; lua_settop(L, index + 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    const char *name = lua_tostring(L, -2);
    if (strcmp(name, "_G") == 0) continue;
    if (!gr_names_is_stdlib(name))
      index_fields(
          L,
          index); /* stock functions are known by their addresses, and added fields do not count */
  }
  lua_pushvalue(L, index);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &index_key);
  lua_pushinteger(L, n);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &sum_key);
  lua_remove(L, loaded);
}

/* ---- what a receiver's require could find ---- */

/* registry: a table of what was asked for: true, or the time in ns until which it counts as not
 * found, as long as package.path, cpath and the number of searchers are what they were then. */
static const char findable_key;
enum { ASKED_PATH = 1, ASKED_CPATH, ASKED_SEARCHERS };

static int call_searcher(lua_State *L) {
  lua_call(L, 1, 1);
  return 1;
}

/* Does the searcher on top find the module? A searcher that raises does not. It is popped. */
static bool searcher_finds(lua_State *L, const char *module) {
  lua_pushcfunction(L, call_searcher);
  lua_insert(L, -2);
  lua_pushstring(L, module);
  bool found = lua_pcall(L, 2, 1, 0) == LUA_OK && lua_isfunction(L, -1);
  lua_pop(L, 1);
  return found;
}

/* Asks for the file alone, since the stock searcher for Lua modules would compile it. */
static bool has_lua_file(lua_State *L, int package, const char *module) {
  lua_getfield(L, package, "searchpath");
  lua_pushstring(L, module);
  lua_getfield(L, package, "path");
  bool found = lua_pcall(L, 2, 1, 0) == LUA_OK && lua_isstring(L, -1);
  lua_pop(L, 1);
  return found;
}

/* The stock searchers for C modules are called: they look for the luaopen_* function too, and that
 * there is a library which may have it says nothing. */
static bool some_searcher_finds(lua_State *L, int package, const char *module) {
  enum { LUA_FILES = 2 };
  lua_getfield(L, package, "searchers");
  int searchers_at = lua_gettop(L);
  lua_Integer n = lua_istable(L, searchers_at) ? (lua_Integer)lua_rawlen(L, searchers_at) : 0;
  bool found = false;
  for (lua_Integer i = 1; i <= n && !found; i++) {
    lua_rawgeti(L, searchers_at, i);
    if (gr_names_stock_searcher(lua_tocfunction(L, -1)) != LUA_FILES) {
      found = searcher_finds(L, module);
    } else {
      lua_pop(L, 1);
      found = has_lua_file(L, package, module);
    }
  }
  lua_pop(L, 1);
  return found;
}

/* Without a free descriptor no searcher finds anything, so that it found nothing says nothing. */
static bool has_free_descriptor(void) {
  int fd = open("/", O_PATH | O_CLOEXEC);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

/* Pushes what a "not found" depends on. */
static void push_circumstances(lua_State *L, int package) {
  lua_getfield(L, package, "path");
  lua_getfield(L, package, "cpath");
  lua_getfield(L, package, "searchers");
  lua_pushinteger(L, lua_istable(L, -1) ? (lua_Integer)lua_rawlen(L, -1) : -1);
  lua_replace(L, -2);
}

/* The answer for the module is on top: is it "not found", and still to be believed? */
static bool still_not_found(lua_State *L, int asked, int package) {
  int top = lua_gettop(L);
  if (!lua_isinteger(L, top) || lua_tointeger(L, top) < (lua_Integer)gr_now_ns()) return false;
  push_circumstances(L, package);
  bool same = true;
  for (int i = ASKED_PATH; i <= ASKED_SEARCHERS && same; i++) {
    lua_rawgeti(L, asked, i);
    same = lua_rawequal(L, -1, top + i);
    lua_pop(L, 1);
  }
  lua_settop(L, top);
  return same;
}

static void remember(lua_State *L, int asked, int package, const char *module, bool found) {
  enum { BELIEVED_NS = 1000000000 };
  if (found) {
    lua_pushboolean(L, 1);
  } else {
    push_circumstances(L, package);
    for (int i = ASKED_SEARCHERS; i >= ASKED_PATH; i--) lua_rawseti(L, asked, i);
    lua_pushinteger(L, (lua_Integer)(gr_now_ns() + BELIEVED_NS));
  }
  lua_setfield(L, asked, module);
}

static bool ask(lua_State *L, int asked, int package, const char *module) {
  remember(L, asked, package, module, false); /* for a searcher that sends something of it */
  bool found = some_searcher_finds(L, package, module);
  if (!found && !has_free_descriptor()) {
    lua_pushnil(L);
    lua_setfield(L, asked, module);
    return false;
  }
  remember(L, asked, package, module, found);
  return found;
}

/* Could the receiver's require find the module? The searchers are asked, as `require` would, once
 * for each module that is found. What is not found is asked for again after a second, or when
 * package.path or so is another: there may be a file now. */
static bool findable(lua_State *L, const char *module) {
  if (gr_names_is_stdlib(module) || gr_names_own_open(module) != NULL) return true;
  int top = lua_gettop(L), asked = top + 1, package = top + 2;
  gr_check_stack(L, 12);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &findable_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &findable_key);
  }
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, package, LUA_LOADLIBNAME);
  lua_replace(L, package);
  bool found = false;
  if (lua_istable(L, package)) {
    lua_getfield(L, asked, module);
    found = lua_isboolean(L, -1) ||
            (!still_not_found(L, asked, package) && ask(L, asked, package, module));
  }
  lua_settop(L, top);
  return found;
}

/* {module, field} is at the top: is the value at idx still there? */
static bool still_there(lua_State *L, int idx) {
  int entry = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_rawgeti(L, entry, 1);
  lua_rawget(L, -2);
  if (lua_rawgeti(L, entry, 2) == LUA_TNIL) lua_pop(L, 1);
  else if (lua_istable(L, -2)) lua_rawget(L, -2);
  bool same = lua_rawequal(L, -1, idx);
  lua_settop(L, entry);
  return same;
}

bool gr_modules_find(lua_State *L, int idx, int index) {
  int top = lua_gettop(L);
  lua_pushvalue(L, idx);
  if (lua_rawget(L, index) != LUA_TNIL && still_there(L, idx)) {
    lua_rawgeti(L, top + 1, 1);
    if (findable(L, lua_tostring(L, -1))) {
      lua_rawgeti(L, top + 1, 2);
      lua_remove(L, top + 1);
      return true;
    }
  }
  lua_settop(L, top);
  return false;
}

/* ---- the standard library's functions ---- */

bool gr_modules_is_standard(lua_State *L, int idx, const char *name) {
  const char *module, *field;
  idx = lua_absindex(L, idx);
  if (lua_iscfunction(L, idx))
    return gr_names_stock(lua_tocfunction(L, idx), &module, &field) && strcmp(module, "_G") == 0 &&
           strcmp(field, name) == 0;
  if (lua_istable(L, idx) && gr_names_is_stdlib(name)) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, name);
    bool same = lua_rawequal(L, -1, idx);
    lua_pop(L, 2);
    return same;
  }
  return lua_type(L, idx) == LUA_TSTRING && strcmp(name, "_VERSION") == 0 &&
         strcmp(lua_tostring(L, idx), LUA_VERSION) == 0;
}

void gr_modules_keep(lua_State *L, lua_CFunction ours) {
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, (void *)(uintptr_t)ours);
}

/* Is the value on top some state's module.field? */
static bool is_named(lua_State *L, const char *module, const char *field) {
  const char *its_module, *its_field;
  return lua_iscfunction(L, -1) &&
         gr_names_stock(lua_tocfunction(L, -1), &its_module, &its_field) &&
         strcmp(its_module, module) == 0 && strcmp(its_field, field) == 0;
}

/* Pushes the standard function of this state. False: the program has put something else there, and
 * the function cannot be made again; nothing was pushed. */
static bool push_standard(lua_State *L, const char *module, const char *field) {
  int top = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, module) == LUA_TTABLE) {
    lua_pushstring(L, field);
    lua_rawget(L, -2);
    if (is_named(L, module, field)) {
      lua_replace(L, top + 1);
      lua_settop(L, top + 1);
      return true;
    }
  }
  lua_settop(L, top);
  bool ours = false;
  GrHeap *h = gr_heap_find(L);
  lua_CFunction f = gr_names_standard(module, field, h == NULL || gr_heap_is_host(h), &ours);
  if (f == NULL) return false;
  if (ours && h != NULL) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, (void *)(uintptr_t)f) == LUA_TFUNCTION) return true;
    lua_pop(L, 1);
    gr_heap_push(L, h, f);
  } else {
    lua_pushcfunction(L, f);
  }
  return true;
}

/* ---- what came by name ---- */

bool gr_modules_push_own(lua_State *L, const char *name) {
  lua_CFunction open = gr_names_own_open(name);
  if (open == NULL) return false;
  gr_check_stack(L, 5);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, name) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name);
    GrHeap *h = gr_heap_find(L);
    if (h != NULL) h->indexed = false;
  }
  lua_remove(L, -2);
  return true;
}

static void push_required(lua_State *L, const char *module) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, module) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_getfield(L, -1, "_G");
    lua_getfield(L, -1, "require");
    lua_remove(L, -2);
    lua_pushstring(L, module);
    lua_call(L, 1, 1);
  }
  lua_remove(L, -2);
}

void gr_modules_push(lua_State *L, const char *module, const char *field) {
  gr_check_stack(L, 6);
  if (field != NULL && gr_names_is_stdlib(module) && push_standard(L, module, field)) return;
  if (!gr_modules_push_own(L, module)) push_required(L, module);
  if (field == NULL) return;
  if (lua_istable(L, -1)) {
    lua_pushstring(L, field);
    lua_rawget(L, -2);
    lua_remove(L, -2);
  }
  if (lua_isnil(L, -1))
    luaL_error(L, "cannot receive '%s' of module '%s': the module has no such field here", field,
               module);
}

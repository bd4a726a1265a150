/* SPDX-License-Identifier: MIT */
/* names.c - which values are not copied but found again in the receiver, by a name.
 *
 * Stock functions are the same C functions in every state, so one table for the process, keyed by
 * lua_tocfunction, tells their names; goro's replacements are entered under the name of what they
 * replace. What other modules own is found through an index in each state, from value to {module,
 * field}, made by walking package.loaded. It is made anew when modules have come or gone, and a hit
 * counts only if the module still has that value there: so a field that was added later is copied
 * like any function, as it must be, since the receiver's module would not have it.
 *
 * A stock function arrives as what the receiver's state had under that name when it was new. That
 * is in general still there; where the program has put another one, the standard one is made from
 * its address. A module counts only if the receiver's require could find it: the sender's searchers
 * are asked, since a table may have been put into package.loaded by hand. */
#include "heap/names.h"
#include "heap/heap.h"
#include "heap/raise.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

enum { SLOTS = 1024, NATIVES = 256, FIELD_MAX = 24, OWN_MODULES = 24 };

/* Whose function it is: a bit for each. Lua's own, or what goro puts in its place. */
enum { OF_LUA = 1, OF_GOROUTINES = 2, OF_HOSTS = 4, HAS_UPVALUES = 8 };

typedef struct Stock {
  lua_CFunction f;
  char module[FIELD_MAX], field[FIELD_MAX];
  uint8_t whose;
} Stock;

static Stock stock[SLOTS]; /* open addressing; written at start only */
static int nstock;
static lua_CFunction natives[NATIVES];
static int nnatives;
static luaL_Reg own_modules[OWN_MODULES + 1];
static int nown_modules;
static lua_CFunction searchers[GR_SEARCHERS], our_searchers[GR_SEARCHERS];

static const char index_key, sum_key, held_key; /* registry */

static size_t slot_of(lua_CFunction f) {
  uintptr_t word = (uintptr_t)f;
  return (size_t)((word * 0x9e3779b97f4a7c15ULL) >> 40) % SLOTS;
}

/* The same function under two names (unpack and the like) is known by the first. */
static void enter(lua_CFunction f, const char *module, const char *field, uint8_t whose) {
  size_t at = slot_of(f);
  while (stock[at].f != NULL && stock[at].f != f) at = (at + 1) % SLOTS;
  if (stock[at].f != NULL) {
    stock[at].whose |= whose;
    return;
  }
  if (++nstock > SLOTS / 2 || strlen(module) >= FIELD_MAX || strlen(field) >= FIELD_MAX)
    gr_throw("the table of stock functions is too small");
  stock[at].f = f;
  stock[at].whose = whose;
  strcpy(stock[at].module, module);
  strcpy(stock[at].field, field);
}

void gr_names_alias(lua_CFunction ours, const char *module, const char *field) {
  enter(ours, module, field, OF_GOROUTINES);
}

void gr_names_alias_in_hosts(lua_CFunction ours, const char *module, const char *field) {
  enter(ours, module, field, OF_HOSTS);
}

void gr_names_keep(lua_State *L, lua_CFunction ours) {
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, (void *)(uintptr_t)ours);
}

bool gr_names_stock(lua_CFunction f, const char **module, const char **field) {
  for (size_t at = slot_of(f); stock[at].f != NULL; at = (at + 1) % SLOTS) {
    if (stock[at].f != f) continue;
    *module = stock[at].module;
    *field = stock[at].field;
    return true;
  }
  return false;
}

void gr_names_native(lua_CFunction f) {
  if (nnatives == NATIVES) gr_throw("the table of native functions is too small");
  natives[nnatives++] = f;
}

int gr_names_native_index(lua_CFunction f) {
  for (int i = 0; i < nnatives; i++)
    if (natives[i] == f) return i;
  return -1;
}

lua_CFunction gr_names_native_at(int index) { return natives[index]; }

#ifdef GORO_HOSTILE
bool gr_names_is_native(uint32_t index) { return index < (uint32_t)nnatives; }
#endif

void gr_names_own_module(const char *name, lua_CFunction open) {
  if (nown_modules == OWN_MODULES) gr_throw("the table of own modules is too small");
  own_modules[nown_modules++] = (luaL_Reg){name, open};
}

lua_CFunction gr_names_own_open(const char *name) {
  if (strncmp(name, "goro", 4) != 0) return NULL; /* which tells most others apart */
  const luaL_Reg *m = own_modules;
  while (m->name != NULL && strcmp(m->name, name) != 0) m++;
  return m->func;
}

bool gr_names_push_own(lua_State *L, const char *name) {
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

bool gr_names_is_stdlib(const char *module) {
  static const char *const libs[] = {"_G",     "package", "coroutine", "table", "io", "os",
                                     "string", "math",    "utf8",      "debug", NULL};
  for (int i = 0; libs[i] != NULL; i++)
    if (strcmp(libs[i], module) == 0) return true;
  return false;
}

/* ---- the standard library of a fresh state ---- */

static char *stock_paths[2];

bool gr_names_is_stock_path(const char *path, int which) {
  return path != NULL && stock_paths[which] != NULL && strcmp(path, stock_paths[which]) == 0;
}

static int read_stock(lua_State *L) {
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
    const char *module = lua_tostring(L, 2);
    for (lua_pushnil(L); lua_next(L, 3) != 0; lua_pop(L, 1))
      if (lua_iscfunction(L, 5) && lua_type(L, 4) == LUA_TSTRING) {
        bool closure = lua_getupvalue(L, 5, 1) != NULL;
        lua_settop(L, 5);
        enter(lua_tocfunction(L, 5), module, lua_tostring(L, 4),
              closure ? OF_LUA | HAS_UPVALUES : OF_LUA);
      }
  }
  lua_getfield(L, 1, "package");
  for (int i = 0; i < 2; i++, lua_pop(L, 1)) {
    size_t len;
    lua_getfield(L, -1, i == 0 ? "path" : "cpath");
    const char *path = lua_tolstring(L, -1, &len);
    stock_paths[i] = gr_malloc(len + 1);
    if (stock_paths[i] != NULL) memcpy(stock_paths[i], path, len + 1);
  }
  lua_getfield(L, -1, "searchers");
  for (int i = 0; i < GR_SEARCHERS; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, -1, i + 1);
    searchers[i] = lua_tocfunction(L, -1);
  }
  return 0;
}

int gr_names_stock_searcher(lua_CFunction f) {
  for (int i = 0; i < GR_SEARCHERS; i++)
    if (f != NULL && (searchers[i] == f || our_searchers[i] == f)) return i + 1;
  return 0;
}

void gr_names_searcher(lua_CFunction ours, int number) { our_searchers[number - 1] = ours; }

bool gr_names_init(void) {
  lua_State *L = luaL_newstate();
  if (L == NULL) return false;
  lua_pushcfunction(L, read_stock);
  bool ok = lua_pcall(L, 0, 0, 0) == LUA_OK;
  lua_close(L);
  return ok;
}

bool gr_names_is_standard(lua_State *L, int idx, const char *name) {
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

/* ---- modules of one state ---- */

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
    sum += (value ^ name * 0xbf58476d1ce4e5b9ULL) * 0x9e3779b97f4a7c15ULL;
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

void gr_names_push_index(lua_State *L, bool fresh) {
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

/* Does the searcher on top, which is popped, find the module? One that raises does not. */
static bool searcher_finds(lua_State *L, const char *module) {
  lua_pushcfunction(L, call_searcher);
  lua_insert(L, -2);
  lua_pushstring(L, module);
  bool found = lua_pcall(L, 2, 1, 0) == LUA_OK && lua_isfunction(L, -1);
  lua_pop(L, 1);
  return found;
}

/* As the stock searcher for Lua modules, which would compile the file. */
static bool has_lua_file(lua_State *L, int package, const char *module) {
  lua_getfield(L, package, "searchpath");
  lua_pushstring(L, module);
  lua_getfield(L, package, "path");
  bool found = lua_pcall(L, 2, 1, 0) == LUA_OK && lua_isstring(L, -1);
  lua_pop(L, 1);
  return found;
}

/* The stock searchers for C modules look for the luaopen_* function too: that there is a library
 * which could have it says nothing. */
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

/* Without one nothing is found, and that says nothing. */
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

bool gr_names_find(lua_State *L, int idx, int index) {
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

/* The function that a state has as module.field before a program puts another one there; NULL: it
 * has upvalues, or there is none. Rarely called, so the whole table is looked through. */
static lua_CFunction standard(const char *module, const char *field, bool host, bool *ours) {
  lua_CFunction of_lua = NULL;
  for (const Stock *s = stock; s < stock + SLOTS; s++) {
    if (s->f == NULL || strcmp(s->module, module) != 0 || strcmp(s->field, field) != 0) continue;
    *ours = (s->whose & (host ? OF_HOSTS : OF_GOROUTINES)) != 0;
    if (*ours) return s->f;
    if ((s->whose & (OF_LUA | HAS_UPVALUES)) == OF_LUA) of_lua = s->f;
  }
  return of_lua;
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
  lua_CFunction f = standard(module, field, h == NULL || gr_heap_is_host(h), &ours);
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

void gr_names_push(lua_State *L, const char *module, const char *field) {
  gr_check_stack(L, 6);
  if (field != NULL && gr_names_is_stdlib(module) && push_standard(L, module, field)) return;
  if (!gr_names_push_own(L, module)) push_required(L, module);
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

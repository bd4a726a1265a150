/* SPDX-License-Identifier: MIT */
/* names.c - the functions and modules that are known by the same name in every state.
 *
 * Stock functions are the same C functions in every state. So one table for the process, keyed by
 * lua_tocfunction, tells their names. Goro's replacements are entered under the name of the
 * function that they replace. */
#include "heap/names.h"

#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "base/hash.h"

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

static size_t slot_of(lua_CFunction f) {
  return gr_hash_address((const void *)(uintptr_t)f) % SLOTS;
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

/* Rarely called, so the whole table is looked through. */
lua_CFunction gr_names_standard(const char *module, const char *field, bool host, bool *ours) {
  lua_CFunction of_lua = NULL;
  for (const Stock *s = stock; s < stock + SLOTS; s++) {
    if (s->f == NULL || strcmp(s->module, module) != 0 || strcmp(s->field, field) != 0) continue;
    *ours = (s->whose & (host ? OF_HOSTS : OF_GOROUTINES)) != 0;
    if (*ours) return s->f;
    if ((s->whose & (OF_LUA | HAS_UPVALUES)) == OF_LUA) of_lua = s->f;
  }
  return of_lua;
}

/* SPDX-License-Identifier: MIT */
/* need.c - the standard globals one by one, and the trap that stands for the string library; see
 * need.h. */
#include "heap/need.h"

#include <string.h>

#include <lualib.h>

#include "heap/names.h"
#include "heap/raise.h"

typedef enum Kind {
  BASE,  /* a function of the base library, or _VERSION */
  LIB,   /* a library */
  GORO,  /* goro itself: in package.loaded, no global */
  WHOLE, /* in states that have all */
} Kind;

typedef struct Global {
  const char *name;
  Kind kind;
  bool leads_anywhere;
  lua_CFunction open; /* of a library */
} Global;

/* In the order of opening: package comes first, since all others are put into package.loaded. */
static const Global globals[] = {
    {"package", LIB, true, luaopen_package},
    {"coroutine", LIB, false, luaopen_coroutine},
    {"table", LIB, false, luaopen_table},
    {"io", LIB, false, luaopen_io},
    {"os", LIB, false, luaopen_os},
    {"string", LIB, false, luaopen_string},
    {"math", LIB, false, luaopen_math},
    {"utf8", LIB, false, luaopen_utf8},
    {"debug", LIB, true, luaopen_debug},
    {"goro", GORO, false, NULL},
    {"_G", WHOLE, true, NULL},
    {"require", WHOLE, true, NULL}, /* package opens it */
    {"arg", WHOLE, false, NULL},    /* comes with the message that names it, or is inherited */
    {"assert", BASE, false, NULL},
    {"collectgarbage", BASE, false, NULL},
    {"dofile", BASE, true, NULL},
    {"error", BASE, false, NULL},
    {"getmetatable", BASE, false, NULL},
    {"ipairs", BASE, false, NULL},
    {"load", BASE, true, NULL},
    {"loadfile", BASE, true, NULL},
    {"next", BASE, false, NULL},
    {"pairs", BASE, false, NULL},
    {"pcall", BASE, false, NULL},
    {"print", BASE, false, NULL},
    {"rawequal", BASE, false, NULL},
    {"rawget", BASE, false, NULL},
    {"rawlen", BASE, false, NULL},
    {"rawset", BASE, false, NULL},
    {"select", BASE, false, NULL},
    {"setmetatable", BASE, false, NULL},
    {"tonumber", BASE, false, NULL},
    {"tostring", BASE, false, NULL},
    {"type", BASE, false, NULL},
    {"warn", BASE, false, NULL},
    {"xpcall", BASE, false, NULL},
    {"_VERSION", BASE, false, NULL},
};
enum { GLOBALS = sizeof globals / sizeof *globals, FEW = 6 };

static lua_CFunction base[GLOBALS];

static int find(const char *name, size_t len) {
  for (int i = 0; i < GLOBALS; i++)
    if (strncmp(globals[i].name, name, len) == 0 && globals[i].name[len] == '\0') return i;
  return -1;
}

static GrNeed bit(int i) { return (GrNeed)1 << i; }
static GrNeed named(const char *name) { return bit(find(name, strlen(name))); }

GrNeed gr_need_global(const char *name, size_t len) {
  int i = find(name, len);
  if (i < 0 || globals[i].kind == GORO) return 0;
  if (globals[i].leads_anywhere) return GR_NEED_ALL;
  return strcmp(globals[i].name, "getmetatable") == 0 ? bit(i) | named("string") : bit(i);
}

GrNeed gr_need_method(const char *name, size_t len) {
  static const char *const methods[] = {"byte",  "find", "format",  "gmatch", "gsub",   "lower",
                                        "match", "rep",  "reverse", "sub",    "unpack", "upper"};
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    if (strlen(methods[i]) == len && memcmp(methods[i], name, len) == 0) return named("string");
  return 0;
}

GrNeed gr_need_module(const char *module, const char *field) {
  if (strcmp(module, "_G") == 0 && field != NULL) return gr_need_global(field, strlen(field));
  int i = find(module, strlen(module));
  if (gr_names_own_open(module) != NULL) return named("goro");
  if (i < 0 || globals[i].leads_anywhere || globals[i].kind != LIB) return GR_NEED_ALL;
  return bit(i);
}

GrNeed gr_need_goro(void) { return named("goro"); }

GrNeed gr_need_everyday(void) {
  GrNeed set =
      named("goro") | named("string") | named("table") | named("math") | named("coroutine");
  for (int i = 0; i < GLOBALS; i++)
    if (globals[i].kind == BASE && !globals[i].leads_anywhere) set |= bit(i);
  return set;
}

bool gr_need_is_small(GrNeed missing) {
  if (missing == 0) return true;
  int n = 0;
  for (int i = 0; i < GLOBALS; i++) {
    if (!(missing & bit(i))) continue;
    if (globals[i].kind == LIB || globals[i].leads_anywhere) return false;
    n += globals[i].kind == BASE;
  }
  return n <= FEW;
}

/* ---- opening ---- */

void (*gr_need_adjust)(lua_State *L, GrHeap *h, const char *module);
void (*gr_need_filled)(lua_State *L, GrHeap *h, GrNeed before);

static void open_library(lua_State *L, GrHeap *h, const Global *g) {
  luaL_requiref(L, g->name, g->open, 1);
  lua_pop(L, 1);
  gr_need_adjust(L, h, g->name);
}

static void open_base(lua_State *L, int i) {
  lua_pushglobaltable(L);
  lua_pushstring(L, globals[i].name);
  if (base[i] != NULL) lua_pushcfunction(L, base[i]);
  else lua_pushliteral(L, LUA_VERSION);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void gr_need_open(lua_State *L, GrHeap *h, GrNeed set) {
  if ((set & ~h->have) == 0) return;
  h->indexed = false;
  gr_check_stack(L, 20);
  for (int i = 0; i < GLOBALS; i++) {
    if (!(set & ~h->have & bit(i))) continue;
    if (globals[i].kind == LIB) open_library(L, h, &globals[i]);
    else if (globals[i].kind == BASE) open_base(L, i);
    else if (globals[i].kind == GORO) gr_need_adjust(L, h, "goro");
    else if (strcmp(globals[i].name, "_G") == 0) lua_pushglobaltable(L), lua_setglobal(L, "_G");
    h->have |= bit(i);
  }
  if (set == GR_NEED_ALL) h->have = GR_NEED_ALL;
}

bool gr_need_lacks(lua_State *L, GrNeed need) {
  if (need == 0) return false;
  const GrHeap *h = gr_heap_find(L);
  return h != NULL && !gr_heap_is_host(h) && (need & ~h->have) != 0;
}

void gr_need_fill(lua_State *L, GrNeed need) {
  if (!gr_need_lacks(L, need)) return;
  GrHeap *h = gr_heap_find(L);
  GrNeed before = h->have;
  gr_need_open(L, h, need);
  if (h->have == GR_NEED_ALL) gr_need_filled(L, h, before);
}

/* Notes the base functions as goroutines have them: the stock ones with ours over them. */
static int read_base(lua_State *L) {
  GrHeap *h = lua_touserdata(L, 1);
  luaL_openlibs(L);
  gr_need_adjust(L, h, "_G");
  lua_pushglobaltable(L);
  for (int i = 0; i < GLOBALS; i++) {
    if (globals[i].kind != BASE) continue;
    lua_getfield(L, -1, globals[i].name);
    base[i] = lua_tocfunction(L, -1);
    lua_pop(L, 1);
  }
  return 0;
}

bool gr_need_init(void) {
  static GrHeap nobody;
  lua_State *L = luaL_newstate();
  if (L == NULL) return false;
  lua_pushcfunction(L, read_base);
  lua_pushlightuserdata(L, &nobody);
  bool ok = lua_pcall(L, 1, 0, 0) == LUA_OK;
  lua_close(L);
  return ok;
}

/* ---- the trap ---- */

/* Opens the library; its metatable is on top then. */
static void spring(lua_State *L) {
  gr_need_open(L, gr_heap_own(L), named("string"));
  lua_pushliteral(L, "");
  lua_getmetatable(L, -1);
  lua_remove(L, -2);
}

static int trap_index(lua_State *L) {
  spring(L);
  lua_getfield(L, -1, "__index");
  lua_pushvalue(L, 2);
  lua_gettable(L, -2);
  return 1;
}

/* The stock metamethod is called in our frame, so that its messages have the positions that they
 * would have. */
static int spring_into(lua_State *L, const char *event) {
  spring(L);
  lua_getfield(L, -1, event);
  lua_CFunction f = lua_tocfunction(L, -1);
  lua_pop(L, 2);
  return f(L);
}

#define ARITHMETIC(name) \
  static int trap_##name(lua_State *L) { return spring_into(L, "__" #name); }
ARITHMETIC(add)
ARITHMETIC(sub)
ARITHMETIC(mul)
ARITHMETIC(mod)
ARITHMETIC(pow)
ARITHMETIC(div)
ARITHMETIC(idiv)
ARITHMETIC(unm)

void gr_need_trap(lua_State *L) {
  static const luaL_Reg meta[] = {
      {"__index", trap_index}, {"__add", trap_add}, {"__sub", trap_sub}, {"__mul", trap_mul},
      {"__mod", trap_mod},     {"__pow", trap_pow}, {"__div", trap_div}, {"__idiv", trap_idiv},
      {"__unm", trap_unm},     {NULL, NULL}};
  lua_createtable(L, 0, sizeof meta / sizeof *meta);
  luaL_setfuncs(L, meta, 0);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_pushliteral(L, "");
  lua_pushvalue(L, -2);
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}

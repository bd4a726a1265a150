/* SPDX-License-Identifier: MIT */
/* loader.c - the searchers of package.searchers: one for goro's own modules, which are not looked
 * for; one with a cache of compiled Lua modules; two that let one state at a time open a C module
 * first.
 *
 * Ours are closures over the package table, as the stock searchers are. So the stock functions of
 * loadlib.c can be called in our frames, where they find their upvalue. How they search, what
 * their messages say, and what package.path means remain theirs.
 *
 * Lua modules. A thousand goroutines that require the same file would read and compile it a
 * thousand times. So the cache keeps a dump of the compiled file, under the file's path. Nothing
 * is stripped: positions, names of variables and the name of the source are in it. With the dump
 * goes the file's stamp: device, inode, size, the time of the last modification, and the time of
 * the last change of any kind. Nobody can set the latter back: whoever sets the first time back
 * changes the second. A state that finds the same stamp undumps the function, which is several
 * times cheaper than compiling. Each state has its own function, and runs it. When is a stamp to
 * be trusted?
 *
 *   - The stamps before and after reading must be the same, or the file has changed meanwhile.
 *   - A file may change again within the same tick of the clock from which its system takes times.
 *     With the same size the stamp would not show it (git calls such a file racily clean). So a
 *     file is entered only when its times are past by more than a tick; from then on each change
 *     shows. A tick is GRAIN_NS for a time with a fraction of a second. Whole seconds may come
 *     from a file system that has no fractions (FAT counts two seconds at a time). A time in the
 *     future comes from another machine's clock, and is not trusted.
 *
 * The cache keeps regular files only, no errors, and nothing larger than ENTRY_BYTES; base/lru.h
 * has the rest. Several states that miss at once compile at once: at most as many as there are
 * threads at work, since nothing pre-empts a compiler. To let the others wait would cost more than
 * it saves. Without memory all is as in stock Lua. So it is in a child of fork, where the lock may
 * be anybody's.
 *
 * C modules. dlopen is safe by itself: the C library runs a library's constructors once, and
 * whoever loads the same library meanwhile returns only when they are done. But luaopen_*
 * functions were written for one thread: the first call commonly fills static tables. So until a
 * luaopen_* has succeeded once in this process, the searchers and package.loadlib give a function
 * around it, which calls it with `turn` taken.
 *
 *   - There is one turn for all modules. With one for each library, two goroutines that load A,
 *     which requires B, and B, which requires A, would wait for each other. First loads are rare.
 *     The owner of the turn gets it again, so a luaopen_* may require whatever it likes.
 *   - The turn (turn.h) lies in a to-be-closed variable: an error, goexit and the pool's end give
 *     it back. When it cannot be had, the others go on without it, as in stock Lua.
 *   - A goroutine that waits for the turn keeps its thread, since `require` is C code that cannot
 *     yield; but it gives its place away.
 *
 * Later loads find the function in a list and get it bare, as stock Lua gives it. These functions
 * are replaced in hosts, too, or a host's first load would run into a goroutine's. Two differences
 * show until the first success: the function is a closure, so it cannot be sent; and tracebacks
 * from inside luaopen_* have one more line "[C]: in ?". States that do not use goro cannot be
 * seen. */
#include "run/loader.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <lualib.h>

#include "base/hash.h"
#include "base/lru.h"
#include "heap/names.h"
#include "run/protect.h"
#include "run/turn.h"

enum { PRELOADED = 1, LUA_FILES, C_FILES, C_ROOTS }; /* places in package.searchers */

static lua_CFunction stock_searchpath, stock_searchers[GR_SEARCHERS + 1];
lua_CFunction gr_loader_stock_loadlib;

/* ---- stamps ---- */

typedef struct Stamp {
  dev_t dev;
  ino_t ino;
  off_t size;
  struct timespec modified, changed;
} Stamp;

/* False: it is no regular file. */
static bool stamp_of(const char *path, Stamp *s) {
  struct stat st;
  if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return false;
  *s = (Stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim};
  return true;
}

static bool same_time(const struct timespec *a, const struct timespec *b) {
  return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_stamp(const Stamp *a, const Stamp *b) {
  return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
         same_time(&a->modified, &b->modified) && same_time(&a->changed, &b->changed);
}

static bool is_past(const struct timespec *t, const struct timespec *now) {
  enum { GRAIN_NS = 20000000, COARSE_GRAIN_S = 2 };
  int64_t age_s = (int64_t)now->tv_sec - t->tv_sec;
  if (age_s > COARSE_GRAIN_S) return true;
  return age_s >= 0 && t->tv_nsec != 0 && age_s * 1000000000 + now->tv_nsec - t->tv_nsec > GRAIN_NS;
}

/* Would each change from now on give the file another time? Asks the clock from which Linux takes
 * these times. */
static bool has_settled(const Stamp *s) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return is_past(&s->modified, &now) && is_past(&s->changed, &now);
}

/* ---- the cache ---- */

enum { CACHE_BYTES = 16 << 20, ENTRY_BYTES = 4 << 20 };

typedef struct Entry {
  GrLruEntry lru;
  Stamp stamp;
  char *code;
  size_t size;
  char path[];
} Entry;

static Entry *of(const GrLruEntry *e) { return gr_container_of(e, Entry, lru); }

static bool has_path(const GrLruEntry *e, const void *path) {
  return strcmp(of(e)->path, path) == 0;
}

static void free_entry(GrLruEntry *e) {
  gr_free(of(e)->code);
  gr_free(of(e));
}

static GrLru cache = GR_LRU_INIT(cache, CACHE_BYTES, has_path, NULL, free_entry);

/* The path's entry with a reference, when its stamp is this one. Any other is out of date. */
static Entry *cache_get(const char *path, const Stamp *stamp) {
  GrLruEntry *e = gr_lru_get(&cache, gr_hash_bytes(path, strlen(path)), path);
  if (e == NULL || same_stamp(&of(e)->stamp, stamp)) return e != NULL ? of(e) : NULL;
  gr_lru_remove(&cache, e);
  gr_lru_unref(&cache, e);
  return NULL;
}

typedef struct Dump {
  char *bytes;
  size_t len, room;
} Dump;

/* A lua_Writer: what grows too large, or finds no memory, is not kept. */
static int append(lua_State *L, const void *bytes, size_t n, void *arg) {
  (void)L;
  Dump *d = arg;
  if (d->len + n > ENTRY_BYTES) return 1;
  if (d->len + n > d->room) {
    size_t room = d->room;
    while (room < d->len + n) room *= 2;
    char *more = gr_realloc(d->bytes, room);
    if (more == NULL) return 1;
    d->bytes = more;
    d->room = room;
  }
  memcpy(d->bytes + d->len, bytes, n);
  d->len += n;
  return 0;
}

/* The function on top is what the file at `path` holds. */
static void remember(lua_State *L, const char *path, const Stamp *stamp) {
  enum { FIRST = 1024 };
  size_t len = strlen(path) + 1;
  Dump d = {.bytes = gr_malloc(FIRST), .room = FIRST};
  Entry *e = gr_malloc(sizeof *e + len);
  if (d.bytes == NULL || e == NULL || lua_dump(L, append, &d, 0) != 0) {
    gr_free(d.bytes);
    gr_free(e);
    return;
  }
  char *tight = gr_realloc(d.bytes, d.len);
  *e = (Entry){.stamp = *stamp, .code = tight != NULL ? tight : d.bytes, .size = d.len};
  memcpy(e->path, path, len);
  e->lru.hash = gr_hash_bytes(path, len - 1);
  e->lru.size = sizeof *e + len + d.len;
  gr_lru_unref(&cache, gr_lru_enter(&cache, &e->lru, path));
}

/* ---- Lua modules ---- */

/* As luaL_loadfile. */
static int load_file(lua_State *L, const char *path) {
  Stamp before, after;
  if (atomic_load(&gr_forked) || !stamp_of(path, &before)) return luaL_loadfile(L, path);
  Entry *e = cache_get(path, &before);
  if (e != NULL) {
    int status = luaL_loadbufferx(L, e->code, e->size, path, "b");
    gr_lru_unref(&cache, &e->lru);
    return status;
  }
  bool settled = has_settled(&before);
  int status = luaL_loadfile(L, path);
  if (status == LUA_OK && settled && stamp_of(path, &after) && same_stamp(&before, &after))
    remember(L, path, &before);
  return status;
}

/* package.searchers[2]. What it says are loadlib.c's words. */
static int search_lua_file(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_getfield(L, lua_upvalueindex(1), "path");
  if (lua_tostring(L, 2) == NULL) return luaL_error(L, "'package.path' must be a string");
  if (stock_searchpath(L) != 1) return 1; /* fail, and a text that tells where it looked */
  const char *path = lua_tostring(L, -1);
  int file = lua_gettop(L);
  if (load_file(L, path) != LUA_OK)
    return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", lua_tostring(L, 1),
                      path, lua_tostring(L, -1));
  lua_pushvalue(L, file);
  return 2;
}

/* ---- goro's own modules ---- */

/* package.searchers[1]. What a program has put into package.preload comes first. Nothing has been
 * looked for on disk yet: that would need a descriptor, package.cpath and often the folder that was
 * current when the program began, and it could find another copy of the library. */
static int search_preloaded(lua_State *L) {
  int n = stock_searchers[PRELOADED](L);
  lua_CFunction open = n == 2 ? NULL : gr_names_own_open(lua_tostring(L, 1));
  if (open == NULL) return n;
  lua_pushcfunction(L, open);
  lua_pushliteral(L, ":goro:");
  return 2;
}

/* ---- luaopen_* that have succeeded ---- */

typedef struct Opened {
  lua_CFunction open;
  struct Opened *next;
} Opened;

static Opened
    *_Atomic all_opened; /* they stay: C modules are never unloaded (lib/core/replaced.c) */

static bool is_opened(lua_CFunction open) {
  for (const Opened *o = atomic_load(&all_opened); o != NULL; o = o->next)
    if (o->open == open) return true;
  return false;
}

/* Without memory nothing is noted: the next call of the function counts as a first one, too. */
static void note_opened(lua_CFunction open) {
  Opened *o = is_opened(open) ? NULL : gr_malloc(sizeof *o);
  if (o == NULL) return;
  o->open = open;
  o->next = atomic_load(&all_opened);
  while (!atomic_compare_exchange_weak(&all_opened, &o->next, o)) {}
}

static GrTurn turn = GR_TURN_INIT(turn);

/* ---- C modules ---- */

typedef struct Guard {
  bool inside;
} Guard;

static int leave(lua_State *L) {
  Guard *guard = lua_touserdata(L, 1);
  if (guard == NULL || lua_rawlen(L, 1) != sizeof *guard) return luaL_typeerror(L, 1, "guard");
  if (guard->inside) gr_turn_give(&turn);
  guard->inside = false;
  return 0;
}

static Guard *push_guard(lua_State *L) {
  Guard *guard = lua_newuserdatauv(L, sizeof *guard, 0);
  guard->inside = false;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, leave);
  lua_setfield(L, -2, "__close");
  lua_setmetatable(L, -2);
  return guard;
}

static lua_CFunction wrapped(lua_State *L) { return lua_tocfunction(L, lua_upvalueindex(1)); }

/* Below its results lies the guard, which is closed when we return. */
static int opened(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  note_opened(wrapped(L));
  return lua_gettop(L) - 1;
}

/* Stands for a luaopen_* that has not succeeded yet, which is its upvalue. */
static int open_first(lua_State *L) {
  lua_CFunction open = wrapped(L);
  if (is_opened(open)) return open(L);
  int n = lua_gettop(L);
  Guard *guard = push_guard(L);
  lua_insert(L, 1);
  lua_pushcfunction(L, open);
  lua_insert(L, 2);
  lua_toclose(L, 1);
  int r = gr_turn_take(&turn, gr_state_find(L));
  if (r == GR_ABORTED) return luaL_error(L, "goro is shutting down");
  guard->inside = r == GR_OK;
  if (is_opened(open)) { /* by the one that it waited for */
    if (guard->inside) gr_turn_give(&turn);
    guard->inside = false;
  }
  lua_callk(L, n, LUA_MULTRET, 0, opened);
  return opened(L, LUA_OK, 0);
}

/* The luaopen_* on top of the stack, or what stands for it. */
static void wrap(lua_State *L) {
  if (!is_opened(lua_tocfunction(L, -1))) lua_pushcclosure(L, open_first, 1);
}

static int search_c(lua_State *L, lua_CFunction stock) {
  int n = stock(L);
  if (n != 2) return n;
  lua_insert(L, -2); /* file, luaopen_* */
  wrap(L);
  lua_insert(L, -2);
  return 2;
}

static int search_c_file(lua_State *L) { return search_c(L, stock_searchers[C_FILES]); }
static int search_c_root(lua_State *L) { return search_c(L, stock_searchers[C_ROOTS]); }

/* Other functions of a library are the program's business. */
int gr_loader_loadlib(lua_State *L) {
  int n = gr_loader_stock_loadlib(L);
  if (n == 1 && lua_iscfunction(L, -1) && strncmp(lua_tostring(L, 2), "luaopen_", 8) == 0) wrap(L);
  return n;
}

/* ---- registration ---- */

static const lua_CFunction ours[GR_SEARCHERS + 1] = {[PRELOADED] = search_preloaded,
                                                     [LUA_FILES] = search_lua_file,
                                                     [C_FILES] = search_c_file,
                                                     [C_ROOTS] = search_c_root};

/* Pushes package[field]; nil when the program has changed that much. */
static void push_package_field(lua_State *L, const char *field) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushliteral(L, LUA_LOADLIBNAME);
  if (lua_rawget(L, -2) == LUA_TTABLE) {
    lua_pushstring(L, field);
    lua_rawget(L, -2);
  } else {
    lua_pushnil(L);
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
}

void gr_loader_stock(lua_State *L) {
  push_package_field(L, "searchpath");
  stock_searchpath = lua_tocfunction(L, -1);
  push_package_field(L, "searchers");
  for (int i = PRELOADED; i <= C_ROOTS; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, -1, i);
    stock_searchers[i] = lua_tocfunction(L, -1);
  }
  lua_pop(L, 2);
}

/* Pushes ours for the stock searcher on top, with the same upvalue, the package table. False: it is
 * no stock searcher, or a host keeps it. */
static bool push_ours(lua_State *L, bool host) {
  lua_CFunction f = lua_tocfunction(L, -1);
  for (int i = PRELOADED; f != NULL && i <= C_ROOTS; i++) {
    if ((host && i == LUA_FILES) || f != stock_searchers[i] || lua_getupvalue(L, -1, 1) == NULL)
      continue;
    lua_pushcclosure(L, ours[i], 1);
    return true;
  }
  return false;
}

/* Puts ours over the stock searchers, wherever these stand in package.searchers now. */
static void replace_searchers(lua_State *L, bool host) {
  push_package_field(L, "searchers");
  lua_Integer n = lua_istable(L, -1) ? (lua_Integer)lua_rawlen(L, -1) : 0;
  for (lua_Integer i = 1; i <= n; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, -1, i);
    if (push_ours(L, host)) lua_rawseti(L, -3, i);
  }
  lua_pop(L, 1);
}

void gr_loader_open(lua_State *L) { replace_searchers(L, false); }

void gr_loader_open_host(lua_State *L) { replace_searchers(L, true); }

void gr_loader_names(void) {
  for (int i = PRELOADED; i <= C_ROOTS; i++) gr_names_searcher(ours[i], i);
}

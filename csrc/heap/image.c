/* SPDX-License-Identifier: MIT */
/* image.c - the template, its proof, and clones; see image.h. */
#include "heap/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "base/chunk.h"
#include "heap/need.h"
#include "heap/raise.h"

enum {
  TEMPLATE_BYTES = 256 << 10,
  ROOM = 1472,
  LEAST_ROOM = 1024,
  SEEDS = 4,
  IMAGES = 4,
  FIRST_GC = 48 << 10
};

struct GrImage {
  GrNeed have;
  char *bytes; /* pointers in it count from 0 */
  uint32_t len, slot;
  uint32_t *pointers; /* where they are */
  uint32_t npointers;
  uint32_t main;   /* where the lua_State is */
  uint32_t random; /* where math.random's state is; 0: nowhere */
};
typedef GrImage Image;

static Image images[IMAGES]; /* each has what the one before has, and more */
static char status[128] = "off: not tried";

const char *gr_image_status(void) { return status; }

/* ---- the template ---- */

/* (char **): math.random keeps its state, SEEDS words, in a userdata that is its upvalue. */
static int find_random(lua_State *L) {
  char **found = lua_touserdata(L, 1);
  if (lua_getglobal(L, LUA_MATHLIBNAME) == LUA_TTABLE) {
    lua_getfield(L, -1, "random");
    if (lua_getupvalue(L, -1, 1) != NULL && lua_isuserdata(L, -1) &&
        lua_rawlen(L, -1) == SEEDS * sizeof(uint64_t))
      *found = lua_touserdata(L, -1);
  }
  return 0;
}

/* Raises when a table that can be reached from the value on top has a key that would move. What
 * `visited` knows has been looked at. */
static void check_keys(lua_State *L, int visited) {
  if (!lua_istable(L, -1) && !lua_isfunction(L, -1) && !lua_isuserdata(L, -1)) return;
  gr_check_stack(L, 8);
  bool known = lua_rawgetp(L, visited, lua_topointer(L, -1)) != LUA_TNIL;
  lua_pop(L, 1);
  if (known) return;
  lua_pushboolean(L, 1);
  lua_rawsetp(L, visited, lua_topointer(L, -2));
  if (lua_getmetatable(L, -1)) {
    check_keys(L, visited);
    lua_pop(L, 1);
  }
  for (int i = 1; lua_isfunction(L, -1) && lua_getupvalue(L, -1, i) != NULL; i++) {
    check_keys(L, visited);
    lua_pop(L, 1);
  }
  if (!lua_istable(L, -1)) return;
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    int type = lua_type(L, -2);
    if (type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TUSERDATA || type == LUA_TTHREAD)
      luaL_error(L, "a table has a %s as key", lua_typename(L, type));
    check_keys(L, visited);
    lua_pop(L, 1);
  }
}

/* From the registry, and from the strings' metatable, which is not in it. */
static int check(lua_State *L) {
  lua_settop(L, 0);
  lua_newtable(L);
  lua_pushliteral(L, "");
  if (lua_getmetatable(L, -1)) check_keys(L, 1);
  lua_settop(L, 1);
  lua_pushvalue(L, LUA_REGISTRYINDEX);
  check_keys(L, 1);
  return 0;
}

static bool try(lua_State *L, lua_CFunction f, void *arg, int nresults) {
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, arg);
  return lua_pcall(L, 1, nresults, 0) == LUA_OK;
}

/* As `try`; an error becomes the reason why there are no images. */
static bool call(lua_State *L, lua_CFunction f, void *arg) {
  if (try(L, f, arg, 0)) return true;
  const char *why = lua_tostring(L, -1);
  snprintf(status, sizeof status, "off: %s", why != NULL ? why : "an error");
  lua_pop(L, 1);
  return false;
}

/* A small state would collect garbage at twice its size, again and again. So each state allocates
 * about as much before its first collection as a state with all libraries does. */
static void collect(lua_State *L, const GrArena *a) {
  size_t used = (size_t)(a->bump - (const char *)a), pause = FIRST_GC * 100 / used;
  lua_gc(L, LUA_GCCOLLECT);
  int usual = lua_gc(L, LUA_GCSETPAUSE, (int)(pause < 200 ? 200 : pause < 1000 ? pause : 1000));
  lua_gc(L, LUA_GCCOLLECT);
  lua_gc(L, LUA_GCSETPAUSE, usual);
}

/* A template with the globals `have`. It lies in an arena of its own: to free that is enough. */
static lua_State *build(lua_CFunction open, void *owner, GrNeed have, GrArena **arena) {
  GrArena *a = gr_arena_new(TEMPLATE_BYTES);
  if (a == NULL) return NULL;
  a->sealed = true;
  lua_State *L = lua_newstate(gr_arena_alloc, a);
  if (L != NULL) *(void **)lua_getextraspace(L) = owner;
  if (L == NULL || !call(L, open, &have)) {
    gr_arena_free(a);
    return NULL;
  }
  collect(L, a);
  *arena = a;
  return L;
}

/* Writes where the words are that point into the template, unless `found` is NULL; returns how many
 * there are. The template's end counts as inside, since an empty rest points there. */
static uint32_t find_pointers(const GrArena *a, uint32_t *found) {
  uintptr_t base = (uintptr_t)a;
  size_t len = (size_t)(a->bump - (const char *)a);
  uint32_t n = 0;
  for (size_t at = 0; at < len; at += sizeof(uintptr_t)) {
    uintptr_t word;
    memcpy(&word, (const char *)a + at, sizeof word);
    if (word - base > len) continue;
    if (found != NULL) found[n] = (uint32_t)at;
    n++;
  }
  return n;
}

/* ---- clones ---- */

/* `base` is image->slot bytes, 16-aligned. */
static lua_State *clone_at(const Image *image, char *base, GrArena **arena) {
  memcpy(base, image->bytes, image->len);
  for (const uint32_t *p = image->pointers, *end = p + image->npointers; p < end; p++)
    *(uintptr_t *)(void *)(base + *p) += (uintptr_t)base;
  GrArena *a = (GrArena *)(void *)base;
  a->end = base + image->slot;
  a->first = image->slot;
  a->sealed = false;
  if (image->random != 0) {
    uint64_t seed = gr_rand_seed();
    uint64_t *random = (uint64_t *)(void *)(base + image->random);
    for (int i = 0; i < SEEDS; i++) random[i] = gr_rand(&seed);
    random[0] |= 1; /* all zeros would stay zeros */
  }
  *arena = a;
  return (lua_State *)(void *)(base + image->main);
}

static lua_State *clone(const Image *image, GrArena **arena) {
  char *base = gr_chunk_get(image->slot);
  return base != NULL ? clone_at(image, base, arena) : NULL;
}

/* ---- the proof ---- */

static const char proof[] =
    "local t = {}\n"
    "for i = 1, 60 do t[i] = ('%d:%s'):format(i, ('x'):rep(i % 50)) end\n"
    "table.sort(t)\n"
    "for k, v in pairs(package.loaded) do assert(type(k) == 'string' and type(v) == 'table' and "
    "package.loaded[k] == v, k) end\n"
    "for _, name in ipairs { 'string', 'table', 'math', 'io', 'os', 'coroutine', 'utf8', 'debug' } "
    "do\n"
    "  assert(_G[name] == require(name))\n"
    "  for k, v in pairs(_G[name]) do assert(rawget(_G[name], k) == v) end\n"
    "end\n"
    "assert(load 'return ...'(7) == 7 and select(2, pcall(error, t)) == t)\n"
    "local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end)\n"
    "assert(co(1) == 2 and co(21) == 42)\n"
    "assert(math.random(10) <= 10 and tostring(io.stdout):find '^file' and "
    "getmetatable('').__index == string)\n"
    "assert(#table.concat(t) > 500 and next({}, nil) == nil and os.time() > 0)\n"
    "local weak = setmetatable({}, { __mode = 'k' })\n"
    "for i = 1, 20 do weak[{}] = i end\n"
    "collectgarbage() collectgarbage()\n"
    "assert(next(weak) == nil)\n"
    "collectgarbage 'generational' for i = 1, 50 do t[i] = { i } end collectgarbage() "
    "collectgarbage 'incremental'\n"
    "setmetatable({}, { __gc = function() collected = true end }) collectgarbage()\n"
    "assert(collected)\n";

static int run_proof(lua_State *L) {
  if (luaL_loadbufferx(L, proof, sizeof proof - 1, "=image", "t") != LUA_OK) return lua_error(L);
  lua_call(L, 0, 0);
  return 0;
}

/* What a state without libraries can do: make strings until their table grows, tables, and collect
 * all garbage. */
static int run_small_proof(lua_State *L) {
  lua_settop(L, 0);
  lua_newtable(L);
  for (int i = 1; i <= 300; i++) {
    lua_pushfstring(L, "%d:%f", i, (double)i / 3);
    lua_pushvalue(L, -1);
    lua_rawset(L, 1);
  }
  lua_gc(L, LUA_GCCOLLECT);
  for (int i = 1; i <= 300; i++) {
    lua_pushfstring(L, "%d:%f", i, (double)i / 3);
    if (lua_rawget(L, 1) != LUA_TSTRING) luaL_error(L, "a string is lost");
    lua_pop(L, 1);
  }
  lua_settop(L, 0);
  lua_gc(L, LUA_GCCOLLECT);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, 1, "_G");
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  if (!lua_rawequal(L, -1, -2)) luaL_error(L, "the globals are lost");
  return 0;
}

static bool proves_itself(const Image *image) {
  for (uint32_t low = 0; low < 256;
       low += 112) { /* 0, 112, 224: other distances from the template */
    char *memory = gr_malloc(image->slot + 256);
    if (memory == NULL) return false;
    GrArena *a;
    lua_State *L = clone_at(image, memory + low, &a);
    bool ok = call(L, run_small_proof, NULL) &&
              (image->have != GR_NEED_ALL || call(L, run_proof, NULL)) && call(L, check, NULL);
    lua_close(L);
    gr_arena_clear(a);
    gr_free(memory);
    if (!ok) return false;
  }
  return true;
}

static void free_image(Image *image) {
  gr_free(image->bytes);
  gr_free(image->pointers);
  *image = (Image){0};
}

static uint32_t slot_of(uint32_t len, uint32_t room) { return (len + room + 63) / 64 * 64; }

/* The words of the image count from 0 from here on. */
static bool freeze(Image *image, lua_State *L, GrArena *a, const char *random) {
  char *base = (char *)a;
  image->len = (uint32_t)(a->bump - base);
  image->slot = slot_of(image->len, ROOM);
  image->npointers = find_pointers(a, NULL);
  image->pointers = gr_malloc(image->npointers * sizeof *image->pointers);
  image->bytes = gr_malloc(image->len);
  if (image->pointers == NULL || image->bytes == NULL) return false;
  find_pointers(a, image->pointers);
  memcpy(image->bytes, base, image->len);
  for (uint32_t i = 0; i < image->npointers; i++)
    *(uintptr_t *)(void *)(image->bytes + image->pointers[i]) -= (uintptr_t)base;
  image->main = (uint32_t)((char *)L - base);
  image->random = random != NULL ? (uint32_t)(random - base) : 0;
  return true;
}

static bool make(Image *image, lua_CFunction open, void *owner, GrNeed have) {
  GrArena *a = NULL;
  snprintf(status, sizeof status, "off: not enough memory");
  lua_State *L = build(open, owner, have, &a);
  char *random = NULL;
  bool ok = L != NULL && call(L, find_random, &random) && freeze(image, L, a, random);
  image->have = have;
  if (ok && have == GR_NEED_ALL && image->random == 0) {
    snprintf(status, sizeof status, "off: math.random keeps its state elsewhere");
    ok = false;
  }
  ok = ok && proves_itself(image);
  if (a != NULL) gr_arena_free(a);
  return ok;
}

void gr_image_init(lua_CFunction open, void *owner) {
  const char *wanted = getenv("GOROIMAGE");
  if (GR_ARENA_SYSTEM || (wanted != NULL && strcmp(wanted, "0") == 0)) {
    snprintf(status, sizeof status, "off: %s",
             GR_ARENA_SYSTEM ? "each block is the system's, for a sanitizer" : "GOROIMAGE=0");
    return;
  }
  const GrNeed have[IMAGES] = {0, gr_need_goro(), gr_need_everyday(), GR_NEED_ALL};
  bool ok = true;
  for (int i = 0; i < IMAGES && ok; i++) ok = make(&images[i], open, owner, have[i]);
  if (ok) snprintf(status, sizeof status, "on");
  else
    for (int i = 0; i < IMAGES; i++) free_image(&images[i]);
}

/* The smallest image in which little is missing. */
static const Image *choose(GrNeed need) {
  const Image *image = images;
  while (image < images + IMAGES - 1 && !gr_need_is_small(need & ~image->have)) image++;
  return image;
}

lua_State *gr_image_state(const GrImage *special, GrNeed need, GrArena **arena, GrNeed *have,
                          bool *ready) {
  *ready = images[0].bytes != NULL;
  if (*ready) {
    const Image *image =
        special != NULL && gr_need_is_small(need & ~special->have) ? special : choose(need);
    *have = image->have;
    return clone(image, arena);
  }
  *have = 0;
  GrArena *a = gr_arena_new(0);
  if (a == NULL) return NULL;
  lua_State *L = lua_newstate(gr_arena_alloc, a);
  if (L == NULL) gr_arena_free(a);
  *arena = a;
  return L;
}

/* ---- special images ---- */

/* What the image has already takes no room in its clones. Its seed is cleared, so that two images
 * can be compared. */
static void settle_special(const Image *base, Image *image) {
  uint32_t more = image->len - base->len;
  image->slot = slot_of(image->len, more < ROOM - LEAST_ROOM ? ROOM - more : LEAST_ROOM);
  if (image->random != 0) memset(image->bytes + image->random, 0, SEEDS * sizeof(uint64_t));
}

static bool extend_once(const Image *base, GrImagePlan *plan, Image *out) {
  size_t size = (base->len + plan->room + 15) / 16 * 16;
  char *memory = gr_malloc(size);
  if (memory == NULL) return false;
  GrArena *a;
  lua_State *L = clone_at(base, memory, &a);
  memset(memory + base->len, 0, size - base->len);
  a->end = memory + size;
  a->sealed = true;
  *(void **)lua_getextraspace(L) = plan->owner;
  plan->before = base->have;
  char *random = NULL;
  bool ok = try(L, plan->fill, plan, LUA_MULTRET) && try(L, find_random, &random, 0);
  a->end = a->bump;
  ok = ok && freeze(out, L, a, random);
  if (ok) settle_special(base, out);
  else free_image(out);
  gr_free(memory);
  return ok;
}

static bool is_same(const Image *a, const Image *b) {
  return a->len == b->len && a->npointers == b->npointers && a->main == b->main &&
         a->random == b->random && memcmp(a->bytes, b->bytes, a->len) == 0 &&
         memcmp(a->pointers, b->pointers, a->npointers * sizeof *a->pointers) == 0;
}

const GrImage *gr_image_extend(GrImagePlan *plan) {
  if (images[0].bytes == NULL) return NULL;
  const Image *base = choose(plan->need);
  Image *image = gr_zalloc(sizeof *image), other = {0};
  if (image == NULL) return NULL;
  bool ok =
      extend_once(base, plan, image) && extend_once(base, plan, &other) && is_same(image, &other);
  free_image(&other);
  if (ok) {
    image->have = base->have | plan->need;
    return image;
  }
  free_image(image);
  gr_free(image);
  return NULL;
}

size_t gr_image_bytes(const GrImage *image) {
  return sizeof *image + image->len + image->npointers * sizeof *image->pointers;
}

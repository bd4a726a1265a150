/* SPDX-License-Identifier: MIT */
/* keep.c - the list of what one state holds outside of Lua; see keep.h.
 *
 * A program can take a metamethod out of a metatable and call it with any value. So each
 * metamethod first asks whether its argument is a userdata of this file. To compare the metatable
 * takes as long as all the rest of a call of mutex:with. Therefore each GrKeep that has not been
 * finalized carries a mark, which only this file writes: its own address, mixed with the address
 * of a variable here. */
#include "heap/keep.h"

#include <string.h>

#include <lauxlib.h>

#include "heap/foreign.h"
#include "heap/raise.h"

enum { FEW = 3 };

typedef struct Slot {
  GrKeep *k;      /* NULL: the slot is free */
  GrShare *share; /* what it holds, or NULL: more is to be asked of the GrKeep */
  union {
    const void *key; /* in the table of objects; NULL: it is not there */
    uint32_t next;   /* of a free one: another, from 1 */
  } u;
} Slot;

typedef struct GrKeeper {
  GrKeep keep; /* first; its own, and in no slot */
  Slot *slots;
  uint32_t nslots, used, free; /* used at some time; the first free one, from 1 */
  bool closed;
  Slot few[FEW]; /* the slots, as long as they are enough */
} Keeper;

static const char keeper_key; /* registry: the only entry, since each makes that table larger in
                                 every goroutine */

static uintptr_t mark_of(const GrKeep *k) { return (uintptr_t)k ^ (uintptr_t)&keeper_key; }

static bool has_metatable(lua_State *L, int idx) {
  int top = lua_gettop(L);
  bool has = lua_getmetatable(L, idx) &&
             lua_rawgetp(L, LUA_REGISTRYINDEX, &keeper_key) == LUA_TUSERDATA &&
             lua_getmetatable(L, -1) && lua_rawequal(L, -1, -3);
  lua_settop(L, top);
  return has;
}

/* NULL: the value is none, or of another type. The length of a light userdata is 0. */
static void *test(lua_State *L, int idx, const GrKeepType *type) {
  GrKeep *k = lua_touserdata(L, idx);
  if (k == NULL || lua_rawlen(L, idx) < sizeof *k) return NULL;
  if (gr_unlikely(k->mark != mark_of(k)) && !has_metatable(L, idx)) return NULL;
  return type == NULL || k->type == type ? k : NULL;
}

void *gr_keep_check(lua_State *L, int arg, const GrKeepType *type, const char *what) {
  void *k = test(L, arg, type);
  if (gr_unlikely(k == NULL)) luaL_typeerror(L, arg, what);
  return k;
}

/* ---- slots ---- */

static bool grow(Keeper *keeper) {
  uint32_t n = keeper->nslots * 2;
  bool few = keeper->slots == keeper->few;
  Slot *slots = few ? gr_malloc(n * sizeof *slots) : gr_realloc(keeper->slots, n * sizeof *slots);
  if (slots == NULL) return false;
  if (few) memcpy(slots, keeper->few, sizeof keeper->few);
  keeper->slots = slots;
  keeper->nslots = n;
  return true;
}

static bool enter(Keeper *keeper, GrKeep *k, const void *key, GrShare *share) {
  uint32_t i = keeper->free - 1;
  if (keeper->free > 0) {
    keeper->free = keeper->slots[i].u.next;
  } else {
    if (keeper->used == keeper->nslots && !grow(keeper)) return false;
    i = keeper->used++;
  }
  keeper->slots[i] = (Slot){.k = k, .share = share, .u.key = key};
  k->keeper = keeper;
  k->slot = i;
  return true;
}

void gr_keep_release(GrKeep *k) {
  Keeper *keeper = k->keeper;
  if (keeper == NULL) return;
  if (k != &keeper->keep) {
    keeper->slots[k->slot] = (Slot){.u.next = keeper->free};
    keeper->free = k->slot + 1;
  }
  k->keeper = NULL;
  k->type->release(k);
}

/* Has Lua still the userdata in which the GrKeep of slot i lies? Another userdata may be at the
 * same address by now. The table of objects, or nil, is on top. */
static bool is_there(lua_State *L, const Slot *s, uint32_t i) {
  if (!lua_istable(L, -1)) return false;
  lua_rawgetp(L, -1, s->u.key);
  const char *object = lua_touserdata(L, -1), *k = (const char *)s->k;
  bool there = object != NULL && k >= object && k < object + lua_rawlen(L, -1);
  lua_pop(L, 1);
  return there && s->k->keeper != NULL && s->k->slot == i;
}

/* Userdata that hangs on the keeper: Lua still has it. */
typedef struct Kept {
  const void *draft, *unpacker, *claim;
} Kept;

static const void *kept_value(lua_State *L, int kind) {
  lua_getiuservalue(L, -1, kind);
  const void *value = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return value;
}

/* The keeper is on top. */
static Kept find_kept(lua_State *L) {
  return (Kept){kept_value(L, GR_KEEP_DRAFT), kept_value(L, GR_KEEP_UNPACKER),
                kept_value(L, GR_KEEP_CLAIM)};
}

static bool is_kept(const Kept *kept, const GrKeep *k) {
  return k == kept->draft || k == kept->unpacker || k == kept->claim;
}

/* The keeper is on top. */
static void release_all(lua_State *L, Keeper *keeper, const Kept *kept) {
  if (keeper->closed) return;
  keeper->closed = true;
  lua_getiuservalue(L, -1, GR_KEEP_OBJECTS);
  for (uint32_t i = keeper->used; i-- > 0;) {
    Slot s = keeper->slots[i];
    if (s.k == NULL) continue;
    if (s.u.key != NULL ? is_there(L, &s, i) : is_kept(kept, s.k)) gr_keep_release(s.k);
    else gr_share_unref(s.share);
  }
  lua_pop(L, 1);
  if (keeper->slots != keeper->few) gr_free(keeper->slots);
  keeper->slots = keeper->few;
}

/* ---- metamethods ---- */

static int finalize(lua_State *L) {
  GrKeep *k = gr_keep_check(L, 1, NULL, "goro object");
  k->mark = 0;
  if (k->keeper == NULL || k != &k->keeper->keep) {
    gr_keep_release(k);
    return 0;
  }
  lua_settop(L, 1);
  Kept kept = find_kept(L);
  release_all(L, k->keeper, &kept);
  return 0;
}

/* (userdata, error or nil) */
static int leave(lua_State *L) {
  GrKeep *k = gr_keep_check(L, 1, NULL, "goro object");
  if (k->keeper != NULL && k->type->left != NULL) k->type->left(L, k, !lua_isnoneornil(L, 2));
  return 0;
}

/* ---- the interface ---- */

static void push_keeper(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &keeper_key);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1); /* there was no memory for it before */
  gr_keep_open(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &keeper_key);
}

static void release_nothing(GrKeep *k) { (void)k; }

/* The keeper's metatable is that of all userdata of this file. */
void gr_keep_open(lua_State *L) {
  static const GrKeepType type = {release_nothing, NULL};
  Keeper *keeper = gr_own_userdata(L, sizeof *keeper, GR_KEEP_KINDS);
  memset(keeper, 0, sizeof *keeper);
  keeper->keep = (GrKeep){.keeper = keeper, .type = &type};
  keeper->slots = keeper->few;
  keeper->nslots = FEW;
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, finalize);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, leave);
  lua_setfield(L, -2, "__close");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &keeper_key);
}

/* The keeper is on top. */
static void add(lua_State *L, GrKeep *k, const GrKeepType *type, const void *key, GrShare *share) {
  Keeper *keeper = lua_touserdata(L, -1);
  if (keeper->closed) luaL_error(L, "goro is shutting down");
  k->type = type;
  if (enter(keeper, k, key, share)) return;
  gr_raise_nomem(L);
}

void gr_keep_add(lua_State *L, GrKeep *k, const GrKeepType *type, const void *key, GrShare *share) {
  push_keeper(L);
  add(L, k, type, key, share);
  lua_pop(L, 1);
}

static void *make(lua_State *L, size_t size, const GrKeepType *type, bool lasting) {
  GrKeep *k = gr_own_userdata(L, size, 1);
  memset(k, 0, size);
  if (lasting) {
    gr_keep_push_objects(L);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, k);
    lua_pop(L, 1);
  }
  push_keeper(L);
  lua_getmetatable(L, -1);
  lua_setmetatable(L, -3);
  add(L, k, type, lasting ? k : NULL, NULL);
  k->mark = mark_of(k);
  lua_pop(L, 1);
  return k;
}

void *gr_keep_new(lua_State *L, size_t size, const GrKeepType *type) {
  return make(L, size, type, false);
}

void *gr_keep_new_lasting(lua_State *L, size_t size, const GrKeepType *type) {
  return make(L, size, type, true);
}

/* The keeper is on top. */
static bool close(lua_State *L, Keeper *keeper) {
  Kept kept = find_kept(L);
  for (uint32_t i = 0; i < keeper->used; i++) {
    const Slot *s = &keeper->slots[i];
    if (s->k != NULL && s->u.key == NULL && !is_kept(&kept, s->k)) return false;
  }
  release_all(L, keeper, &kept);
  return true;
}

bool gr_keep_close(lua_State *L) {
  if (!lua_checkstack(L, 5)) return false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &keeper_key);
  Keeper *keeper = lua_touserdata(L, -1);
  bool done = keeper == NULL || keeper->used == 0 || close(L, keeper);
  lua_pop(L, 1);
  return done;
}

void gr_keep_push(lua_State *L, int kind) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &keeper_key) == LUA_TNIL) return;
  lua_getiuservalue(L, -1, kind);
  lua_remove(L, -2);
}

void gr_keep_take(lua_State *L, int kind) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &keeper_key) == LUA_TNIL) return;
  lua_getiuservalue(L, -1, kind);
  lua_pushnil(L);
  lua_setiuservalue(L, -3, kind);
  lua_remove(L, -2);
}

void gr_keep_set(lua_State *L, int kind) {
  push_keeper(L);
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, kind);
  lua_pop(L, 1);
}

void gr_keep_push_objects(lua_State *L) {
  gr_keep_push(L, GR_KEEP_OBJECTS);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  gr_keep_set(L, GR_KEEP_OBJECTS);
}

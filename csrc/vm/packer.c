/* SPDX-License-Identifier: MIT */
/* packer.c - what a pack grows while it is made; see packer.h.
 *
 * All of it hangs on one userdata, so an error at any Lua call frees it. Identities are in a hash table of addresses, since every table, function and
 * long string is looked up in it once for each reference. Errors are told by walking from the value back over the items' origins to the root, or to the
 * nearest upvalue, whose function then is named too. */
#include "vm/packer.h"

#include <string.h>

#include "vm/names.h"

/* ---- memory ---- */

GR_NORETURN void gr_packer_no_memory(lua_State *L) {
  lua_pushliteral(L, "not enough memory");
  lua_error(L);
  gr_throw("lua_error returned");
}

void gr_packer_free_items(GrPack *p, uint32_t from) {
  for (uint32_t i = from; i < p->nitems; i++) {
    Item *item = &p->items[i];
    if (item->kind == I_OBJECT) gr_share_unref(item->u.share);
    if (item->kind == I_MADE && item->u.made != NULL) gr_pack_free(item->u.made);
  }
}

void gr_pack_free(GrPack *p) {
  gr_packer_free_items(p, 0);
  gr_free(p->items);
  gr_free(p->bytes);
  gr_free(p);
}

void gr_packer_fini(Packer *k) {
  if (k->p != NULL) gr_pack_free(k->p);
  gr_free(k->origins);
  gr_free(k->slots);
  k->p = NULL;
  k->origins = NULL;
  k->slots = NULL;
}

static int finalize(lua_State *L) {
  gr_packer_fini(lua_touserdata(L, 1));
  return 0;
}

/* Pushes the packer and its three tables. */
Packer *gr_packer_new(lua_State *L, GrPackNames names, int first_number) {
  static const char key;
  luaL_checkstack(L, 40, NULL);
  Packer *k = lua_newuserdatauv(L, sizeof *k, 0);
  memset(k, 0, sizeof *k);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, finalize);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  }
  lua_setmetatable(L, -2);
  k->p = gr_zalloc(sizeof *k->p);
  if (k->p == NULL) gr_packer_no_memory(L);
  k->names = names;
  k->first_number = first_number;
  lua_newtable(L);
  k->values = lua_gettop(L);
  lua_newtable(L);
  k->globals = lua_gettop(L);
  gr_names_push_index(L);
  k->index = lua_gettop(L);
  return k;
}

char *gr_packer_grow(lua_State *L, Packer *k, size_t n) {
  GrPack *p = k->p;
  if (p->bytes_cap - p->nbytes < n) {
    size_t cap = p->bytes_cap < 128 ? 128 : p->bytes_cap * 2;
    while (cap - p->nbytes < n) cap *= 2;
    char *bytes = gr_realloc(p->bytes, cap);
    if (bytes == NULL) gr_packer_no_memory(L);
    p->bytes = bytes;
    p->bytes_cap = cap;
  }
  p->nbytes += n;
  return p->bytes + p->nbytes - n;
}

void gr_packer_put(lua_State *L, Packer *k, const void *data, size_t n) {
  if (n > 0) memcpy(gr_packer_grow(L, k, n), data, n);
}
void gr_packer_put_tag(lua_State *L, Packer *k, char tag) { *gr_packer_grow(L, k, 1) = tag; }
void gr_packer_put_tagged(lua_State *L, Packer *k, char tag, const void *data, size_t n) {
  char *at = gr_packer_grow(L, k, n + 1);
  *at = tag;
  memcpy(at + 1, data, n);
}

/* ---- identities ---- */

static size_t hash(const void *identity, uint32_t nslots) { return (size_t)(((uintptr_t)identity * 0x9e3779b97f4a7c15ULL) >> 32) & (nslots - 1); }

static void slot_insert(Slot *slots, uint32_t nslots, Slot s) {
  size_t at = hash(s.identity, nslots);
  while (slots[at].identity != NULL) at = (at + 1) & (nslots - 1);
  slots[at] = s;
}

Slot *gr_packer_find(Packer *k, const void *identity) {
  if (k->nslots == 0) return NULL;
  for (size_t at = hash(identity, k->nslots); k->slots[at].identity != NULL; at = (at + 1) & (k->nslots - 1))
    if (k->slots[at].identity == identity) return &k->slots[at];
  return NULL;
}

/* Slots of items from `limit` on are left out: a savepoint is taken back. */
void gr_packer_rehash(lua_State *L, Packer *k, uint32_t nslots, uint32_t limit) {
  Slot *slots = gr_zalloc(nslots * sizeof *slots);
  if (slots == NULL) gr_packer_no_memory(L);
  k->used = 0;
  for (uint32_t i = 0; i < k->nslots; i++) {
    if (k->slots[i].identity == NULL || k->slots[i].item >= limit) continue;
    slot_insert(slots, nslots, k->slots[i]);
    k->used++;
  }
  gr_free(k->slots);
  k->slots = slots;
  k->nslots = nslots;
}

static void remember(lua_State *L, Packer *k, const void *identity, uint32_t item) {
  if ((k->used + 1) * 4 > k->nslots * 3) gr_packer_rehash(L, k, k->nslots > 0 ? k->nslots * 2 : 16, UINT32_MAX);
  slot_insert(k->slots, k->nslots, (Slot){identity, item});
  k->used++;
}

/* A new item for the value at idx, which is kept in `values` when `keep`. */
Item *gr_packer_item(lua_State *L, Packer *k, ItemKind kind, const void *identity, int idx, bool keep, const Origin *origin) {
  GrPack *p = k->p;
  if (p->nitems == p->items_cap) {
    uint32_t cap = p->items_cap > 0 ? p->items_cap * 2 : 8;
    Item *items = gr_realloc(p->items, cap * sizeof *items);
    if (items == NULL) gr_packer_no_memory(L);
    p->items = items;
    p->items_cap = cap;
  }
  if (p->nitems == k->origins_cap) {
    uint32_t cap = k->origins_cap > 0 ? k->origins_cap * 2 : 8;
    Origin *origins = gr_realloc(k->origins, cap * sizeof *origins);
    if (origins == NULL) gr_packer_no_memory(L);
    k->origins = origins;
    k->origins_cap = cap;
  }
  remember(L, k, identity, p->nitems);
  if (keep) {
    lua_pushvalue(L, idx);
    lua_rawseti(L, k->values, (lua_Integer)p->nitems + 1);
  }
  k->origins[p->nitems] = *origin;
  Item *item = &p->items[p->nitems++];
  *item = (Item){.kind = (uint8_t)kind};
  return item;
}

void gr_packer_put_ref(lua_State *L, Packer *k, uint32_t item) { gr_packer_put_tagged(L, k, T_REF, &item, sizeof item); }

/* ---- errors with a path ---- */

static bool is_identifier(const char *s) {
  if (*s == '\0' || (*s >= '0' && *s <= '9')) return false;
  for (; *s != '\0'; s++)
    if (!(*s == '_' || (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z'))) return false;
  return true;
}

static const char *push_step(lua_State *L, const Origin *o) {
  if (o->kind == O_META) return lua_pushliteral(L, ".<metatable>");
  if (o->kind == O_KEY_OF) return lua_pushliteral(L, ".<key>");
  if (o->key_type == LUA_TSTRING) return is_identifier(o->name) ? lua_pushfstring(L, ".%s", o->name) : lua_pushfstring(L, "[\"%s\"]", o->name);
  if (o->key_type == LUA_TBOOLEAN) return lua_pushfstring(L, "[%s]", o->number != 0 ? "true" : "false");
  if (o->key_type == LUA_TNUMBER) {
    if (o->number >= -9e15 && o->number <= 9e15 && o->number == (lua_Number)(lua_Integer)o->number)
      return lua_pushfstring(L, "[%I]", (LUAI_UACINT)(lua_Integer)o->number);
    return lua_pushfstring(L, "[%f]", (LUAI_UACNUMBER)o->number);
  }
  return lua_pushfstring(L, "[%s]", lua_typename(L, o->key_type));
}

static const char *push_root(lua_State *L, Packer *k, uint32_t number) {
  switch (k->names) {
    case GR_NAME_ARGUMENT: return lua_pushfstring(L, "argument #%d", (int)number);
    case GR_NAME_RESULT: return lua_pushfstring(L, "result #%d", (int)number);
    case GR_NAME_ERROR: return lua_pushliteral(L, "error value");
    default: return lua_pushliteral(L, "message");
  }
}

/* The function that has the upvalue: " of function at job.lua:12". */
static void push_function_place(lua_State *L, Packer *k, uint32_t item) {
  lua_Debug ar;
  lua_rawgeti(L, k->values, (lua_Integer)item + 1);
  lua_getinfo(L, ">S", &ar);
  lua_pushfstring(L, " of function at %s:%d", ar.short_src, ar.linedefined);
}

/* Raises, or marks the attempt as failed. `what`: the kind of value. */
void gr_packer_cannot_send(lua_State *L, Packer *k, const Origin *origin, const char *what) {
  if (k->trying) {
    k->failed = true;
    return;
  }
  int top = lua_gettop(L);
  luaL_checkstack(L, 20, NULL);
  lua_pushliteral(L, ""); /* top + 1: the steps so far, from the end */
  lua_pushliteral(L, ""); /* top + 2: of which function */
  const Origin *o = origin;
  for (; o->kind != O_ROOT && o->kind != O_UPVALUE; o = &k->origins[o->parent]) {
    push_step(L, o);
    lua_pushvalue(L, top + 1);
    lua_concat(L, 2);
    lua_replace(L, top + 1);
  }
  if (o->kind == O_UPVALUE) {
    push_function_place(L, k, o->parent);
    lua_replace(L, top + 2);
    lua_pushfstring(L, "upvalue '%s'", o->name);
  } else {
    push_root(L, k, o->parent);
  }
  const char *root = lua_tostring(L, -1);
  luaL_where(L, 1);
  lua_pushfstring(L, "%scannot send %s%s (%s)%s", lua_tostring(L, -1), root, lua_tostring(L, top + 1), what, lua_tostring(L, top + 2));
  lua_error(L);
}

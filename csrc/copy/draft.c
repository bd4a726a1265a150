/* SPDX-License-Identifier: MIT */
/* draft.c - what grows while a message is packed; see draft.h.
 *
 * The whole draft hangs on one userdata, so an error in any call of Lua loses nothing. To allocate
 * a draft for each message took longer than to pack a small table. So each state keeps its draft
 * for the next message. When the draft is busy (a __goro metamethod sends while its value is
 * packed) or an error has left it behind, another one is made, and kept instead. The thread, not
 * the state, keeps the arrays, since a parked goroutine should not hold them. A finished message
 * is one block of exactly its size. A large message takes the arrays instead.
 *
 * A hash table leads from identities (addresses) to items: each table, function and long string is
 * looked up in it once for each reference. To empty the table costs nothing: each slot carries the
 * number of its round.
 *
 * An error message names the value by a path. It is made by a walk from the value back over the
 * items' origins, to the root or to the nearest upvalue, whose function is named then, too. */
#include "copy/draft.h"

#include "base/chunk.h"
#include "base/hash.h"

#include <pthread.h>

#include "heap/modules.h"
#include "heap/need.h"
#include "heap/raise.h"

enum {
  APART = 65536, /* bytes: larger messages are not copied together */
  CHUNK_MOST = 8192,
  REUSE = 1024, /* items: arrays for more are not kept by the thread, */
  KEEP = 64,    /* and not by the state */
  FIRST_SLOTS = 64,
};

/* ---- arrays ---- */

/* What a thread keeps between two messages; all 0 while a draft has them. */
typedef struct Arrays {
  Item *items;
  Origin *origins;
  Slot *slots;
  char *bytes;
  size_t bytes_cap;
  uint32_t items_cap, origins_cap, nslots, round;
} Arrays;

static GR_TLS Arrays *kept;
static pthread_key_t kept_key;
static bool has_key;

static void free_arrays(Arrays *a) {
  gr_free(a->items);
  gr_free(a->origins);
  gr_free(a->slots);
  gr_free(a->bytes);
}

static void end_of_thread(void *arg) {
  kept = NULL;
  free_arrays(arg);
  gr_free(arg);
}

void gr_draft_init(void) { has_key = pthread_key_create(&kept_key, end_of_thread) == 0; }

static void take_arrays(Draft *d) {
  if (kept == NULL) return;
  d->p.items = kept->items;
  d->p.bytes = kept->bytes;
  d->origins = kept->origins;
  d->slots = kept->slots;
  d->bytes_cap = kept->bytes_cap;
  d->items_cap = kept->items_cap;
  d->origins_cap = kept->origins_cap;
  d->nslots = kept->nslots;
  d->round = kept->round;
  memset(kept, 0, sizeof *kept);
}

/* Where this thread keeps arrays, or NULL. */
static Arrays *place(void) {
  if (kept != NULL || !has_key) return kept;
  Arrays *a = gr_zalloc(sizeof *a);
  if (a != NULL && pthread_setspecific(kept_key, a) != 0) {
    gr_free(a);
    a = NULL;
  }
  return kept = a;
}

static void give_arrays(Draft *d) {
  Arrays a = {d->p.items,   d->origins,     d->slots,  d->p.bytes, d->bytes_cap,
              d->items_cap, d->origins_cap, d->nslots, d->round};
  bool small = a.items_cap <= REUSE && a.origins_cap <= REUSE && a.nslots <= 4 * REUSE &&
               a.bytes_cap <= 2 * APART;
  Arrays *to = small ? place() : NULL;
  if (to != NULL && to->slots == NULL && to->bytes == NULL) *to = a;
  else free_arrays(&a);
  d->p = (GrPack){.nitems = 0};
  if (d->code != NULL) gr_code_unref(d->code);
  d->code = NULL;
  d->origins = NULL;
  d->slots = NULL;
  d->bytes_cap = 0;
  d->items_cap = d->origins_cap = d->nslots = 0;
}

/* ---- memory ---- */

void gr_pack_free_items(GrPack *p, uint32_t from) {
  for (uint32_t i = from; i < p->nitems; i++) {
    Item *item = &p->items[i];
    if (item->kind == I_OBJECT || item->kind == I_LINK) gr_share_unref(item->u.share);
    if (item->kind == I_MADE && item->u.made != NULL) gr_pack_free(item->u.made);
  }
}

/* A block for a message. There should be few sizes of chunks, so there are four to each doubling.
 */
static GrPack *new_pack(size_t size) {
  size_t step = 64;
  while (size > 8 * step) step *= 2;
  size = (size + step - 1) / step * step;
  GrPack *p = size <= CHUNK_MOST ? gr_chunk_get(size) : gr_malloc(size);
  if (p != NULL) p->size = size <= CHUNK_MOST ? (uint32_t)size : 0;
  return p;
}

static void free_pack(GrPack *p) {
  if (p->size > 0) gr_chunk_put(p, p->size);
  else gr_free(p);
}

void gr_pack_free(GrPack *p) {
  gr_pack_free_items(p, 0);
  if (p->apart) {
    gr_free(p->items);
    gr_free(p->bytes);
  }
  free_pack(p);
}

/* The items of a copy get their own references. False without memory: then the first n items have
 * theirs. */
static bool hold_items(GrPack *p, uint32_t *n) {
  for (; *n < p->nitems; ++*n) {
    Item *item = &p->items[*n];
    if (item->kind == I_OBJECT || item->kind == I_LINK) gr_share_ref(item->u.share);
    if (item->kind == I_MADE && item->u.made != NULL &&
        (item->u.made = gr_pack_copy(item->u.made)) == NULL)
      return false;
  }
  return true;
}

GrPack *gr_pack_copy(const GrPack *from) {
  size_t items = from->nitems * sizeof(Item);
  GrPack *p = new_pack(sizeof *p + items + from->nbytes);
  if (p == NULL) return NULL;
  uint32_t size = p->size;
  *p = *from;
  p->size = size;
  p->apart = false;
  p->items = (Item *)(void *)(p + 1);
  p->bytes = (char *)p->items + items;
  if (items > 0) memcpy(p->items, from->items, items);
  memcpy(p->bytes, from->bytes, from->nbytes);
  uint32_t held = 0;
  if (hold_items(p, &held)) return p;
  p->nitems = held;
  gr_pack_free(p);
  return NULL;
}

static void release(GrKeep *keep) {
  Draft *d = gr_container_of(keep, Draft, keep);
  gr_pack_free_items(&d->p, 0);
  give_arrays(d);
  d->busy = true; /* for ever */
}

/* Pushes the draft. */
static Draft *make(lua_State *L) {
  static const GrKeepType type = {release, NULL};
  Draft *d = gr_keep_new(L, sizeof *d, &type);
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, -1);
  gr_keep_set(L, GR_KEEP_DRAFT);
  return d;
}

Draft *gr_draft_new(lua_State *L, GrPackNames names, int first_number) {
  gr_check_stack(L, 40);
  gr_keep_push(L, GR_KEEP_DRAFT);
  Draft *d = lua_touserdata(L, -1);
  if (d == NULL || d->busy) {
    if (d != NULL) d->replaced = true;
    lua_pop(L, 1);
    d = make(L);
  }
  d->busy = true;
  d->names = names;
  d->first_number = first_number;
  d->used = d->next = 0;
  d->failed = d->links = false;
  d->recording = 0;
  d->carrying = 0;
  take_arrays(d);
  if (++d->round == 0) { /* after 2^32 messages */
    if (d->slots != NULL) memset(d->slots, 0, d->nslots * sizeof *d->slots);
    d->round = 1;
  }
  lua_getiuservalue(L, -1, 1);
  d->values = lua_gettop(L);
  lua_settop(L, d->values + 3);
  d->globals = d->values + 1;
  d->index = d->values + 2;
  d->keys = d->values + 3;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  d->globals_table = lua_topointer(L, -1);
  lua_pop(L, 1);
  d->no_modules = gr_need_lacks(L, GR_NEED_ALL);
  return d;
}

/* Makes the draft ready for the next message. What the items held belongs to somebody else by now.
 */
static void reset(lua_State *L, Draft *d) {
  uint32_t n = d->p.nitems;
  give_arrays(d);
  if (n > KEEP) { /* the table of values has grown too large to be kept */
    lua_pushnil(L);
    lua_setiuservalue(L, d->values - 1, 1); /* what awaits its finalizer still holds its values */
    gr_keep_release(&d->keep);
    if (d->replaced) return;
    lua_pushnil(L);
    gr_keep_set(L, GR_KEEP_DRAFT);
    return;
  }
  for (; n > 0; n--) {
    lua_pushnil(L);
    lua_rawseti(L, d->values, n);
  }
  d->busy = false;
  if (d->replaced) gr_keep_release(&d->keep);
}

void gr_draft_give_up(lua_State *L, Draft *d) {
  gr_pack_free_items(&d->p, 0);
  reset(L, d);
}

GR_NORETURN void gr_draft_no_memory(lua_State *L, Draft *d) {
  gr_draft_give_up(L, d);
  gr_raise_nomem(L);
}

/* Both arrays become the message's, cut to size where that works. */
static void move_apart(Draft *d, GrPack *p) {
  Item *items = p->nitems > 0 ? gr_realloc(p->items, p->nitems * sizeof *items) : NULL;
  char *bytes = gr_realloc(p->bytes, p->nbytes);
  if (items != NULL) p->items = items;
  if (bytes != NULL) p->bytes = bytes;
  p->apart = true;
  d->p.items = NULL;
  d->p.bytes = NULL;
  d->items_cap = 0;
  d->bytes_cap = 0;
}

GrPack *gr_draft_finish(lua_State *L, Draft *d) {
  size_t items = d->p.nitems * sizeof(Item), all = sizeof(GrPack) + items + d->p.nbytes;
  bool apart = all > APART;
  GrPack *p = new_pack(apart ? sizeof *p : all);
  if (p == NULL) gr_draft_no_memory(L, d);
  d->p.size = p->size;
  *p = d->p;
  if (apart) {
    move_apart(d, p);
  } else {
    p->items = (Item *)(void *)(p + 1);
    p->bytes = (char *)(p->items + p->nitems);
    if (items > 0) memcpy(p->items, d->p.items, items);
    memcpy(p->bytes, d->p.bytes, p->nbytes);
  }
  reset(L, d);
  return p;
}

char *gr_draft_grow_slowly(lua_State *L, Draft *d, size_t n) {
  size_t want = d->p.nbytes + n, cap = d->bytes_cap < 512 ? 512 : d->bytes_cap * 2;
  if (want > cap) cap = want;
  char *bytes = gr_realloc(d->p.bytes, cap);
  if (bytes == NULL) gr_draft_no_memory(L, d);
  d->p.bytes = bytes;
  d->bytes_cap = cap;
  d->p.nbytes = want;
  return bytes + want - n;
}

/* ---- identities ---- */

static size_t hash(const void *identity, uint32_t nslots) {
  return gr_hash_address(identity) & (nslots - 1);
}

static void slot_insert(Slot *slots, uint32_t nslots, Slot s) {
  size_t at = hash(s.identity, nslots);
  while (slots[at].round == s.round) at = (at + 1) & (nslots - 1);
  slots[at] = s;
}

Slot *gr_draft_find(Draft *d, const void *identity) {
  if (d->nslots == 0) return NULL;
  for (size_t at = hash(identity, d->nslots); d->slots[at].round == d->round;
       at = (at + 1) & (d->nslots - 1))
    if (d->slots[at].identity == identity) return &d->slots[at];
  return NULL;
}

static void rehash(lua_State *L, Draft *d, uint32_t nslots) {
  Slot *slots = gr_zalloc(nslots * sizeof *slots);
  if (slots == NULL) gr_draft_no_memory(L, d);
  d->used = 0;
  for (uint32_t i = 0; i < d->nslots; i++) {
    if (d->slots[i].round != d->round) continue;
    slot_insert(slots, nslots, d->slots[i]);
    d->used++;
  }
  gr_free(d->slots);
  d->slots = slots;
  d->nslots = nslots;
}

Item *gr_draft_item(lua_State *L, Draft *d, ItemKind kind, const void *identity, int idx,
                    const Origin *origin) {
  uint32_t n = d->p.nitems;
  if (n == d->items_cap) {
    uint32_t cap = n > 0 ? n * 2 : 16;
    Item *items = gr_realloc(d->p.items, cap * sizeof *items);
    if (items == NULL) gr_draft_no_memory(L, d);
    d->p.items = items;
    d->items_cap = cap;
  }
  if (n == d->origins_cap) {
    uint32_t cap = n > 0 ? n * 2 : 16;
    Origin *origins = gr_realloc(d->origins, cap * sizeof *origins);
    if (origins == NULL) gr_draft_no_memory(L, d);
    d->origins = origins;
    d->origins_cap = cap;
  }
  if ((d->used + 1) * 4 > d->nslots * 3) rehash(L, d, d->nslots > 0 ? d->nslots * 2 : FIRST_SLOTS);
  lua_pushvalue(L, idx);
  lua_rawseti(L, d->values, (lua_Integer)n + 1);
  slot_insert(d->slots, d->nslots, (Slot){identity, n, d->round});
  d->used++;
  d->origins[n] = *origin;
  d->origins[n].key = 0;
  d->p.items[n] = (Item){.kind = (uint8_t)kind};
  d->p.nitems = n + 1;
  return &d->p.items[n];
}

void gr_draft_need_index(lua_State *L, Draft *d) {
  if (!lua_isnil(L, d->index)) return;
  GrHeap *h = d->no_modules ? gr_heap_find(L) : NULL;
  gr_modules_push_index(L, h != NULL && h->indexed);
  if (h != NULL) h->indexed = true;
  lua_replace(L, d->index);
}

/* ---- texts with a path ---- */

enum {
  STEPS_MOST = 24, /* of the way in a placeholder's text: there may be as many texts as values */
  KEY_MOST = 60,
};

static bool is_identifier(const char *s) {
  if (*s == '\0' || (*s >= '0' && *s <= '9')) return false;
  for (; *s != '\0'; s++)
    if (!(*s == '_' || (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') ||
          (*s >= 'A' && *s <= 'Z')))
      return false;
  return true;
}

/* The key on top becomes text. */
static void key_to_text(lua_State *L, bool shorten) {
  int key = lua_gettop(L);
  const char *s = lua_type(L, key) == LUA_TSTRING ? lua_tostring(L, key) : "";
  if (shorten && lua_type(L, key) == LUA_TSTRING && lua_rawlen(L, key) > KEY_MOST) {
    lua_pushlstring(L, s, KEY_MOST);
    lua_pushfstring(L, "%s…", lua_tostring(L, -1));
    s = lua_tostring(L, -1);
  }
  switch (lua_type(L, key)) {
    case LUA_TSTRING: lua_pushfstring(L, is_identifier(s) ? ".%s" : "[\"%s\"]", s); break;
    case LUA_TBOOLEAN: lua_pushstring(L, lua_toboolean(L, key) ? "[true]" : "[false]"); break;
    case LUA_TNUMBER:
      lua_pushvalue(L, key); /* lua_tostring changes it */
      lua_pushfstring(L, "[%s]", lua_tostring(L, -1));
      break;
    default: lua_pushfstring(L, "[%s]", luaL_typename(L, key));
  }
  lua_replace(L, key);
  lua_settop(L, key);
}

/* Pushes a key of the table at -2 whose value is on top; nil when a finalizer has removed it
 * meanwhile. */
static void push_key_of_value(lua_State *L) {
  int value = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, value - 1) != 0; lua_pop(L, 1))
    if (lua_rawequal(L, -1, value)) {
      lua_pop(L, 1);
      return;
    }
  lua_pushnil(L);
}

/* Pushes (value -> key) of the table at -2, which is item `parent`: made once, since thousands of
 * its values may hold something that cannot be sent. */
static void push_keys(lua_State *L, Draft *d, uint32_t parent) {
  int table = lua_gettop(L) - 1;
  if (lua_isnil(L, d->keys)) {
    lua_newtable(L);
    lua_replace(L, d->keys);
  }
  if (lua_rawgeti(L, d->keys, (lua_Integer)parent + 1) == LUA_TTABLE) return;
  lua_settop(L, table + 1);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_settop(L, table + 3)) {
    if (!lua_istable(L, -1) && !lua_isfunction(L, -1)) continue;
    lua_pushvalue(L, table + 3);
    lua_rawset(L, table + 2);
  }
  lua_pushvalue(L, -1);
  lua_rawseti(L, d->keys, (lua_Integer)parent + 1);
}

/* One step of the way, to the value of item `item`, or to the one that is being written. */
static void push_step(lua_State *L, Draft *d, const Origin *o, uint32_t item) {
  int top = lua_gettop(L);
  if (o->kind == O_META) {
    lua_pushliteral(L, ".<metatable>");
  } else if (o->kind == O_KEY_OF) {
    lua_pushliteral(L, ".<key>");
  } else {
    if (o->key != 0) {
      lua_pushvalue(L, o->key);
    } else {
      lua_rawgeti(L, d->values, (lua_Integer)o->parent + 1);
      lua_rawgeti(L, d->values, (lua_Integer)item + 1);
      if (d->carrying != 0) {
        push_keys(L, d, o->parent);
        lua_pushvalue(L, top + 2);
        lua_rawget(L, top + 3);
      } else {
        push_key_of_value(L);
      }
      lua_replace(L, top + 1);
      lua_settop(L, top + 1);
    }
    key_to_text(L, d->carrying != 0);
  }
}

static bool is_root(const Origin *o) {
  return o->kind == O_ROOT || o->kind == O_UPVALUE || o->kind == O_GLOBAL;
}

/* "argument #2", "upvalue 'db'", "global 'conf'", … */
static void push_root(lua_State *L, Draft *d, const Origin *o) {
  if (o->kind == O_UPVALUE) {
    lua_rawgeti(L, d->values, (lua_Integer)o->parent + 1);
    lua_pushfstring(L, "upvalue '%s'", lua_getupvalue(L, -1, (int)o->upvalue));
    lua_replace(L, -3);
    lua_pop(L, 1);
    return;
  }
  if (d->carrying != 0) {
    lua_rawgeti(L, d->globals, d->carrying);
    lua_pushfstring(L, is_root(o) ? "global '%s'" : "global '%s'…", lua_tostring(L, -1));
    lua_remove(L, -2);
    return;
  }
  switch (d->names) {
    case GR_NAME_ARGUMENT: lua_pushfstring(L, "argument #%d", (int)o->parent); break;
    case GR_NAME_ITEM: lua_pushfstring(L, "argument #1[%d]", (int)o->parent); break;
    case GR_NAME_RESULT: lua_pushfstring(L, "result #%d", (int)o->parent); break;
    case GR_NAME_ERROR: lua_pushliteral(L, "error value"); break;
    default: lua_pushliteral(L, "message");
  }
}

/* The function that has the upvalue: " of function at job.lua:12". */
static void push_function_place(lua_State *L, Draft *d, const Origin *o) {
  lua_Debug ar;
  if (o->kind != O_UPVALUE) {
    lua_pushliteral(L, "");
    return;
  }
  lua_rawgeti(L, d->values, (lua_Integer)o->parent + 1);
  lua_getinfo(L, ">S", &ar);
  lua_pushfstring(L, " of function at %s:%d", ar.short_src, ar.linedefined);
}

/* Pushes the way from the root to the value (item `item`, unless the origin has a key), and returns
 * where the way begins. A way may be long, so it is noted backwards first. For a placeholder's text
 * only its end is taken. */
static const Origin *push_way(lua_State *L, Draft *d, const Origin *origin, uint32_t item) {
  const Origin *o;
  size_t n = 0, most = d->carrying != 0 ? STEPS_MOST : SIZE_MAX;
  for (o = origin; !is_root(o) && n < most; o = &d->origins[o->parent]) n++;
  if (n == 0) {
    lua_pushliteral(L, "");
    return o;
  }
  uint32_t *items = lua_newuserdatauv(L, (n + 1) * sizeof *items, 0);
  items[0] = item;
  const Origin *at = origin;
  for (size_t i = 1; i <= n; i++, at = &d->origins[at->parent])
    items[i] = at->parent; /* where the step begins */
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (; n > 0; n--) {
    push_step(L, d, n == 1 ? origin : &d->origins[items[n - 1]], items[n - 1]);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  lua_remove(L, -2);
  return o;
}

/* Pushes "upvalue 'db'.conn (userdata) of function at job.lua:12". */
static void push_description(lua_State *L, Draft *d, const Origin *origin, uint32_t item,
                             const char *what) {
  gr_check_stack(L, 20);
  int top = lua_gettop(L);
  const Origin *root = push_way(L, d, origin, item);
  push_root(L, d, root);
  push_function_place(L, d, root);
  const char *way = lua_tostring(L, top + 1), *name = lua_tostring(L, top + 2),
             *function = lua_tostring(L, top + 3);
  lua_pushfstring(L, "%s%s (%s)%s", name, way, what, function);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

void gr_draft_cannot_send(lua_State *L, Draft *d, const Origin *origin, const char *what) {
  luaL_where(L, 1);
  push_description(L, d, origin, 0, what);
  lua_pushfstring(L, "%scannot send %s", lua_tostring(L, -2), lua_tostring(L, -1));
  gr_draft_give_up(L, d);
  lua_error(L);
  gr_throw("lua_error returned");
}

void gr_draft_push_text(lua_State *L, Draft *d, const Origin *origin, uint32_t item,
                        const char *what) {
  push_description(L, d, origin, item, what);
  lua_pushliteral(L, " could not come along: open it inside the goroutine");
  lua_concat(L, 2);
}

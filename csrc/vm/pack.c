/* SPDX-License-Identifier: MIT */
/* pack.c - values to a message; the form is wire.h's.
 *
 * No recursion: a value with an identity gets an item's number when it is first met and is put into `values` (a Lua table); the items are then written one after the
 * other, each perhaps adding more. For error messages each item remembers from where it was first reached, which is a path back to the root.
 *
 * What may be missing (a carried global, an inherited searcher) is written after a savepoint, and when something in it cannot be sent, everything since is
 * taken back. All else that cannot be sent raises. The packer is a userdata, so an error at any Lua call frees it with all it holds. */
#include "vm/pack.h"

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "vm/class.h"
#include "vm/code.h"
#include "vm/names.h"
#include "vm/object.h"
#include "vm/state.h"
#include "vm/wire.h"

enum { STRING_INLINE = 64 }; /* longer ones are items, so that a string that comes twice is carried once */

typedef enum OriginKind { O_ROOT, O_KEYED, O_KEY_OF, O_UPVALUE, O_META, O_GLOBAL } OriginKind;

/* How an item was reached: from item `parent` by a key. Strings belong to the sender's state, which does not run meanwhile. */
typedef struct Origin {
  uint8_t kind, key_type;
  uint32_t parent;
  const char *name;
  lua_Number number;
} Origin;

typedef struct Slot {
  const void *identity;
  uint32_t item;
} Slot;

typedef struct Packer {
  GrPack *p;
  Origin *origins;
  uint32_t origins_cap;
  Slot *slots; /* open addressing by identity */
  uint32_t nslots, used;
  uint32_t next; /* the first item that is not written yet */
  bool trying;   /* what cannot be sent is left out */
  bool failed;
  GrPackNames names;
  int first_number, root;
  int values; /* stack index: item number + 1 -> value */
  int index;   /* stack index: what modules own (names.h) */
  int globals; /* stack index: names of globals with the environments they are looked up in: name, environment, … */
} Packer;

/* ---- memory ---- */

GR_NORETURN static void no_memory(lua_State *L) {
  lua_pushliteral(L, "not enough memory");
  lua_error(L);
  gr_throw("lua_error returned");
}

static void free_items(GrPack *p, uint32_t from) {
  for (uint32_t i = from; i < p->nitems; i++) {
    Item *item = &p->items[i];
    if (item->kind == I_OBJECT) gr_share_unref(item->u.share);
    if (item->kind == I_MADE && item->u.made != NULL) gr_pack_free(item->u.made);
  }
}

void gr_pack_free(GrPack *p) {
  free_items(p, 0);
  gr_free(p->items);
  gr_free(p->bytes);
  gr_free(p);
}

static void fini(Packer *k) {
  if (k->p != NULL) gr_pack_free(k->p);
  gr_free(k->origins);
  gr_free(k->slots);
  k->p = NULL;
  k->origins = NULL;
  k->slots = NULL;
}

static int finalize(lua_State *L) {
  fini(lua_touserdata(L, 1));
  return 0;
}

/* Pushes the packer and its three tables. */
static Packer *new_packer(lua_State *L, GrPackNames names, int first_number) {
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
  if (k->p == NULL) no_memory(L);
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

static char *grow(lua_State *L, Packer *k, size_t n) {
  GrPack *p = k->p;
  if (p->bytes_cap - p->nbytes < n) {
    size_t cap = p->bytes_cap < 128 ? 128 : p->bytes_cap * 2;
    while (cap - p->nbytes < n) cap *= 2;
    char *bytes = gr_realloc(p->bytes, cap);
    if (bytes == NULL) no_memory(L);
    p->bytes = bytes;
    p->bytes_cap = cap;
  }
  p->nbytes += n;
  return p->bytes + p->nbytes - n;
}

static void put(lua_State *L, Packer *k, const void *data, size_t n) {
  if (n > 0) memcpy(grow(L, k, n), data, n);
}
static void put_tag(lua_State *L, Packer *k, char tag) { *grow(L, k, 1) = tag; }
static void put_tagged(lua_State *L, Packer *k, char tag, const void *data, size_t n) {
  char *at = grow(L, k, n + 1);
  *at = tag;
  memcpy(at + 1, data, n);
}

/* ---- identities ---- */

static size_t hash(const void *identity, uint32_t nslots) {
  return (size_t)(((uintptr_t)identity * 0x9e3779b97f4a7c15ULL) >> 32) & (nslots - 1);
}

static void slot_insert(Slot *slots, uint32_t nslots, Slot s) {
  size_t at = hash(s.identity, nslots);
  while (slots[at].identity != NULL) at = (at + 1) & (nslots - 1);
  slots[at] = s;
}

static Slot *slot_find(Packer *k, const void *identity) {
  if (k->nslots == 0) return NULL;
  for (size_t at = hash(identity, k->nslots); k->slots[at].identity != NULL; at = (at + 1) & (k->nslots - 1))
    if (k->slots[at].identity == identity) return &k->slots[at];
  return NULL;
}

/* Slots of items from `limit` on are left out: a savepoint is taken back. */
static void rehash(lua_State *L, Packer *k, uint32_t nslots, uint32_t limit) {
  Slot *slots = gr_zalloc(nslots * sizeof *slots);
  if (slots == NULL) no_memory(L);
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
  if ((k->used + 1) * 4 > k->nslots * 3) rehash(L, k, k->nslots > 0 ? k->nslots * 2 : 16, UINT32_MAX);
  slot_insert(k->slots, k->nslots, (Slot){identity, item});
  k->used++;
}

/* A new item for the value at idx, which is kept in `values` when `keep`. */
static Item *new_item(lua_State *L, Packer *k, ItemKind kind, const void *identity, int idx, bool keep, const Origin *origin) {
  GrPack *p = k->p;
  if (p->nitems == p->items_cap) {
    uint32_t cap = p->items_cap > 0 ? p->items_cap * 2 : 8;
    Item *items = gr_realloc(p->items, cap * sizeof *items);
    if (items == NULL) no_memory(L);
    p->items = items;
    p->items_cap = cap;
  }
  if (p->nitems == k->origins_cap) {
    uint32_t cap = k->origins_cap > 0 ? k->origins_cap * 2 : 8;
    Origin *origins = gr_realloc(k->origins, cap * sizeof *origins);
    if (origins == NULL) no_memory(L);
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

static void put_ref(lua_State *L, Packer *k, uint32_t item) { put_tagged(L, k, T_REF, &item, sizeof item); }

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
static void cannot_send(lua_State *L, Packer *k, const Origin *origin, const char *what) {
  if (k->trying) {
    k->failed = true;
    return;
  }
  int top = lua_gettop(L);
  luaL_checkstack(L, 20, NULL);
  lua_pushliteral(L, "");  /* top + 1: the steps so far, from the end */
  lua_pushliteral(L, "");  /* top + 2: of which function */
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
  lua_pushfstring(L, "%scannot send %s%s (%s)%s", lua_tostring(L, -1), root, lua_tostring(L, top + 1), what,
                  lua_tostring(L, top + 2));
  lua_error(L);
}

/* ---- values ---- */

static void pack_value(lua_State *L, Packer *k, int idx, const Origin *origin);

/* (module, field or nil) are on top, and popped. They wait in `values` as one string, as the wire has it. */
static void put_name(lua_State *L, Packer *k, const void *identity, const Origin *origin) {
  luaL_Buffer b;
  int top = lua_gettop(L);
  luaL_buffinit(L, &b);
  for (int i = top - 1; i <= top; i++) {
    size_t len;
    const char *s = lua_tolstring(L, i, &len);
    if (s != NULL) luaL_addlstring(&b, s, len);
    luaL_addchar(&b, '\0');
  }
  luaL_pushresult(&b);
  new_item(L, k, I_NAME, identity, -1, true, origin)->len = lua_rawlen(L, -1);
  lua_settop(L, top - 2);
}

static void pack_string(lua_State *L, Packer *k, int idx, const Origin *origin) {
  size_t len;
  const char *s = lua_tolstring(L, idx, &len);
  if (len <= STRING_INLINE) {
    uint32_t n = (uint32_t)len;
    char *at = grow(L, k, 1 + sizeof n + len);
    *at = T_STRING;
    memcpy(at + 1, &n, sizeof n);
    memcpy(at + 1 + sizeof n, s, len);
    return;
  }
  Slot *known = slot_find(k, s);
  uint32_t item = known != NULL ? known->item : k->p->nitems;
  if (known == NULL) new_item(L, k, I_STRING, s, idx, true, origin)->len = len;
  put_ref(L, k, item);
}

/* Metamethod __goro of the value at idx: its function and arguments become a message of their own. */
static int call_goro(lua_State *L) {
  GrMsg *made = lua_touserdata(L, 1);
  lua_remove(L, 1); /* __goro, v */
  lua_call(L, 1, LUA_MULTRET);
  int n = lua_gettop(L);
  if (n == 0 || !lua_isfunction(L, 1)) return luaL_error(L, "'__goro' must return a function and its arguments");
  gr_pack(L, 1, n, GR_NAME_MESSAGE, 0, made);
  return 0;
}

/* The metamethod is on top; popped. */
static void pack_made(lua_State *L, Packer *k, int idx, const void *identity, const Origin *origin) {
  GrMsg made = GR_MSG_EMPTY;
  uint32_t number = k->p->nitems;
  Item *item = new_item(L, k, I_MADE, identity, idx, false, origin);
  item->u.made = NULL;
  lua_pushcfunction(L, call_goro);
  lua_insert(L, -2);
  lua_pushlightuserdata(L, &made);
  lua_insert(L, -2);
  lua_pushvalue(L, idx);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK) {
    if (!k->trying) lua_error(L);
    lua_pop(L, 1);
    k->failed = true;
    return;
  }
  k->p->items[number].u.made = made.u.p; /* more than one value, or a function: always a GrPack */
  put_ref(L, k, number);
}

static bool push_metafield(lua_State *L, int idx, const char *name) {
  if (!lua_getmetatable(L, idx)) return false;
  lua_pushstring(L, name);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (!lua_isnil(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

static void pack_userdata(lua_State *L, Packer *k, int idx, const Origin *origin) {
  const void *identity = lua_topointer(L, idx);
  GrObject *o = gr_object_test(L, idx);
  if (o != NULL) {
    put_ref(L, k, k->p->nitems);
    Item *item = new_item(L, k, I_OBJECT, identity, idx, false, origin);
    item->view = o->view;
    item->u.share = o->share;
    gr_share_ref(o->share);
    return;
  }
  luaL_Stream *stream = luaL_testudata(L, idx, LUA_FILEHANDLE);
  if (stream != NULL && stream->closef != NULL && (stream->f == stdin || stream->f == stdout || stream->f == stderr)) {
    put_tag(L, k, stream->f == stdin ? T_STDIN : stream->f == stdout ? T_STDOUT : T_STDERR);
    return;
  }
  if (push_metafield(L, idx, "__goro")) {
    pack_made(L, k, idx, identity, origin);
    return;
  }
  const char *what = "userdata";
  if (push_metafield(L, idx, "__name") && lua_type(L, -1) == LUA_TSTRING) what = lua_tostring(L, -1);
  cannot_send(L, k, origin, what);
}

static void pack_cfunction(lua_State *L, Packer *k, int idx, const Origin *origin) {
  lua_CFunction f = lua_tocfunction(L, idx);
  const void *identity = lua_topointer(L, idx);
  const char *module, *field;
  int native = gr_names_native_index(f);
  if (native >= 0) {
    put_ref(L, k, k->p->nitems);
    new_item(L, k, I_NATIVE, identity, idx, false, origin)->view = (uint32_t)native;
  } else if (gr_names_stock(f, &module, &field)) {
    put_ref(L, k, k->p->nitems);
    lua_pushstring(L, module);
    lua_pushstring(L, field);
    put_name(L, k, identity, origin);
  } else if (gr_names_find(L, idx, k->index)) {
    put_ref(L, k, k->p->nitems);
    put_name(L, k, identity, origin);
  } else if (lua_getupvalue(L, idx, 1) != NULL) {
    cannot_send(L, k, origin, "C function with upvalues");
  } else {
    put_tagged(L, k, T_CFUNCTION, &f, sizeof f);
  }
}

static bool is_globals(lua_State *L, int idx) {
  lua_pushglobaltable(L);
  bool same = lua_rawequal(L, -1, idx);
  lua_pop(L, 1);
  return same;
}

static void pack_table(lua_State *L, Packer *k, int idx, const Origin *origin) {
  const void *identity = lua_topointer(L, idx);
  if (is_globals(L, idx)) {
    put_tag(L, k, T_ENV);
  } else if (gr_names_find(L, idx, k->index)) {
    bool owned = lua_isnil(L, -1) || origin->kind == O_META || gr_class_has_metamethod(L, idx);
    if (owned) {
      put_ref(L, k, k->p->nitems);
      put_name(L, k, identity, origin);
    } else {
      put_ref(L, k, k->p->nitems);
      new_item(L, k, I_TABLE, identity, idx, true, origin);
    }
  } else if (push_metafield(L, idx, "__goro")) {
    pack_made(L, k, idx, identity, origin);
  } else if (push_metafield(L, idx, "__gc")) {
    cannot_send(L, k, origin, "table with a __gc metamethod and no __goro");
  } else {
    put_ref(L, k, k->p->nitems);
    new_item(L, k, I_TABLE, identity, idx, true, origin);
  }
}

static void pack_function(lua_State *L, Packer *k, int idx, const Origin *origin) {
  const void *identity = lua_topointer(L, idx);
  put_ref(L, k, k->p->nitems);
  if (gr_names_find(L, idx, k->index)) put_name(L, k, identity, origin);
  else new_item(L, k, I_FUNCTION, identity, idx, true, origin);
}

/* Writes the value at idx (absolute); a new item goes on the list. Leaves the stack as it was, unless it raises. */
static void pack_value(lua_State *L, Packer *k, int idx, const Origin *origin) {
  int type = lua_type(L, idx), top = lua_gettop(L);
  switch (type) {
    case LUA_TNIL: put_tag(L, k, T_NIL); return;
    case LUA_TBOOLEAN: put_tag(L, k, lua_toboolean(L, idx) ? T_TRUE : T_FALSE); return;
    case LUA_TNUMBER:
      if (lua_isinteger(L, idx)) {
        lua_Integer n = lua_tointeger(L, idx);
        put_tagged(L, k, T_INTEGER, &n, sizeof n);
      } else {
        lua_Number n = lua_tonumber(L, idx);
        put_tagged(L, k, T_FLOAT, &n, sizeof n);
      }
      return;
    case LUA_TLIGHTUSERDATA: {
      void *p = lua_touserdata(L, idx);
      put_tagged(L, k, T_LIGHT, &p, sizeof p);
      return;
    }
    case LUA_TSTRING: pack_string(L, k, idx, origin); return;
    case LUA_TTHREAD: cannot_send(L, k, origin, "thread"); return;
    default: break;
  }
  Slot *known = slot_find(k, lua_topointer(L, idx));
  if (known != NULL) {
    put_ref(L, k, known->item);
    return;
  }
  luaL_checkstack(L, 30, NULL);
  if (type == LUA_TTABLE) pack_table(L, k, idx, origin);
  else if (type == LUA_TUSERDATA) pack_userdata(L, k, idx, origin);
  else if (lua_iscfunction(L, idx)) pack_cfunction(L, k, idx, origin);
  else pack_function(L, k, idx, origin);
  lua_settop(L, top);
}

/* ---- items ---- */

static Origin keyed(lua_State *L, uint32_t parent, int key) {
  Origin o = {.kind = O_KEYED, .key_type = (uint8_t)lua_type(L, key), .parent = parent};
  if (o.key_type == LUA_TSTRING) o.name = lua_tostring(L, key);
  else if (o.key_type == LUA_TBOOLEAN) o.number = lua_toboolean(L, key);
  else if (o.key_type == LUA_TNUMBER) o.number = lua_tonumber(L, key);
  return o;
}

/* The table is on top. */
static void write_table(lua_State *L, Packer *k, uint32_t number) {
  int table = lua_gettop(L);
  bool class = false;
  if (lua_getmetatable(L, table)) pack_value(L, k, table + 1, &(Origin){.kind = O_META, .parent = number});
  else put_tag(L, k, T_NIL);
  lua_settop(L, table);
  lua_Unsigned n = lua_rawlen(L, table);
  if (n > INT32_MAX / 2) n = 0;
  for (lua_Unsigned i = 1; i <= n && !k->failed; i++) {
    Origin o = {.kind = O_KEYED, .key_type = LUA_TNUMBER, .parent = number, .number = (lua_Number)i};
    lua_rawgeti(L, table, (lua_Integer)i);
    pack_value(L, k, table + 1, &o);
    lua_settop(L, table);
  }
  uint32_t nrec = 0;
  for (lua_pushnil(L); !k->failed && lua_next(L, table) != 0; lua_settop(L, table + 1)) {
    if (lua_isinteger(L, table + 1) && (lua_Unsigned)lua_tointeger(L, table + 1) - 1 < n) continue;
    Origin key = {.kind = O_KEY_OF, .parent = number}, value = keyed(L, number, table + 1);
    if (value.key_type == LUA_TSTRING && !class) class = gr_class_is_metamethod(value.name);
    pack_value(L, k, table + 1, &key);
    pack_value(L, k, table + 2, &value);
    nrec++;
  }
  lua_settop(L, table);
  put_tag(L, k, T_END);
  Item *item = &k->p->items[number];
  item->narr = (uint32_t)n;
  item->nrec = nrec;
  if (class || k->origins[number].kind == O_META) {
    uint64_t id = gr_class_id(L, table);
    k->p->items[number].kind = I_CLASS;
    k->p->items[number].id = id;
  }
}

static int dump_piece(lua_State *L, const void *data, size_t n, void *arg) {
  put(L, arg, data, n);
  return 0;
}

typedef struct Names {
  lua_State *L;
  int globals, environment;
} Names;

/* Notes (name, environment) at the end of `globals`, once: globals[environment][name] tells. */
static void found_global(void *arg, const char *name, size_t len) {
  Names *names = arg;
  lua_State *L = names->L;
  int top = lua_gettop(L);
  lua_pushvalue(L, names->environment);
  if (lua_rawget(L, names->globals) == LUA_TNIL) {
    lua_newtable(L);
    lua_pushvalue(L, names->environment);
    lua_pushvalue(L, -2);
    lua_rawset(L, names->globals);
    lua_replace(L, top + 1);
  }
  lua_pushlstring(L, name, len);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, top + 1) == LUA_TNIL) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, names->globals);
    lua_pushvalue(L, top + 2);
    lua_pushboolean(L, 1);
    lua_rawset(L, top + 1);
    lua_pushvalue(L, top + 2);
    lua_rawseti(L, names->globals, n + 1);
    lua_pushvalue(L, names->environment);
    lua_rawseti(L, names->globals, n + 2);
  }
  lua_settop(L, top);
}

/* Which upvalue is _ENV: the one of that name, or when names are stripped, the one that is the globals. Its value is left on top when there is one. */
static int find_env(lua_State *L, int function) {
  const char *name;
  for (int by_name = 1; by_name >= 0; by_name--)
    for (int i = 1; (name = lua_getupvalue(L, function, i)) != NULL; i++, lua_pop(L, 1))
      if (lua_istable(L, -1) && (by_name ? strcmp(name, "_ENV") == 0 : is_globals(L, lua_gettop(L)))) return i;
  return 0;
}

static void write_cell(lua_State *L, Packer *k, uint32_t function, int at, int i, const char *name) {
  const void *identity = lua_upvalueid(L, at, i);
  Slot *known = slot_find(k, identity);
  uint32_t cell = known != NULL ? known->item : k->p->nitems;
  if (known == NULL)
    new_item(L, k, I_CELL, identity, lua_gettop(L), true, &(Origin){.kind = O_UPVALUE, .parent = function, .name = name});
  put_ref(L, k, cell);
}

/* The function is on top. */
static void write_function(lua_State *L, Packer *k, uint32_t number) {
  int function = lua_gettop(L);
  size_t begin = k->p->nbytes;
  lua_dump(L, dump_piece, k, 0);
  size_t len = k->p->nbytes - begin;
  k->p->items[number].len = len;
  int env = find_env(L, function), environment = lua_gettop(L);
  if (env > 0) {
    char *copy = lua_newuserdatauv(L, len, 0); /* the bytes may move while names are noted; nothing else is put meanwhile, but be safe */
    memcpy(copy, k->p->bytes + begin, len);
    Names names = {L, k->globals, environment};
    gr_code_globals(copy, len, env - 1, found_global, &names);
  }
  lua_settop(L, function);
  int n = 0;
  for (const char *name; (name = lua_getupvalue(L, function, n + 1)) != NULL; n++) {
    if (n + 1 == env) lua_pushglobaltable(L); /* the cell's value, whatever _ENV was here */
    write_cell(L, k, number, function, n + 1, name);
    lua_settop(L, function);
  }
  k->p->items[number].nups = (uint8_t)n;
}

static void write_item(lua_State *L, Packer *k, uint32_t number) {
  int top = lua_gettop(L);
  size_t at = k->p->nbytes;
  ItemKind kind = (ItemKind)k->p->items[number].kind;
  k->p->items[number].at = at;
  lua_rawgeti(L, k->values, (lua_Integer)number + 1);
  switch (kind) {
    case I_TABLE: write_table(L, k, number); break;
    case I_FUNCTION: write_function(L, k, number); break;
    case I_CELL: {
      Origin origin = k->origins[number]; /* the array may move */
      pack_value(L, k, top + 1, &origin);
      break;
    }
    case I_STRING:
    case I_NAME: put(L, k, lua_tostring(L, -1), lua_rawlen(L, -1)); break;
    default: break;
  }
  lua_settop(L, top);
}

static void write_items(lua_State *L, Packer *k) {
  while (k->next < k->p->nitems && !k->failed) write_item(L, k, k->next++);
}

/* ---- what may be missing ---- */

/* Tries to write what `write` puts; false, and nothing has changed, when something in it cannot be sent. */
static bool attempt(lua_State *L, Packer *k, void (*write)(lua_State *L, Packer *k, int idx), int idx) {
  size_t nbytes = k->p->nbytes;
  uint32_t nitems = k->p->nitems, next = k->next;
  k->trying = true;
  k->failed = false;
  write(L, k, idx);
  k->trying = false;
  if (!k->failed) return true;
  k->failed = false;
  free_items(k->p, nitems);
  for (uint32_t i = nitems; i < k->p->nitems; i++) {
    lua_pushnil(L);
    lua_rawseti(L, k->values, (lua_Integer)i + 1);
  }
  k->p->nitems = nitems;
  k->p->nbytes = nbytes;
  k->next = next;
  if (k->nslots > 0) rehash(L, k, k->nslots, nitems);
  return false;
}

/* (name, value) at idx - 1, idx: looked into completely, so that it can be taken back. The pair itself is written afterwards, where it belongs. */
static void probe(lua_State *L, Packer *k, int idx) {
  pack_value(L, k, idx, &(Origin){.kind = O_GLOBAL});
  write_items(L, k);
}

static int look_up(lua_State *L) {
  lua_gettable(L, 1);
  return 1;
}

/* Pushes env[key] as the function would see it; nil when that raises, as with strict.lua. */
static void push_looked_up(lua_State *L, int env, int key) {
  lua_pushcfunction(L, look_up);
  lua_pushvalue(L, env);
  lua_pushvalue(L, key);
  if (lua_pcall(L, 2, 1, 0) == LUA_OK) return;
  lua_pop(L, 1);
  lua_pushnil(L);
}

/* Values that were probed go to `kept` (name, value, name, value…; kept[name] = true); probing one may find more names. The first that can be sent of each
 * name is the one. */
static void collect_globals(lua_State *L, Packer *k, int kept) {
  for (lua_Integer i = 1, n = 0; i < (lua_Integer)lua_rawlen(L, k->globals); i += 2) {
    int top = lua_gettop(L);
    luaL_checkstack(L, 20, NULL);
    lua_rawgeti(L, k->globals, i);
    lua_rawgeti(L, k->globals, i + 1);
    lua_pushvalue(L, top + 1);
    bool carried = lua_rawget(L, kept) != LUA_TNIL;
    push_looked_up(L, top + 2, top + 1);
    int value = lua_gettop(L);
    bool wanted = !carried && !lua_isnil(L, value) && !(lua_istable(L, value) && is_globals(L, value)) &&
                  !gr_names_is_standard(L, value, lua_tostring(L, top + 1));
    if (wanted && attempt(L, k, probe, value)) {
      lua_rawseti(L, kept, n + 2);
      lua_pushvalue(L, top + 1);
      lua_rawseti(L, kept, n + 1);
      lua_pushvalue(L, top + 1);
      lua_pushboolean(L, 1);
      lua_rawset(L, kept);
      n += 2;
    }
    lua_settop(L, top);
  }
}

static void write_globals(lua_State *L, Packer *k) {
  lua_newtable(L);
  int kept = lua_gettop(L);
  collect_globals(L, k, kept);
  lua_Integer n = (lua_Integer)lua_rawlen(L, kept);
  k->p->globals = k->p->nbytes;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, kept, i);
    pack_value(L, k, kept + 1, &(Origin){.kind = O_GLOBAL});
    lua_settop(L, kept);
  }
  put_tag(L, k, T_END);
  write_items(L, k); /* the names, when they are long */
  lua_settop(L, kept - 1);
}

/* ---- what a goroutine inherits ---- */

/* Pushes a table {arg, path, cpath, preload, searchers}; stock searchers stand there by their number. */
static void push_inherited(lua_State *L) {
  lua_createtable(L, 5, 0);
  int list = lua_gettop(L);
  lua_pushglobaltable(L);
  lua_pushliteral(L, "arg");
  lua_rawget(L, -2);
  lua_rawseti(L, list, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "package") == LUA_TTABLE) {
    static const char *const fields[] = {"path", "cpath", "preload"};
    int package = lua_gettop(L);
    for (int i = 0; i < 3; i++) {
      lua_getfield(L, package, fields[i]);
      lua_rawseti(L, list, i + 2);
    }
    lua_newtable(L);
    if (lua_getfield(L, package, "searchers") == LUA_TTABLE) {
      for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, -1); i <= n; i++) {
        lua_rawgeti(L, -1, i);
        int stock = gr_names_stock_searcher(lua_tocfunction(L, -1));
        if (stock > 0) {
          lua_pop(L, 1);
          lua_pushinteger(L, stock);
        }
        lua_rawseti(L, -3, i);
      }
    }
    lua_settop(L, package + 1);
    lua_rawseti(L, list, 5);
  }
  lua_settop(L, list);
}

/* A table of optional things: each entry of the table at idx that can be sent, the others left out. Pushes the table of these. */
static void push_sendable(lua_State *L, Packer *k, int idx) {
  lua_newtable(L);
  int out = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, idx) != 0; lua_settop(L, out + 1)) {
    if (!attempt(L, k, probe, out + 2)) continue;
    lua_pushvalue(L, out + 1);
    lua_pushvalue(L, out + 2);
    lua_rawset(L, out);
  }
  lua_settop(L, out);
}

static void write_inherited(lua_State *L, Packer *k) {
  push_inherited(L);
  int list = lua_gettop(L);
  for (int i = 1; i <= 5; i++) {
    if (lua_rawgeti(L, list, i) == LUA_TTABLE) {
      push_sendable(L, k, list + 1);
      lua_rawseti(L, list, i);
    } else if (!lua_isstring(L, -1)) {
      lua_pushboolean(L, 0);
      lua_rawseti(L, list, i);
    }
    lua_settop(L, list);
  }
  k->p->inherited = k->p->nbytes;
  for (int i = 1; i <= 5; i++) {
    lua_rawgeti(L, list, i);
    pack_value(L, k, list + 1, &(Origin){.kind = O_GLOBAL});
    lua_settop(L, list);
  }
  write_items(L, k);
  lua_settop(L, list - 1);
}

/* ---- the interface ---- */

/* Memory outside of Lua is charged to the state's collector, which otherwise could not know what an unreachable channel holds. */
static void charge(lua_State *L, size_t bytes) {
  if (bytes >= 1024 && lua_gc(L, LUA_GCISRUNNING)) lua_gc(L, LUA_GCSTEP, (int)(bytes >> 10 < 1 << 20 ? bytes >> 10 : 1 << 20));
}

static void pack(lua_State *L, int idx, int n, GrPackNames names, int first_number, bool start, GrMsg *out) {
  *out = GR_MSG_EMPTY;
  idx = lua_absindex(L, idx);
  int top = lua_gettop(L);
  Packer *k = new_packer(L, names, first_number);
  k->p->nroots = (uint32_t)n;
  k->p->start = start;
  for (int i = 0; i < n; i++)
    pack_value(L, k, idx + i, &(Origin){.kind = O_ROOT, .parent = (uint32_t)(first_number + i)});
  write_items(L, k);
  if (start) write_inherited(L, k);
  write_globals(L, k);
  out->kind = M_PACK;
  out->u.p = k->p;
  k->p = NULL;
  fini(k);
  lua_settop(L, top);
  charge(L, ((GrPack *)out->u.p)->nbytes);
}

bool gr_pack_scalar(lua_State *L, int idx, GrMsg *out) {
  *out = GR_MSG_EMPTY;
  switch (lua_type(L, idx)) {
    case LUA_TNIL: out->kind = M_NIL; return true;
    case LUA_TBOOLEAN: out->kind = lua_toboolean(L, idx) ? M_TRUE : M_FALSE; return true;
    case LUA_TNUMBER:
      if (lua_isinteger(L, idx)) {
        out->kind = M_INTEGER;
        out->u.i = lua_tointeger(L, idx);
      } else {
        out->kind = M_FLOAT;
        out->u.n = lua_tonumber(L, idx);
      }
      return true;
    case LUA_TLIGHTUSERDATA:
      out->kind = M_LIGHT;
      out->u.p = lua_touserdata(L, idx);
      return true;
    case LUA_TSTRING: {
      size_t len;
      const char *s = lua_tolstring(L, idx, &len);
      if (len <= GR_SHORT_MAX) {
        out->kind = M_SHORT;
        out->len = (uint8_t)len;
        memcpy((char *)out + offsetof(GrMsg, bytes), s, len);
      } else {
        out->u.p = gr_malloc(len);
        if (out->u.p == NULL) no_memory(L);
        out->kind = M_LONG;
        out->w[0] = len;
        memcpy(out->u.p, s, len);
        charge(L, len);
      }
      return true;
    }
    default: return false;
  }
}

void gr_pack(lua_State *L, int idx, int n, GrPackNames names, int first_number, GrMsg *out) {
  if (n == 1 && gr_pack_scalar(L, idx, out)) return;
  pack(L, idx, n, names, first_number, false, out);
}

void gr_pack_start(lua_State *L, int idx, int n, GrMsg *out) { pack(L, idx, n, GR_NAME_ARGUMENT, 1, true, out); }

static void drop(GrMsg *m) {
  if (m->kind == M_PACK && m->u.p != NULL) gr_pack_free(m->u.p);
  else if (m->kind == M_LONG) gr_free(m->u.p);
}

void gr_pack_init(void) {
  gr_msg_drop_hook = drop;
  if (!gr_names_init()) gr_fatal("not enough memory to start");
}

void gr_pack_open(lua_State *L) { luaL_checkstack(L, LUA_MINSTACK, NULL); }

void gr_msg_wall(GrMsg *out) {
  *out = GR_MSG_EMPTY;
  out->kind = M_FLOAT;
  out->u.n = gr_wall_s();
}

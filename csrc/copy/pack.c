/* SPDX-License-Identifier: MIT */
/* pack.c - values to a message; the form is wire.h's.
 *
 * No recursion: a value with an identity gets an item's number when it is first met and is put into
 * `values` (a Lua table); the items are then written one after the other, each perhaps adding more.
 * For error messages each item remembers from where it was first reached, which is a path back to
 * the root.
 *
 * What cannot be sent raises, with its path; in a global that comes along (carry.c) a placeholder
 * stands for it, and a record (record.c) is given up. The packer is kept for the next message
 * (packer.c). */
#include "copy/pack.h"

#include <string.h>

#include "base/big.h"
#include "copy/class.h"
#include "copy/codes.h"
#include "heap/names.h"
#include "heap/need.h"
#include "heap/object.h"
#include "copy/packer.h"
#include "heap/raise.h"
#include "copy/placeholder.h"
#include "copy/record.h"
#include "copy/vet.h"

enum {
  STRING_INLINE = 64
}; /* longer ones are items, so that a string that comes twice is carried once */

/* ---- values ---- */

/* (module, field or nil) are on top, and popped. They wait in `values` as one string, as the wire
 * has it. */
static void put_name(lua_State *L, Packer *k, const void *identity, const Origin *origin) {
  luaL_Buffer b;
  int top = lua_gettop(L);
  k->p.need |= gr_need_module(lua_tostring(L, top - 1), lua_tostring(L, top));
  luaL_buffinit(L, &b);
  for (int i = top - 1; i <= top; i++) {
    size_t len;
    const char *s = lua_tolstring(L, i, &len);
    if (s != NULL) luaL_addlstring(&b, s, len);
    luaL_addchar(&b, '\0');
  }
  luaL_pushresult(&b);
  gr_packer_put_ref(L, k, k->p.nitems);
  gr_packer_item(L, k, I_NAME, identity, -1, origin)->len = lua_rawlen(L, -1);
  lua_settop(L, top - 2);
}

static void put_string(lua_State *L, Packer *k, const char *s, size_t len) {
  uint32_t n = (uint32_t)len;
  char *at = gr_packer_grow(L, k, 1 + sizeof n + len);
  *at = T_STRING;
  memcpy(at + 1, &n, sizeof n);
  memcpy(at + 1 + sizeof n, s, len);
}

static void pack_long_string(lua_State *L, Packer *k, int idx, const Origin *origin) {
  size_t len;
  const char *s = lua_tolstring(L, idx, &len);
  Slot *known = gr_packer_find(k, s);
  uint32_t item = known != NULL ? known->item : k->p.nitems;
  if (known == NULL) gr_packer_item(L, k, I_STRING, s, idx, origin)->len = len;
  gr_packer_put_ref(L, k, item);
}

/* What has no identity and needs no origin is written in place; false: it is something else. */
static bool put_simple(lua_State *L, Packer *k, int idx, int type) {
  switch (type) {
    case LUA_TNIL: gr_packer_put_tag(L, k, T_NIL); return true;
    case LUA_TBOOLEAN:
      gr_packer_put_tag(L, k, lua_toboolean(L, idx) ? T_TRUE : T_FALSE);
      return true;
    case LUA_TNUMBER:
      if (lua_isinteger(L, idx)) {
        lua_Integer n = lua_tointeger(L, idx);
        gr_packer_put_tagged(L, k, T_INTEGER, &n, sizeof n);
      } else {
        lua_Number n = lua_tonumber(L, idx);
        gr_packer_put_tagged(L, k, T_FLOAT, &n, sizeof n);
      }
      return true;
    case LUA_TLIGHTUSERDATA: {
      void *p = lua_touserdata(L, idx);
      gr_packer_put_tagged(L, k, T_LIGHT, &p, sizeof p);
      return true;
    }
    case LUA_TSTRING: {
      size_t len;
      const char *s = lua_tolstring(L, idx, &len);
      if (len > STRING_INLINE) return false;
      put_string(L, k, s, len);
      return true;
    }
    default: return false;
  }
}

/* Item `number`, an object, is the placeholder of the value at idx; the origin is the item's, or
 * has its key still. */
static void put_placeholder(lua_State *L, Packer *k, uint32_t number, int idx, const Origin *origin,
                            const char *what) {
  gr_packer_push_text(L, k, origin, number, what);
  GrShare *share = gr_placeholder_of(L, idx);
  if (share == NULL) gr_packer_no_memory(L, k);
  gr_share_ref(share);
  k->p.items[number].u.share = share;
  lua_pop(L, 1);
}

/* The value at idx, of the kind `what`, cannot be sent. */
static void refuse(lua_State *L, Packer *k, int idx, const Origin *origin, const char *what) {
  uint32_t number = k->p.nitems;
  if (k->recording != 0) {
    k->failed = true;
    return;
  }
  if (k->carrying == 0) gr_packer_cannot_send(L, k, origin, what);
  gr_packer_put_ref(L, k, number);
  gr_packer_item(L, k, I_OBJECT, lua_topointer(L, idx), idx, origin);
  put_placeholder(L, k, number, idx, origin, what);
}

/* Has the value at idx got a placeholder in this message? */
static bool is_refused(lua_State *L, Packer *k, int idx) {
  if (k->carrying == 0) return false;
  const Slot *slot = gr_packer_find(k, lua_topointer(L, idx));
  return slot != NULL && k->p.items[slot->item].kind == I_OBJECT && gr_object_test(L, idx) == NULL;
}

/* Metamethod __goro of the value at idx: its function and arguments become a message of their own.
 */
static int call_goro(lua_State *L) {
  GrMsg *made = gr_check_pointer(L, 1);
  lua_remove(L, 1); /* __goro, v */
  lua_call(L, 1, LUA_MULTRET);
  int n = lua_gettop(L);
  if (n == 0 || !lua_isfunction(L, 1))
    return luaL_error(L, "'__goro' must return a function and its arguments");
  gr_pack(L, 1, n, GR_NAME_MESSAGE, 0, made);
  return 0;
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

/* Pushes __name of the value at idx, or its type. */
static void push_kind(lua_State *L, int idx) {
  if (push_metafield(L, idx, "__name")) {
    if (lua_type(L, -1) == LUA_TSTRING) return;
    lua_pop(L, 1);
  }
  lua_pushstring(L, luaL_typename(L, idx));
}

/* A value whose __goro is being called: on the C stack, in a list of the state. */
typedef struct Making {
  const struct Making *outer;
  const void *value;
  int depth;
} Making;

enum { MAKING_MOST = 2 };

/* What __goro gives is a message of its own, with the globals that its functions name. A value in
 * these that has a __goro has one more, and so on: were there no end to it, ten values in a table
 * that their functions name would be 10! messages. */
static bool is_too_deep(const Packer *k, const Making *outer) {
  return k->carrying != 0 && outer != NULL && outer->depth >= MAKING_MOST;
}

static bool is_being_made(const Making *outer, const void *value) {
  while (outer != NULL && outer->value != value) outer = outer->outer;
  return outer != NULL;
}

/* The metamethod is on top; popped. */
static void pack_made(lua_State *L, Packer *k, int idx, const void *identity,
                      const Origin *origin) {
  GrMsg made = GR_MSG_EMPTY;
  GrHeap *h = gr_heap_find(L);
  uint32_t number = k->p.nitems;
  if (k->recording != 0) {
    k->failed = true; /* it might change what is being recorded */
    return;
  }
  bool again = is_being_made(h->making, identity);
  if (again || is_too_deep(k, h->making)) {
    push_kind(L, idx);
    if (again) lua_pushliteral(L, " whose __goro leads to itself"), lua_concat(L, 2);
    refuse(L, k, idx, origin, lua_tostring(L, -1));
    lua_pop(L, 2);
    return;
  }
  gr_packer_put_ref(L, k, number);
  gr_packer_item(L, k, I_MADE, identity, idx, origin)->u.made = NULL;
  lua_pushcfunction(L, call_goro);
  lua_insert(L, -2);
  lua_pushlightuserdata(L, &made);
  lua_insert(L, -2);
  lua_pushvalue(L, idx);
  Making making = {h->making, identity, h->making != NULL ? h->making->depth + 1 : 1};
  h->making = &making;
  int status = lua_pcall(L, 3, 0, 0);
  h->making = making.outer;
  if (status == LUA_OK) {
    k->p.items[number].u.made = made.u.p; /* a function at least: always a GrPack */
  } else if (k->carrying != 0 && status != LUA_ERRMEM) {
    lua_pop(L, 1);
    k->p.items[number].kind = I_OBJECT;
    push_kind(L, idx);
    put_placeholder(L, k, number, idx, origin, lua_tostring(L, -1));
    lua_pop(L, 1);
  } else {
    gr_packer_give_up(L, k);
    lua_error(L);
  }
}

static void pack_userdata(lua_State *L, Packer *k, int idx, const Origin *origin) {
  const void *identity = lua_topointer(L, idx);
  GrObject *o = gr_object_test(L, idx);
  if (o != NULL) {
    gr_packer_put_ref(L, k, k->p.nitems);
    Item *item = gr_packer_item(L, k, I_OBJECT, identity, idx, origin);
    item->view = o->view;
    item->u.share = o->share;
    gr_share_ref(o->share);
    if (o->share->type->foreign) k->p.need = GR_NEED_ALL;
    return;
  }
  luaL_Stream *stream = luaL_testudata(L, idx, LUA_FILEHANDLE);
  if (stream != NULL && stream->closef != NULL &&
      (stream->f == stdin || stream->f == stdout || stream->f == stderr)) {
    k->p.need |= gr_need_module("io", NULL);
    gr_packer_put_tag(L, k,
                      stream->f == stdin    ? T_STDIN
                      : stream->f == stdout ? T_STDOUT
                                            : T_STDERR);
    return;
  }
  if (push_metafield(L, idx, "__goro")) {
    pack_made(L, k, idx, identity, origin);
    return;
  }
  push_kind(L, idx);
  refuse(L, k, idx, origin, lua_tostring(L, -1));
}

/* Pushes module and field of a value that a loaded module owns. In a state without the package
 * library no module owns Lua functions. */
static bool owned(lua_State *L, Packer *k, int idx) {
  if (k->no_modules && lua_isfunction(L, idx) && !lua_iscfunction(L, idx)) return false;
  gr_packer_need_index(L, k);
  return gr_names_find(L, idx, k->index);
}

static void pack_cfunction(lua_State *L, Packer *k, int idx, const Origin *origin) {
  lua_CFunction f = lua_tocfunction(L, idx);
  const void *identity = lua_topointer(L, idx);
  const char *module, *field;
  int native = gr_names_native_index(f);
  if (native >= 0) {
    gr_packer_put_ref(L, k, k->p.nitems);
    gr_packer_item(L, k, I_NATIVE, identity, idx, origin)->view = (uint32_t)native;
  } else if (gr_names_stock(f, &module, &field)) {
    lua_pushstring(L, module);
    lua_pushstring(L, field);
    put_name(L, k, identity, origin);
  } else if (owned(L, k, idx)) {
    put_name(L, k, identity, origin);
  } else if (lua_getupvalue(L, idx, 1) != NULL) {
    refuse(L, k, idx, origin, "C function with upvalues");
  } else {
    gr_packer_put_tagged(L, k, T_CFUNCTION, &f, sizeof f);
    k->p.need = GR_NEED_ALL;
  }
}

static void pack_table(lua_State *L, Packer *k, int idx, const void *identity,
                       const Origin *origin) {
  if (identity == k->globals_table) {
    gr_packer_put_tag(L, k, T_ENV);
    k->p.need = GR_NEED_ALL;
    return;
  }
  if (owned(L, k, idx) &&
      (lua_isnil(L, -1) || origin->kind == O_META || gr_class_has_metamethod(L, idx))) {
    put_name(L, k, identity, origin);
  } else if (push_metafield(L, idx, "__goro")) {
    pack_made(L, k, idx, identity, origin);
  } else if (push_metafield(L, idx, "__gc")) {
    refuse(L, k, idx, origin, "table with a __gc metamethod and no __goro");
  } else {
    gr_packer_put_ref(L, k, k->p.nitems);
    gr_packer_item(L, k, I_TABLE, identity, idx, origin);
  }
}

static void pack_function(lua_State *L, Packer *k, int idx, const void *identity,
                          const Origin *origin) {
  if (owned(L, k, idx)) {
    put_name(L, k, identity, origin);
  } else {
    gr_packer_put_ref(L, k, k->p.nitems);
    gr_packer_item(L, k, I_FUNCTION, identity, idx, origin);
  }
}

void gr_pack_value(lua_State *L, Packer *k, int idx, const Origin *origin) {
  int type = lua_type(L, idx), top = lua_gettop(L);
  if (put_simple(L, k, idx, type)) return;
  if (type == LUA_TSTRING) {
    pack_long_string(L, k, idx, origin);
    return;
  }
  const void *identity = lua_topointer(L, idx);
  Slot *known = gr_packer_find(k, identity);
  if (known != NULL) {
    gr_packer_put_ref(L, k, known->item);
    return;
  }
  gr_check_stack(L, 30);
  if (type == LUA_TTABLE) pack_table(L, k, idx, identity, origin);
  else if (type == LUA_TUSERDATA) pack_userdata(L, k, idx, origin);
  else if (type == LUA_TTHREAD) refuse(L, k, idx, origin, "thread");
  else if (lua_iscfunction(L, idx)) pack_cfunction(L, k, idx, origin);
  else pack_function(L, k, idx, identity, origin);
  lua_settop(L, top);
}

/* ---- items ---- */

static void make_class(lua_State *L, Packer *k, uint32_t number, int idx) {
  k->p.items[number].id = gr_class_id(L, idx);
  k->p.items[number].kind = I_CLASS;
  k->p.classes = true;
}

/* It is kept once in each state, also where it came as a value first. */
void gr_pack_metatable(lua_State *L, Packer *k, uint32_t parent) {
  int at = lua_gettop(L);
  gr_pack_value(L, k, at, &(Origin){.kind = O_META, .parent = parent});
  Slot *slot = gr_packer_find(k, lua_topointer(L, at));
  if (slot != NULL && k->p.items[slot->item].kind == I_TABLE) make_class(L, k, slot->item, at);
  lua_pop(L, 1);
}

/* The key and the value at key + 1, unless the key cannot come along: false. *class: the key is a
 * metamethod's name. */
static bool write_pair(lua_State *L, Packer *k, uint32_t number, int key, bool *class) {
  int type = lua_type(L, key);
  size_t len = 0, before = k->p.nbytes;
  const char *s = type == LUA_TSTRING ? lua_tolstring(L, key, &len) : NULL;
  if (s != NULL && len <= STRING_INLINE) {
    *class |= s[0] == '_' && gr_class_is_metamethod(s);
    put_string(L, k, s, len);
  } else if (!put_simple(L, k, key, type)) {
    gr_pack_value(L, k, key, &(Origin){.kind = O_KEY_OF, .parent = number});
    if (is_refused(L, k, key)) {
      k->p.nbytes = before;
      return false;
    }
  }
  type = lua_type(L, key + 1);
  if (!put_simple(L, k, key + 1, type))
    gr_pack_value(L, k, key + 1, &(Origin){.kind = O_KEYED, .parent = number, .key = key});
  return true;
}

/* Item `number`, the table at idx, of which nothing has been written: its metatable cannot come
 * along, and a table without its metatable is another. */
static void refuse_table(lua_State *L, Packer *k, uint32_t number, int idx) {
  Origin origin = k->origins[number]; /* the array may move */
  k->p.items[number] = (Item){.kind = I_OBJECT};
  put_placeholder(L, k, number, idx, &origin, "table whose metatable cannot be sent");
}

/* lua_next gives the array part first and in order, so what begins as 1, 2, 3, … is written as
 * values only, with nils for what is missing, as long as these are fewer; nothing is visited twice.
 * The table is on top. */
static void write_table(lua_State *L, Packer *k, uint32_t number) {
  int table = lua_gettop(L), key = table + 1;
  bool class = false, in_order = true;
  uint32_t narr = 0, nrec = 0, nils = 0;
  if (lua_getmetatable(L, table)) {
    size_t before = k->p.nbytes;
    lua_pushvalue(L, -1);
    gr_pack_metatable(L, k, number);
    if (is_refused(L, k, -1)) {
      k->p.nbytes = before;
      refuse_table(L, k, number, table);
      return;
    }
    lua_pop(L, 1);
  } else {
    gr_packer_put_tag(L, k, T_NIL);
  }
  for (lua_pushnil(L); !k->failed && lua_next(L, table) != 0; lua_settop(L, key)) {
    if (in_order) {
      lua_Integer i = lua_isinteger(L, key) ? lua_tointeger(L, key) : 0,
                  gap = i > narr ? i - narr - 1 : INT32_MAX;
      in_order = gap <= narr - nils && narr < INT32_MAX / 2;
      for (; in_order && gap > 0; gap--, narr++, nils++) gr_packer_put_tag(L, k, T_NIL);
    }
    if (!in_order) {
      nrec += write_pair(L, k, number, key, &class);
      continue;
    }
    narr++;
    if (put_simple(L, k, key + 1, lua_type(L, key + 1))) continue;
    gr_pack_value(L, k, key + 1, &(Origin){.kind = O_KEYED, .parent = number, .key = key});
  }
  lua_settop(L, table);
  gr_packer_put_tag(L, k, T_END);
  Item *item = &k->p.items[number];
  item->narr = narr;
  item->nrec = nrec;
  if (class && item->kind == I_TABLE) make_class(L, k, number, table);
}

static int dump_piece(lua_State *L, const void *data, size_t n, void *arg) {
  gr_packer_put(L, arg, data, n);
  return 0;
}

static bool is_globals(lua_State *L, const Packer *k, int idx) {
  return lua_topointer(L, idx) == k->globals_table;
}

/* Which upvalue is _ENV: the one of that name, or when names are stripped, the one that is the
 * globals. Its value is left on top when there is one. */
static int find_env(lua_State *L, const Packer *k, int function) {
  const char *name;
  for (int by_name = 1; by_name >= 0; by_name--)
    for (int i = 1; (name = lua_getupvalue(L, function, i)) != NULL; i++, lua_pop(L, 1))
      if (lua_istable(L, -1) && (by_name ? strcmp(name, "_ENV") == 0 : is_globals(L, k, -1)))
        return i;
  return 0;
}

/* `env`: it is the function's _ENV, in which it names what it needs; any other variable that holds
 * the globals may lead anywhere in them. */
static void write_cell(lua_State *L, Packer *k, uint32_t function, int at, int i, bool env) {
  const void *identity = lua_upvalueid(L, at, i);
  Slot *known = gr_packer_find(k, identity);
  uint32_t cell = known != NULL ? known->item : k->p.nitems;
  if (known == NULL) {
    Item *item =
        gr_packer_item(L, k, I_CELL, identity, lua_gettop(L),
                       &(Origin){.kind = O_UPVALUE, .parent = function, .upvalue = (uint32_t)i});
    item->view = env;
  }
  if (!env && is_globals(L, k, -1)) k->p.need = GR_NEED_ALL;
  gr_packer_put_ref(L, k, cell);
}

/* What the code names is looked up in the environment on top if there is one; in a form that is not
 * known it may name anything. */
static void note_names(lua_State *L, Packer *k, const GrCode *code) {
  int environment = lua_gettop(L);
  const char *at = code->names;
  for (uint32_t i = 0, len; i < code->nnames; i++, at += sizeof len + len + 1) {
    memcpy(&len, at, sizeof len);
    gr_carry_note(L, k, environment, at + sizeof len, len);
  }
  if (!code->known) k->failed |= k->recording != 0; /* it names too much to be compared */
  if (!code->known)
    for (lua_pushnil(L); lua_next(L, environment) != 0; lua_settop(L, environment + 1))
      if (lua_type(L, -2) == LUA_TSTRING)
        gr_carry_note(L, k, environment, lua_tostring(L, -2), lua_rawlen(L, -2));
}

/* The function is on top. */
static void write_function(lua_State *L, Packer *k, uint32_t number) {
  int function = lua_gettop(L), n = 0;
  size_t begin = k->p.nbytes;
  lua_dump(L, dump_piece, k, 0);
  size_t len = k->p.nbytes - begin;
  k->p.items[number].len = len;
  int env = find_env(L, k, function);
  const GrCode *code = gr_codes_find(k->p.bytes + begin, len, env);
  if (code == NULL) gr_packer_no_memory(L, k);
  k->p.need |= code->need;
  if (number == 0 && k->p.start) k->p.image = gr_codes_start(code);
  bool vet = atomic_load_explicit(&gr_vet, memory_order_relaxed) && k->p.start &&
             k->origins[number].kind == O_ROOT;
  bool names = env > 0 && (code->nnames > 0 || !code->known);
  if (vet || names) {
    gr_codes_ref(k->code = code); /* a finalizer may run meanwhile, and send */
    if (vet) gr_vet_function(L, k, code, function, env);
    if (names) note_names(L, k, code);
    gr_codes_unref(code);
    k->code = NULL;
  }
  lua_settop(L, function);
  for (; lua_getupvalue(L, function, n + 1) != NULL; n++) {
    if (n + 1 == env) lua_pushglobaltable(L); /* the cell's value, whatever _ENV was here */
    write_cell(L, k, number, function, n + 1, n + 1 == env);
    lua_settop(L, function);
  }
  k->p.items[number].nups = (uint8_t)n;
}

static void write_item(lua_State *L, Packer *k, uint32_t number) {
  int top = lua_gettop(L);
  ItemKind kind = (ItemKind)k->p.items[number].kind;
  k->p.items[number].at = k->p.nbytes;
  lua_rawgeti(L, k->values, (lua_Integer)number + 1);
  switch (kind) {
    case I_TABLE: write_table(L, k, number); break;
    case I_CLASS:
      if (!gr_record_link(L, k, number)) write_table(L, k, number);
      break;
    case I_FUNCTION: write_function(L, k, number); break;
    case I_CELL: {
      Origin origin = k->origins[number]; /* the array may move */
      if (k->p.items[number].view) gr_packer_put_tag(L, k, T_ENV);
      else gr_pack_value(L, k, top + 1, &origin);
      break;
    }
    case I_STRING:
    case I_NAME: gr_packer_put(L, k, lua_tostring(L, -1), lua_rawlen(L, -1)); break;
    default: break;
  }
  lua_settop(L, top);
}

void gr_pack_items(lua_State *L, Packer *k) {
  while (k->next < k->p.nitems && !k->failed) write_item(L, k, k->next++);
}

void gr_pack_unlink(lua_State *L, Packer *k, uint32_t number) {
  Item *item = &k->p.items[number];
  gr_share_unref(item->u.share);
  *item = (Item){.kind = I_CLASS, .id = item->id, .at = k->p.nbytes};
  lua_rawgeti(L, k->values, (lua_Integer)number + 1);
  write_table(L, k, number);
  lua_pop(L, 1);
}

/* ---- the interface ---- */

/* Memory outside of Lua is charged to the state's collector, which otherwise could not know what an
 * unreachable channel holds. */
static void charge(lua_State *L, size_t bytes) {
  if (bytes >= 1024 && lua_gc(L, LUA_GCISRUNNING))
    lua_gc(L, LUA_GCSTEP, (int)(bytes >> 10 < 1 << 20 ? bytes >> 10 : 1 << 20));
}

static void pack(lua_State *L, int idx, int n, GrPackNames names, int first_number, bool start,
                 GrMsg *out) {
  *out = GR_MSG_EMPTY;
  idx = lua_absindex(L, idx);
  int top = lua_gettop(L);
  Packer *k = gr_packer_new(L, names, first_number);
  k->p.nroots = (uint32_t)n;
  k->p.start = start;
  for (int i = 0; i < n; i++)
    gr_pack_value(L, k, idx + i, &(Origin){.kind = O_ROOT, .parent = (uint32_t)(first_number + i)});
  do {
    gr_pack_items(L, k);
    gr_carry_globals(L, k);
  } while (gr_record_settle(L, k));
  GrPack *p = gr_packer_finish(L, k);
  lua_settop(L, top);
  out->kind = M_PACK;
  out->u.p = p;
  charge(L, p->nbytes);
}

bool gr_pack_scalar(lua_State *L, int idx, GrMsg *out) {
  *out = GR_MSG_EMPTY;
  if (lua_isinteger(L, idx)) {
    out->kind = M_INTEGER;
    out->u.i = lua_tointeger(L, idx);
    return true;
  }
  switch (lua_type(L, idx)) {
    case LUA_TNIL: out->kind = M_NIL; return true;
    case LUA_TBOOLEAN: out->kind = lua_toboolean(L, idx) ? M_TRUE : M_FALSE; return true;
    case LUA_TNUMBER:
      out->kind = M_FLOAT;
      out->u.n = lua_tonumber(L, idx);
      return true;
    case LUA_TLIGHTUSERDATA:
      out->kind = M_LIGHT;
      out->u.p = lua_touserdata(L, idx);
      return true;
    case LUA_TSTRING: {
      size_t len;
      const char *s = lua_tolstring(L, idx, &len);
      if (!gr_msg_string(s, len, out)) gr_raise_nomem(L);
      charge(L, len);
      return true;
    }
    default: return false;
  }
}

void gr_pack(lua_State *L, int idx, int n, GrPackNames names, int first_number, GrMsg *out) {
  if (n == 1 && gr_pack_scalar(L, idx, out)) return;
  pack(L, idx, n, names, first_number, false, out);
}

void gr_pack_start(lua_State *L, int idx, int n, int first_number, GrMsg *out) {
  pack(L, idx, n, GR_NAME_ARGUMENT, first_number, true, out);
}

static void drop(GrMsg *m) {
  if (m->kind == M_PACK && m->u.p != NULL) gr_pack_free(m->u.p);
  else if (m->kind == M_LONG) gr_big_put(m->u.p, m->w[0]);
}

void gr_pack_init(void) {
  gr_msg_drop_hook = drop;
  gr_packer_init();
  if (!gr_names_init()) gr_fatal("not enough memory to start");
}

void gr_pack_open(lua_State *L) {
  gr_check_stack(L, LUA_MINSTACK);
  gr_keep_open(L);
}

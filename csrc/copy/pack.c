/* SPDX-License-Identifier: MIT */
/* pack.c - values to a message; wire.h has the form.
 *
 * Nothing is recursive. A value with an identity becomes an item, with a number, when it is met
 * first, and is put into `values` (a Lua table). The items are then written one after the other,
 * and each may add more. Each item remembers from where it was first reached: a path back to the
 * root, for error messages.
 *
 * A value that cannot be sent, or that has a __goro, is instead.c's matter. The draft is kept for
 * the next message (draft.c). */
#include "copy/pack.h"

#include <string.h>

#include "base/big.h"
#include "copy/class.h"
#include "copy/code.h"
#include "copy/draft.h"
#include "copy/placeholder.h"
#include "copy/record.h"
#include "copy/vet.h"
#include "heap/modules.h"
#include "heap/names.h"
#include "heap/need.h"
#include "heap/object.h"
#include "heap/raise.h"

enum {
  STRING_INLINE = 64
}; /* longer ones are items, so that a string that comes twice is carried once */

/* ---- values ---- */

/* Writes a reference to a name: (module, field or nil), which are on top, and popped. `values`
 * keeps both as one string, in the wire's form. */
static void put_name(lua_State *L, Draft *d, const void *identity, const Origin *origin) {
  luaL_Buffer b;
  int top = lua_gettop(L);
  d->p.need |= gr_need_module(lua_tostring(L, top - 1), lua_tostring(L, top));
  luaL_buffinit(L, &b);
  for (int i = top - 1; i <= top; i++) {
    size_t len;
    const char *s = lua_tolstring(L, i, &len);
    if (s != NULL) luaL_addlstring(&b, s, len);
    luaL_addchar(&b, '\0');
  }
  luaL_pushresult(&b);
  gr_draft_put_ref(L, d, d->p.nitems);
  gr_draft_item(L, d, I_NAME, identity, -1, origin)->len = lua_rawlen(L, -1);
  lua_settop(L, top - 2);
}

static void put_string(lua_State *L, Draft *d, const char *s, size_t len) {
  uint32_t n = (uint32_t)len;
  char *at = gr_draft_grow(L, d, 1 + sizeof n + len);
  *at = T_STRING;
  memcpy(at + 1, &n, sizeof n);
  memcpy(at + 1 + sizeof n, s, len);
}

static void pack_long_string(lua_State *L, Draft *d, int idx, const Origin *origin) {
  size_t len;
  const char *s = lua_tolstring(L, idx, &len);
  Slot *known = gr_draft_find(d, s);
  uint32_t item = known != NULL ? known->item : d->p.nitems;
  if (known == NULL) gr_draft_item(L, d, I_STRING, s, idx, origin)->len = len;
  gr_draft_put_ref(L, d, item);
}

/* Writes a value that has no identity and needs no origin. False: the value is another one, and
 * nothing was written. */
static bool put_simple(lua_State *L, Draft *d, int idx, int type) {
  switch (type) {
    case LUA_TNIL: gr_draft_put_tag(L, d, T_NIL); return true;
    case LUA_TBOOLEAN:
      gr_draft_put_tag(L, d, lua_toboolean(L, idx) ? T_TRUE : T_FALSE);
      return true;
    case LUA_TNUMBER:
      if (lua_isinteger(L, idx)) {
        lua_Integer n = lua_tointeger(L, idx);
        gr_draft_put_tagged(L, d, T_INTEGER, &n, sizeof n);
      } else {
        lua_Number n = lua_tonumber(L, idx);
        gr_draft_put_tagged(L, d, T_FLOAT, &n, sizeof n);
      }
      return true;
    case LUA_TLIGHTUSERDATA: {
      void *p = lua_touserdata(L, idx);
      gr_draft_put_tagged(L, d, T_LIGHT, &p, sizeof p);
      return true;
    }
    case LUA_TSTRING: {
      size_t len;
      const char *s = lua_tolstring(L, idx, &len);
      if (len > STRING_INLINE) return false;
      put_string(L, d, s, len);
      return true;
    }
    default: return false;
  }
}

static void pack_userdata(lua_State *L, Draft *d, int idx, const Origin *origin) {
  const void *identity = lua_topointer(L, idx);
  GrObject *o = gr_object_test(L, idx);
  if (o != NULL) {
    gr_draft_put_ref(L, d, d->p.nitems);
    Item *item = gr_draft_item(L, d, I_OBJECT, identity, idx, origin);
    item->view = o->view;
    item->u.share = o->share;
    gr_share_ref(o->share);
    if (o->share->type->foreign) d->p.need = GR_NEED_ALL;
    return;
  }
  luaL_Stream *stream = luaL_testudata(L, idx, LUA_FILEHANDLE);
  if (stream != NULL && stream->closef != NULL &&
      (stream->f == stdin || stream->f == stdout || stream->f == stderr)) {
    d->p.need |= gr_need_module("io", NULL);
    gr_draft_put_tag(L, d,
                     stream->f == stdin    ? T_STDIN
                     : stream->f == stdout ? T_STDOUT
                                           : T_STDERR);
    return;
  }
  if (gr_draft_push_metafield(L, idx, "__goro")) {
    gr_draft_make(L, d, idx, identity, origin);
    return;
  }
  gr_draft_push_kind(L, idx);
  gr_draft_refuse(L, d, idx, origin, lua_tostring(L, -1));
}

/* Pushes module and field of a value that a loaded module owns. In a state without the package
 * library no module owns Lua functions. */
static bool owned(lua_State *L, Draft *d, int idx) {
  if (d->no_modules && lua_isfunction(L, idx) && !lua_iscfunction(L, idx)) return false;
  gr_draft_need_index(L, d);
  return gr_modules_find(L, idx, d->index);
}

static void pack_cfunction(lua_State *L, Draft *d, int idx, const Origin *origin) {
  lua_CFunction f = lua_tocfunction(L, idx);
  const void *identity = lua_topointer(L, idx);
  const char *module, *field;
  int native = gr_names_native_index(f);
  if (native >= 0) {
    gr_draft_put_ref(L, d, d->p.nitems);
    gr_draft_item(L, d, I_NATIVE, identity, idx, origin)->view = (uint32_t)native;
  } else if (gr_names_stock(f, &module, &field)) {
    lua_pushstring(L, module);
    lua_pushstring(L, field);
    put_name(L, d, identity, origin);
  } else if (owned(L, d, idx)) {
    put_name(L, d, identity, origin);
  } else if (lua_getupvalue(L, idx, 1) != NULL) {
    gr_draft_refuse(L, d, idx, origin, "C function with upvalues");
  } else {
    gr_draft_put_tagged(L, d, T_CFUNCTION, &f, sizeof f);
    d->p.need = GR_NEED_ALL;
  }
}

static void pack_table(lua_State *L, Draft *d, int idx, const void *identity,
                       const Origin *origin) {
  if (identity == d->globals_table) {
    gr_draft_put_tag(L, d, T_ENV);
    d->p.need = GR_NEED_ALL;
    return;
  }
  if (owned(L, d, idx) &&
      (lua_isnil(L, -1) || origin->kind == O_META || gr_class_has_metamethod(L, idx))) {
    put_name(L, d, identity, origin);
  } else if (gr_draft_push_metafield(L, idx, "__goro")) {
    gr_draft_make(L, d, idx, identity, origin);
  } else if (gr_draft_push_metafield(L, idx, "__gc")) {
    gr_draft_refuse(L, d, idx, origin, "table with a __gc metamethod and no __goro");
  } else {
    gr_draft_put_ref(L, d, d->p.nitems);
    gr_draft_item(L, d, I_TABLE, identity, idx, origin);
  }
}

static void pack_function(lua_State *L, Draft *d, int idx, const void *identity,
                          const Origin *origin) {
  if (owned(L, d, idx)) {
    put_name(L, d, identity, origin);
  } else {
    gr_draft_put_ref(L, d, d->p.nitems);
    gr_draft_item(L, d, I_FUNCTION, identity, idx, origin);
  }
}

void gr_pack_value(lua_State *L, Draft *d, int idx, const Origin *origin) {
  int type = lua_type(L, idx), top = lua_gettop(L);
  if (put_simple(L, d, idx, type)) return;
  if (type == LUA_TSTRING) {
    pack_long_string(L, d, idx, origin);
    return;
  }
  const void *identity = lua_topointer(L, idx);
  Slot *known = gr_draft_find(d, identity);
  if (known != NULL) {
    gr_draft_put_ref(L, d, known->item);
    return;
  }
  gr_check_stack(L, 30);
  if (type == LUA_TTABLE) pack_table(L, d, idx, identity, origin);
  else if (type == LUA_TUSERDATA) pack_userdata(L, d, idx, origin);
  else if (type == LUA_TTHREAD) gr_draft_refuse(L, d, idx, origin, "thread");
  else if (lua_iscfunction(L, idx)) pack_cfunction(L, d, idx, origin);
  else pack_function(L, d, idx, identity, origin);
  lua_settop(L, top);
}

/* ---- items ---- */

static void make_class(lua_State *L, Draft *d, uint32_t number, int idx) {
  d->p.items[number].id = gr_class_id(L, idx);
  d->p.items[number].kind = I_CLASS;
  d->p.classes = true;
}

/* A receiver keeps the metatable once, even if the message has it as a plain value before. */
void gr_pack_metatable(lua_State *L, Draft *d, uint32_t parent) {
  int at = lua_gettop(L);
  gr_pack_value(L, d, at, &(Origin){.kind = O_META, .parent = parent});
  Slot *slot = gr_draft_find(d, lua_topointer(L, at));
  if (slot != NULL && d->p.items[slot->item].kind == I_TABLE) make_class(L, d, slot->item, at);
  lua_pop(L, 1);
}

/* Writes the key and the value at key + 1. False: the key cannot come along, and nothing was
 * written. *class: the key is a metamethod's name. */
static bool write_pair(lua_State *L, Draft *d, uint32_t number, int key, bool *class) {
  int type = lua_type(L, key);
  size_t len = 0, before = d->p.nbytes;
  const char *s = type == LUA_TSTRING ? lua_tolstring(L, key, &len) : NULL;
  if (s != NULL && len <= STRING_INLINE) {
    *class |= s[0] == '_' && gr_class_is_metamethod(s);
    put_string(L, d, s, len);
  } else if (!put_simple(L, d, key, type)) {
    gr_pack_value(L, d, key, &(Origin){.kind = O_KEY_OF, .parent = number});
    if (gr_draft_is_refused(L, d, key)) {
      d->p.nbytes = before;
      return false;
    }
  }
  type = lua_type(L, key + 1);
  if (!put_simple(L, d, key + 1, type))
    gr_pack_value(L, d, key + 1, &(Origin){.kind = O_KEYED, .parent = number, .key = key});
  return true;
}

/* The metatable of item `number`, the table at idx, cannot come along, and a table without its
 * metatable would be another one. So the whole table cannot. Nothing of it has been written. */
static void refuse_table(lua_State *L, Draft *d, uint32_t number, int idx) {
  Origin origin = d->origins[number]; /* the array may move */
  d->p.items[number] = (Item){.kind = I_OBJECT};
  gr_draft_put_placeholder(L, d, number, idx, &origin, "table whose metatable cannot be sent");
}

/* The table is on top. lua_next gives the array part first, and in order. So fields that begin as
 * 1, 2, 3, … are written as values without keys, with a nil for each gap, as long as gaps are fewer
 * than values. No field is visited twice. */
static void write_table(lua_State *L, Draft *d, uint32_t number) {
  int table = lua_gettop(L), key = table + 1;
  bool class = false, in_order = true;
  uint32_t narr = 0, nrec = 0, nils = 0;
  if (lua_getmetatable(L, table)) {
    size_t before = d->p.nbytes;
    lua_pushvalue(L, -1);
    gr_pack_metatable(L, d, number);
    if (gr_draft_is_refused(L, d, -1)) {
      d->p.nbytes = before;
      refuse_table(L, d, number, table);
      return;
    }
    lua_pop(L, 1);
  } else {
    gr_draft_put_tag(L, d, T_NIL);
  }
  for (lua_pushnil(L); !d->failed && lua_next(L, table) != 0; lua_settop(L, key)) {
    if (in_order) {
      lua_Integer i = lua_isinteger(L, key) ? lua_tointeger(L, key) : 0,
                  gap = i > narr ? i - narr - 1 : INT32_MAX;
      in_order = gap <= narr - nils && narr < INT32_MAX / 2;
      for (; in_order && gap > 0; gap--, narr++, nils++) gr_draft_put_tag(L, d, T_NIL);
    }
    if (!in_order) {
      nrec += write_pair(L, d, number, key, &class);
      continue;
    }
    narr++;
    if (put_simple(L, d, key + 1, lua_type(L, key + 1))) continue;
    gr_pack_value(L, d, key + 1, &(Origin){.kind = O_KEYED, .parent = number, .key = key});
  }
  lua_settop(L, table);
  gr_draft_put_tag(L, d, T_END);
  Item *item = &d->p.items[number];
  item->narr = narr;
  item->nrec = nrec;
  if (class && item->kind == I_TABLE) make_class(L, d, number, table);
}

static int dump_piece(lua_State *L, const void *data, size_t n, void *arg) {
  gr_draft_put(L, arg, data, n);
  return 0;
}

static bool is_globals(lua_State *L, const Draft *d, int idx) {
  return lua_topointer(L, idx) == d->globals_table;
}

/* Which upvalue is _ENV? The one of that name, or when names are stripped, the one that holds the
 * globals. Its value is left on top; 0, and nothing: there is none. */
static int find_env(lua_State *L, const Draft *d, int function) {
  const char *name;
  for (int by_name = 1; by_name >= 0; by_name--)
    for (int i = 1; (name = lua_getupvalue(L, function, i)) != NULL; i++, lua_pop(L, 1))
      if (lua_istable(L, -1) && (by_name ? strcmp(name, "_ENV") == 0 : is_globals(L, d, -1)))
        return i;
  return 0;
}

/* `env`: this upvalue is the function's _ENV, and the code names what it needs there. Another
 * variable that holds the globals may lead anywhere in them. */
static void write_cell(lua_State *L, Draft *d, uint32_t function, int at, int i, bool env) {
  const void *identity = lua_upvalueid(L, at, i);
  Slot *known = gr_draft_find(d, identity);
  uint32_t cell = known != NULL ? known->item : d->p.nitems;
  if (known == NULL) {
    Item *item =
        gr_draft_item(L, d, I_CELL, identity, lua_gettop(L),
                      &(Origin){.kind = O_UPVALUE, .parent = function, .upvalue = (uint32_t)i});
    item->view = env;
  }
  if (!env && is_globals(L, d, -1)) d->p.need = GR_NEED_ALL;
  gr_draft_put_ref(L, d, cell);
}

/* Notes the globals that the code names, in the environment on top. Code whose form is not known
 * may name anything. */
static void note_names(lua_State *L, Draft *d, const GrCode *code) {
  int environment = lua_gettop(L);
  const char *at = code->names;
  for (uint32_t i = 0, len; i < code->nnames; i++, at += sizeof len + len + 1) {
    memcpy(&len, at, sizeof len);
    gr_carry_note(L, d, environment, at + sizeof len, len);
  }
  if (!code->known) d->failed |= d->recording != 0; /* it names too much to be compared */
  if (!code->known)
    for (lua_pushnil(L); lua_next(L, environment) != 0; lua_settop(L, environment + 1))
      if (lua_type(L, -2) == LUA_TSTRING)
        gr_carry_note(L, d, environment, lua_tostring(L, -2), lua_rawlen(L, -2));
}

/* The function is on top. */
static void write_function(lua_State *L, Draft *d, uint32_t number) {
  int function = lua_gettop(L), n = 0;
  size_t begin = d->p.nbytes;
  lua_dump(L, dump_piece, d, 0);
  size_t len = d->p.nbytes - begin;
  d->p.items[number].len = len;
  int env = find_env(L, d, function);
  const GrCode *code = gr_code_find(d->p.bytes + begin, len, env);
  if (code == NULL) gr_draft_no_memory(L, d);
  d->p.need |= code->need;
  if (number == 0 && d->p.start) d->p.image = gr_code_start(code);
  bool vet = atomic_load_explicit(&gr_vet, memory_order_relaxed) && d->p.start &&
             d->origins[number].kind == O_ROOT;
  bool names = env > 0 && (code->nnames > 0 || !code->known);
  if (vet || names) {
    gr_code_ref(d->code = code); /* a finalizer may run meanwhile, and send */
    if (vet) gr_vet_function(L, d, code, function, env);
    if (names) note_names(L, d, code);
    gr_code_unref(code);
    d->code = NULL;
  }
  lua_settop(L, function);
  for (; lua_getupvalue(L, function, n + 1) != NULL; n++) {
    if (n + 1 == env) lua_pushglobaltable(L); /* the cell's value, whatever _ENV was here */
    write_cell(L, d, number, function, n + 1, n + 1 == env);
    lua_settop(L, function);
  }
  d->p.items[number].nups = (uint8_t)n;
}

static void write_item(lua_State *L, Draft *d, uint32_t number) {
  int top = lua_gettop(L);
  ItemKind kind = (ItemKind)d->p.items[number].kind;
  d->p.items[number].at = d->p.nbytes;
  lua_rawgeti(L, d->values, (lua_Integer)number + 1);
  switch (kind) {
    case I_TABLE: write_table(L, d, number); break;
    case I_CLASS:
      if (!gr_record_link(L, d, number)) write_table(L, d, number);
      break;
    case I_FUNCTION: write_function(L, d, number); break;
    case I_CELL: {
      Origin origin = d->origins[number]; /* the array may move */
      if (d->p.items[number].view) gr_draft_put_tag(L, d, T_ENV);
      else gr_pack_value(L, d, top + 1, &origin);
      break;
    }
    case I_STRING:
    case I_NAME: gr_draft_put(L, d, lua_tostring(L, -1), lua_rawlen(L, -1)); break;
    default: break;
  }
  lua_settop(L, top);
}

void gr_pack_items(lua_State *L, Draft *d) {
  while (d->next < d->p.nitems && !d->failed) write_item(L, d, d->next++);
}

void gr_pack_unlink(lua_State *L, Draft *d, uint32_t number) {
  Item *item = &d->p.items[number];
  gr_share_unref(item->u.share);
  *item = (Item){.kind = I_CLASS, .id = item->id, .at = d->p.nbytes};
  lua_rawgeti(L, d->values, (lua_Integer)number + 1);
  write_table(L, d, number);
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
  Draft *d = gr_draft_new(L, names, first_number);
  d->p.nroots = (uint32_t)n;
  d->p.start = start;
  for (int i = 0; i < n; i++)
    gr_pack_value(L, d, idx + i, &(Origin){.kind = O_ROOT, .parent = (uint32_t)(first_number + i)});
  do {
    gr_pack_items(L, d);
    gr_carry_globals(L, d);
  } while (gr_record_settle(L, d));
  GrPack *p = gr_draft_finish(L, d);
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
  gr_draft_init();
  if (!gr_names_init()) gr_fatal("not enough memory to start");
}

void gr_pack_open(lua_State *L) {
  gr_check_stack(L, LUA_MINSTACK);
  gr_keep_open(L);
}

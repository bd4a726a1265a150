/* SPDX-License-Identifier: MIT */
/* unpack.c - a message to values, in the receiver's state; the form is wire.h's.
 *
 * An item is made when something refers to it first, empty and of the right size, and put on a list; the list is worked off until it is empty. So
 * what nothing refers to is never made, and there is no recursion, but for __goro's functions: those need complete arguments, so theirs are messages of their own.
 * A message comes from this process, through memory that nobody else writes: it is trusted.
 *
 * The unpacker is a userdata that owns the message, so an error at any Lua call loses nothing; as with packers (packer.c) each state keeps one for reuse.
 * A class is known to the state before it is filled, since a __goro function, or a message within a message, may want it meanwhile. Were an error to leave it like
 * that, it would be half a class for ever: so where there are classes the unpacker is also a to-be-closed variable, and takes back those it has made. */
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "vm/class.h"
#include "vm/keep.h"
#include "vm/names.h"
#include "vm/need.h"
#include "vm/object.h"
#include "vm/pack.h"
#include "vm/state.h"
#include "vm/wire.h"

enum { KEEP = 64 }; /* items: lists and tables for more are not kept */

typedef struct Owner { /* of a cell: the first function that got it */
  uint32_t function;
  int upvalue; /* 0: none yet */
} Owner;

typedef struct Unpacker {
  GrKeep keep; /* first */
  bool busy;   /* or left by an error */
  GrPack *p;
  uint32_t *list; /* items that are made and not yet filled */
  Owner *owners;  /* by item */
  uint32_t n, cap;
  uint32_t classes; /* how many on the list are classes */
  int values;       /* stack index: item number + 1 -> value */
} Unpacker;

static void release(GrKeep *keep) {
  Unpacker *u = gr_container_of(keep, Unpacker, keep);
  if (u->p != NULL) gr_pack_free(u->p);
  gr_free(u->list);
  u->p = NULL;
  u->list = NULL;
  u->busy = true; /* for ever */
}

/* Classes that it has made and an error left incomplete are made anew by whoever needs them next. */
static void left(lua_State *L, GrKeep *keep, bool failed) {
  if (!failed) return;
  Unpacker *u = gr_container_of(keep, Unpacker, keep);
  for (uint32_t i = 0; u->p != NULL && i < u->p->nitems; i++)
    if (u->p->items[i].kind == I_CLASS && u->p->items[i].view != 0) gr_class_forget(L, u->p->items[i].id);
  gr_keep_release(keep);
}

static int make_unpacker(lua_State *L) {
  Unpacker *u = gr_keep_new(L, sizeof *u, release);
  u->keep.left = left;
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, -1);
  gr_keep_set(L, GR_KEEP_UNPACKER);
  return 1;
}

/* Room to work off n items. */
static bool reserve(Unpacker *u, uint32_t n) {
  if (n > u->cap) {
    uint32_t cap = n < 16 ? 16 : n;
    gr_free(u->list);
    u->cap = 0;
    u->list = gr_malloc(cap * (sizeof *u->list + sizeof *u->owners));
    if (u->list == NULL) return false;
    u->owners = (Owner *)(void *)(u->list + cap);
    u->cap = cap;
  }
  if (n > 0) memset(u->owners, 0, n * sizeof *u->owners);
  return true;
}

/* ---- values ---- */

static const char *push_value(lua_State *L, Unpacker *u, const char *at);
static void fill_classes(lua_State *L, Unpacker *u);

/* A table for which `item` says the sizes; those were true of the sender's. */
static void make_table(lua_State *L, const Item *item) { lua_createtable(L, (int)item->narr, (int)item->nrec); }

static void push_standard_file(lua_State *L, const char *name) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "io");
  if (lua_istable(L, -1)) lua_getfield(L, -1, name);
  else lua_pushnil(L);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

static void make_function(lua_State *L, Unpacker *u, const Item *item) {
  if (luaL_loadbufferx(L, u->p->bytes + item->at, item->len, "=goro", "b") != LUA_OK) lua_error(L);
}

/* Calls the function that __goro gave. What its arguments refer to is complete: they are a message of their own, and classes, which are not, are filled before. */
static void make_made(lua_State *L, Unpacker *u, Item *item) {
  GrMsg m = {.kind = M_PACK, .u.p = item->u.made};
  if (m.u.p == NULL) { /* it gave nil */
    lua_pushnil(L);
    return;
  }
  fill_classes(L, u);
  item->u.made = NULL;
  int n = gr_unpack(L, &m);
  lua_call(L, n - 1, 1);
}

/* Makes item i, leaves it on top; true: it is to be filled. */
static bool make(lua_State *L, Unpacker *u, uint32_t i) {
  Item *item = &u->p->items[i];
  const char *bytes = u->p->bytes + item->at;
  switch (item->kind) {
    case I_TABLE: make_table(L, item); return true;
    case I_CLASS:
      if (gr_class_push(L, item->id)) return false;
      make_table(L, item);
      item->view = 1;
      gr_class_keep(L, lua_gettop(L), item->id);
      u->classes++;
      return true;
    case I_STRING: lua_pushlstring(L, bytes, item->len); return false;
    case I_FUNCTION: make_function(L, u, item); return true;
    case I_NAME: {
      const char *field = bytes + strlen(bytes) + 1;
      gr_names_push(L, bytes, *field != '\0' ? field : NULL);
      return false;
    }
    case I_OBJECT: gr_object_push(L, item->u.share, item->view); return false;
    case I_NATIVE: gr_pushcfunction(L, gr_state_find(L), gr_names_native_at((int)item->view)); return false;
    case I_MADE: make_made(L, u, item); return false;
    default: gr_throw("an item of kind %d cannot be made", item->kind);
  }
}

static void push_item(lua_State *L, Unpacker *u, uint32_t i) {
  if (lua_rawgeti(L, u->values, (lua_Integer)i + 1) != LUA_TNIL) return;
  lua_pop(L, 1);
  luaL_checkstack(L, 20, NULL);
  if (make(L, u, i)) u->list[u->n++] = i;
  lua_pushvalue(L, -1);
  lua_rawseti(L, u->values, (lua_Integer)i + 1);
}

#define READ(type, name) \
  type name; \
  memcpy(&name, at, sizeof name)

/* Pushes the value at `at`; returns what follows it. At END pushes nothing and returns NULL. */
static const char *push_value(lua_State *L, Unpacker *u, const char *at) {
  switch (*at++) {
    case T_NIL: lua_pushnil(L); return at;
    case T_FALSE: lua_pushboolean(L, 0); return at;
    case T_TRUE: lua_pushboolean(L, 1); return at;
    case T_INTEGER: {
      READ(lua_Integer, n);
      lua_pushinteger(L, n);
      return at + sizeof n;
    }
    case T_FLOAT: {
      READ(lua_Number, n);
      lua_pushnumber(L, n);
      return at + sizeof n;
    }
    case T_LIGHT: {
      READ(void *, p);
      lua_pushlightuserdata(L, p);
      return at + sizeof p;
    }
    case T_CFUNCTION: {
      READ(lua_CFunction, f);
      lua_pushcfunction(L, f);
      return at + sizeof f;
    }
    case T_STRING: {
      READ(uint32_t, n);
      lua_pushlstring(L, at + sizeof n, n);
      return at + sizeof n + n;
    }
    case T_REF: {
      READ(uint32_t, i);
      push_item(L, u, i);
      return at + sizeof i;
    }
    case T_ENV: lua_pushglobaltable(L); return at;
    case T_STDIN: push_standard_file(L, "stdin"); return at;
    case T_STDOUT: push_standard_file(L, "stdout"); return at;
    case T_STDERR: push_standard_file(L, "stderr"); return at;
    default: return NULL;
  }
}

/* ---- filling ---- */

/* The table is on top. */
static void fill_table(lua_State *L, Unpacker *u, const Item *item) {
  int table = lua_gettop(L);
  const char *at = push_value(L, u, u->p->bytes + item->at);
  if (lua_istable(L, -1)) {
    gr_state_note_gc(L, -1);
    lua_setmetatable(L, table);
  } else {
    lua_pop(L, 1);
  }
  for (uint32_t i = 1; i <= item->narr; i++) {
    at = push_value(L, u, at);
    lua_rawseti(L, table, i);
  }
  while ((at = push_value(L, u, at)) != NULL) {
    at = push_value(L, u, at);
    lua_rawset(L, table);
  }
}

/* The function is on top. A cell's value is set by the first function that has it; the others join. */
static void fill_function(lua_State *L, Unpacker *u, uint32_t number, const Item *item) {
  int function = lua_gettop(L);
  const char *at = u->p->bytes + item->at + item->len;
  for (int i = 1; i <= item->nups; i++) {
    at++; /* T_REF */
    READ(uint32_t, cell);
    at += sizeof cell;
    Owner *owner = &u->owners[cell];
    if (owner->upvalue != 0) {
      lua_rawgeti(L, u->values, (lua_Integer)owner->function + 1);
      lua_upvaluejoin(L, function, i, -1, owner->upvalue);
      lua_pop(L, 1);
    } else {
      owner->function = number;
      owner->upvalue = i;
      push_value(L, u, u->p->bytes + u->p->items[cell].at);
      lua_setupvalue(L, function, i);
    }
  }
}

/* Works the list off down to its first `keep` items. */
static void fill_down_to(lua_State *L, Unpacker *u, uint32_t keep) {
  int top = lua_gettop(L);
  while (u->n > keep) {
    uint32_t number = u->list[--u->n];
    const Item *item = &u->p->items[number];
    lua_rawgeti(L, u->values, (lua_Integer)number + 1);
    if (item->kind == I_CLASS) u->classes--;
    if (item->kind == I_FUNCTION) fill_function(L, u, number, item);
    else fill_table(L, u, item);
    lua_settop(L, top);
  }
}

static void fill(lua_State *L, Unpacker *u) { fill_down_to(L, u, 0); }

/* The classes on the list, and all that they need, before the rest. */
static void fill_classes(lua_State *L, Unpacker *u) {
  if (u->classes == 0) return;
  luaL_checkstack(L, 20, NULL);
  uint32_t others = 0;
  for (uint32_t i = 0; i < u->n; i++) {
    uint32_t item = u->list[i];
    if (u->p->items[item].kind == I_CLASS) continue;
    u->list[i] = u->list[others];
    u->list[others++] = item;
  }
  fill_down_to(L, u, others);
}

/* ---- globals ---- */

/* Those that came with a message do not replace what is there. */
static void set_globals(lua_State *L, Unpacker *u) {
  lua_pushglobaltable(L);
  int globals = lua_gettop(L);
  for (const char *at = u->p->bytes + u->p->globals; *at != T_END; lua_settop(L, globals)) {
    at = push_value(L, u, at);
    lua_pushvalue(L, -1);
    bool absent = lua_rawget(L, globals) == LUA_TNIL;
    lua_pop(L, 1);
    at = push_value(L, u, at);
    if (absent || u->p->start) lua_rawset(L, globals);
    fill(L, u);
  }
  lua_settop(L, globals - 1);
}

/* ---- the interface ---- */

bool gr_unpack_scalar(lua_State *L, GrMsg *m) {
  switch (m->kind) {
    case M_NIL: lua_pushnil(L); break;
    case M_FALSE: lua_pushboolean(L, 0); break;
    case M_TRUE: lua_pushboolean(L, 1); break;
    case M_INTEGER: lua_pushinteger(L, m->u.i); break;
    case M_FLOAT: lua_pushnumber(L, m->u.n); break;
    case M_LIGHT: lua_pushlightuserdata(L, m->u.p); break;
    case M_SHORT: lua_pushlstring(L, (const char *)m + offsetof(GrMsg, bytes), m->len); break;
    default: return false;
  }
  m->kind = M_EMPTY;
  return true;
}

/* (GrMsg *) -> the string; the message is dropped by the caller, also when this raises. */
static int long_string(lua_State *L) {
  const GrMsg *m = lua_touserdata(L, 1);
  lua_pushlstring(L, m->u.p, m->w[0]);
  return 1;
}

/* Calls f(pointer) so that the message can be dropped when it raises. */
static void guarded(lua_State *L, lua_CFunction f, void *arg, int nresults, GrMsg *m) {
  if (!lua_checkstack(L, 8)) {
    gr_msg_drop(m);
    luaL_error(L, "stack overflow");
  }
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, arg);
  if (lua_pcall(L, 1, nresults, 0) == LUA_OK) return;
  gr_msg_drop(m);
  lua_error(L);
}

/* (GrMsg *): what the message needs, before anything of it is made. */
static int open_needed(lua_State *L) {
  gr_state_need(L, gr_msg_need(lua_touserdata(L, 1)));
  return 0;
}

/* Pushes the unpacker of p, which it owns from then on, and the table of values. p is freed when this raises. */
static Unpacker *begin(lua_State *L, GrMsg *m) {
  GrPack *p = m->u.p;
  gr_keep_push(L, GR_KEEP_UNPACKER);
  Unpacker *u = lua_touserdata(L, -1);
  if (u == NULL || u->busy) {
    lua_pop(L, 1);
    guarded(L, make_unpacker, NULL, 1, m);
    u = lua_touserdata(L, -1);
  }
  m->kind = M_EMPTY;
  u->busy = true;
  u->p = p;
  u->n = u->classes = 0;
  if (!reserve(u, p->nitems)) {
    gr_keep_release(&u->keep);
    lua_pushliteral(L, "not enough memory");
    lua_error(L);
  }
  if (p->classes) lua_toclose(L, -1);
  if (p->nitems <= KEEP) {
    lua_getiuservalue(L, -1, 1);
  } else {
    lua_createtable(L, p->nitems < 1000000 ? (int)p->nitems : 1000000, 0);
  }
  u->values = lua_gettop(L);
  return u;
}

/* A goroutine's first message is often its only one. */
static void end(lua_State *L, Unpacker *u) {
  uint32_t n = u->p->nitems;
  bool keep = n <= KEEP && !u->p->start;
  gr_pack_free(u->p);
  u->p = NULL;
  if (!keep) {
    lua_pushnil(L);
    lua_setiuservalue(L, u->values - 1, 1); /* what awaits its finalizer still holds its values */
    gr_keep_release(&u->keep);
    lua_pushnil(L);
    gr_keep_set(L, GR_KEEP_UNPACKER);
    return;
  }
  for (; n > 0; n--) {
    lua_pushnil(L);
    lua_rawseti(L, u->values, n);
  }
  u->busy = false;
}

int gr_unpack_string(lua_State *L, const GrMsg *m) {
  if (m->kind != M_LONG) return -1;
  lua_pushcfunction(L, long_string);
  lua_pushlightuserdata(L, (void *)(uintptr_t)m);
  return lua_pcall(L, 1, 1, 0);
}

GrNeed gr_msg_need(const GrMsg *m) { return m->kind == M_PACK ? ((const GrPack *)m->u.p)->need : 0; }

int gr_unpack(lua_State *L, GrMsg *m) {
  if (!lua_checkstack(L, 8)) {
    gr_msg_drop(m);
    return luaL_error(L, "stack overflow");
  }
  if (gr_unpack_scalar(L, m)) return 1;
  if (m->kind == M_LONG) {
    guarded(L, long_string, m, 1, m);
    gr_msg_drop(m);
    return 1;
  }
  if (gr_state_lacks(L, gr_msg_need(m))) guarded(L, open_needed, m, 0, m);
  int top = lua_gettop(L);
  Unpacker *u = begin(L, m);
  const GrPack *p = u->p;
  int n = (int)p->nroots;
  bool classes = p->classes;
  luaL_checkstack(L, n + 20, NULL);
  const char *at = p->bytes;
  for (int i = 0; i < n; i++) at = push_value(L, u, at);
  fill(L, u);
  set_globals(L, u);
  end(L, u);
  if (classes) lua_closeslot(L, top + 1);
  lua_rotate(L, top + 1, -2);
  lua_pop(L, 2);
  return n;
}

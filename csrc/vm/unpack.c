/* SPDX-License-Identifier: MIT */
/* unpack.c - a message to values, in the receiver's state; the form is wire.h's.
 *
 * An item is made when something refers to it first, empty and of the right size, and put on a list; the list is worked off until it is empty. So
 * what nothing refers to is never made, and there is no recursion, but for __goro's functions: those need complete arguments, so theirs are messages of their own.
 * A message comes from this process, through memory that nobody else writes: it is trusted. */
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "vm/class.h"
#include "vm/names.h"
#include "vm/object.h"
#include "vm/pack.h"
#include "vm/state.h"
#include "vm/wire.h"

typedef struct Owner { /* of a cell: the first function that got it */
  uint32_t function;
  int upvalue; /* 0: none yet */
} Owner;

typedef struct Unpacker {
  GrPack *p;
  uint32_t *list; /* items that are made and not yet filled */
  uint32_t n;
  Owner *owners; /* by item */
  int values;    /* stack index: item number + 1 -> value */
} Unpacker;

static void fini(Unpacker *u) {
  if (u->p != NULL) gr_pack_free(u->p);
  gr_free(u->list);
  u->p = NULL;
  u->list = NULL;
}

static int finalize(lua_State *L) {
  fini(lua_touserdata(L, 1));
  return 0;
}

/* Pushes the unpacker, which owns p from then on, and the table of values. p is freed when this raises. */
static int new_unpacker(lua_State *L) {
  static const char key;
  GrPack **p = lua_touserdata(L, 1);
  Unpacker *u = lua_newuserdatauv(L, sizeof *u, 0);
  memset(u, 0, sizeof *u);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, finalize);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  }
  lua_setmetatable(L, -2);
  u->p = *p;
  *p = NULL;
  uint32_t n = u->p->nitems;
  u->list = gr_malloc(n * (sizeof *u->list + sizeof *u->owners) + 1);
  if (u->list == NULL) {
    lua_pushliteral(L, "not enough memory");
    return lua_error(L);
  }
  u->owners = (Owner *)(void *)(u->list + n);
  memset(u->owners, 0, n * sizeof *u->owners);
  lua_createtable(L, n < 1000000 ? (int)n : 1000000, 0);
  return 2;
}

/* ---- values ---- */

static const char *push_value(lua_State *L, Unpacker *u, const char *at);

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

/* Makes item i, leaves it on top; true: it is to be filled. */
static bool make(lua_State *L, Unpacker *u, uint32_t i) {
  Item *item = &u->p->items[i];
  const char *bytes = u->p->bytes + item->at;
  switch (item->kind) {
    case I_TABLE: make_table(L, item); return true;
    case I_CLASS:
      if (gr_class_push(L, item->id)) return false;
      make_table(L, item);
      gr_class_keep(L, lua_gettop(L), item->id);
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
    case I_MADE: {
      GrMsg m = {.kind = M_PACK, .u.p = item->u.made};
      item->u.made = NULL;
      int n = m.u.p != NULL ? gr_unpack(L, &m) : luaL_error(L, "a '__goro' function gave nil, or refers to what it builds");
      lua_call(L, n - 1, 1);
      return false;
    }
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
  if (lua_istable(L, -1)) lua_setmetatable(L, table);
  else lua_pop(L, 1);
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

static void fill(lua_State *L, Unpacker *u) {
  int top = lua_gettop(L);
  while (u->n > 0) {
    uint32_t number = u->list[--u->n];
    const Item *item = &u->p->items[number];
    lua_rawgeti(L, u->values, (lua_Integer)number + 1);
    if (item->kind == I_FUNCTION) fill_function(L, u, number, item);
    else fill_table(L, u, item);
    lua_settop(L, top);
  }
}

/* ---- globals, what is inherited ---- */

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

/* The parent's list, in which a number stands for a stock searcher and what could not be sent is missing, replaces ours. */
static void set_searchers(lua_State *L, int list, int ours) {
  lua_Integer n = 0, stock = (lua_Integer)lua_rawlen(L, ours);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, list) != 0; lua_pop(L, 1))
    if (lua_tointeger(L, -2) > n) n = lua_tointeger(L, -2);
  lua_Integer count = 0;
  for (lua_Integer i = 1; i <= n; i++) {
    if (lua_rawgeti(L, list, i) == LUA_TNUMBER) lua_rawgeti(L, ours, lua_tointeger(L, -1));
    if (lua_isnil(L, -1)) lua_settop(L, ours + 1);
    else lua_rawseti(L, ours + 1, ++count);
    lua_settop(L, ours + 1);
  }
  for (lua_Integer i = 1; i <= count || i <= stock; i++) {
    lua_rawgeti(L, ours + 1, i);
    lua_rawseti(L, ours, i);
  }
}

static void set_inherited(lua_State *L, Unpacker *u) {
  int top = lua_gettop(L);
  const char *at = u->p->bytes + u->p->inherited;
  for (int i = 0; i < 5; i++) at = push_value(L, u, at);
  fill(L, u);
  lua_pushvalue(L, top + 1);
  if (lua_istable(L, -1)) lua_setglobal(L, "arg");
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "package");
  int package = lua_gettop(L);
  static const char *const fields[] = {"path", "cpath"};
  for (int i = 0; i < 2; i++) {
    lua_pushvalue(L, top + 2 + i);
    if (lua_isstring(L, -1)) lua_setfield(L, package, fields[i]);
  }
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  int preload = lua_gettop(L);
  if (lua_istable(L, top + 4))
    for (lua_pushnil(L); lua_next(L, top + 4) != 0; lua_settop(L, preload + 1)) {
      lua_pushvalue(L, preload + 1);
      lua_pushvalue(L, preload + 2);
      lua_rawset(L, preload);
    }
  lua_getfield(L, package, "searchers");
  if (lua_istable(L, top + 5)) set_searchers(L, top + 5, lua_gettop(L));
  lua_settop(L, top);
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
  int top = lua_gettop(L);
  GrPack *p = m->u.p;
  guarded(L, new_unpacker, &m->u.p, 2, m);
  m->kind = M_EMPTY;
  Unpacker *u = lua_touserdata(L, top + 1);
  u->values = top + 2;
  int n = (int)p->nroots;
  luaL_checkstack(L, n + 20, NULL);
  if (p->start) set_inherited(L, u);
  const char *at = p->bytes;
  for (int i = 0; i < n; i++) at = push_value(L, u, at);
  fill(L, u);
  set_globals(L, u);
  fini(u);
  lua_remove(L, top + 2);
  lua_remove(L, top + 1);
  return n;
}

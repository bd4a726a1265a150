/* SPDX-License-Identifier: MIT */
/* unpack.c - a message to values, in the receiver's state; wire.h has the form.
 *
 * An item is made when something refers to it first: empty, of the right size, and put on a list.
 * The list is worked off until it is empty. So an item that nothing refers to is never made, and
 * there is no recursion. The exception are functions that __goro gave: they need complete
 * arguments, so these are messages of their own. A message comes from this process, through memory
 * that nobody else writes, so it is trusted. Only the hostile build looks at it first (verify.c).
 *
 * The unpacker is a userdata that owns the message, so an error in any call of Lua loses nothing.
 * Each state keeps one for reuse, as with drafts (draft.c). The first message of a goroutine
 * belongs to its state; there the unpacker is a C variable, and many goroutines never need another
 * one. The values of few items lie on the stack, those of many in a table.
 *
 * A state knows a class before the class is filled, since a __goro function, or a message within
 * the message, may want it meanwhile. If an error left the class like that, it would be half a
 * class for ever. So when a message has classes, the unpacker is also a to-be-closed variable, and
 * on an error makes the state forget the classes that it has made. */
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "base/big.h"
#include "copy/class.h"
#include "copy/pack.h"
#include "copy/placeholder.h"
#include "copy/record.h"
#include "copy/verify.h"
#include "copy/wire.h"
#include "heap/arena.h"
#include "heap/keep.h"
#include "heap/modules.h"
#include "heap/names.h"
#include "heap/need.h"
#include "heap/object.h"
#include "heap/raise.h"

enum { FEW = 16 }; /* items: the values of so many lie on the stack */

typedef struct Owner { /* of a cell: the first function that got it */
  uint32_t function;
  int upvalue; /* 0: none yet */
} Owner;

typedef struct Unpacker {
  GrKeep keep;   /* first */
  bool busy;     /* or left by an error */
  bool replaced; /* another is kept instead */
  GrPack *p;
  uint32_t *list;   /* items that are made and not yet filled */
  Owner *owners;    /* by item */
  uint32_t n;       /* on the list */
  uint32_t classes; /* how many on the list are classes */
  int function;     /* stack index of the function that is item 0, when the state had it from the
                       beginning; else 0 */
  int values; /* stack index: of the first item's value; with more than FEW, of a table: item number
                 + 1 -> value */
  uint32_t few_list[FEW];
  Owner few_owners[FEW];
} Unpacker;

static void release(GrKeep *keep) {
  Unpacker *u = gr_container_of(keep, Unpacker, keep);
  if (u->p != NULL) gr_pack_free(u->p);
  u->p = NULL;
  u->busy = true; /* for ever */
}

/* An error has left the classes incomplete that this unpacker has made. The next message that needs
 * one makes it anew. */
static void left(lua_State *L, GrKeep *keep, bool failed) {
  if (!failed) return;
  Unpacker *u = gr_container_of(keep, Unpacker, keep);
  for (uint32_t i = 0; u->p != NULL && i < u->p->nitems; i++)
    if (u->p->items[i].kind == I_CLASS && u->p->items[i].view != 0)
      gr_class_forget(L, u->p->items[i].id);
  gr_keep_release(keep);
}

static int make_unpacker(lua_State *L) {
  static const GrKeepType type = {release, left};
  gr_keep_new(L, sizeof(Unpacker), &type);
  lua_pushvalue(L, -1);
  gr_keep_set(L, GR_KEEP_UNPACKER);
  return 1;
}

static bool is_few(const Unpacker *u) { return u->p->nitems <= FEW; }

/* Room to work off n items. */
static void reserve(lua_State *L, Unpacker *u, uint32_t n) {
  if (n <= FEW) {
    u->list = u->few_list;
    u->owners = u->few_owners;
    memset(u->owners, 0, n * sizeof *u->owners);
    return;
  }
  gr_check_stack(L, 2);
  u->list = lua_newuserdatauv(L, n * (sizeof *u->list + sizeof *u->owners), 0);
  u->owners = (Owner *)(void *)(u->list + n);
  memset(u->owners, 0, n * sizeof *u->owners);
}

/* ---- values ---- */

static const char *push_value(lua_State *L, Unpacker *u, const char *at);
static void fill_classes(lua_State *L, Unpacker *u);

/* A table for which `item` says the sizes; those were true of the sender's. */
static void make_table(lua_State *L, const Item *item) {
  lua_createtable(L, (int)item->narr, (int)item->nrec);
}

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

/* Item i, or nil when it has not been made. */
static void push_made(lua_State *L, const Unpacker *u, uint32_t i) {
  if (is_few(u)) lua_pushvalue(L, u->values + (int)i);
  else lua_rawgeti(L, u->values, (lua_Integer)i + 1);
}

/* Calls the function that __goro gave. Its arguments are complete: they are a message of their own.
 * Classes belong to this message, so they are filled before. To fill a class may need the same
 * item; then the item has been made already. */
static void make_made(lua_State *L, Unpacker *u, uint32_t i) {
  fill_classes(L, u);
  push_made(L, u, i);
  Item *item = &u->p->items[i];
  if (!lua_isnil(L, -1) || item->u.made == NULL) return; /* NULL: it gave nil */
  lua_pop(L, 1);
  GrMsg m = {.kind = M_PACK, .u.p = item->u.made};
  item->u.made = NULL;
  int n = gr_unpack(L, &m);
  lua_call(L, n - 1, 1);
}

static void set_made(lua_State *L, const Unpacker *u, uint32_t i) {
  if (is_few(u)) lua_replace(L, u->values + (int)i);
  else lua_rawseti(L, u->values, (lua_Integer)i + 1);
}

/* The state has not met this class. All classes of its record that the message refers to are made
 * at once. If one of them were collected and made anew, it would no longer share with the others
 * what it must share. */
static void make_linked(lua_State *L, Unpacker *u, uint32_t number) {
  const Item *items = u->p->items;
  GrMsg m = {.kind = M_PACK, .u.p = gr_record_copy(items[number].u.share)};
  if (m.u.p == NULL) gr_raise_nomem(L);
  int top = lua_gettop(L);
  gr_unpack(L, &m);
  gr_check_stack(L, 4);
  for (uint32_t i = 0; i < u->p->nitems; i++) {
    if (items[i].kind != I_LINK || items[i].u.share != items[number].u.share) continue;
    lua_pushvalue(L, top + 1 + (int)items[i].view);
    set_made(L, u, i);
  }
  push_made(L, u, number);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
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
    case I_FUNCTION:
      if (i == 0 && u->function != 0) lua_pushvalue(L, u->function);
      else make_function(L, u, item);
      return true;
    case I_NAME: {
      const char *field = bytes + strlen(bytes) + 1;
      gr_modules_push(L, bytes, *field != '\0' ? field : NULL);
      return false;
    }
    case I_OBJECT:
      if (gr_placeholder_is(item->u.share)) gr_placeholder_push(L, item->u.share);
      else gr_object_push(L, item->u.share, item->view);
      return false;
    case I_NATIVE:
      gr_heap_push(L, gr_heap_find(L), gr_names_native_at((int)item->view));
      return false;
    case I_MADE: make_made(L, u, i); return false;
    case I_LINK:
      if (!gr_class_push(L, item->id)) make_linked(L, u, i);
      return false;
    default: gr_throw("an item of kind %d cannot be made", item->kind);
  }
}

static void push_item(lua_State *L, Unpacker *u, uint32_t i) {
  push_made(L, u, i);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  gr_check_stack(L, 20);
  if (make(L, u, i)) u->list[u->n++] = i;
  lua_pushvalue(L, -1);
  set_made(L, u, i);
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
      gr_heap_find(L)->foreign = true;
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
    gr_heap_note_gc(L, -1);
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

/* The function is on top. A cell's value is set by the first function that has it; the others join.
 */
static void fill_function(lua_State *L, Unpacker *u, uint32_t number, const Item *item) {
  int function = lua_gettop(L);
  const char *at = u->p->bytes + item->at + item->len;
  for (int i = 1; i <= item->nups; i++) {
    at++; /* T_REF */
    READ(uint32_t, cell);
    at += sizeof cell;
#ifdef GORO_HOSTILE
    if (lua_upvalueid(L, function, i) == NULL)
      luaL_error(L, "corrupt message: a function has not as many variables as it says");
#endif
    Owner *owner = &u->owners[cell];
    if (owner->upvalue != 0) {
      push_made(L, u, owner->function);
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
    push_made(L, u, number);
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
  gr_check_stack(L, 20);
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

/* A placeholder replaces what a state has by itself, but not what goro.setup has put there. The
 * stack has the name, what is there now, and at `value` the value. */
static bool replaces(lua_State *L, int value) {
  const GrObject *o = gr_object_test(L, value);
  return o == NULL || !gr_placeholder_is(o->share) ||
         gr_modules_is_standard(L, value - 1, lua_tostring(L, value - 2));
}

/* Globals that come with a goroutine's start replace those that are there; globals of other
 * messages do not. */
static void set_globals(lua_State *L, Unpacker *u) {
  lua_pushglobaltable(L);
  int globals = lua_gettop(L);
  for (const char *at = u->p->bytes + u->p->globals; *at != T_END; lua_settop(L, globals)) {
    at = push_value(L, u, at);
    lua_pushvalue(L, -1);
    bool absent = lua_rawget(L, globals) == LUA_TNIL;
    at = push_value(L, u, at);
    if (absent || (u->p->start && replaces(L, globals + 3))) {
      lua_remove(L, globals + 2);
      lua_rawset(L, globals);
    }
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

/* (GrMsg *) -> the string. The caller drops the message, also when this raises. Long strings that
 * are received come and go, so their memory circulates among them and messages (big.h). */
static int long_string(lua_State *L) {
  const GrMsg *m = gr_check_pointer(L, 1);
  GrHeap *h = m->w[0] >= GR_BIG_LEAST ? gr_heap_find(L) : NULL;
  if (h != NULL && h->arena != NULL) h->arena->circulate = true;
  lua_pushlstring(L, m->u.p, m->w[0]);
  return 1;
}

/* Calls f(pointer) so that the message can be dropped when it raises. */
static void guarded(lua_State *L, lua_CFunction f, void *arg, int nresults, GrMsg *m) {
  if (!lua_checkstack(L, 8)) {
    gr_msg_drop(m);
    gr_raise_stack(L);
  }
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, arg);
  if (lua_pcall(L, 1, nresults, 0) == LUA_OK) return;
  gr_msg_drop(m);
  lua_error(L);
}

/* (GrMsg *): what the message needs, before anything of it is made. */
static int open_needed(lua_State *L) {
  gr_need_fill(L, gr_msg_need(gr_check_pointer(L, 1)));
  return 0;
}

/* Pushes a userdata whose message is p from then on; what *m held is dropped when this raises. */
static Unpacker *push_unpacker(lua_State *L, GrMsg *m) {
  gr_keep_push(L, GR_KEEP_UNPACKER);
  Unpacker *u = lua_touserdata(L, -1);
  if (u == NULL || u->busy) {
    if (u != NULL) u->replaced = true;
    lua_pop(L, 1);
    guarded(L, make_unpacker, NULL, 1, m);
    u = lua_touserdata(L, -1);
  }
  u->busy = true;
  u->p = m->u.p;
  m->kind = M_EMPTY;
  if (u->p->classes) lua_toclose(L, -1);
  return u;
}

/* Pushes what the work needs, then the values of u's message; returns the number of values. */
static int work(lua_State *L, Unpacker *u) {
  const GrPack *p = u->p;
  int n = (int)p->nroots;
  gr_check_stack(L, n + (is_few(u) ? (int)p->nitems : 2) + 12);
  u->n = u->classes = 0;
  reserve(L, u, p->nitems);
  u->values = lua_gettop(L) + 1;
  if (is_few(u)) lua_settop(L, u->values - 1 + (int)p->nitems);
  else lua_createtable(L, p->nitems < 1000000 ? (int)p->nitems : 1000000, 0);
  const char *at = p->bytes;
  for (int i = 0; i < n; i++) at = push_value(L, u, at);
  fill(L, u);
  set_globals(L, u);
  return n;
}

/* The n values on top take the place of what is above `below`. */
static int leave(lua_State *L, int below, int n) {
  lua_rotate(L, below + 1, n);
  lua_settop(L, below + n);
  return n;
}

int gr_unpack_string(lua_State *L, const GrMsg *m) {
  if (m->kind != M_LONG) return -1;
  lua_pushcfunction(L, long_string);
  lua_pushlightuserdata(L, (void *)(uintptr_t)m);
  return lua_pcall(L, 1, 1, 0);
}

GrNeed gr_msg_need(const GrMsg *m) {
  return m->kind == M_PACK ? ((const GrPack *)m->u.p)->need : 0;
}

int gr_unpack(lua_State *L, GrMsg *m) {
  if (!lua_checkstack(L, 8)) {
    gr_msg_drop(m);
    gr_raise_stack(L);
  }
  if (gr_unpack_scalar(L, m)) return 1;
#ifdef GORO_HOSTILE
  guarded(L, gr_verify, m, 0, m);
#endif
  if (m->kind == M_LONG) {
    guarded(L, long_string, m, 1, m);
    gr_msg_drop(m);
    return 1;
  }
  if (gr_need_lacks(L, gr_msg_need(m))) guarded(L, open_needed, m, 0, m);
  int top = lua_gettop(L);
  Unpacker *u = push_unpacker(L, m);
  int n = work(L, u);
  bool classes = u->p->classes;
  gr_pack_free(u->p);
  u->p = NULL;
  u->busy = false;
  if (u->replaced) gr_keep_release(&u->keep);
  if (classes) lua_closeslot(L, top + 1);
  return leave(L, top, n);
}

const struct GrImage *gr_msg_image(const GrMsg *m) {
  return m->kind == M_PACK ? ((const GrPack *)m->u.p)->image : NULL;
}

int gr_unpack_start(lua_State *L, const GrMsg *m, int function) {
#ifdef GORO_HOSTILE
  lua_pushcfunction(L, gr_verify);
  lua_pushlightuserdata(L, (void *)m);
  lua_call(L, 1, 0);
#endif
  Unpacker u;
  u.p = m->u.p;
  u.function = function;
  int top = lua_gettop(L);
  return leave(L, top, work(L, &u));
}

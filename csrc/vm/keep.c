/* SPDX-License-Identifier: MIT */
/* keep.c - the list of what one state holds outside of Lua; see keep.h.
 *
 * A program can take a metamethod out of a metatable and call it with any value. So each of them
 * looks first whether the value is a userdata of this file: one with the keeper's metatable. */
#include "vm/keep.h"

#include <string.h>

#include <lauxlib.h>

typedef struct Keeper {
  GrKeep keep; /* its own: alone in a ring */
  GrKeep list; /* head of a ring */
  bool closed;
} Keeper;

static const char keeper_key; /* registry: the only entry, since each makes that table larger in
                                 every goroutine */

void *gr_keep_test(lua_State *L, int idx, const GrKeepType *type) {
  GrKeep *k = lua_touserdata(L, idx);
  int top = lua_gettop(L);
  bool ours = k != NULL && lua_getmetatable(L, idx) &&
              lua_rawgetp(L, LUA_REGISTRYINDEX, &keeper_key) == LUA_TUSERDATA &&
              lua_getmetatable(L, -1) && lua_rawequal(L, -1, -3);
  lua_settop(L, top);
  return ours && (type == NULL || k->type == type) ? k : NULL;
}

void *gr_keep_check(lua_State *L, int arg, const GrKeepType *type, const char *what) {
  void *k = gr_keep_test(L, arg, type);
  if (gr_unlikely(k == NULL)) luaL_typeerror(L, arg, what);
  return k;
}

static int finalize(lua_State *L) {
  gr_keep_release(gr_keep_check(L, 1, NULL, "goro object"));
  return 0;
}

/* (userdata, error or nil) */
static int leave(lua_State *L) {
  GrKeep *k = gr_keep_check(L, 1, NULL, "goro object");
  lua_settop(L, 2);
  if (k->next != NULL && k->type->left != NULL) k->type->left(L, k, !lua_isnil(L, 2));
  return 0;
}

static void release_all(GrKeep *k) {
  Keeper *keeper = gr_container_of(k, Keeper, keep);
  keeper->closed = true;
  while (keeper->list.next != &keeper->list) gr_keep_release(keeper->list.next);
}

static void link_after(GrKeep *head, GrKeep *k) {
  k->prev = head;
  k->next = head->next;
  k->next->prev = k;
  head->next = k;
}

static void push_keeper(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &keeper_key);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1); /* there was no memory for it before */
  gr_keep_open(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &keeper_key);
}

/* Its metatable is everybody's. */
void gr_keep_open(lua_State *L) {
  Keeper *keeper = lua_newuserdatauv(L, sizeof *keeper, GR_KEEP_KINDS);
  memset(keeper, 0, sizeof *keeper);
  keeper->list.prev = keeper->list.next = &keeper->list;
  keeper->keep.prev = keeper->keep.next = &keeper->keep;
  static const GrKeepType type = {release_all, NULL};
  keeper->keep.type = &type;
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, finalize);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, leave);
  lua_setfield(L, -2, "__close");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &keeper_key);
}

/* The keeper is on top. */
static void add(lua_State *L, GrKeep *k, const GrKeepType *type) {
  Keeper *keeper = lua_touserdata(L, -1);
  if (keeper->closed) luaL_error(L, "goro is shutting down");
  k->type = type;
  link_after(&keeper->list, k);
}

void gr_keep_add(lua_State *L, GrKeep *k, const GrKeepType *type) {
  push_keeper(L);
  add(L, k, type);
  lua_pop(L, 1);
}

void *gr_keep_new(lua_State *L, size_t size, const GrKeepType *type) {
  GrKeep *k = lua_newuserdatauv(L, size, 1);
  memset(k, 0, size);
  push_keeper(L);
  lua_getmetatable(L, -1);
  lua_setmetatable(L, -3);
  add(L, k, type);
  lua_pop(L, 1);
  return k;
}

void gr_keep_close(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &keeper_key);
  Keeper *keeper = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (keeper != NULL) gr_keep_release(&keeper->keep);
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

void gr_keep_release(GrKeep *k) {
  if (k->next == NULL) return;
  k->prev->next = k->next;
  k->next->prev = k->prev;
  k->prev = k->next = NULL;
  k->type->release(k);
}

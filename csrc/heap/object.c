/* SPDX-License-Identifier: MIT */
/* object.c - one userdata for each object, view and state; see object.h.
 *
 * A weak table leads from the address (share + view) to the userdata. Lua clears such an entry
 * before the userdata's finalizer drops the reference, so an entry that is found always holds one.
 * A program can call the finalizer itself, and must not take the object away from others who use
 * it at this moment. So such a call does nothing. Lua tells when a function runs as a finalizer.
 * Where Lua cannot tell (in a hook), the missing entry shows that the collector called.
 *
 * A handle is recognised by its size and by a word that only this file writes: the handle's
 * address, mixed with the address of a variable here. The word is cleared when the handle lets go
 * of its object, so memory of a collected handle is never taken for a handle. To ask the metatable
 * instead took three times as long, in each call of each method. */
#include "heap/object.h"

#include <string.h>

#include <lauxlib.h>

#include "heap/foreign.h"
#include "heap/keep.h"
#include "heap/raise.h"

typedef struct Handle {
  GrObject o; /* first: what lua_touserdata gives */
  GrKeep keep;
} Handle;

static const char mark;
static uintptr_t mark_of(const Handle *h) { return (uintptr_t)h ^ (uintptr_t)&mark; }

static void release(GrKeep *k) {
  Handle *h = gr_container_of(k, Handle, keep);
  GrShare *s = h->o.share;
  h->o.share = NULL;
  h->keep.mark = 0;
  gr_share_unref(s);
}

/* Is the function that runs called by the collector? When not even Lua can tell (in a hook): no. */
static bool is_finalizer(lua_State *L) {
  lua_Debug ar;
  return lua_getstack(L, 0, &ar) && lua_getinfo(L, "n", &ar) && ar.name != NULL &&
         strcmp(ar.namewhat, "metamethod") == 0 && strcmp(ar.name, "__gc") == 0;
}

/* Does Lua still find the handle at 1 in the table? */
static bool is_found(lua_State *L, const Handle *h) {
  int top = lua_gettop(L);
  gr_keep_push(L, GR_KEEP_OBJECTS);
  if (lua_istable(L, -1)) lua_rawgetp(L, -1, (char *)h->o.share + h->o.view);
  bool found = lua_rawequal(L, -1, 1);
  lua_settop(L, top);
  return found;
}

static int finalize(lua_State *L) {
  Handle *h = (Handle *)gr_object_test(L, 1);
  if (h != NULL) {
    if (is_finalizer(L) || !is_found(L, h)) gr_keep_release(&h->keep);
  } else if (luaL_getmetafield(L, 1, "__gc") == LUA_TNIL || lua_tocfunction(L, -1) != finalize) {
    luaL_typeerror(L, 1, "goro object");
  } /* else it has been finalized already */
  return 0;
}

static int to_string(lua_State *L) {
  GrObject *o = gr_object_test(L, 1);
  if (o == NULL) return luaL_typeerror(L, 1, "goro object");
  lua_pushfstring(L, "%s: %p", o->share->type->name, (void *)o->share);
  return 1;
}

static int equal(lua_State *L) {
  GrObject *a = gr_object_test(L, 1), *b = gr_object_test(L, 2);
  lua_pushboolean(L, a != NULL && b != NULL && a->share == b->share && a->view == b->view);
  return 1;
}

/* Views have metatables of their own, keyed by addresses inside the type. */
static void push_metatable(lua_State *L, const GrObjectType *type, uint32_t view) {
  const char *key = (const char *)type + view;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  static const luaL_Reg meta[] = {
      {"__gc", finalize}, {"__tostring", to_string}, {"__eq", equal}, {NULL, NULL}};
  lua_createtable(L, 0, 8);
  luaL_setfuncs(L, meta, 0);
  lua_pushstring(L, type->share.name);
  lua_setfield(L, -2, "__name");
  type->open(L, type, view);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void gr_object_open(lua_State *L) {
  lua_newtable(L);
  lua_insert(L, -2);
  lua_setmetatable(L, -2);
  gr_keep_set(L, GR_KEEP_OBJECTS);
}

void gr_object_push(lua_State *L, GrShare *share, uint32_t view) {
  gr_check_stack(L, 8);
  gr_keep_push_objects(L);
  if (lua_rawgetp(L, -1, (char *)share + view) == LUA_TNIL) {
    lua_pop(L, 1);
    push_metatable(L, (const GrObjectType *)(const void *)share->type, view);
    Handle *h = gr_own_userdata(L, sizeof *h, 0);
    *h = (Handle){.o = {.view = view}};
    lua_rotate(L, -2, 1);
    lua_setmetatable(L, -2);
    static const GrKeepType keep = {release, NULL};
    gr_keep_add(L, &h->keep, &keep, (char *)share + view, share);
    gr_share_ref(share);
    h->o.share = share;
    h->keep.mark = mark_of(h);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -3, (char *)share + view);
  }
  lua_remove(L, -2);
}

GrObject *gr_object_test(lua_State *L, int idx) {
  Handle *h = lua_touserdata(L, idx);
  if (h == NULL || lua_rawlen(L, idx) != sizeof *h)
    return NULL; /* of a light userdata the length is 0 */
  return h->keep.mark == mark_of(h) ? &h->o : NULL;
}

GrObject *gr_object_check(lua_State *L, int arg, const GrObjectType *type) {
  GrObject *o = gr_object_test(L, arg);
  if (gr_unlikely(o == NULL || o->share->type != &type->share))
    luaL_typeerror(L, arg, type->share.name);
  return o;
}

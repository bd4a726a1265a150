/* SPDX-License-Identifier: MIT */
/* heap.c - from a Lua state to what goro knows of it; see heap.h. */
#include "heap/heap.h"

static const char heap_key; /* registry */

GrHeap *gr_heap_find(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &heap_key);
  GrHeap **h = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return h != NULL ? *h : NULL;
}

void gr_heap_remember(lua_State *L, int idx) {
  lua_pushvalue(L, idx);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &heap_key);
}

void gr_heap_push(lua_State *L, GrHeap *h, lua_CFunction f) {
  if (!gr_heap_is_host(h)) {
    lua_pushcfunction(L, f);
    return;
  }
  lua_pushlightuserdata(L, h);
  lua_pushcclosure(L, f, 1);
}

void gr_heap_setfuncs(lua_State *L, GrHeap *h, const luaL_Reg *l) {
  for (; l->name != NULL; l++) {
    gr_heap_push(L, h, l->func);
    lua_setfield(L, -2, l->name);
  }
}

void gr_heap_note_gc(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  lua_pushliteral(L, "__gc");
  if (lua_rawget(L, idx) != LUA_TNIL) {
    GrHeap *h = gr_heap_find(L);
    if (h != NULL) h->finalizers = true;
  }
  lua_pop(L, 1);
}

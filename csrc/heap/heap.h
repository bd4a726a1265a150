/* SPDX-License-Identifier: MIT */
/* heap.h - what the floors below csrc/run know of a Lua state: its memory, what is open in it, and
 * whether it can simply be dropped.
 *
 * The whole of a state is GrState (run/state.h), which begins with a GrHeap. A state in which code
 * is loaded for an image, and nothing runs, has a GrHeap and no more (copy). How a state leads to
 * its GrHeap:
 *
 *   a goroutine's:   extra space of each thread -----------> GrHeap
 *   any:             registry -> userdata -> pointer ------> GrHeap   (gr_heap_find)
 *   a host's:        first upvalue of goro's C functions --> GrHeap   (gr_heap_push)
 *
 * The extra space of a host's state is its program's. */
#ifndef GR_HEAP_H
#define GR_HEAP_H

#include <lauxlib.h>
#include <lua.h>

#include "base/base.h"

/* A set of standard globals: need.h. */
typedef uint64_t GrNeed;

struct GrArena;
struct GrMaking;

typedef struct GrHeap GrHeap;
struct GrHeap {
  GrHeap *self; /* first: where a host's registry leads to. NULL: the state is a goroutine's */
  lua_State *volatile running; /* the thread in which Lua code runs now, if a hook could stop it */
  struct GrArena *arena;       /* a goroutine's memory */
  GrNeed have;     /* the standard globals that are open; a host's are its program's business */
  bool finalizers; /* something in it has a __gc that must run: Lua closes it, it is not dropped */
  bool foreign;    /* it got a C function that is neither Lua's nor goro's; the same (foreign.h) */
  bool indexed;    /* nothing was opened since the index of modules was made (names.h) */
  const struct GrMaking *making; /* values whose __goro is being called, innermost first (copy) */
};

static inline bool gr_heap_is_host(const GrHeap *h) { return h->self != NULL; }

/* Of a goroutine's state, or one in which an image is made. */
static inline GrHeap *gr_heap_own(lua_State *L) { return *(GrHeap **)lua_getextraspace(L); }
/* Of any state, through the registry. NULL: the state is not goro's. */
GrHeap *gr_heap_find(lua_State *L);
/* The userdata (or light userdata) at idx points to the pointer to this state's GrHeap. */
void gr_heap_remember(lua_State *L, int idx);

/* Pushes f, a function of goro's that can find its state (gr_state) and has no upvalues of its own.
 * `h` is the state that it is pushed in. */
void gr_heap_push(lua_State *L, GrHeap *h, lua_CFunction f);
/* luaL_setfuncs in the same way, into the table on top. */
void gr_heap_setfuncs(lua_State *L, GrHeap *h, const luaL_Reg *l);

/* setmetatable and others were called in a goroutine's state: is there a finalizer in the table at
 * idx? Then the state notes it. */
void gr_heap_note_gc(lua_State *L, int idx);

#endif

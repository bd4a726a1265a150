/* SPDX-License-Identifier: MIT */
/* foreign.h - did code that is neither goro's nor Lua's own make something in a goroutine's state?
 *
 * What such code made may have finalizers that must run. Then Lua closes the state at its end. Any
 * other state is dropped in one piece, at a tenth of the cost (run/life.c). */
#ifndef GR_FOREIGN_H
#define GR_FOREIGN_H

#include "heap/heap.h"

/* lua_newuserdatauv for what is made often: nobody need look who makes it. */
extern GR_TLS bool gr_own_userdata_next;
static inline void *gr_own_userdata(lua_State *L, size_t size, int nuvalue) {
  gr_own_userdata_next = true;
  void *u = lua_newuserdatauv(L, size, nuvalue);
  gr_own_userdata_next = false; /* of a host's allocator nothing is known */
  return u;
}

/* A full userdata is being made in this state: notes it when it is foreign. For the allocator:
 * neither allocates nor raises. */
void gr_foreign_userdata(GrHeap *h);
/* The functions of this table, which is on top, are Lua's own although no library has them as
 * fields: methods of files. Once a process, at start. */
void gr_foreign_not(lua_State *L);
/* How many states have been closed so far, not dropped. */
extern atomic_int_fast64_t gr_states_closed;

/* Finds out where goro's own code lies. Once a process, before the first goroutine. */
void gr_foreign_init(void);

#endif

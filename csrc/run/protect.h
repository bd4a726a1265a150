/* SPDX-License-Identifier: MIT */
/* protect.h - how goexit travels, pcall and xpcall, which it passes through, and how a thread is
 * closed. */
#ifndef GR_PROTECT_H
#define GR_PROTECT_H

#include "run/state.h"

/* Is the value at idx what goexit raises where it cannot yield? For the runner too, to tell this
 * end from an error. */
bool gr_is_exit_sentinel(lua_State *L, int idx);

/* Goes on with a goexit that has begun (st->exiting): yields outward when every level can, else
 * raises the sentinel. Clears the stack of the calling function. Does not return. */
int gr_exit_on(lua_State *L, GrState *st);

/* Raises what ends a goroutine where Lua cannot yield; for hooks, in which the stack is another
 * function's. */
int gr_exit_raise(lua_State *L, GrState *st);

/* goexit: does not return. */
int gr_goexit(lua_State *L, GrState *st);

/* A goroutine's host closes (gr_g_must_end): it ends as by goexit; when that has lasted too long,
 * with all that still runs in it. Does not return. */
int gr_exit_with_host(lua_State *L, GrState *st);

/* Closes the pending variables of co, a thread that is suspended, dead or failed, on behalf of L:
 * lua_closethread where the running Lua has it (5.4.6), else lua_resetthread. After an error its
 * value is on top of co. A wait in a __close keeps the M. */
int gr_close_thread(lua_State *L, GrState *st, lua_State *co);

/* Puts pcall and xpcall of ours over the stock ones. */
void gr_protect_open(lua_State *L, GrHeap *h);
/* Tells names.c which stock functions they stand for. Once, at start. */
void gr_protect_names(void);

#endif

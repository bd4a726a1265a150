/* SPDX-License-Identifier: MIT */
/* hook.h - how running Lua code is interrupted: one-shot hooks, armed by a signal handler; and the
 * program's own hooks beside them. */
#ifndef GR_HOOK_H
#define GR_HOOK_H

#include "run/state.h"

/* GOps.preempt of goroutines: asks the Lua code that this thread runs in g's state to let others
 * run soon. In a signal handler. */
void gr_hook_preempt(G *g);
/* Gives the thread that is armed its own hook back. */
void gr_hook_disarm(GrState *st);
/* From now on Lua code in L is ended by goexit's sentinel once `until` is over. For a state that is
 * being closed. */
void gr_hook_limit(GrState *st, lua_State *L, int64_t until);

/* goexit's sentinel is about to be raised in L. From now on it is raised again in any function that
 * catches it, but for ours. */
void gr_hook_rethrow(GrState *st, lua_State *L);
/* debug.sethook, debug.gethook of ours, into a goroutine's state. */
void gr_hook_open(lua_State *L, GrHeap *h);
void gr_hook_names(void);

#endif

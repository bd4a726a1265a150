/* SPDX-License-Identifier: MIT */
/* program.h - a program's own Lua state, which goro has not made. */
#ifndef GR_PROGRAM_H
#define GR_PROGRAM_H

#include "run/state.h"

enum { GR_EXIT_GRACE_NS = 100000000 }; /* what goroutines that run get at the end */
/* os.exit was called: the status is the program's choice. */
extern atomic_bool gr_exit_by_user;

/* Raises when the calling thread's stack is too small for a host. Before all else, since what goro
 * does at its start takes some of it, too. */
void gr_program_check_stack(lua_State *L);
/* Host side of `require "goro"`: finds or makes the GrState of a program's own state. May raise. */
GrState *gr_program_open(lua_State *L);

/* Is this process the stand-alone interpreter? Then it ends when the host state does, and nobody
 * needs our memory back. */
bool gr_standalone(void);

#endif

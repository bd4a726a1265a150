/* SPDX-License-Identifier: MIT */
/* warn.h - warnings of a goroutine's state. */
#ifndef GR_WARN_H
#define GR_WARN_H

#include "run/state.h"

/* Learns where Lua keeps a host's warning function. Once a process, at start. */
void gr_warn_init(void);
/* Warnings of a new state, off at first, as lauxlib has them. L is its main thread. */
void gr_warn_open(lua_State *L);
/* Switches them on. */
void gr_warn_on(lua_State *L);
/* Are they on in this state, a host's or a goroutine's? */
bool gr_warn_is_on(const GrState *st);

#endif

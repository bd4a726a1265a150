/* SPDX-License-Identifier: MIT */
/* warn.h - warnings of a goroutine's state. */
#ifndef GR_WARN_H
#define GR_WARN_H

#include <lua.h>

/* Warnings of a new state, off at first, as lauxlib has them. L is its main thread. */
void gr_warn_open(lua_State *L);

#endif

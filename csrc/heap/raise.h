/* SPDX-License-Identifier: MIT */
/* raise.h - errors that every floor raises: no memory, no room on the stack, a call that is not
 * ours. */
#ifndef GR_RAISE_H
#define GR_RAISE_H

#include <lua.h>

#include "base/base.h"

/* Raises "not enough memory". */
GR_NORETURN void gr_raise_nomem(lua_State *L);
/* luaL_checkstack, which takes a system without memory for a stack that is too deep: room for n
 * more, or an error that says which it was. */
void gr_check_stack(lua_State *L, int n);
/* The error, after lua_checkstack has failed in this state. */
GR_NORETURN void gr_raise_stack(lua_State *L);
/* Argument `arg` of a function that goro alone calls, with a light userdata. A program can meet
 * such a function on the stack (debug.getinfo) and call it with something else: that raises. */
void *gr_check_pointer(lua_State *L, int arg);

#endif

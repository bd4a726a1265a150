/* SPDX-License-Identifier: MIT */
/* class.h - metatables that cross states: one identity for the process, one table in each state. */
#ifndef GR_CLASS_H
#define GR_CLASS_H

#include <lua.h>

#include "base/base.h"

/* Is it the name of a metamethod (or __name, __metatable, …) of Lua, or __goro? */
bool gr_class_is_metamethod(const char *name);
/* Has the table at idx a field of such a name? */
bool gr_class_has_metamethod(lua_State *L, int idx);

/* Has the identity been given to a table? In the hostile build, for verify.c. */
bool gr_class_is_given(uint64_t id);
/* The identity of the table at idx: given on first use, kept as long as the table lives in this
 * state. */
uint64_t gr_class_id(lua_State *L, int idx);
/* Has this state sent the table at idx, of that identity, before? It has from now on. */
bool gr_class_sent(lua_State *L, int idx, uint64_t id);
/* Pushes this state's table of that identity and returns true; else pushes nothing. */
bool gr_class_push(lua_State *L, uint64_t id);
/* The table at idx is this state's table of that identity from now on. */
void gr_class_keep(lua_State *L, int idx, uint64_t id);
/* This state's table of that identity, if there is one, loses the identity: the table could not be
 * completed. */
void gr_class_forget(lua_State *L, uint64_t id);

/* Pushes the weak table that the registry has under the address `key`, made when there is none yet;
 * `mode` is its __mode. Raises. */
void gr_class_push_weak(lua_State *L, const char *key, const char *mode);

#endif

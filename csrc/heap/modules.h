/* SPDX-License-Identifier: MIT */
/* modules.h - the modules of one state: what crosses to it, and from it, as a name. */
#ifndef GR_MODULES_H
#define GR_MODULES_H

#include <lua.h>

#include "base/base.h"

/* Pushes the index of what loaded modules own; made anew when modules came or went, which is looked
 * at unless the caller knows it to be `fresh`. May raise. */
void gr_modules_push_index(lua_State *L, bool fresh);
/* The value at idx (absolute; a table or a function) when a loaded module owns it: pushes module
 * and field (nil: it is the module itself) and returns true; else pushes nothing. Modules that
 * require could not find do not count. `index`: absolute, of the index. May raise. */
bool gr_modules_find(lua_State *L, int idx, int index);
/* Pushes module.field of this state, required on demand. Raises when there is none. `field` may be
 * NULL. Of the standard library it is the standard function, whatever the program has put there. */
void gr_modules_push(lua_State *L, const char *module, const char *field);
/* Is `name` a global variable of a new state, and is the value at idx what a new state has there?
 */
bool gr_modules_is_standard(lua_State *L, int idx, const char *name);
/* The function on top, of the C function `ours`, is the one that this host has; it stays there. A
 * C function with an upvalue is another value each time that it is made. */
void gr_modules_keep(lua_State *L, lua_CFunction ours);
/* Pushes the module, which is opened and put into package.loaded if it is not there. False: it is
 * none of ours, and nothing was pushed. May raise. */
bool gr_modules_push_own(lua_State *L, const char *name);

#endif

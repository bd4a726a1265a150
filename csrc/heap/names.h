/* SPDX-License-Identifier: MIT */
/* names.h - what crosses by name: modules, their functions, the standard library, goro's own
 * methods. */
#ifndef GR_NAMES_H
#define GR_NAMES_H

#include <lua.h>

#include "base/base.h"

/* Reads the standard library's functions out of a state made for that. Once a process, before the
 * others here; false without memory. */
bool gr_names_init(void);
/* `ours` stands for the stock function module.field (module "_G": a base function) in goroutines,
 * or in hosts: it arrives as the receiver's own. At start; module and field are literals. */
void gr_names_alias(lua_CFunction ours, const char *module, const char *field);
void gr_names_alias_in_hosts(lua_CFunction ours, const char *module, const char *field);
/* The function on top, of the C function `ours`, is the one that this host has; it stays there. A
 * C function with an upvalue is another value each time that it is made. */
void gr_names_keep(lua_State *L, lua_CFunction ours);
/* A function of goro's that is no module's field, a method: arrives as the receiver's own. Once a
 * process, at start. */
void gr_names_native(lua_CFunction f);

/* A module of goro's own library, "goro" or "goro.time": opened from the library in every state,
 * never looked for on disk. Once a process, at start; the name is a literal. */
void gr_names_own_module(const char *name, lua_CFunction open);
/* Its luaopen_* function; NULL: it is none of ours. */
lua_CFunction gr_names_own_open(const char *name);
/* Pushes the module, which is opened and put into package.loaded if it is not there. False: it is
 * none of ours, and nothing was pushed. May raise. */
bool gr_names_push_own(lua_State *L, const char *name);

/* The number of a native function, or -1; and back. */
int gr_names_native_index(lua_CFunction f);
lua_CFunction gr_names_native_at(int index);
/* Is there one of this number? In the hostile build, for verify.c. */
bool gr_names_is_native(uint32_t index);

/* The stock function's names, when f is one. */
bool gr_names_stock(lua_CFunction f, const char **module, const char **field);
/* Is `name` a global variable of a new state, and is the value at idx what a new state has there?
 */
bool gr_names_is_standard(lua_State *L, int idx, const char *name);
bool gr_names_is_stdlib(const char *module);

/* Is this package.path (which: 0) or package.cpath (1) as a new state has it? */
bool gr_names_is_stock_path(const char *path, int which);
enum { GR_SEARCHERS = 4 };
/* The number of a stock searcher of package.searchers, from 1, or of ours for it; or 0. */
int gr_names_stock_searcher(lua_CFunction f);
/* `ours` stands for the stock searcher of that number. Once a process, at start. */
void gr_names_searcher(lua_CFunction ours, int number);

/* Pushes the index of what loaded modules own; made anew when modules came or went, which is looked
 * at unless the caller knows it to be `fresh`. May raise. */
void gr_names_push_index(lua_State *L, bool fresh);
/* The value at idx (absolute; a table or a function) when a loaded module owns it: pushes module
 * and field (nil: it is the module itself) and returns true; else pushes nothing. Modules that
 * require could not find do not count. `index`: absolute, of the index. May raise. */
bool gr_names_find(lua_State *L, int idx, int index);
/* Pushes module.field of this state, required on demand. Raises when there is none. `field` may be
 * NULL. Of the standard library it is the standard function, whatever the program has put there. */
void gr_names_push(lua_State *L, const char *module, const char *field);

#endif

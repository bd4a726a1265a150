/* SPDX-License-Identifier: MIT */
/* names.h - the process's tables of what has the same name in every state: functions of the
 * standard library and goro's in their place, goro's methods, goro's own modules. Written at start
 * only. */
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
/* A function of goro's that is no module's field, a method: arrives as the receiver's own. Once a
 * process, at start. */
void gr_names_native(lua_CFunction f);

/* A module of goro's own library, "goro" or "goro.time": opened from the library in every state,
 * never looked for on disk. Once a process, at start; the name is a literal. */
void gr_names_own_module(const char *name, lua_CFunction open);
/* Its luaopen_* function; NULL: it is none of ours. */
lua_CFunction gr_names_own_open(const char *name);
/* The number of a native function, or -1; and back. */
int gr_names_native_index(lua_CFunction f);
lua_CFunction gr_names_native_at(int index);
/* Is there one of this number? In the hostile build, for verify.c. */
bool gr_names_is_native(uint32_t index);

/* The stock function's names, when f is one. */
bool gr_names_stock(lua_CFunction f, const char **module, const char **field);
/* The function that a state has as module.field before a program puts another one there; NULL: it
 * has upvalues, or there is none. *ours: it is goro's. */
lua_CFunction gr_names_standard(const char *module, const char *field, bool host, bool *ours);
/* Is it a library of Lua's, or "_G"? */
bool gr_names_is_stdlib(const char *module);

/* Is this package.path (which: 0) or package.cpath (1) as a new state has it? */
bool gr_names_is_stock_path(const char *path, int which);
enum { GR_SEARCHERS = 4 };
/* The number of a stock searcher of package.searchers, from 1, or of ours for it; or 0. */
int gr_names_stock_searcher(lua_CFunction f);
/* `ours` stands for the stock searcher of that number. Once a process, at start. */
void gr_names_searcher(lua_CFunction ours, int number);

#endif

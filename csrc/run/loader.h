/* SPDX-License-Identifier: MIT */
/* loader.h - how `require` finds modules in goroutines: Lua modules are compiled once for the
 * process, C modules opened first by one state at a time. */
#ifndef GR_LOADER_H
#define GR_LOADER_H

#include <lua.h>

/* Looks the stock functions up in L, a state with the stock libraries. Once, at start. What has not
 * been looked up is not replaced. */
void gr_loader_stock(lua_State *L);
/* Tells names.c what ours stand for. Once, after gr_loader_stock. */
void gr_loader_names(void);
/* Into a new goroutine's state, which has the stock functions: package.searchers[1] to [4]. Raises.
 */
void gr_loader_open(lua_State *L);
/* Into a host's: all but the one that finds Lua modules, where the stock ones still are. Raises. */
void gr_loader_open_host(lua_State *L);

/* package.loadlib, over the stock one. */
int gr_loader_loadlib(lua_State *L);
extern lua_CFunction gr_loader_stock_loadlib;

#endif

/* SPDX-License-Identifier: MIT */
/* types.h - what all types of goro's objects share: how their methods are made, and their names
 * (__name). tostring and error messages use the name. It is what a user writes: the module that
 * makes the object, and the type. */
#ifndef GR_LIB_TYPES_H
#define GR_LIB_TYPES_H

#include <lauxlib.h>

/* The type of the value at idx, as luaL_typeerror names it: the __name of the value, if it has one.
 * Pushes at most one value, which keeps the string alive. */
const char *gr_type_name(lua_State *L, int idx);
/* Gives the metatable on top of the stack an __index with these methods. Raises. */
void gr_open_methods(lua_State *L, const luaL_Reg *methods);
/* Registers the methods as functions that every state has (heap/names.h). */
void gr_methods_names(const luaL_Reg *methods);

#define GR_TYPE_CHAN "goro.chan"
#define GR_TYPE_GROUP "goro.group"
#define GR_TYPE_CONTEXT "goro.context"
#define GR_TYPE_MUTEX "goro.sync.mutex"
#define GR_TYPE_RWMUTEX "goro.sync.rwmutex"
#define GR_TYPE_COND "goro.sync.cond"
#define GR_TYPE_ONCE "goro.sync.once"
#define GR_TYPE_SEMAPHORE "goro.sync.semaphore"
#define GR_TYPE_WAITGROUP "goro.sync.waitgroup"
#define GR_TYPE_ATOMIC "goro.sync.atomic"
#define GR_TYPE_MAP "goro.sync.map"
#define GR_TYPE_TIMER "goro.time.timer"
#define GR_TYPE_TICKER "goro.time.ticker"
#define GR_TYPE_CONN "goro.net.conn" /* goro.process uses it too */
#define GR_TYPE_LISTENER "goro.net.listener"
#define GR_TYPE_UDP "goro.net.udp"
#define GR_TYPE_FILE "goro.fs.file"
#define GR_TYPE_CHILD "goro.process.child"

#endif

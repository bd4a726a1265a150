/* SPDX-License-Identifier: MIT */
/* types.h - the names of goro's objects: their __name, what tostring and errors call them. Each is
 * named as a user writes it, by the module that makes it. */
#ifndef GR_LIB_TYPES_H
#define GR_LIB_TYPES_H

#include <lua.h>

/* The type of the value at idx, as luaL_typeerror tells it: its __name, if it has one. Pushes at
 * most one value, which keeps the name. */
const char *gr_type_name(lua_State *L, int idx);

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
#define GR_TYPE_CONN "goro.net.conn" /* of processes too */
#define GR_TYPE_LISTENER "goro.net.listener"
#define GR_TYPE_UDP "goro.net.udp"
#define GR_TYPE_FILE "goro.fs.file"
#define GR_TYPE_CHILD "goro.process.child"

#endif

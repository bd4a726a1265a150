/* SPDX-License-Identifier: MIT */
/* goro.h - for C modules that want to be good citizens beside goroutines. Version 1.
 *
 * A module needs nothing of this: a goroutine that blocks in it loses its place to others by
 * itself, within about a millisecond. With it, a module
 *   - says when it is going to block, so that others run at once (block_begin, block_end);
 *   - shares an object between Lua states by reference: it can be sent over channels, and is
 * destroyed when nobody has it any more (object_*);
 *   - makes channels and sends to them from threads of its own (chan_*).
 *
 * All functions are in one table, which goro_get finds in the state; nothing is linked. It is there
 * once `require "goro"` has been called in the program's state, and in each goroutine. Later
 * versions add fields at the end; a change that breaks this header changes the table's name.
 *
 *   static int l_query(lua_State *L) {
 *     const goro_Api *goro = goro_get(L);
 *     Db *db = goro->object_check(L, 1, &db_type);
 *     const char *sql = luaL_checkstring(L, 2);
 *     void *region = goro->block_begin(L);
 *     int rows = db_query(db, sql);             // blocks; no Lua in here
 *     goro->block_end(region);
 *     lua_pushinteger(L, rows);
 *     return 1;
 *   } */
#ifndef GORO_H
#define GORO_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" { /* of a Lua with C++ names, include its headers before this one */
#endif

#include <lua.h>

#include <lauxlib.h>

#define GORO_API_VERSION 1
#define GORO_API_KEY "goro.api.1" /* registry: the table, as light userdata */

enum {
  GORO_OK = 0,
  GORO_NOMEM = -1,
  GORO_TIMEOUT = -2, /* the time is over, or (timeout 0) it would have to wait */
  GORO_CLOSED = -3,  /* the channel is closed */
  GORO_ENDED = -4, /* no Lua state uses goro any more, or none that did when the handle was made */
  GORO_NOTHREAD = -5 /* the system gives no thread for the timeout */
};

/* A kind of shared objects. Lives as long as the process. */
typedef struct goro_Type {
  const char *name;              /* what users see: "mydb.connection" */
  void (*destroy)(void *object); /* nobody has it any more. Any thread; no Lua, no goro */
  const luaL_Reg *methods;       /* called as object:method(...); or NULL. Plain C functions, on any
                                    thread, several at a time: the object locks itself */
} goro_Type;

/* A message that is no Lua value yet. */
typedef enum goro_Kind { GORO_NIL, GORO_BOOLEAN, GORO_INTEGER, GORO_NUMBER, GORO_STRING } goro_Kind;

typedef struct goro_Value {
  goro_Kind kind;
  union {
    int boolean;
    lua_Integer integer;
    lua_Number number;
    struct {
      const char *bytes; /* copied */
      size_t len;
    } string;
  } u;
} goro_Value;

typedef struct goro_Chan goro_Chan;

typedef struct goro_Api {
  int version; /* GORO_API_VERSION of the library that runs */

  /* A blocking region: between the two the thread may block, and others get its place. In between
   * no function of Lua or goro may be called. Returns what block_end wants. In a program's own
   * state both do nothing. Any number of times; never nested. */
  void *(*block_begin)(lua_State *L);
  void (*block_end)(void *region);

  /* Pushes a new shared object. Takes `object`: also when it raises (no memory), destroy is called.
   */
  void (*object_push)(lua_State *L, const goro_Type *type, void *object);
  /* The object at `arg`, or an argument error. Borrowed from the value there. */
  void *(*object_check)(lua_State *L, int arg, const goro_Type *type);

  /* Pushes a new channel, as goro.chan(capacity) does, and returns it; or the channel at `arg`,
   * which must be able to send. Either is a reference of the caller's, to be given back by
   * chan_release (any thread, any time): as long as any is out, goro reports no deadlock, since a
   * thread may still send. A handle may be used at any moment, also while the last state closes,
   * and after that. Raise. */
  goro_Chan *(*chan_new)(lua_State *L, lua_Integer capacity);
  goro_Chan *(*chan_get)(lua_State *L, int arg);
  void (*chan_release)(goro_Chan *chan);
  /* From any thread that does not run Lua of goro's, without any lua_State. Waits up to `timeout`
   * seconds (0: not at all; HUGE_VAL: for ever) for a receiver or for room. GORO_OK or another of
   * the codes above; then nothing was sent. */
  int (*chan_send)(goro_Chan *chan, const goro_Value *value, double timeout);
  /* From any thread. GORO_OK; GORO_CLOSED: it was closed already; or GORO_ENDED. */
  int (*chan_close)(goro_Chan *chan);
} goro_Api;

/* The table. Raises when goro has not been required in this state. */
static inline const goro_Api *goro_get(lua_State *L) {
  const goro_Api *api;
  lua_getfield(L, LUA_REGISTRYINDEX, GORO_API_KEY);
  api = (const goro_Api *)lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (api == NULL) luaL_error(L, "this module needs goro: require \"goro\" first");
  return api;
}

#ifdef __cplusplus
}
#endif

#endif

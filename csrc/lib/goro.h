/* SPDX-License-Identifier: MIT */
/* goro.h - for C modules that want to work well beside goroutines. Version 1.
 *
 * A module may ignore this header. When a goroutine blocks in a C function, goro notices it and
 * gives the goroutine's place to other goroutines, within about a millisecond. With this header, a
 * module can do three things more:
 *   - It says that it is going to block, so that other goroutines run at once (block_begin,
 *     block_end).
 *   - It shares an object between Lua states by reference. The object can be sent over channels. It
 *     is destroyed when no state has it any more (object_*).
 *   - It makes channels, and sends to them from threads of its own (chan_*).
 *
 * All functions are in one table, which goro_get finds in the Lua state. The module is not linked
 * with goro. The table is there in every goroutine, and in the program's own state after `require
 * "goro"`. A later version may add fields at the end of the table. A change that breaks this header
 * changes the name of the table.
 *
 *   static int l_query(lua_State *L) {
 *     const goro_Api *goro = goro_get(L);
 *     Db *db = goro->object_check(L, 1, &db_type);
 *     const char *sql = luaL_checkstring(L, 2);
 *     void *region = goro->block_begin(L);
 *     int rows = db_query(db, sql);             // blocks; calls no Lua function
 *     goro->block_end(region);
 *     lua_pushinteger(L, rows);
 *     return 1;
 *   } */
#ifndef GORO_H
#define GORO_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" { /* if your Lua is compiled as C++, include its headers before this one */
#endif

#include <lua.h>

#include <lauxlib.h>

#define GORO_API_VERSION 1
#define GORO_API_KEY "goro.api.1" /* registry key of the table, a light userdata */

enum {
  GORO_OK = 0,
  GORO_NOMEM = -1,
  GORO_TIMEOUT = -2, /* the time is over, or the timeout is 0 and the call would have to wait */
  GORO_CLOSED = -3,  /* the channel is closed */
  GORO_ENDED = -4,   /* no Lua state uses goro any more; or all states that used it when the handle
                        was made have closed since */
  GORO_NOTHREAD = -5 /* the system gives no thread for the timeout */
};

/* A type of shared objects. It must live as long as the process. */
typedef struct goro_Type {
  const char *name;              /* what users see: "mydb.connection" */
  void (*destroy)(void *object); /* called when no state has the object any more, on any thread;
                                    calls neither Lua nor goro */
  const luaL_Reg *methods; /* or NULL. Called as object:method(...). Plain C functions; they may run
                              on any thread and at the same time, so the object locks itself */
} goro_Type;

/* A message from a thread that has no Lua state. */
typedef enum goro_Kind { GORO_NIL, GORO_BOOLEAN, GORO_INTEGER, GORO_NUMBER, GORO_STRING } goro_Kind;

typedef struct goro_Value {
  goro_Kind kind;
  union {
    int boolean;
    lua_Integer integer;
    lua_Number number;
    struct {
      const char *bytes; /* goro copies them */
      size_t len;
    } string;
  } u;
} goro_Value;

typedef struct goro_Chan goro_Chan;

typedef struct goro_Api {
  int version; /* GORO_API_VERSION of the library that is loaded */

  /* A blocking region. Between the two calls the thread may block, and other goroutines get its
   * place. In between, the caller must call no function of Lua or goro. block_begin returns what
   * block_end wants. In a program's own state both do nothing. A module may use regions any number
   * of times, but must not nest them. */
  void *(*block_begin)(lua_State *L);
  void (*block_end)(void *region);

  /* Pushes a new shared object. Takes `object`: when the function raises (no memory), it has called
   * destroy. */
  void (*object_push)(lua_State *L, const goro_Type *type, void *object);
  /* Returns the object at `arg`, or raises an argument error. The value at `arg` keeps the object
   * alive; the caller only borrows it. */
  void *(*object_check)(lua_State *L, int arg, const goro_Type *type);

  /* chan_new pushes a new channel, as goro.chan(capacity) does, and returns a handle. chan_get
   * returns a handle of the channel at `arg`, which must be able to send. Both may raise. The
   * handle is a reference of the caller's, and the caller gives it back with chan_release, on any
   * thread and at any time. While a handle is out, goro reports no deadlock, since a thread may
   * still send. A handle may be used at any moment, even while the last state closes and after
   * that. */
  goro_Chan *(*chan_new)(lua_State *L, lua_Integer capacity);
  goro_Chan *(*chan_get)(lua_State *L, int arg);
  void (*chan_release)(goro_Chan *chan);
  /* Sends *value. For any thread that runs no Lua code of goro's; needs no lua_State. Waits up to
   * `timeout` seconds (0: not at all; HUGE_VAL: for ever) for a receiver or for room. Returns
   * GORO_OK, or another of the codes above; then nothing was sent. */
  int (*chan_send)(goro_Chan *chan, const goro_Value *value, double timeout);
  /* Closes the channel, from any thread. GORO_OK; GORO_CLOSED: the channel was already closed;
   * GORO_ENDED. */
  int (*chan_close)(goro_Chan *chan);
} goro_Api;

/* Returns the table. Raises when this state has not required goro. */
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

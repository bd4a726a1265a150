/* SPDX-License-Identifier: MIT */
/* pack.h - values on their way between states: pack into a GrMsg in the sender, unpack in the
 * receiver.
 *
 * All copying rules of the public contract live behind this header. Packing reads the sender's
 * state only, unpacking the receiver's only; the message in between points to neither. */
#ifndef GR_PACK_H
#define GR_PACK_H

#include <lua.h>

#include "base/msg.h"
#include "heap/heap.h"

/* How an error names the root value. */
typedef enum GrPackNames {
  GR_NAME_MESSAGE,  /* "message" */
  GR_NAME_ARGUMENT, /* "argument #i": i as in the call, given by first_number */
  GR_NAME_ITEM,     /* "argument #1[i]" */
  GR_NAME_RESULT,   /* "result #i" */
  GR_NAME_ERROR,    /* "error value" */
} GrPackNames;

/* Once a process, before anything else here. Any thread, any number of times. */
void gr_pack_init(void);

/* Prepares the registry of a new state, a host's or a goroutine's, for packing and unpacking. Once,
 * after its libraries are open, and in a goroutine's state before the program's code runs. May
 * raise. */
void gr_pack_open(lua_State *L);

/* Packs the n values at idx, idx+1, … as one message (sharing between them is kept). Raises a Lua
 * error that names the path of what cannot be sent, `cannot send argument #2[3].co (thread)`, with
 * position level 1 (luaL_error style: the position of the caller of the running C function),
 * leaving *out empty and nothing changed; in globals that come along with functions a placeholder
 * stands for it (placeholder.h). "not enough memory" likewise. May run Lua (__goro
 * metamethods), which may block. */
void gr_pack(lua_State *L, int idx, int n, GrPackNames names, int first_number, GrMsg *out);

/* As gr_pack with n values at idx, for the start of a goroutine: names are GR_NAME_ARGUMENT from
 * first_number, and unpacking sets carried globals even where present. */
void gr_pack_start(lua_State *L, int idx, int n, int first_number, GrMsg *out);
/* The same for a message that gr_pack made: unpacking sets carried globals even where present. */
void gr_msg_set_start(GrMsg *m);

/* Pushes the values and returns their number. Always consumes *m, also when it raises (a require or
 * __goro function failed, no memory). May run Lua, which may block. First opens what the message
 * needs and the state has not (need.h). */
int gr_unpack(lua_State *L, GrMsg *m);

/* The same for what gr_pack_start made, once; the message stays the caller's, also when it raises.
 * `function`: the state was made of gr_msg_image, and its function is at this index; else 0. */
int gr_unpack_start(lua_State *L, const GrMsg *m, int function);
/* The image for a goroutine that starts with it, or NULL. */
const struct GrImage *gr_msg_image(const GrMsg *m);

/* The standard globals that unpacking it, and what is in it, may need. */
GrNeed gr_msg_need(const GrMsg *m);
/* Another message with the same content; false without memory. */
bool gr_msg_copy(const GrMsg *m, GrMsg *out);

/* *m is an error as joins are told it, (false, value, traceback). *out is a message of the value
 * alone. False without memory. */
bool gr_msg_error_value(const GrMsg *m, GrMsg *out);

/* The fast ways for one value: true when done. */
bool gr_pack_scalar(lua_State *L, int idx,
                    GrMsg *out); /* nil, boolean, number, short string, light userdata */
bool gr_unpack_scalar(lua_State *L, GrMsg *m); /* pushes one value; the stack must have room */

/* Is it complete in itself, so that a plain assignment is a copy? */
bool gr_msg_is_plain(const GrMsg *m);
/* Pushes the long string that *m is, or an error value; returns the status. *m stays. -1, and
 * nothing pushed: *m is no long string. The stack must have room. */
int gr_unpack_string(lua_State *L, const GrMsg *m);

/* Messages without a Lua state. The string is copied; false without memory. */
GrMsg gr_msg_nil(void);
GrMsg gr_msg_boolean(bool b);
GrMsg gr_msg_integer(int64_t i);
GrMsg gr_msg_float(double n);
bool gr_msg_string(const char *s, size_t len, GrMsg *out);
/* A message that is a table of n strings, fields[i][1] under the name fields[i][0]. False without
 * memory. */
bool gr_msg_record(const char *const (*fields)[2], size_t n, GrMsg *out);
/* A message that is gr_wall_s() at this moment, a float. */
void gr_msg_wall(GrMsg *out);

#endif

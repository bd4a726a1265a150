/* SPDX-License-Identifier: MIT */
/* keep.h - things outside of Lua's memory that belong to one Lua state: references to shared
 * objects, buffers.
 *
 *   registry -> keeper (a userdata) -> slots: | GrKeep * | GrKeep * | free | …
 *                                                  |
 *                                                  v
 *                                        a userdata that begins with a GrKeep
 *
 * Each such thing lies in a userdata whose __gc lets go of it. That alone is not enough. While Lua
 * closes a state it calls finalizers, but accepts no new ones: whatever a finalizer makes then (a
 * channel, a message) would be lost. So each thing is also in a list. The list belongs to the
 * keeper, which is goro's first userdata in the state, and therefore the last one that Lua
 * finalizes. The keeper lets go of what is left.
 *
 * Nor does Lua call every finalizer. When the C stack is used up, or there is no memory for the
 * call, Lua only warns, and frees the userdata. So the list lies outside of the userdata that it
 * lists, one slot for each. Before the keeper touches what is left, it asks the table of objects,
 * which is weak, whether Lua still has the userdata. If Lua has not, the thing is let go of when
 * the state ends, or never.
 *
 * An entry in the table of objects costs more than all the rest. So things that live briefly, and
 * that their user lets go of, have no entry. If some of these are left when a state ends, the
 * state is closed instead of dropped, and what Lua has not finalized then is not touched. */
#ifndef GR_KEEP_H
#define GR_KEEP_H

#include <lua.h>

#include "base/share.h"

typedef struct GrKeep GrKeep;
typedef struct GrKeepType {
  void (*release)(GrKeep *); /* lets go; once. Must not raise */
  /* NULL, or: it was a to-be-closed variable, and its block was left, by an error if `failed`. Must
   * not raise */
  void (*left)(lua_State *L, GrKeep *, bool failed);
} GrKeepType;
struct GrKeep {
  struct GrKeeper *keeper; /* NULL: in no list */
  const GrKeepType *type;
  uintptr_t mark; /* of a userdata that begins with one and has not been finalized */
  uint32_t slot;
};

/* Lets go of everything in the list, once and for all: the state is dropped, and nothing of it is
 * finalized. False, and nothing is done: the state must be closed by Lua. Does not raise. */
bool gr_keep_close(lua_State *L);
/* The keeper of this state; before anything else of goro's has a finalizer. May raise. */
void gr_keep_open(lua_State *L);
/* `k` is in the list from now on. It lies in a userdata that the table of objects has under the
 * light userdata `key`; without it, a reference to `share` is let go of. Raises "goro is shutting
 * down" when the keeper is gone. */
void gr_keep_add(lua_State *L, GrKeep *k, const GrKeepType *type, const void *key, GrShare *share);
/* Pushes a userdata of `size` bytes, all 0 but the GrKeep that it begins with, which is in the
 * list; it has one user value, and is released when it is collected, or before by who uses it.
 * Raises like gr_keep_add. */
void *gr_keep_new(lua_State *L, size_t size, const GrKeepType *type);
/* The same for what may well be there when the state ends. */
void *gr_keep_new_lasting(lua_State *L, size_t size, const GrKeepType *type);
/* One value of each of these kinds hangs on the keeper: a draft, an unpacker and a claim for
 * reuse, the table of objects (object.h), whose values are weak. An entry more in the registry
 * would cost each goroutine more. Pushes it, or nil. Does not raise. */
enum {
  GR_KEEP_DRAFT = 1,
  GR_KEEP_UNPACKER,
  GR_KEEP_OBJECTS,
  GR_KEEP_CLAIM,
  GR_KEEP_KINDS = GR_KEEP_CLAIM
};
void gr_keep_push(lua_State *L, int kind);
/* The same; from now on it is not kept. */
void gr_keep_take(lua_State *L, int kind);
/* The value on top, or nil, is kept instead; it is popped. */
void gr_keep_set(lua_State *L, int kind);
/* Pushes the table of objects, made when there is none yet. */
void gr_keep_push_objects(lua_State *L);
/* Takes it from the list and releases it, unless that has been done. */
void gr_keep_release(GrKeep *k);
static inline bool gr_keep_is_held(const GrKeep *k) { return k->keeper != NULL; }
/* Argument `arg`, which must be a userdata of gr_keep_new with this type (NULL: any), released or
 * not: `what` is expected. For functions that a program can call with whatever it likes. */
void *gr_keep_check(lua_State *L, int arg, const GrKeepType *type, const char *what);

#endif

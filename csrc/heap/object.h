/* SPDX-License-Identifier: MIT */
/* object.h - goro's own objects in Lua: a userdata that holds one reference to a GrShare.
 *
 * Within one state, an object (in one view) is always the same userdata: a weak table in the
 * registry finds it. Across states, __eq compares the pointers to the GrShare. The metatables of a
 * type, one for each view, are built in each state when they are first used, by the type's `open`.
 */
#ifndef GR_OBJECT_H
#define GR_OBJECT_H

#include <lua.h>

#include "base/share.h"

/* A view narrows an object (a channel's sending end). 0 is the object itself; 0..7. */
typedef struct GrObject {
  GrShare *share;
  uint32_t view;
} GrObject;

typedef struct GrObjectType GrObjectType;
struct GrObjectType {
  GrShareType share; /* first: a GrShare's type points here */
  void (*open)(lua_State *L, const GrObjectType *type,
               uint32_t view); /* fills the metatable at the top of the stack; may raise */
};

/* Makes the state's table of objects, weakly with the metatable on top, which has a __mode of "v";
 * pops it. Where this is not called the first object makes both. */
void gr_object_open(lua_State *L);
/* Pushes the userdata of (share, view); the state takes a reference of its own. May raise (memory):
 * the caller's reference is untouched. */
void gr_object_push(lua_State *L, GrShare *share, uint32_t view);
/* The object at idx when it is one of goro's, else NULL. Not raising. */
GrObject *gr_object_test(lua_State *L, int idx);
/* The object of that type, or an argument error in the standard form. */
GrObject *gr_object_check(lua_State *L, int arg, const GrObjectType *type);

#endif

/* SPDX-License-Identifier: MIT */
/* placeholder.h - what stands in a goroutine's globals for a value that could not come along. */
#ifndef GR_PLACEHOLDER_H
#define GR_PLACEHOLDER_H

#include <lua.h>

#include "base/share.h"

/* The placeholder of this state's value at idx (absolute), which has an identity; the string on top
 * says what it is, and is left there. Borrowed: valid until the next call of Lua. NULL without
 * memory; may raise. */
GrShare *gr_placeholder_of(lua_State *L, int idx);
bool gr_placeholder_is(const GrShare *share);
/* Pushes the userdata that stands here for the same value; the first text that came to this state
 * is its text. May raise. */
void gr_placeholder_push(lua_State *L, GrShare *share);

#endif

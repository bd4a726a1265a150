/* SPDX-License-Identifier: MIT */
/* verify.h - is a message well-formed? Only the hostile build asks. */
#ifndef GR_VERIFY_H
#define GR_VERIFY_H

#include <lua.h>

/* (GrMsg *), one that is no scalar: raises "corrupt message: …" unless it can be unpacked without
 * reading or writing anything outside of it. Changes nothing. */
int gr_verify(lua_State *L);

#endif

/* SPDX-License-Identifier: MIT */
/* record.h - classes that are packed once and referred to by many messages. For the files that pack
 * and unpack alone. */
#ifndef GR_RECORD_H
#define GR_RECORD_H

#include "copy/draft.h"

/* The class on top, item `number`, which is not written yet, becomes a link; false: it has to go
 * along. Runs no Lua code. May raise. */
bool gr_record_link(lua_State *L, Draft *d, uint32_t number);
/* To be called when everything is written. Takes back the links that would split something which
 * the message shares with their classes. True: there is more to write now. May raise. */
bool gr_record_settle(lua_State *L, Draft *d);
/* A record in the making names a global of the environment at an absolute index. May raise. */
void gr_record_name(lua_State *L, Draft *d, int environment, const char *name, size_t len);

/* Its message, for a receiver to unpack: owned, or NULL without memory. */
GrPack *gr_record_copy(const GrShare *record);
/* How many roots it has. */
uint32_t gr_record_classes(const GrShare *record);

#endif

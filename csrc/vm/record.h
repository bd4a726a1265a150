/* SPDX-License-Identifier: MIT */
/* record.h - classes that a state sends again: packed once, then referred to. For the packer's files alone. */
#ifndef GR_RECORD_H
#define GR_RECORD_H

#include "vm/packer.h"

/* The class is on top, item `number` is about to be written, and the state has sent the class before: makes the item a link to a record of it and returns true, if
 * there is one that holds, or can be made. May raise. */
bool gr_record_link(lua_State *L, Packer *k, uint32_t number);
/* The same for a table on top of which it is not known whether it is a class; costs next to nothing when it is none. */
bool gr_record_link_value(lua_State *L, Packer *k, uint32_t number);
/* Which classes of the state have records, or NULL when there are none. */
struct GrKnown *gr_record_known(lua_State *L);
/* A message is begun: what was found to hold has to be looked at again. */
void gr_record_tick(struct GrKnown *known);

/* While a record is made: what it depends on, besides the content of its items. */
/* A function names a global, in the environment at an absolute index. */
void gr_record_names(lua_State *L, Packer *k, int environment, const char *name, size_t len);
/* Does a module own the value at idx (absolute)? */
void gr_record_owned(lua_State *L, Packer *k, int idx, bool owned);
/* What is packed cannot be a record, and need not be tried again. */
void gr_record_unfit(Packer *k);

#endif

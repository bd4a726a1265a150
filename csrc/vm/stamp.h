/* SPDX-License-Identifier: MIT */
/* stamp.h - what a record was made of, so that it can be seen whether all of it is still the same. For record.c alone. */
#ifndef GR_STAMP_H
#define GR_STAMP_H

#include "vm/packer.h"

typedef struct Stamp {
  uint64_t bits;
  uint32_t type;
} Stamp;

/* All 0 is one that never holds. Freed by gr_stamps_free. */
typedef struct Stamps {
  Stamp *at;
  uint32_t n, cap;
  /* Of the list: its parts, one after the other. */
  uint32_t nobjects; /* tables and functions, whose content is in the stamps */
  uint32_t nlinks;   /* classes that have records of their own, in the order of the links */
  uint32_t nowned;   /* what modules own */
  uint32_t nnames;   /* of globals */
  uint32_t nheld;    /* other values that the stamps tell by their addresses; strings, which live as long as the list, follow */
} Stamps;

/* Takes stamps of all that the packer, which has written everything, has met; `owned` (a list) and `names` (its keys) were noted meanwhile. Pushes the list that
 * belongs to them and returns true; or false: it has no memory, or something cannot be told again without running Lua. Raises. */
bool gr_stamps_take(lua_State *L, Packer *k, Stamps *s, int owned, int names);
/* Is all of it as it was, but for what the linked records were made of? The packer may be another. May raise. */
bool gr_stamps_hold(lua_State *L, Packer *k, const Stamps *s, int list);
void gr_stamps_free(Stamps *s);

#endif

/* SPDX-License-Identifier: MIT */
/* links.h - records as messages hold them: counted references to messages that nobody changes any more. How they come about is record.h's. */
#ifndef GR_LINKS_H
#define GR_LINKS_H

#include "base/base.h"
#include "vm/packer.h"
#include "vm/wire.h"

typedef struct GrRecord {
  atomic_int refs;
  int depth;                /* 1, or one more than that of the deepest it links to: freeing is recursive */
  GrPack *pack;             /* its item 0 is a class, which it was made for */
  const void *identities[]; /* of each item, in the state that made it and there alone; NULL: of no table, function or variable, or of a link */
} GrRecord;

/* One for a message of n items, which is to come: a reference, or NULL without memory. */
GrRecord *gr_record_new(uint32_t nitems);
void gr_record_ref(GrRecord *r);
/* NULL is none. */
void gr_record_unref(GrRecord *r);

/* A block with room for so many, all 0; NULL without memory. */
GrLinks *gr_links_new(uint32_t nrecords, uint32_t nlinks, uint32_t npairs);
GrLinks *gr_links_copy(const GrLinks *links);
/* NULL is none. */
void gr_links_free(GrLinks *links);
size_t gr_links_size(const GrLinks *links);

/* How many items there are when the message is read as one with its records. */
uint32_t gr_links_total(const GrPack *p);

/* ---- while a message is packed; these raise without memory, after the packer has let go of all it holds ---- */

/* Item `number`, a class, becomes a link to item `root` of the record. */
void gr_links_add(lua_State *L, Packer *k, uint32_t number, GrRecord *r, uint32_t root);
/* All is written: finds the pairs; k->p.links are the message's from then on. */
void gr_links_finish(lua_State *L, Packer *k);
/* The depth of the deepest record among them, or 0. */
int gr_links_depth(const Packer *k);
/* Those of items from `nitems` on go. */
void gr_links_roll_back(Packer *k, uint32_t nitems);
/* All go. */
void gr_links_give_up(Packer *k);

#endif

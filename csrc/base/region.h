/* SPDX-License-Identifier: MIT */
/* region.h - chunks of a few sizes, cut from regions of 2 MB of the system's memory; and how the
 * system gets that memory back. The caches of chunk.c stand before it.
 *
 *        region (2 MB, aligned)
 *        +------------------------+---------+---------+---------+-- ... --+
 *        | head, 4 KB: bits of    | chunk 0 | chunk 1 | chunk 2 |         |    all of one size
 *        | what is free, cold     |         |         |         |         |
 *        +------------------------+---------+---------+---------+-- ... --+
 *
 *         used --- gr_region_give ---> warm --- given back ---> cold
 *          ^                            |                        |    warm: free, in memory
 *          +----- gr_region_take -------+------------------------+    cold: free, never touched
 *                                                                     or given back */
#ifndef GR_REGION_H
#define GR_REGION_H

#include "base/base.h"

enum { GR_REGION_CLASSES = 128, GR_REGION_MOST = 64 << 10, GR_REGION_GRAIN = 64 };

/* Sizes that this rounds to the same number are of one class. */
static inline size_t gr_region_round(size_t size) {
  return (size + (GR_REGION_GRAIN - 1)) & ~(size_t)(GR_REGION_GRAIN - 1);
}

/* The class of chunks of this size, from 1 on. It never changes. 0: the size is too big, or there
 * are more sizes than classes. */
uint32_t gr_region_class(size_t size);
/* Takes up to n chunks of a class, neighbours in memory, and returns how many; 0: no memory. They
 * are in memory already, as far as the system allows. */
uint32_t gr_region_take(uint32_t class, uint32_t n, void **chunks);
/* Gives back the chunks of a list, which is linked through their first words. NULL: an empty
 * list. */
void gr_region_give(void *first);
/* How many bytes all taken chunks have. */
int64_t gr_region_bytes(void);
/* Gives memory that has been free for a while back to the system, a bounded amount in each call.
 * *again: when it should be called again; GR_FOREVER: not before chunks come back. True: much has
 * gone back, and nothing is left to give. */
bool gr_region_settle(int64_t now, int64_t *again);
/* The whole pages of a taken chunk go to the system. They read as zeros from then on, and may be
 * written again. */
void gr_region_clear(void *chunk, size_t size);

#endif

/* SPDX-License-Identifier: MIT */
/* region.h - chunks of a few sizes, cut from regions of 2 MB of the system's memory, and how it
 * gets that back. Behind chunk.c's caches.
 *
 *   region (2 MB, aligned): | head, 4 KB: who is free, who is cold | chunk | chunk | …        all
 * of one size
 *
 * A chunk is used, or free; a free one is warm (its pages are in memory) or cold (never touched, or
 * given back to the system). */
#ifndef GR_REGION_H
#define GR_REGION_H

#include "base/base.h"

enum { GR_REGION_CLASSES = 128, GR_REGION_MOST = 64 << 10, GR_REGION_GRAIN = 64 };

/* Sizes that are the same one after this are of one class. */
static inline size_t gr_region_round(size_t size) {
  return (size + (GR_REGION_GRAIN - 1)) & ~(size_t)(GR_REGION_GRAIN - 1);
}

/* The class of chunks of this size, from 1; 0: too big, or there are more sizes than classes. Stays
 * what it is. */
uint32_t gr_region_class(size_t size);
/* Up to n chunks of a class, all neighbours that can be had; how many, 0 without memory. They are
 * in memory already, as far as the system allows. */
uint32_t gr_region_take(uint32_t class, uint32_t n, void **chunks);
/* Gives n chunks back, linked through their first words; NULL is none. */
void gr_region_give(void *first);
/* Bytes of all chunks that are taken. */
int64_t gr_region_bytes(void);
/* Gives memory that has been free for a while back to the system, a bounded amount a call. *again:
 * when it should be called again; GR_FOREVER: not before chunks come back. True: much has gone
 * back, and this is the end of it. */
bool gr_region_settle(int64_t now, int64_t *again);
/* The whole pages of a taken chunk go to the system; they read as zeros from then on, and may be
 * written again. */
void gr_region_clear(void *chunk, size_t size);

#endif

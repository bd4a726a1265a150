/* SPDX-License-Identifier: MIT */
/* chunk.h - blocks of memory for arenas: a small cache of each size on each thread, the system behind it.
 *
 * Goroutines come and go on the same few threads, so the block that one gives back is the next one's, still warm in the CPU's cache: that is worth more than
 * all else here (the first touch of a page costs 2 us). A cache keeps CACHE_BYTES at most; beyond that, and when its thread ends, blocks go to the system. */
#ifndef GR_CHUNK_H
#define GR_CHUNK_H

#include "base/base.h"

/* At least `size` bytes, 16-aligned; NULL when there is no memory. Any thread. */
void *gr_chunk_get(size_t size);
/* `size` as it was asked for. */
void gr_chunk_put(void *chunk, size_t size);
/* This thread ends: its cache goes to the system. */
void gr_chunk_flush(void);

#endif

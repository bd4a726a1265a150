/* SPDX-License-Identifier: MIT */
/* chunk.h - blocks of memory, for all that comes and goes with goroutines: arenas, messages,
 * GrStates, slabs of Gs.
 *
 *        gr_chunk_get <--> cache of the thread <--> regions (region.h) <--> the system
 *                          1 MB at most             2 MB each
 *
 * Goroutines come and go on the same few threads. So the block that one of them gives back is the
 * next one's, and is still in the CPU's cache. That is worth more than all else here: the first
 * touch of a page costs 2 us. When a cache is full, and when its thread ends, blocks go back to
 * their regions.
 *
 * Why not malloc: a message is packed on one thread and dropped on another, and malloc locks a
 * heap for that each time. Two threads that start goroutines spent a quarter of their time there.
 *
 * Chunks of less than 256 bytes have 256. With GORO_SYSTEM_ALLOC, and under sanitizers, each
 * chunk is a block of malloc's, as is each block of an arena, so that sanitizers and valgrind see
 * it. */
#ifndef GR_CHUNK_H
#define GR_CHUNK_H

#include "base/base.h"

#if defined(GORO_SYSTEM_ALLOC) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GR_CHUNK_SYSTEM 1
#else
#define GR_CHUNK_SYSTEM 0
#endif

/* At least `size` bytes, 16-aligned; NULL when there is no memory. Any thread. */
void *gr_chunk_get(size_t size);
/* `size` as it was asked for. */
void gr_chunk_put(void *chunk, size_t size);
/* The calling thread ends: its cache goes back to the regions. */
void gr_chunk_flush(void);
/* Bytes of chunks that mallinfo2 does not know, in use or in caches, less the bytes that it knows
 * and nobody uses (big.h). */
int64_t gr_chunk_bytes(void);
/* For sysmon: gives memory that has not been needed for a while back to the system; takes some ms
 * at most. *again: when it wants to be called again; GR_FOREVER: not before goroutines have run.
 * True: a burst is over, malloc has given memory back, and others may do so too. */
bool gr_chunk_settle(int64_t now, int64_t *again);
/* A chunk in use loses its contents and costs no memory until it is written again. Its whole
 * pages read as zeros then; what shares a page with other chunks stays. */
void gr_chunk_clear(void *chunk, size_t size);

#endif

/* SPDX-License-Identifier: MIT */
/* chunk.h - blocks of memory for arenas, messages, what goroutines are known by: a small cache on
 * each thread, regions behind it (region.h), the system behind those.
 *
 * Goroutines come and go on the same few threads, so the block that one gives back is the next
 * one's, still warm in the CPU's cache: that is worth more than all else here (the first touch of a
 * page costs 2 us). A cache keeps CACHE_BYTES at most; beyond that, and when its thread ends,
 * blocks go back to their regions. A message is packed on one thread and dropped on another, and
 * malloc's heap is locked for that each time: two threads that start goroutines spent a quarter of
 * their time there. Sizes below 256 bytes are 256.
 *
 * With GORO_SYSTEM_ALLOC, and under sanitizers, each chunk is malloc's, as is each block of an
 * arena: so that they, or valgrind, see it. */
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
/* This thread ends: its cache goes back. */
void gr_chunk_flush(void);
/* Bytes of chunks that mallinfo2 does not know: in use, or in the threads' caches; less what it
 * knows and nobody uses (big.h). */
int64_t gr_chunk_bytes(void);
/* For sysmon: gives memory that has not been needed for a while back to the system, for some ms at
 * most. *again: when it wants to be called again, or GR_FOREVER: not before goroutines have run.
 * True: a burst is over, so others may give memory back too; malloc has. */
bool gr_chunk_settle(int64_t now, int64_t *again);
/* A chunk in use loses its contents, but for what shares a page with others: zeros, or what was
 * there. Costs no memory until it is written again. */
void gr_chunk_clear(void *chunk, size_t size);

#endif

/* SPDX-License-Identifier: MIT */
/* big.h - malloc's blocks of 64 KB and more, of which some wait for a moment whether they are
 * wanted again.
 *
 * malloc takes such a block from the system and gives it back, or the end of its heap, as soon as
 * it is freed; so a program that sends messages of a MiB has the same pages mapped, cleared and
 * unmapped for each of them, which takes longer than to copy them. To raise malloc's thresholds
 * would help, but they are the program's, not ours. */
#ifndef GR_BIG_H
#define GR_BIG_H

#include "base/base.h"

/* Smaller blocks are malloc's alone. */
enum { GR_BIG_LEAST = 64 << 10 };

/* A block of any size, as of gr_malloc: gr_realloc may resize it. NULL when there is no memory. Any
 * thread. */
void *gr_big_get(size_t size);
/* `size`: about what it is now. */
void gr_big_put(void *block, size_t size);
/* Bytes of the blocks that wait, which malloc takes for used. */
int64_t gr_big_bytes(void);
/* For sysmon: frees those that have waited for long enough. When it wants to be called again;
 * GR_FOREVER: not before there are others. */
int64_t gr_big_settle(int64_t now);

#endif

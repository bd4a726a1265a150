/* SPDX-License-Identifier: MIT */
/* big.h - blocks of 64 KB and more, from malloc. Some freed ones wait for a moment, so that the
 * next message can use them.
 *
 * malloc takes such a block from the system and gives it back as soon as it is freed. So in a
 * program that sends messages of a MiB, the system maps, clears and unmaps the same pages for
 * each message, which takes longer than the copy. Higher thresholds of malloc would help, but
 * those are the program's to set. */
#ifndef GR_BIG_H
#define GR_BIG_H

#include "base/base.h"

/* Smaller blocks are malloc's alone. */
enum { GR_BIG_LEAST = 64 << 10 };

/* A block of any size. As with gr_malloc: gr_realloc may resize it, NULL means no memory, any
 * thread may call. */
void *gr_big_get(size_t size);
/* `size`: about what the block's size is now. */
void gr_big_put(void *block, size_t size);
/* How many bytes the waiting blocks have. malloc counts them as used. */
int64_t gr_big_bytes(void);
/* For sysmon: frees blocks that have waited for long enough. Returns when it wants to be called
 * again; GR_FOREVER: not before other blocks wait. */
int64_t gr_big_settle(int64_t now);

#endif

/* SPDX-License-Identifier: MIT */
/* life.h - what a goroutine does from the moment that a thread runs it to its end. */
#ifndef GR_LIFE_H
#define GR_LIFE_H

#include "run/state.h"

/* Of a G whose data is a GrState that has its `start` and no Lua state yet. */
extern const GOps gr_life_ops;

/* Makes the image that new states are copied from, unless there is one: before the first goroutine,
 * since it takes a millisecond. */
void gr_life_init(void);

#endif

/* SPDX-License-Identifier: MIT */
/* timers.h - a heap of timers: each P has one, the pool has one for threads without a P.
 *
 * Four-ary (as Go's: shallower than a binary heap, and the four children lie in one cache line),
 * each timer knows its place, so taking one out from the middle is O(log n). `first` repeats the
 * earliest time, so that looking costs one load. Any thread may run the timers of any heap: that is
 * how an idle M takes them over from a busy P, and why those of a retired P can stay where they
 * are. */
#ifndef GR_TIMERS_H
#define GR_TIMERS_H

#include "sched/sched.h"

struct GrTimers {
  GrLock lock;
  GrTimer **heap;
  uint32_t n, cap;
  _Atomic int64_t first; /* INT64_MAX: empty */
};

void gr_timers_init(GrTimers *h);
void gr_timers_drop(GrTimers *h); /* what is left, and the heap's memory; it may be used again */
int gr_timers_add(GrTimers *h, GrTimer *t);
/* Drops those of this host. */
void gr_timers_drop_of(GrTimers *h, const GrHost *host);
/* Fires all that are due. True when there was one. */
bool gr_timers_run(GrTimers *h);
static inline int64_t gr_timers_first(GrTimers *h) { return atomic_load(&h->first); }

#endif

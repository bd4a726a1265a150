/* SPDX-License-Identifier: MIT */
/* timers.h - a heap of timers. Each P has one; the pool has one for threads without a P.
 *
 * The heap is four-ary, as Go's: it is shallower than a binary one, and the four children of a node
 * lie in one cache line. Each timer knows its place, so any timer can be taken out in O(log n).
 * `first` repeats the earliest time, so a look at it costs one load. Any thread may run the timers
 * of any heap. So an idle M takes over the timers of a busy P, and the timers of a retired P stay
 * where they are. */
#ifndef GR_TIMERS_H
#define GR_TIMERS_H

#include "sched/sched.h"

struct GrTimers {
  GrLock lock;
  GrTimer **heap;
  uint32_t n, cap;
  _Atomic int64_t first; /* INT64_MAX: there is no timer */
};

void gr_timers_init(GrTimers *h);
/* Drops all timers and frees the memory of the heap, which may be used again. */
void gr_timers_drop(GrTimers *h);
/* Drops the timers of this host. */
void gr_timers_drop_of(GrTimers *h, const GrHost *host);
static inline int64_t gr_timers_first(GrTimers *h) { return atomic_load(&h->first); }
/* Fires all timers that are due. True: there was one. */
bool gr_timers_run_due(GrTimers *h);
static GR_INLINE bool gr_timers_run(GrTimers *h) {
  return gr_timers_first(h) != INT64_MAX && gr_timers_run_due(h);
}

#endif

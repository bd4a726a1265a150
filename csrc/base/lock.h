/* SPDX-License-Identifier: MIT */
/* lock.h - a mutex of one word, with a rank, and a note to sleep on.
 *
 * Lock order: a thread may take a lock only when its rank is above that of each lock it holds; of
 * equal rank only channels may be held together, and then in address order. GORO_TESTING builds
 * check this at each lock.
 *
 *   rank            guards                                     may be taken while holding
 *   GR_RANK_HOST    the table of host states, pool start/end;  -
 *                   one dump at a time
 *   GR_RANK_CONTEXT the children of one context                HOST
 *   GR_RANK_SYNC    one mutex, semaphore, …: its queue         HOST, CONTEXT
 *   GR_RANK_CHAN    one channel: ring, both queues             HOST, CONTEXT, SYNC
 *   GR_RANK_IO      one descriptor: who reads, writes, waits   HOST to CHAN
 *   GR_RANK_SCHED   global queue, idle lists, thread counts    HOST to IO
 *   GR_RANK_TIMERS  one heap of timers                         HOST to SCHED
 *   GR_RANK_INBOX   one host's inbox                           all above
 *   GR_RANK_LEAF    slabs of Gs, regions, tables of names      all above
 *
 * Algorithm of the mutex: U. Drepper, "Futexes Are Tricky" (mutex 2), with a short spin before the
 * sleep. */
#ifndef GR_LOCK_H
#define GR_LOCK_H

#include "base/base.h"

typedef enum GrRank {
  GR_RANK_HOST = 1,
  GR_RANK_CONTEXT,
  GR_RANK_SYNC,
  GR_RANK_CHAN,
  GR_RANK_IO,
  GR_RANK_SCHED,
  GR_RANK_TIMERS,
  GR_RANK_INBOX,
  GR_RANK_LEAF,
} GrRank;

typedef struct GrLock {
  _Atomic uint32_t word; /* 0 free, 1 taken, 2 taken and somebody may sleep */
  uint32_t rank;
} GrLock;

#define GR_LOCK_INIT(r) \
  { 0, (r) }
void gr_lock_init(GrLock *l, GrRank rank);
void gr_lock(GrLock *l);
void gr_unlock(GrLock *l);

/* A note: one thread sleeps until another has woken it, once for each clear. A wake-up before the
 * sleep is kept. Only the owner clears and sleeps; anybody wakes. */
typedef struct GrNote {
  _Atomic uint32_t word; /* 0 clear, 1 woken, 2 clear and the owner sleeps */
} GrNote;

void gr_note_clear(GrNote *n);
void gr_note_wake(GrNote *n);
/* Sleeps until woken (true) or until gr_now_ns() reaches `until` (false). GR_FOREVER: no limit. */
bool gr_note_sleep(GrNote *n, int64_t until);

#endif

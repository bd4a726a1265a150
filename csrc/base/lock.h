/* SPDX-License-Identifier: MIT */
/* lock.h - a mutex of one word, with a rank, and a note to sleep on.
 *
 * Lock order. A thread may take a lock only when the rank of that lock is above the rank of each
 * lock that it holds. There is one exception: several channels may be held together, taken in the
 * order of their addresses. GORO_TESTING builds check this at each lock.
 *
 *   rank    lock                         guards                           seen under it
 *   HOST    sched/host.c lifecycle       beginning and end of the pool    SYNC, IO to LEAF
 *           run/dump.c one_at_a_time     one dump at a time
 *   CONTEXT sync/context.c Canceler      the children of a context        CHAN
 *   SYNC    sync/ each mutex, rwmutex,   its state, its queue of sudogs   CHAN, SCHED, TIMERS
 *           sema, cond, once, group,
 *           waitgroup
 *           sync/atomic.c, each value    the value
 *           sync/map.c, each shard       keys and values of the shard
 *           sync/context.c Deadline      which context its timer ends
 *           sync/alarm.c, each alarm     its timer, and who may receive
 *           io/signal.c, io/watch.c      who listens for signals, files
 *   CHAN    sync/chan.c, each channel    its ring and both queues         CHAN, SCHED, TIMERS
 *   IO      io/fd.c, each descriptor     its turns, waits, closing        SCHED, TIMERS, LEAF
 *           io/resolver.c                look-ups of names
 *   SCHED   sched/pool.c gr_sched.lock   global queues, idle lists        LEAF
 *   TIMERS  sched/timers.c, each heap    the heap and its timers          -
 *   INBOX   sched/host.c, each host      its posts; `closed`              -
 *   LEAF    base/slab.h, each type       the slabs of the type            -
 *           base/lru.h, each cache       cached code, cached modules
 *           base/region.c                regions
 *           base/chunk.c                 the list of caches
 *           base/untold.c                errors nobody was told of
 *           sched/host.c list_lock       the list of hosts
 *           sched/helpers.h              jobs and idle helpers
 *           run/setup.c                  goro.setup's list
 *           run/turn.h, each turn        its owner, and who waits for it
 *           io/poll.c                    the start of epoll
 *           io/fsfile.c                  files that gather writes
 *           io/process.c                 one child
 *           lib/io/shell.c               the keyboard's signals
 *
 * The last column says which ranks the specs see taken while a lock of this rank is held. It is no
 * promise: any higher rank is allowed.
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
  _Atomic uint32_t word; /* 0 free, 1 taken, 2 taken and a thread may sleep for it */
  uint32_t rank;
} GrLock;

#define GR_LOCK_INIT(r) \
  { 0, (r) }
void gr_lock_init(GrLock *l, GrRank rank);
void gr_lock(GrLock *l);
void gr_unlock(GrLock *l);

/* A note: its owner sleeps until another thread has woken it, once for each clear. A wake-up that
 * comes before the sleep is kept. Only the owner clears and sleeps; any thread may wake. */
typedef struct GrNote {
  _Atomic uint32_t word; /* 0 clear, 1 woken, 2 clear and the owner sleeps */
} GrNote;

void gr_note_clear(GrNote *n);
void gr_note_wake(GrNote *n);
/* Sleeps until woken (true) or until gr_now_ns() reaches `until` (false). GR_FOREVER: no limit. */
bool gr_note_sleep(GrNote *n, int64_t until);

#endif

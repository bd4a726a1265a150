/* SPDX-License-Identifier: MIT */
/* lock.h - a mutex of one word, with a rank, and a note to sleep on.
 *
 * Lock order. A thread may take a lock only when the rank of that lock is above the rank of each
 * lock that it holds. There is one exception: several channels may be held together, taken in the
 * order of their addresses. GORO_TESTING builds check this at each lock.
 *
 *   rank    lock                          guards                              taken while held
 *   HOST    sched/host.c lifecycle        beginning and end of the pool       SYNC, IO to LEAF
 *           run/dump.c one_at_a_time      one dump at a time                  SCHED, LEAF
 *   CONTEXT sync/context.c Canceler       the children of a context           CHAN
 *   SYNC    sync/: one of each mutex,     its state and its queue of sudogs   SCHED, TIMERS
 *           rwmutex, sema, cond, once,
 *           waitgroup, group
 *           sync/atomic.c                 its value                           -
 *           sync/map.c, of each shard     the keys and values of the shard    SCHED, TIMERS
 *           sync/context.c Deadline       its timer and its context           -
 *           sync/alarm.c                  a timer or ticker, and its channel  CHAN, TIMERS
 *           io/signal.c, io/watch.c       who listens for signals, files      CHAN
 *   CHAN    sync/chan.c                   the ring and both queues            CHAN, SCHED, TIMERS
 *   IO      io/fd.c, of each descriptor   its turns, its waits, its closing   SCHED, TIMERS
 *           io/resolver.c                 look-ups and the cache of names     SCHED, TIMERS, LEAF
 *   SCHED   sched/pool.c gr_sched.lock    global queues, idle lists, counts   LEAF
 *   TIMERS  sched/timers.c, of each heap  the heap and its timers             -
 *   INBOX   sched/host.c, of each host    its posts, `closed`                 -
 *   LEAF    sched/g.c                     the slabs of Gs                     -
 *           sched/host.c list_lock        the list of hosts                   -
 *           sched/helpers.h               jobs and idle helpers               -
 *           base/region.c, base/chunk.c   regions; the list of caches         -
 *           base/untold.c                 errors that nobody was told of      -
 *           base/lru.c, of each table     code (copy), compiled modules (run) -
 *           run/setup.c                   goro.setup's list                   -
 *           run/turn.h, of each turn      its owner and who waits for it      -
 *           io/fd.c slabs, io/poll.c,     free GrFds; the start of epoll;     -
 *           io/fsfile.c, io/process.c     files that gather; one child
 *           lib/io/shell.c                the keyboard's signals              -
 *
 * The last column says which ranks the specs see taken under a lock. It is no promise: any higher
 * rank is allowed.
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

/* SPDX-License-Identifier: MIT */
/* rwmutex.c - a readers-writer lock: one word, two queues behind it, handed over.
 *
 *   the word:   bit 63 ........................ 2      1        0
 *               +--------------------------------+--------+--------+
 *               |  how many readers hold it      | QUEUED | WRITER |
 *               +--------------------------------+--------+--------+
 *                                                     |        |
 *                 a reader adds READER, which is 4    |        +-- a writer holds it
 *                                                     +-- somebody may be in a queue
 *
 * QUEUED is set and cleared under the lock of the queues. While QUEUED is set, these goroutines
 * take that lock: a newcomer of either kind, a writer that unlocks, and the last reader that
 * unlocks. Only one change of the word happens without the lock then: a reader that is not the
 * last leaves.
 *
 * Invariant, whenever nobody holds the lock of the queues: if QUEUED is set, somebody holds the
 * rwmutex, and will look into the queues when it unlocks.
 *
 * A waiter does not compete. settle_locked always hands it the rwmutex:
 *   - After a writer, all waiting readers get in, however many writers wait.
 *   - After the last of those readers, the longest waiting writer gets in.
 *   - A reader that comes while a writer waits, waits too.
 * So neither kind starves the other. Go's RWMutex does the same.
 *
 * It may be that readers wait only because a writer waits: the rwmutex is held by readers. When
 * that writer gives up, it lets the waiting readers in as it leaves the queue. Between these two
 * moments its sudog still keeps newcomers out, although nothing can be handed to it any more;
 * that time is short. */
#include "sync/rwmutex.h"

#include "sync/queue.h"

enum { WRITER = 1, QUEUED = 2, READER = 4 };

struct GrRwmutex {
  GrShare share;
  _Atomic uint64_t word;
  GrLock lock; /* guards the queues */
  GrList writers, readers;
};

GrRwmutex *gr_rwmutex_new(const GrShareType *type) {
  GrRwmutex *rw = gr_zalloc(sizeof *rw);
  if (rw == NULL) return NULL;
  gr_share_init(&rw->share, type);
  gr_lock_init(&rw->lock, GR_RANK_SYNC);
  gr_list_init(&rw->writers);
  gr_list_init(&rw->readers);
  return rw;
}

void gr_rwmutex_destroy(GrShare *s) { gr_free(gr_rwmutex_of(s)); }
GrShare *gr_rwmutex_share(GrRwmutex *rw) { return &rw->share; }
GrRwmutex *gr_rwmutex_of(GrShare *s) { return gr_container_of(s, GrRwmutex, share); }

bool gr_rwmutex_is_locked(GrRwmutex *rw) {
  return (atomic_load_explicit(&rw->word, memory_order_relaxed) & WRITER) != 0;
}

static bool swing(GrRwmutex *rw, uint64_t *w, uint64_t to) {
  return atomic_compare_exchange_weak_explicit(&rw->word, w, to, memory_order_acq_rel,
                                               memory_order_relaxed);
}

bool gr_rwmutex_try_lock(GrRwmutex *rw) {
  uint64_t w = 0;
  return atomic_compare_exchange_strong_explicit(&rw->word, &w, WRITER, memory_order_acquire,
                                                 memory_order_relaxed);
}

bool gr_rwmutex_try_rlock(GrRwmutex *rw) {
  uint64_t w = atomic_load_explicit(&rw->word, memory_order_relaxed);
  while ((w & (WRITER | QUEUED)) == 0)
    if (swing(rw, &w, w + READER)) return true;
  return false;
}

/* ---- under the lock ---- */

static bool queues_empty(const GrRwmutex *rw) {
  return gr_list_empty(&rw->writers) && gr_list_empty(&rw->readers);
}

/* Lets all waiting readers in. Nobody holds rw, or readers hold it. Returns how many came in. */
static int64_t admit_locked(GrRwmutex *rw, GrList *won) {
  int64_t n = gr_queue_win_all(&rw->readers, won);
  atomic_fetch_add(&rw->word, (uint64_t)n * READER);
  return n;
}

/* Nobody holds rw. Hands it to waiters: to the readers if `readers_first` and a reader waits,
 * else to the first writer, else to the readers. */
static void hand_on_locked(GrRwmutex *rw, bool readers_first, GrList *won) {
  if (readers_first && admit_locked(rw, won) > 0) return;
  GSudog *sg = gr_queue_win(&rw->writers);
  if (sg == NULL) {
    admit_locked(rw, won);
    return;
  }
  gr_list_push_back(won, &sg->link);
  atomic_fetch_or(&rw->word, WRITER);
}

/* QUEUED is set. Restores the invariant after a holder has unlocked, or a waiter has left the
 * queues. */
static void settle_locked(GrRwmutex *rw, bool readers_first, GrList *won) {
  uint64_t w = atomic_load_explicit(&rw->word, memory_order_relaxed);
  if (w < READER && (w & WRITER) == 0) hand_on_locked(rw, readers_first, won);
  else if ((w & WRITER) == 0 && gr_list_empty(&rw->writers)) admit_locked(rw, won);
  if (queues_empty(rw)) atomic_fetch_and(&rw->word, ~(uint64_t)QUEUED);
}

static void settle_and_unlock(GrRwmutex *rw, bool readers_first) {
  GrList won;
  gr_list_init(&won);
  settle_locked(rw, readers_first, &won);
  gr_unlock(&rw->lock);
  gr_queue_ready(&won);
}

/* ---- locking ---- */

/* Takes rw for a writer, or sets QUEUED because the writer will wait. */
static bool take_locked(GrRwmutex *rw) {
  uint64_t w = atomic_load_explicit(&rw->word, memory_order_relaxed);
  for (;;) {
    bool free = w == 0;
    if ((w & QUEUED) != 0 || swing(rw, &w, free ? WRITER : w | QUEUED)) return free;
  }
}

/* The same for a reader. A waiting writer keeps the reader out. */
static bool rtake_locked(GrRwmutex *rw) {
  uint64_t w = atomic_load_explicit(&rw->word, memory_order_relaxed);
  for (;;) {
    bool free = (w & (WRITER | QUEUED)) == 0;
    if ((w & QUEUED) != 0 || swing(rw, &w, free ? w + READER : w | QUEUED)) return free;
  }
}

static const GrWaitType locking = {"mutex lock", gr_queue_abandon},
                        rlocking = {"rwmutex read lock", gr_queue_abandon};

static int lock_slow(G *g, GrRwmutex *rw, const GrWaitType *type, int64_t until, bool blocks) {
  if (until == GR_POLL) return GR_TIMEOUT;
  bool writes = type == &locking;
  int r = GR_OK;
  gr_lock(&rw->lock);
  if (!(writes ? take_locked(rw) : rtake_locked(rw))) {
    r = gr_queue_wait(g, type, until, blocks, &rw->lock, writes ? &rw->writers : &rw->readers,
                      false);
    if (r != GR_PARK && queues_empty(rw)) atomic_fetch_and(&rw->word, ~(uint64_t)QUEUED);
  }
  gr_unlock(&rw->lock);
  return r;
}

int gr_rwmutex_lock(G *g, GrRwmutex *rw, int64_t until, bool blocks) {
  return gr_likely(gr_rwmutex_try_lock(rw)) ? GR_OK : lock_slow(g, rw, &locking, until, blocks);
}

int gr_rwmutex_rlock(G *g, GrRwmutex *rw, int64_t until, bool blocks) {
  return gr_likely(gr_rwmutex_try_rlock(rw)) ? GR_OK : lock_slow(g, rw, &rlocking, until, blocks);
}

int gr_rwmutex_finish(G *g, GrRwmutex *rw, GrCause *cause) {
  *cause = gr_wait_finish(g);
  if (*cause == GR_CAUSE_SUDOG) return GR_OK;
  gr_lock(&rw->lock);
  gr_queue_leave(g);
  settle_and_unlock(rw, false);
  return gr_queue_result(*cause);
}

/* ---- unlocking ---- */

bool gr_rwmutex_unlock(GrRwmutex *rw) {
  uint64_t w = WRITER;
  if (gr_likely(atomic_compare_exchange_strong_explicit(&rw->word, &w, 0, memory_order_release,
                                                        memory_order_relaxed)))
    return true;
  if ((w & WRITER) == 0) return false;
  gr_lock(&rw->lock);
  bool was = (atomic_fetch_and(&rw->word, ~(uint64_t)WRITER) & WRITER) != 0;
  if (!was) gr_unlock(&rw->lock);
  else settle_and_unlock(rw, true);
  return was;
}

/* One reader leaves. False: there was none. *last: this is the last reader, and somebody may
 * wait; then the reader leaves only if `may_be_last`. */
static bool leave(GrRwmutex *rw, bool may_be_last, bool *last) {
  uint64_t w = atomic_load_explicit(&rw->word, memory_order_relaxed);
  do {
    if (w < READER) return false;
    *last = w < 2 * READER && (w & QUEUED) != 0;
    if (*last && !may_be_last) return true;
  } while (!swing(rw, &w, w - READER));
  return true;
}

bool gr_rwmutex_runlock(GrRwmutex *rw) {
  bool last;
  if (!leave(rw, false, &last)) return false;
  if (gr_likely(!last)) return true;
  gr_lock(&rw->lock);
  bool was = leave(rw, true, &last);
  if (last && was) settle_and_unlock(rw, false);
  else gr_unlock(&rw->lock);
  return was;
}

/* SPDX-License-Identifier: MIT */
/* rwmutex.c - a readers-writer lock: one word, two queues behind it, handed over.
 *
 * The word counts the readers that hold it, in steps of READER, and has two bits: WRITER, one holds
 * it; QUEUED, somebody may wait. QUEUED is set and cleared under the lock of the queues. While it
 * is set, newcomers of either kind come to the queues, a writer that ends does, and so does the
 * last reader; all that happens elsewhere is that readers leave which are not the last.
 *
 * Invariant, whenever that lock is free: QUEUED means that somebody holds it, who will look into
 * the queues. A waiter is always handed what it waits for, by settle_locked: nobody competes. After
 * a writer, all readers that wait get in, however many writers wait; after the last of those
 * readers, the longest waiting writer. Readers that come while a writer waits, wait too, so neither
 * kind starves the other. Go's RWMutex does the same.
 *
 * Readers may wait for nothing but a waiting writer. When it gives up, they are let in by it, as it
 * leaves the queue; until then, its place in the queue, although it can no longer be handed
 * anything, keeps newcomers out, which is soon over. */
#include "sync/rwmutex.h"

#include "sync/queue.h"

enum { WRITER = 1, QUEUED = 2, READER = 4 };

struct GrRwmutex {
  GrShare share;
  _Atomic uint64_t word;
  GrLock lock; /* of the queues */
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

/* Lets the waiting readers in: nobody holds it, or readers do. Returns how many. */
static int64_t admit_locked(GrRwmutex *rw, GrList *won) {
  int64_t n = gr_queue_win_all(&rw->readers, won);
  atomic_fetch_add(&rw->word, (uint64_t)n * READER);
  return n;
}

/* Nobody holds it: hands it on, to readers rather than to a writer if `readers_first`. */
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

/* QUEUED is set. Restores the invariant after something was given back, or somebody left the
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

/* Takes it for a writer, or notes that one waits. */
static bool take_locked(GrRwmutex *rw) {
  uint64_t w = atomic_load_explicit(&rw->word, memory_order_relaxed);
  for (;;) {
    bool free = w == 0;
    if ((w & QUEUED) != 0 || swing(rw, &w, free ? WRITER : w | QUEUED)) return free;
  }
}

/* The same for a reader, whom a waiting writer keeps out. */
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

/* One reader less. False: there was none. *last: it was the last one, and somebody may wait. */
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

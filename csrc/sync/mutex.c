/* SPDX-License-Identifier: MIT */
/* mutex.c - a mutex: one word, a queue behind it, Go's fairness.
 *
 * The word has three bits. LOCKED: somebody holds it. QUEUED: the queue may not be empty. WOKEN: a
 * waiter has been woken to compete, and has not tried yet. QUEUED and WOKEN are set under the lock
 * of the queue only; QUEUED is cleared there too. So while it is held, and the word says LOCKED and
 * QUEUED but not WOKEN, nobody else changes the word: who wants it comes to the queue, and who
 * releases it does so as well.
 *
 * An unlock that finds waiters wakes one at most. Normally the mutex is free from that moment on,
 * and the woken one has to compete with newcomers, who run already: one that locks and unlocks in a
 * loop need not switch to another goroutine each time. While WOKEN, further unlocks wake nobody.
 * One that loses goes back to the head of the queue, and once it has waited for a millisecond in
 * all, the next unlock hands the mutex to it without releasing it, so that no newcomer can come
 * before it; and so on for those behind it who have waited as long. That is Go's starvation mode,
 * decided by who unlocks, at each unlock: so it needs no bit, and ends by itself with the last
 * waiter, or the first who has not waited so long.
 *
 * No wake-up is lost. A waiter that has been woken and loses clears WOKEN by the same CAS that
 * finds the mutex LOCKED: so whoever holds it then will find QUEUED without WOKEN, and come to the
 * queue's lock. If it then gives up instead of queueing (its time is over, no memory for a timer),
 * it does so under that lock. A waiter that timed out is skipped. Modelled in spec/model/mutex.pml.
 */
#include "sync/mutex.h"

#include "sync/queue.h"

enum { LOCKED = 1, QUEUED = 2, WOKEN = 4 };
enum { COMPETE, HANDED }; /* the index of a sudog that was won */
enum { PATIENCE_NS = 1000000 };

struct GrMutex {
  GrShare share;
  _Atomic uint32_t word;
  GrLock lock; /* of the queue */
  GrList queue;
};

GrMutex *gr_mutex_new(const GrShareType *type) {
  GrMutex *m = gr_zalloc(sizeof *m);
  if (m == NULL) return NULL;
  gr_share_init(&m->share, type);
  gr_lock_init(&m->lock, GR_RANK_SYNC);
  gr_list_init(&m->queue);
  return m;
}

void gr_mutex_destroy(GrShare *s) { gr_free(gr_mutex_of(s)); }
GrShare *gr_mutex_share(GrMutex *m) { return &m->share; }
GrMutex *gr_mutex_of(GrShare *s) { return gr_container_of(s, GrMutex, share); }

bool gr_mutex_is_locked(GrMutex *m) {
  return (atomic_load_explicit(&m->word, memory_order_relaxed) & LOCKED) != 0;
}

/* Takes it if it is free; else, the word said LOCKED at that moment, with the bits `set` added and
 * `clear` taken away. */
static bool take(GrMutex *m, uint32_t set, uint32_t clear) {
  uint32_t w = atomic_load_explicit(&m->word, memory_order_relaxed);
  for (;;) {
    bool locked = (w & LOCKED) != 0;
    uint32_t next = ((locked ? w | set : w | LOCKED) & ~clear);
    if (next == w || atomic_compare_exchange_weak_explicit(&m->word, &w, next, memory_order_acq_rel,
                                                           memory_order_relaxed))
      return !locked;
  }
}

bool gr_mutex_try_lock(GrMutex *m) {
  uint32_t w = 0;
  if (gr_likely(atomic_compare_exchange_strong_explicit(&m->word, &w, LOCKED, memory_order_acquire,
                                                        memory_order_relaxed)))
    return true;
  return (w & LOCKED) == 0 && take(m, 0, 0);
}

/* ---- waiting ---- */

static void note_queue_locked(GrMutex *m) {
  if (gr_list_empty(&m->queue)) atomic_fetch_and(&m->word, ~(uint32_t)QUEUED);
}

static const GrWaitType locking = {"mutex lock", gr_queue_abandon};

/* `since`: when it began to wait; 0: it begins. */
static int lock_slow(G *g, GrMutex *m, int64_t until, bool blocks, int64_t since) {
  int r = GR_OK;
  bool again = since != 0;
  gr_lock(&m->lock);
  if (!take(m, QUEUED, again ? WOKEN : 0)) {
    r = gr_queue_wait(g, &locking, until, blocks, &m->lock, &m->queue, again);
    if (r == GR_PARK) *gr_queue_note(&g->one) = again ? since : gr_now_ns();
    else note_queue_locked(m);
  }
  gr_unlock(&m->lock);
  return r;
}

int gr_mutex_lock(G *g, GrMutex *m, int64_t until, bool blocks) {
  if (gr_mutex_try_lock(m)) return GR_OK;
  return until == GR_POLL ? GR_TIMEOUT : lock_slow(g, m, until, blocks, 0);
}

int gr_mutex_lock_finish(G *g, GrMutex *m, int64_t until, bool blocks, GrCause *cause) {
  *cause = gr_wait_finish(g);
  if (*cause == GR_CAUSE_SUDOG)
    return g->one.index == HANDED ? GR_OK : lock_slow(g, m, until, blocks, *gr_queue_note(&g->one));
  gr_lock(&m->lock);
  gr_queue_leave(g);
  note_queue_locked(m);
  gr_unlock(&m->lock);
  return gr_queue_result(*cause);
}

/* ---- unlocking ---- */

/* Releases it when nobody has to be woken. GR_OK; GR_CLOSED: it was not locked; GR_PARK: somebody
 * has. */
static int release(GrMutex *m) {
  uint32_t w = atomic_load_explicit(&m->word, memory_order_relaxed);
  do {
    if ((w & LOCKED) == 0) return GR_CLOSED;
    if ((w & (QUEUED | WOKEN)) == QUEUED) return GR_PARK;
  } while (!atomic_compare_exchange_weak_explicit(&m->word, &w, w & ~(uint32_t)LOCKED,
                                                  memory_order_release, memory_order_relaxed));
  return GR_OK;
}

/* The word says LOCKED and QUEUED, and stays so. Returns whom to ready. */
static G *pass_on_locked(GrMutex *m) {
  GSudog *sg = gr_queue_win(&m->queue);
  uint32_t clear = gr_list_empty(&m->queue) ? QUEUED : 0;
  if (sg == NULL) {
    atomic_fetch_and(&m->word, ~(uint32_t)(LOCKED | QUEUED));
    return NULL;
  }
  sg->index = gr_now_ns() - *gr_queue_note(sg) > PATIENCE_NS ? HANDED : COMPETE;
  if (sg->index == HANDED) atomic_fetch_and(&m->word, ~clear);
  else atomic_store(&m->word, (QUEUED | WOKEN) & ~clear);
  return sg->g;
}

bool gr_mutex_unlock(GrMutex *m) {
  uint32_t w = LOCKED;
  if (gr_likely(atomic_compare_exchange_strong_explicit(&m->word, &w, 0, memory_order_release,
                                                        memory_order_relaxed)))
    return true;
  int r = release(m);
  if (r != GR_PARK) return r == GR_OK;
  G *wake = NULL;
  gr_lock(&m->lock);
  r = release(m);
  if (r == GR_PARK) wake = pass_on_locked(m);
  gr_unlock(&m->lock);
  if (wake != NULL) gr_ready(wake);
  return r != GR_CLOSED;
}

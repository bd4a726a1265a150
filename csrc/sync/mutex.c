/* SPDX-License-Identifier: MIT */
/* mutex.c - a mutex: one word, a queue behind it, Go's fairness.
 *
 *   the word:   bit 31 ... 3      2        1        0
 *               +----------+--------+--------+--------+
 *               |    0     | WOKEN  | QUEUED | LOCKED |
 *               +----------+--------+--------+--------+
 *                               |        |        |
 *                               |        |        +-- somebody holds the mutex
 *                               |        +-- the queue may not be empty
 *                               +-- one waiter was woken to compete, and has not tried yet
 *
 * QUEUED and WOKEN are set and cleared under the queue's lock only. Take a moment at which a
 * thread holds that lock and the word says LOCKED and QUEUED, but not WOKEN. Then no other
 * thread changes the word: a goroutine that wants the mutex needs the queue's lock first, and so
 * does the one that unlocks the mutex.
 *
 * An unlock that finds waiters wakes at most one of them, in one of two ways:
 *
 *   COMPETE   The normal way. The mutex is free from that moment on. The woken waiter competes
 *             with newcomers, and these run already. So a goroutine that locks and unlocks in a
 *             loop need not switch to another goroutine each time. As long as the word says
 *             WOKEN, further unlocks wake nobody. A woken waiter that loses goes back to the
 *             head of the queue.
 *   HANDED    When the waiter has waited for more than a millisecond in all, the unlock leaves
 *             LOCKED set and makes the waiter the holder. So no newcomer can come before it.
 *
 * HANDED is Go's starvation mode. Here each unlock decides for itself which way it takes, by the
 * time that the first waiter has waited. So the mode needs no bit. It ends by itself, with the
 * last waiter or with the first one that has not waited so long.
 *
 * No wake-up is lost. A woken waiter that loses clears WOKEN with the same CAS that finds the
 * mutex LOCKED. So the goroutine that holds the mutex at that moment will find QUEUED without
 * WOKEN when it unlocks, and will take the queue's lock. The loser may then give up instead of
 * queueing (its time is over, there is no memory for a timer); this, too, happens under the
 * queue's lock. A waiter whose time is over is skipped. Modelled in spec/model/mutex.pml. */
#include "sync/mutex.h"

#include "sync/queue.h"

enum { LOCKED = 1, QUEUED = 2, WOKEN = 4 };
enum { COMPETE, HANDED }; /* what a won sudog's index says: see the head of this file */
enum { PATIENCE_NS = 1000000 };

struct GrMutex {
  GrShare share;
  _Atomic uint32_t word;
  GrLock lock; /* guards the queue */
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

/* Takes the mutex if it is free, and removes the bits `clear` from the word. False: the mutex
 * was LOCKED, and at that same moment the bits `set` were added and the bits `clear` removed. */
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

/* `since`: when the wait began; 0: it begins now. Another number than 0 means that g was woken
 * to compete. */
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

/* Releases the mutex if no waiter has to be woken. GR_OK: released; GR_CLOSED: the mutex was not
 * locked; GR_PARK: a waiter has to be woken, and nothing has changed. */
static int release(GrMutex *m) {
  uint32_t w = atomic_load_explicit(&m->word, memory_order_relaxed);
  do {
    if ((w & LOCKED) == 0) return GR_CLOSED;
    if ((w & (QUEUED | WOKEN)) == QUEUED) return GR_PARK;
  } while (!atomic_compare_exchange_weak_explicit(&m->word, &w, w & ~(uint32_t)LOCKED,
                                                  memory_order_release, memory_order_relaxed));
  return GR_OK;
}

/* The word says LOCKED and QUEUED but not WOKEN, and nobody else changes it. Releases the mutex
 * or hands it to a waiter. Returns the G to ready, or NULL. */
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

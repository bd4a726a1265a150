/* SPDX-License-Identifier: MIT */
/* sema.c - a weighted semaphore: a word with the amount that is taken and one bit, a queue
 * behind it.
 *
 *   the word:   bit 63 ............. 1      0
 *               +---------------------+--------+
 *               |  how much is taken  | QUEUED |  somebody may be in the queue
 *               +---------------------+--------+
 *
 * QUEUED is set and cleared under the lock. While QUEUED is set, a newcomer takes nothing, even
 * if its request would fit: it goes to the end of the queue. Only grant_locked gives then, under
 * the lock, and only to the head of the queue. So small requests cannot pass a large one for
 * ever. A goroutine that gives something back while QUEUED is set, and a waiter that gives up
 * and leaves the queue, call grant_locked. After golang.org/x/sync/semaphore. */
#include "sync/sema.h"

#include "sync/queue.h"

enum { QUEUED = 1, ONE = 2 };

struct GrSema {
  GrShare share;
  int64_t size;
  _Atomic int64_t word; /* taken * ONE + QUEUED */
  GrLock lock;
  GrList queue;
};

GrSema *gr_sema_new(int64_t size, const GrShareType *type) {
  GrSema *s = gr_zalloc(sizeof *s);
  if (s == NULL) return NULL;
  gr_share_init(&s->share, type);
  gr_lock_init(&s->lock, GR_RANK_SYNC);
  gr_list_init(&s->queue);
  s->size = size;
  return s;
}

void gr_sema_destroy(GrShare *share) { gr_free(gr_sema_of(share)); }
GrShare *gr_sema_share(GrSema *s) { return &s->share; }
GrSema *gr_sema_of(GrShare *share) { return gr_container_of(share, GrSema, share); }
int64_t gr_sema_size(GrSema *s) { return s->size; }

static bool swing(GrSema *s, int64_t *w, int64_t to) {
  return atomic_compare_exchange_weak_explicit(&s->word, w, to, memory_order_acq_rel,
                                               memory_order_relaxed);
}

bool gr_sema_try_acquire(GrSema *s, int64_t k) {
  int64_t w = atomic_load_explicit(&s->word, memory_order_relaxed);
  while ((w & QUEUED) == 0 && w / ONE <= s->size - k)
    if (swing(s, &w, w + k * ONE)) return true;
  return false;
}

/* Grants the requests at the head of the queue, one after the other, as long as they fit. A
 * waiter that has given up blocks the waiters behind it until it leaves the queue; that is soon. */
static void grant_locked(GrSema *s, GrList *won) {
  while (!gr_list_empty(&s->queue)) {
    GSudog *sg = gr_container_of(s->queue.next, GSudog, link);
    int64_t k = *gr_queue_note(sg);
    if (atomic_load(&s->word) / ONE > s->size - k) return;
    gr_list_remove(&sg->link);
    if (!gr_wait_win(sg->g, sg->seq, GR_CAUSE_SUDOG, sg)) continue;
    atomic_fetch_add(&s->word, k * ONE);
    gr_list_push_back(won, &sg->link);
  }
  atomic_fetch_and(&s->word, ~(int64_t)QUEUED);
}

static void grant_and_unlock(GrSema *s) {
  GrList won;
  gr_list_init(&won);
  grant_locked(s, &won);
  gr_unlock(&s->lock);
  gr_queue_ready(&won);
}

/* Takes k, or sets QUEUED because the caller will wait. */
static bool take_locked(GrSema *s, int64_t k) {
  int64_t w = atomic_load_explicit(&s->word, memory_order_relaxed);
  for (;;) {
    if ((w & QUEUED) != 0) return false;
    bool fits = w / ONE <= s->size - k;
    if (swing(s, &w, fits ? w + k * ONE : w | QUEUED)) return fits;
  }
}

static const GrWaitType acquiring = {"semaphore acquire", gr_queue_abandon};

int gr_sema_acquire(G *g, GrSema *s, int64_t k, int64_t until, bool blocks) {
  if (gr_likely(gr_sema_try_acquire(s, k))) return GR_OK;
  if (until == GR_POLL) return GR_TIMEOUT;
  int r = GR_OK;
  gr_lock(&s->lock);
  if (!take_locked(s, k)) {
    r = gr_queue_wait(g, &acquiring, until, blocks, &s->lock, &s->queue, false);
    if (r == GR_PARK) *gr_queue_note(&g->one) = k;
    else if (gr_list_empty(&s->queue)) atomic_fetch_and(&s->word, ~(int64_t)QUEUED);
  }
  gr_unlock(&s->lock);
  return r;
}

int gr_sema_finish(G *g, GrSema *s, GrCause *cause) {
  *cause = gr_wait_finish(g);
  if (*cause == GR_CAUSE_SUDOG) return GR_OK;
  gr_lock(&s->lock);
  gr_queue_leave(g);
  grant_and_unlock(s);
  return gr_queue_result(*cause);
}

/* GR_OK: k is given back. GR_CLOSED: less than k is taken. GR_PARK: somebody may wait, so the
 * caller must take the lock first. */
static int give_back(GrSema *s, int64_t k, bool locked) {
  int64_t w = atomic_load_explicit(&s->word, memory_order_relaxed);
  do {
    if (w / ONE < k) return GR_CLOSED;
    if ((w & QUEUED) != 0 && !locked) return GR_PARK;
  } while (!swing(s, &w, w - k * ONE));
  return GR_OK;
}

bool gr_sema_release(GrSema *s, int64_t k) {
  int r = give_back(s, k, false);
  if (gr_likely(r != GR_PARK)) return r == GR_OK;
  gr_lock(&s->lock);
  r = give_back(s, k, true);
  grant_and_unlock(s);
  return r == GR_OK;
}

/* SPDX-License-Identifier: MIT */
/* waitgroup.c - a wait group: a word with the count and one bit, a queue behind it.
 *
 *   the word:   bit 63 ...... 1      0
 *               +--------------+--------+
 *               |  the count   | QUEUED |  somebody may be in the queue
 *               +--------------+--------+
 *
 * QUEUED is set and cleared under the lock. A goroutine that would take the count to zero and
 * finds QUEUED set does so under the lock, and wakes all waiters. These waiters have seen zero,
 * even if the count has been raised again before they run. So a wait group may be used anew at
 * once. An add during a wait matters only if the count was not zero before it. Both are as in
 * Go. */
#include "sync/waitgroup.h"

#include "sync/queue.h"

enum { QUEUED = 1, ONE = 2 };

struct GrWaitgroup {
  GrShare share;
  _Atomic int64_t word; /* count * ONE + QUEUED */
  GrLock lock;
  GrList queue;
};

GrWaitgroup *gr_waitgroup_new(int64_t count, const GrShareType *type) {
  GrWaitgroup *wg = gr_zalloc(sizeof *wg);
  if (wg == NULL) return NULL;
  gr_share_init(&wg->share, type);
  gr_lock_init(&wg->lock, GR_RANK_SYNC);
  gr_list_init(&wg->queue);
  atomic_store_explicit(&wg->word, count * ONE, memory_order_relaxed);
  return wg;
}

void gr_waitgroup_destroy(GrShare *s) { gr_free(gr_waitgroup_of(s)); }
GrShare *gr_waitgroup_share(GrWaitgroup *wg) { return &wg->share; }
GrWaitgroup *gr_waitgroup_of(GrShare *s) { return gr_container_of(s, GrWaitgroup, share); }

/* GR_PARK: the count would reach zero while somebody may wait, and the caller does not hold the
 * lock. *zero: the count has reached zero while somebody may wait. */
static int try_add(GrWaitgroup *wg, int64_t n, bool locked, bool *zero) {
  int64_t w = atomic_load_explicit(&wg->word, memory_order_relaxed);
  for (;;) {
    int64_t count = w / ONE;
    if (n > GR_WAITGROUP_MAX - count) return GR_NOMEM;
    if (n < -count) return GR_CLOSED;
    *zero = count + n == 0 && (w & QUEUED) != 0;
    if (*zero && !locked) return GR_PARK;
    int64_t next = *zero ? 0 : w + n * ONE;
    if (atomic_compare_exchange_weak_explicit(&wg->word, &w, next, memory_order_acq_rel,
                                              memory_order_relaxed))
      return GR_OK;
  }
}

int gr_waitgroup_add(GrWaitgroup *wg, int64_t n) {
  bool zero;
  int r = try_add(wg, n, false, &zero);
  if (gr_likely(r != GR_PARK)) return r;
  GrList won;
  gr_list_init(&won);
  gr_lock(&wg->lock);
  r = try_add(wg, n, true, &zero);
  if (r == GR_OK && zero) gr_queue_win_all(&wg->queue, &won);
  gr_unlock(&wg->lock);
  gr_queue_ready(&won);
  return r;
}

/* No check is needed: the word has room for four times the maximum, and so many goroutines
 * cannot exist. */
void gr_waitgroup_enter(GrWaitgroup *wg) {
  atomic_fetch_add_explicit(&wg->word, ONE, memory_order_relaxed);
}

static void note_queue_locked(GrWaitgroup *wg) {
  if (gr_list_empty(&wg->queue)) atomic_fetch_and(&wg->word, ~(int64_t)QUEUED);
}

/* Is the count zero? If not, sets QUEUED, for the caller will wait. */
static bool zero_locked(GrWaitgroup *wg) {
  int64_t w = atomic_load_explicit(&wg->word, memory_order_acquire);
  while (w >= ONE && (w & QUEUED) == 0)
    if (atomic_compare_exchange_weak(&wg->word, &w, w | QUEUED)) break;
  return w < ONE;
}

static const GrWaitType waiting = {"waitgroup wait", gr_queue_abandon};

int gr_waitgroup_wait(G *g, GrWaitgroup *wg, int64_t until, bool blocks) {
  int r = GR_OK;
  if (atomic_load_explicit(&wg->word, memory_order_acquire) < ONE) return r;
  gr_lock(&wg->lock);
  if (!zero_locked(wg)) {
    r = gr_queue_wait(g, &waiting, until, blocks, &wg->lock, &wg->queue, false);
    if (r != GR_PARK) note_queue_locked(wg);
  }
  gr_unlock(&wg->lock);
  return r;
}

int gr_waitgroup_finish(G *g, GrWaitgroup *wg, GrCause *cause) {
  *cause = gr_wait_finish(g);
  if (*cause == GR_CAUSE_SUDOG) return GR_OK;
  gr_lock(&wg->lock);
  gr_queue_leave(g);
  note_queue_locked(wg);
  gr_unlock(&wg->lock);
  return gr_queue_result(*cause);
}

/* SPDX-License-Identifier: MIT */
/* cond.c - a condition variable: a queue, and a count of the signals.
 *
 * A waiter enters the queue before it releases the mutex. So a signal that is sent after the
 * mutex was free reaches the waiter.
 *
 * `told` counts signals and broadcasts. It is for a waiter that must leave the queue for a
 * moment: a host whose hook has to run. When the host comes back, the count tells it whether it
 * has missed a signal. */
#include "sync/cond.h"

#include "sync/queue.h"

struct GrCond {
  GrShare share;
  GrShare *mutex;
  _Atomic uint64_t told;
  GrLock lock;
  GrList queue;
};

GrCond *gr_cond_new(GrShare *mutex, const GrShareType *type) {
  GrCond *c = gr_zalloc(sizeof *c);
  if (c == NULL) return NULL;
  gr_share_init(&c->share, type);
  gr_lock_init(&c->lock, GR_RANK_SYNC);
  gr_list_init(&c->queue);
  gr_share_ref(mutex);
  c->mutex = mutex;
  return c;
}

void gr_cond_destroy(GrShare *s) {
  GrCond *c = gr_cond_of(s);
  gr_share_unref(c->mutex);
  gr_free(c);
}

GrShare *gr_cond_share(GrCond *c) { return &c->share; }
GrCond *gr_cond_of(GrShare *s) { return gr_container_of(s, GrCond, share); }
GrShare *gr_cond_mutex(GrCond *c) { return c->mutex; }
uint64_t gr_cond_told(GrCond *c) { return atomic_load(&c->told); }

static const GrWaitType waiting = {"cond wait", gr_queue_abandon};

int gr_cond_wait(G *g, GrCond *c, int64_t until, bool blocks) {
  gr_lock(&c->lock);
  int r = gr_queue_wait(g, &waiting, until, blocks, &c->lock, &c->queue, false);
  gr_unlock(&c->lock);
  return r;
}

static void leave(G *g, GrCond *c) {
  gr_lock(&c->lock);
  gr_queue_leave(g);
  gr_unlock(&c->lock);
}

int gr_cond_finish(G *g, GrCond *c, GrCause *cause) {
  *cause = gr_wait_finish(g);
  if (*cause == GR_CAUSE_SUDOG) return GR_OK;
  leave(g, c);
  return gr_queue_result(*cause);
}

void gr_cond_signal(GrCond *c) {
  gr_lock(&c->lock);
  atomic_fetch_add_explicit(&c->told, 1, memory_order_relaxed);
  GSudog *sg = gr_queue_win(&c->queue);
  gr_unlock(&c->lock);
  if (sg != NULL) gr_ready(sg->g);
}

void gr_cond_broadcast(GrCond *c) {
  GrList won;
  gr_list_init(&won);
  gr_lock(&c->lock);
  atomic_fetch_add_explicit(&c->told, 1, memory_order_relaxed);
  gr_queue_win_all(&c->queue, &won);
  gr_unlock(&c->lock);
  gr_queue_ready(&won);
}

/* A signal may have won the wait all the same. Then g does not want it, and it goes to another
 * waiter. */
void gr_cond_unwait(G *g, GrCond *c) {
  leave(g, c);
  gr_wait_unprepare(g);
  if (g->winner != NULL) gr_cond_signal(c);
}

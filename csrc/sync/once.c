/* SPDX-License-Identifier: MIT */
/* once.c - a task, then its result. A goroutine that comes while the task runs waits.
 *
 *   the word:   NEW ------> RUNNING ------> DONE     the task has returned
 *                                   \-----> FAILED   the task has raised an error
 *
 *   `msg` is:   the task    empty           the result
 *
 * Each of these steps is made under the lock. A thread that reads DONE or FAILED needs no lock
 * to read the result, for the result does not change any more. */
#include "sync/once.h"

#include "sync/queue.h"

enum { NEW, RUNNING, DONE, FAILED };

struct GrOnce {
  GrShare share;
  _Atomic uint32_t word;
  GrMsg msg; /* the task while NEW, the result when DONE or FAILED */
  GrLock lock;
  GrList queue;
};

GrOnce *gr_once_new(GrMsg *task, const GrShareType *type) {
  GrOnce *o = gr_zalloc(sizeof *o);
  if (o == NULL) return NULL;
  gr_share_init(&o->share, type);
  gr_lock_init(&o->lock, GR_RANK_SYNC);
  gr_list_init(&o->queue);
  o->msg = *task;
  *task = GR_MSG_EMPTY;
  return o;
}

void gr_once_destroy(GrShare *s) {
  GrOnce *o = gr_once_of(s);
  gr_msg_drop(&o->msg);
  gr_free(o);
}

GrShare *gr_once_share(GrOnce *o) { return &o->share; }
GrOnce *gr_once_of(GrShare *s) { return gr_container_of(s, GrOnce, share); }

bool gr_once_is_done(GrOnce *o) {
  return atomic_load_explicit(&o->word, memory_order_acquire) >= DONE;
}

static const GrWaitType waiting = {"once", gr_queue_abandon};

static int enter_locked(G *g, GrOnce *o, bool blocks, GrMsg *task) {
  if (gr_once_is_done(o)) return GR_OK;
  if (atomic_load_explicit(&o->word, memory_order_relaxed) == RUNNING)
    return gr_queue_wait(g, &waiting, GR_FOREVER, blocks, &o->lock, &o->queue, false);
  atomic_store_explicit(&o->word, RUNNING, memory_order_relaxed);
  *task = o->msg;
  o->msg = GR_MSG_EMPTY;
  return GR_CLOSED;
}

int gr_once_enter(G *g, GrOnce *o, bool blocks, GrMsg *task) {
  if (gr_likely(gr_once_is_done(o))) return GR_OK;
  gr_lock(&o->lock);
  int r = enter_locked(g, o, blocks, task);
  gr_unlock(&o->lock);
  return r;
}

int gr_once_finish(G *g, GrOnce *o, GrCause *cause) {
  *cause = gr_wait_finish(g);
  if (*cause == GR_CAUSE_SUDOG) return GR_OK;
  gr_lock(&o->lock);
  gr_queue_leave(g);
  gr_unlock(&o->lock);
  return gr_queue_result(*cause);
}

void gr_once_done(GrOnce *o, GrMsg *result, bool failed) {
  GrList won;
  gr_list_init(&won);
  gr_lock(&o->lock);
  o->msg = *result;
  *result = GR_MSG_EMPTY;
  atomic_store_explicit(&o->word, failed ? FAILED : DONE, memory_order_release);
  gr_queue_win_all(&o->queue, &won);
  gr_unlock(&o->lock);
  gr_queue_ready(&won);
}

const GrMsg *gr_once_result(GrOnce *o, bool *failed) {
  *failed = atomic_load_explicit(&o->word, memory_order_relaxed) == FAILED;
  return &o->msg;
}

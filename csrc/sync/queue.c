/* SPDX-License-Identifier: MIT */
/* queue.c - the wait queues of channels, locks, counts, conditions; see queue.h. */
#include "sync/queue.h"

int gr_queue_start(G *g, const GrWaitType *type, int64_t until, bool blocks) {
  if (until == GR_POLL || (until != GR_FOREVER && gr_now_ns() >= until)) return GR_TIMEOUT;
  gr_wait_prepare(g, type, blocks);
  int r = gr_wait_limit(g, until);
  if (r != GR_OK) gr_wait_unprepare(g);
  return r;
}

void gr_queue_link(GSudog *sg, G *g, void *object, GrList *queue, uint32_t index) {
  sg->g = g;
  sg->seq = gr_wait_seq(g);
  sg->object = object;
  sg->index = index;
  sg->closed = false;
  gr_list_push_back(queue, &sg->link);
}

int gr_queue_wait(G *g, const GrWaitType *type, int64_t until, bool blocks, GrLock *lock,
                  GrList *queue, bool first) {
  int r = gr_queue_start(g, type, until, blocks);
  if (r != GR_OK) return r;
  g->one.msg = GR_MSG_EMPTY;
  /* To push at the back of the ring that begins with the first entry is to push in front of that
   * entry. */
  gr_queue_link(&g->one, g, lock, first ? queue->next : queue, 0);
  return GR_PARK;
}

GSudog *gr_queue_win(GrList *queue) {
  for (GrList *l; (l = gr_list_pop_front(queue)) != NULL;) {
    GSudog *sg = gr_container_of(l, GSudog, link);
    if (gr_wait_win(sg->g, sg->seq, GR_CAUSE_SUDOG, sg)) return sg;
  }
  return NULL;
}

int64_t gr_queue_win_all(GrList *queue, GrList *won) {
  int64_t n = 0;
  for (GSudog *sg; (sg = gr_queue_win(queue)) != NULL; n++) gr_list_push_back(won, &sg->link);
  return n;
}

void gr_queue_ready(GrList *won) {
  for (GrList *l; (l = gr_list_pop_front(won)) != NULL;)
    gr_ready(gr_container_of(l, GSudog, link)->g);
}

void gr_queue_abandon(G *g) {
  GrLock *lock = g->one.object;
  gr_lock(lock);
  gr_queue_leave(g);
  gr_unlock(lock);
}

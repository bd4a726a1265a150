/* SPDX-License-Identifier: MIT */
/* queue.c - the wait queues of what is no channel; see queue.h. */
#include "sync/queue.h"

#include "sync/wait.h"

int gr_queue_wait(G *g, const GrWaitType *type, int64_t until, bool blocks, GrLock *lock,
                  GrList *queue, bool first) {
  int r = gr_wait_start(g, type, until, blocks);
  if (r != GR_OK) return r;
  g->one.msg = GR_MSG_EMPTY;
  /* Behind an entry is at the end of the ring that begins with it. */
  gr_sudog_link(&g->one, g, lock, first ? queue->next : queue, 0);
  return GR_PARK;
}

GSudog *gr_queue_win(GrList *queue) { return gr_waitq_win(queue); }

int64_t gr_queue_win_all(GrList *queue, GrList *won) {
  int64_t n = 0;
  for (GSudog *sg; (sg = gr_waitq_win(queue)) != NULL; n++) gr_list_push_back(won, &sg->link);
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

/* SPDX-License-Identifier: MIT */
/* chan.c - channels: a ring buffer, two queues of waiters, one lock.
 *
 * The struct is in chan_inside.h. Its invariants hold whenever nobody has c->lock. A waiter is
 * "open" when its wait can still be won; one that is not (its time is over, another case of its
 * select came first) may stay in a queue until its goroutine takes it out, and is skipped.
 *
 *   any channel   open(recvq) == 0 || open(sendq) == 0, but for one select that waits both to send
 *                 and to receive on this channel: it never meets itself
 *                 closed  =>  open(recvq) == 0 && open(sendq) == 0
 *   buffered      0 <= len <= cap;  open(recvq) > 0  =>  len == 0;  open(sendq) > 0  =>  len == cap
 *   unbuffered    cap == 0 and len == 0, so the two lines above say nothing: a message is only ever
 *                 handed from one goroutine to another
 *   the ring      len <= size <= cap: the ring grows as messages come. A large ring is freed
 *                 when the channel has run empty
 *
 * A message is owned by exactly one of: the sender (until the call took it), the buffer, a sudog,
 * the receiver.
 *
 * The longest waiting goroutine comes first. A send goes to the first open receiver, else into the
 * buffer. A receive takes the oldest message of the buffer, and then the first open sender's
 * message takes the slot that has become free: so messages stay in the order of their sends.
 *
 * A poll takes the lock like any other call. Go looks at `closed` and at the length without the
 * lock first, which needs an argument for each order in which the two may be read; here the lock is
 * one atomic operation when nobody has it, and a poll that finds nothing gives it back at once.
 *
 * A waiter is won under the lock and readied after it is released: gr_ready may take the pool's
 * lock or wake a thread, and the woken one may want the channel at once. Close collects all it has
 * won in a list of its own first. After Go's chan.go. */
#include "sync/chan_inside.h"

GrChan *gr_chan_new(int64_t cap, const GrShareType *type) {
  GrChan *c = gr_zalloc(sizeof *c);
  if (c == NULL) return NULL;
  gr_share_init(&c->share, type);
  gr_lock_init(&c->lock, GR_RANK_CHAN);
  gr_list_init(&c->recvq);
  gr_list_init(&c->sendq);
  c->cap = (uint64_t)cap;
  return c;
}

GrShare *gr_chan_share(GrChan *c) { return &c->share; }
GrChan *gr_chan_of(GrShare *s) { return gr_container_of(s, GrChan, share); }
void gr_chan_set_feed(GrChan *c, GrFeed *feed) { c->feed = feed; }
GrFeed *gr_chan_feed(const GrChan *c) { return c->feed; }

void gr_chan_destroy(GrShare *s) {
  GrChan *c = gr_chan_of(s);
  if (c->feed != NULL) c->feed->lost(c->feed, c);
  for (GrMsg m; c->len > 0; gr_msg_drop(&m)) m = gr_ring_get(c);
  gr_free(c->ring);
  gr_free(c);
}

/* ---- the ring ---- */

enum { RING_MIN = 4, RING_KEEP = 1024 };

static bool ring_grow(GrChan *c) {
  uint64_t size = c->size > 0 ? c->size * 2 : RING_MIN;
  if (size > c->cap) size = c->cap;
  GrMsg *ring = gr_malloc(size * sizeof *ring);
  if (ring == NULL) return false;
  for (uint64_t i = 0; i < c->len; i++) ring[i] = c->ring[(c->head + i) % c->size];
  gr_free(c->ring);
  c->ring = ring;
  c->size = size;
  c->head = 0;
  return true;
}

int gr_chan_reserve(GrChan *c) { return ring_grow(c) ? GR_OK : GR_NOMEM; }

bool gr_ring_put(GrChan *c, const GrMsg *m) {
  if (c->len == c->size && !ring_grow(c)) return false;
  uint64_t at = c->head + c->len++;
  c->ring[at < c->size ? at : at - c->size] = *m;
  return true;
}

GrMsg gr_ring_get(GrChan *c) {
  GrMsg m = c->ring[c->head];
  if (++c->head == c->size) c->head = 0;
  if (--c->len == 0 && c->size > RING_KEEP) {
    gr_free(c->ring);
    c->ring = NULL;
    c->size = c->head = 0;
  }
  return m;
}

/* ---- one step under the lock; *wake is who must be readied afterwards ---- */

int gr_chan_send_locked(GrChan *c, GrMsg *m, G **wake) {
  if (c->closed) return GR_CLOSED;
  GSudog *sg = gr_queue_win(&c->recvq);
  if (sg != NULL) {
    sg->msg = *m;
    *wake = sg->g;
  } else {
    if (c->len >= c->cap) return GR_AGAIN;
    if (!gr_ring_put(c, m)) return GR_NOMEM;
  }
  *m = GR_MSG_EMPTY;
  return GR_OK;
}

int gr_chan_recv_locked(GrChan *c, GrMsg *m, G **wake) {
  if (c->len > 0) {
    *m = gr_ring_get(c);
    GSudog *sg = c->len == c->cap - 1 ? gr_queue_win(&c->sendq) : NULL;
    if (sg == NULL) return GR_OK;
    if (gr_ring_put(c, &sg->msg)) {
      sg->msg = GR_MSG_EMPTY;
      *wake = sg->g;
      return GR_OK;
    }
    gr_throw("no room in a ring that had some"); /* the slot of *m is free; see ring_get for when
                                                    rings go */
  }
  GSudog *sg = gr_queue_win(&c->sendq);
  if (sg != NULL) {
    *m = sg->msg;
    sg->msg = GR_MSG_EMPTY;
    *wake = sg->g;
    return GR_OK;
  }
  return c->closed ? GR_CLOSED : GR_AGAIN;
}

/* ---- send, receive ---- */

static const GrWaitType sending = {"chan send", gr_chan_abandon},
                        receiving = {"chan receive", gr_chan_abandon};

int gr_chan_send(G *g, GrChan *c, GrMsg *m, int64_t until, bool blocks) {
  G *wake = NULL;
  gr_lock(&c->lock);
  int r = gr_chan_send_locked(c, m, &wake);
  if (r == GR_AGAIN && (r = gr_queue_start(g, &sending, until, blocks)) == GR_OK) {
    g->one.msg = *m;
    *m = GR_MSG_EMPTY;
    gr_queue_link(&g->one, g, c, &c->sendq, 0);
    r = GR_PARK;
  }
  gr_unlock(&c->lock);
  if (wake != NULL) gr_ready(wake);
  return r;
}

int gr_chan_recv_as(G *g, GrChan *c, GrMsg *m, int64_t until, bool blocks, const GrWaitType *type) {
  G *wake = NULL;
  gr_lock(&c->lock);
  int r = gr_chan_recv_locked(c, m, &wake);
  if (r == GR_AGAIN && (r = gr_queue_start(g, type, until, blocks)) == GR_OK) {
    g->one.msg = GR_MSG_EMPTY;
    gr_queue_link(&g->one, g, c, &c->recvq, 0);
    r = GR_PARK;
  }
  gr_unlock(&c->lock);
  if (wake != NULL) gr_ready(wake);
  return r;
}

int gr_chan_recv(G *g, GrChan *c, GrMsg *m, int64_t until, bool blocks) {
  return gr_chan_recv_as(g, c, m, until, blocks, &receiving);
}

void gr_chan_abandon(G *g) {
  GrChan *c = g->one.object;
  gr_lock(&c->lock);
  gr_list_remove(&g->one.link);
  gr_unlock(&c->lock);
  gr_msg_drop(&g->one.msg);
}

/* Not won through the sudog: whoever met it in the queue meanwhile has skipped it. */
static int ended_otherwise(G *g, GrCause cause) {
  gr_chan_abandon(g);
  return gr_queue_result(cause);
}

int gr_chan_send_finish(G *g, GrCause *cause) {
  *cause = gr_wait_finish(g);
  if (*cause != GR_CAUSE_SUDOG) return ended_otherwise(g, *cause);
  gr_msg_drop(&g->one.msg);
  return g->one.closed ? GR_CLOSED : GR_OK;
}

int gr_chan_recv_finish(G *g, GrMsg *m, GrCause *cause) {
  *cause = gr_wait_finish(g);
  if (*cause != GR_CAUSE_SUDOG) return ended_otherwise(g, *cause);
  *m = g->one.msg;
  g->one.msg = GR_MSG_EMPTY;
  return g->one.closed ? GR_CLOSED : GR_OK;
}

int gr_chan_close(GrChan *c) {
  GrList won;
  gr_list_init(&won);
  gr_lock(&c->lock);
  bool was = c->closed;
  c->closed = true;
  for (GSudog *sg; !was && ((sg = gr_queue_win(&c->recvq)) != NULL ||
                            (sg = gr_queue_win(&c->sendq)) != NULL);) {
    sg->closed = true;
    gr_list_push_back(&won, &sg->link);
  }
  gr_unlock(&c->lock);
  gr_queue_ready(&won);
  bool told = c->feed != NULL && c->feed->closed != NULL;
  if (told && !was) c->feed->closed(c->feed, c);
  return was && !told ? GR_CLOSED : GR_OK;
}

int64_t gr_chan_len(GrChan *c) {
  gr_lock(&c->lock);
  uint64_t len = c->len;
  gr_unlock(&c->lock);
  return (int64_t)len;
}

int64_t gr_chan_cap(GrChan *c) { return (int64_t)c->cap; }

/* SPDX-License-Identifier: MIT */
/* select.c - one of several sends and receives.
 *
 * A select takes these steps:
 *   1. It locks all channels of its cases, each once, in the order of their addresses. So no
 *      two selects can each hold a lock that the other waits for.
 *   2. It tries the cases in a random order, and does the first that is ready. So each of the ready
 *      cases is chosen with the same probability.
 *   3. When no case is ready, it puts a sudog for each case into the queue of the case's
 *      channel. All these sudogs carry the same sequence number. It unlocks the channels and
 *      parks.
 *   4. At most one goroutine wins the wait, through one of the sudogs. Each other goroutine that
 *      finds one of the sudogs sees that the wait is over, and unlinks the sudog.
 *   5. When the select is awake, it unlinks the sudogs that are still linked.
 *
 * Modelled in spec/model/select.pml. After Go's select.go. */
#include <stdlib.h>

#include "sync/chan_inside.h"

enum { SMALL = 16 };

static int by_address(const void *a, const void *b) {
  const GrChan *x = *(GrChan *const *)a, *y = *(GrChan *const *)b;
  return (x > y) - (x < y);
}

static void insertion_sort(GrChan **order, uint32_t n) {
  for (uint32_t i = 1; i < n; i++) {
    GrChan *c = order[i];
    uint32_t at = i;
    for (; at > 0 && order[at - 1] > c; at--) order[at] = order[at - 1];
    order[at] = c;
  }
}

/* Fills `order` with the channels, each once, in lock order. Returns how many. */
static uint32_t lock_order(const GrCase *cases, uint32_t n, GrChan **order) {
  uint32_t m = 0;
  for (uint32_t i = 0; i < n; i++)
    if (cases[i].chan != NULL) order[m++] = cases[i].chan;
  if (m <= SMALL) insertion_sort(order, m);
  else qsort(order, m, sizeof *order, by_address);
  uint32_t distinct = 0;
  for (uint32_t i = 0; i < m; i++)
    if (distinct == 0 || order[distinct - 1] != order[i]) order[distinct++] = order[i];
  return distinct;
}

static void lock_all(GrChan **order, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) gr_lock(&order[i]->lock);
}
static void unlock_all(GrChan **order, uint32_t n) {
  while (n-- > 0) gr_unlock(&order[n]->lock);
}

/* The cases in a random order, without those that have no channel: Fisher-Yates, inside out. */
static uint32_t poll_order(const GrCase *cases, uint32_t n, uint64_t *rand, uint32_t *order) {
  uint32_t m = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (cases[i].chan == NULL) continue;
    uint32_t j = gr_rand_below(rand, m + 1);
    order[m++] = order[j];
    order[j] = i;
  }
  return m;
}

static int try_case(GrCase *c, bool *ok, G **wake) {
  if (c->is_send) return gr_chan_send_locked(c->chan, &c->msg, wake);
  int r = gr_chan_recv_locked(c->chan, &c->msg, wake);
  *ok = r == GR_OK;
  return r == GR_CLOSED ? GR_OK : r;
}

/* Does the first case that is ready. GR_AGAIN: no case is ready. */
static int try_all(GrCase *cases, const uint32_t *order, uint32_t n, uint32_t *chosen, bool *ok,
                   G **wake) {
  for (uint32_t i = 0; i < n; i++) {
    int r = try_case(&cases[order[i]], ok, wake);
    if (r == GR_AGAIN) continue;
    *chosen = order[i];
    return r;
  }
  return GR_AGAIN;
}

/* Links the sudogs in the random order, too: so when two cases wait on one channel, either may
 * come first in its queue. */
static void link_all(G *g, GrCase *cases, uint32_t n, const uint32_t *order, uint32_t npoll) {
  for (uint32_t i = 0; i < n; i++) g->many[i].object = NULL;
  for (uint32_t i = 0; i < npoll; i++) {
    GrCase *c = &cases[order[i]];
    GSudog *sg = &g->many[order[i]];
    gr_list_init(&sg->link);
    sg->msg = GR_MSG_EMPTY;
    if (c->is_send) { /* the sudog owns the message during the wait, and the winner takes it from
                         there */
      sg->msg = c->msg;
      c->msg = GR_MSG_EMPTY;
    }
    gr_queue_link(sg, g, c->chan, c->is_send ? &c->chan->sendq : &c->chan->recvq, order[i]);
  }
}

/* Locks one channel after the other. That is enough: the wait is over, so nobody can win the
 * sudogs that remain; other goroutines can only unlink them. */
static void unlink_all(G *g) {
  for (uint32_t i = 0; i < g->nmany; i++) {
    GSudog *sg = &g->many[i];
    GrChan *c = sg->object;
    if (sg == g->winner || c == NULL) continue;
    gr_lock(&c->lock);
    gr_list_remove(&sg->link);
    gr_unlock(&c->lock);
  }
}

static void free_sudogs(G *g) {
  gr_free(g->many);
  g->many = NULL;
  g->nmany = 0;
}

static void abandon(G *g) {
  unlink_all(g);
  for (uint32_t i = 0; i < g->nmany; i++)
    if (g->many[i].object != NULL) gr_msg_drop(&g->many[i].msg);
  free_sudogs(g);
}

static const GrWaitType selecting = {"select", abandon},
                        for_ever = {"select (no cases)", abandon}; /* no case has a channel */

/* The working memory is the lock order, and behind it the order of trying. A small select has
 * both on its stack. */
int gr_select(G *g, GrCase *cases, uint32_t n, int64_t until, bool blocks, uint64_t *rand,
              uint32_t *chosen, bool *ok) {
  GrChan *few_chans[SMALL];
  uint32_t few_cases[SMALL];
  GrChan **chans = few_chans;
  uint32_t *order = few_cases;
  if (n > SMALL) {
    chans = gr_malloc(n * (sizeof *chans + sizeof *order));
    if (chans == NULL) return GR_NOMEM;
    order = (uint32_t *)(void *)(chans + n);
  }
  uint32_t nchans = lock_order(cases, n, chans), npoll = poll_order(cases, n, rand, order);
  G *wake = NULL;
  lock_all(chans, nchans);
  int r = try_all(cases, order, npoll, chosen, ok, &wake);
  if (r == GR_AGAIN && until == GR_POLL) {
    r = GR_TIMEOUT;
  } else if (r == GR_AGAIN) {
    g->many = n > 0 ? gr_malloc(n * sizeof *g->many) : NULL;
    g->nmany = n;
    if (n > 0 && g->many == NULL) r = GR_NOMEM;
    else r = gr_queue_start(g, npoll > 0 ? &selecting : &for_ever, until, blocks);
    if (r == GR_OK) {
      link_all(g, cases, n, order, npoll);
      r = GR_PARK;
    } else {
      free_sudogs(g);
    }
  }
  unlock_all(chans, nchans);
  if (wake != NULL) gr_ready(wake);
  if (n > SMALL) gr_free(chans);
  return r;
}

int gr_select_finish(G *g, GrCase *cases, uint32_t n, uint32_t *chosen, bool *ok, GrCause *cause) {
  (void)n;
  *cause = gr_wait_finish(g);
  unlink_all(g);
  int r = gr_queue_result(*cause);
  if (*cause == GR_CAUSE_SUDOG) {
    GSudog *won = g->winner;
    *chosen = won->index;
    *ok = !won->closed;
    r = cases[won->index].is_send && won->closed ? GR_CLOSED : GR_OK;
  }
  for (uint32_t i = 0; i < g->nmany; i++)
    if (cases[i].chan != NULL)
      cases[i].msg = g->many[i].msg; /* the message that was not sent, or that came */
  free_sudogs(g);
  return r;
}

/* SPDX-License-Identifier: MIT */
/* select.c - one of several sends and receives.
 *
 * All channels concerned are locked, in the order of their addresses (each once), so that two
 * selects cannot hold each other up. Then the cases are tried in a random order, and the first that
 * can happen does: that is uniform among those that are ready. When none is, a sudog for each case
 * goes into its channel's queue, all with the same sequence number, so that one winner at most
 * finds the wait open; the losers' sudogs are unlinked by whoever meets them, or by the select
 * itself when it is awake. Modelled in spec/model/select.pml; after Go's select.go. */
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

/* The distinct channels in lock order; returns their number. */
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

/* Fisher-Yates, inside out. Cases without a channel are left out. */
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

/* GR_AGAIN: none is ready. */
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

/* In the random order too: of two cases on one channel, either may come first in its queue. */
static void link_all(G *g, GrCase *cases, uint32_t n, const uint32_t *order, uint32_t npoll) {
  for (uint32_t i = 0; i < n; i++) g->many[i].object = NULL;
  for (uint32_t i = 0; i < npoll; i++) {
    GrCase *c = &cases[order[i]];
    GSudog *sg = &g->many[order[i]];
    gr_list_init(&sg->link);
    sg->msg = GR_MSG_EMPTY;
    if (c->is_send) { /* the sudog owns it while it waits: whoever wins takes it from there */
      sg->msg = c->msg;
      c->msg = GR_MSG_EMPTY;
    }
    gr_queue_link(sg, g, c->chan, c->is_send ? &c->chan->sendq : &c->chan->recvq, order[i]);
  }
}

/* One channel after the other: the wait is over, so nobody can win the remaining sudogs, only
 * unlink them. */
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
                        for_ever = {"select (no cases)", abandon}; /* none that can happen */

/* Working memory: channel order, then poll order; small selects use the stack. */
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
    if (cases[i].chan != NULL) cases[i].msg = g->many[i].msg; /* what was not sent, or what came */
  free_sudogs(g);
  return r;
}

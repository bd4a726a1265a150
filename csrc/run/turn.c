/* SPDX-License-Identifier: MIT */
/* turn.c - one at a time; see turn.h.
 *
 * The turn belongs to a goroutine, not to a thread. Its owner may wait for a goroutine that wants
 * the turn. So the others go on without the turn when the owner has been waiting in goro for
 * WAITS_NS, or after EVER_NS whatever the owner does (its thread may be stuck for good, left
 * behind by an earlier pool). In a child of fork the lock may be anybody's, and there is one
 * thread.
 *
 * Locks: a turn's is a leaf. */
#include "run/turn.h"

typedef struct Waiter {
  GrList link;
  GrNote note;
} Waiter;

static bool take_locked(GrTurn *t, const GrState *st) {
  if (t->owner != NULL && t->owner != st) return false;
  t->owner = st;
  t->g = st->g;
  t->depth++;
  return true;
}

/* Wakes all that wait: most of them want what has just been done, and need no turn any more. */
void gr_turn_give(GrTurn *t) {
  if (atomic_load(&gr_forked)) return;
  gr_lock(&t->lock);
  if (--t->depth == 0) {
    t->owner = NULL;
    for (GrList *l = t->waiters.next; l != &t->waiters; l = l->next)
      gr_note_wake(&gr_container_of(l, Waiter, link)->note);
  }
  gr_unlock(&t->lock);
}

static int await(GrTurn *t, const GrState *st, Waiter *w) {
  enum { LOOK_NS = 10000000, WAITS_NS = 1000000000 };
  static const int64_t EVER_NS = INT64_C(60000000000);
  int64_t now = gr_now_ns(), until = now + EVER_NS, busy = now;
  for (;;) {
    gr_note_sleep(&w->note, now + LOOK_NS);
    gr_note_clear(&w->note);
    now = gr_now_ns();
    gr_lock(&t->lock);
    int r = GR_PARK;
    if (take_locked(t, st)) r = GR_OK;
    else if (!st->is_host && (gr_sched_stopping() || gr_g_must_end(st->g))) r = GR_ABORTED;
    else if ((atomic_load(&t->g->status) & ~(uint32_t)G_SCAN) != G_WAITING) busy = now;
    if (r == GR_PARK && (now - busy > WAITS_NS || now > until)) r = GR_TIMEOUT;
    if (r != GR_PARK) gr_list_remove(&w->link);
    gr_unlock(&t->lock);
    if (r != GR_PARK) return r;
  }
}

int gr_turn_take(GrTurn *t, const GrState *st) {
  if (atomic_load(&gr_forked)) return GR_TIMEOUT;
  Waiter w;
  gr_note_clear(&w.note);
  gr_lock(&t->lock);
  bool taken = take_locked(t, st);
  if (!taken) gr_list_push_back(&t->waiters, &w.link);
  gr_unlock(&t->lock);
  if (taken) return GR_OK;
  gr_block_begin(st->g);
  int r = await(t, st, &w);
  gr_block_end(st->g);
  return r;
}

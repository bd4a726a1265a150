/* SPDX-License-Identifier: MIT */
/* group.c - goroutines that belong together; see group.h.
 *
 * `running` counts the members and the places that are taken. When a member ends and a goroutine
 * waits for a place, the place passes from the one to the other, and `running` does not change.
 * So the place is never free in between: no newcomer can take it, and the goroutines that wait
 * for all members to end are not woken too early.
 *
 * The member that hands a place over marks it as `taken`, under the lock. The goroutine that got
 * the place may never wake, when the pool ends. Then the closing of its state releases the
 * place, and `taken` tells that there is one to release, however the wait ended. */
#include "sync/group.h"

const GrWaitType gr_group_waits = {"group wait", gr_queue_abandon};

void gr_group_init(GrGroup *gr, GrShare *owner, const GrWaitType *waits_as, int64_t limit,
                   GrContext *ctx) {
  *gr = (GrGroup){.owner = owner, .waits_as = waits_as, .limit = limit, .ctx = ctx};
  gr_lock_init(&gr->lock, GR_RANK_SYNC);
  gr_list_init(&gr->goers);
  gr_list_init(&gr->waiters);
}

void gr_group_fini(GrGroup *gr) {
  if (!atomic_load(&gr_forked)) gr_untold_print(gr->untold);
  gr_msg_drop(&gr->error);
  if (gr->ctx != NULL) gr_share_unref(gr_context_share(gr->ctx));
}

void gr_group_begin(GrGroup *gr) {
  gr_lock(&gr->lock);
  gr->running++;
  gr_unlock(&gr->lock);
}

static GrPlace *place_of(GSudog *sg) { return (GrPlace *)(intptr_t)*gr_queue_note(sg); }

/* A place has become free. The first goroutine that waits for a place gets it. If there is none,
 * and this was the last place in use, the goroutines that wait for all members to end are woken. */
static void free_place_locked(GrGroup *gr, GrList *won) {
  GSudog *sg = gr_queue_win(&gr->goers);
  if (sg != NULL) {
    place_of(sg)->taken = true;
    gr_list_push_back(won, &sg->link);
  } else if (--gr->running == 0) {
    gr_queue_win_all(&gr->waiters, won);
  }
}

bool gr_group_fail(GrGroup *gr, GrMsg *error) {
  gr_lock(&gr->lock);
  bool first = !gr->failed;
  if (first) {
    gr->failed = true;
    gr->error = *error;
    *error = GR_MSG_EMPTY;
  }
  gr_unlock(&gr->lock);
  gr_msg_drop(error);
  return first;
}

void gr_group_note(GrGroup *gr, GrUntold *untold) {
  gr_lock(&gr->lock);
  bool told = gr->told;
  if (!told) gr->untold = untold;
  gr_unlock(&gr->lock);
  if (told) gr_untold_drop(untold);
}

void gr_group_end(GrGroup *gr) {
  GrList won;
  gr_list_init(&won);
  gr_lock(&gr->lock);
  free_place_locked(gr, &won);
  gr_unlock(&gr->lock);
  gr_queue_ready(&won);
}

const GrMsg *gr_group_error(GrGroup *gr) {
  gr_lock(&gr->lock);
  bool failed = gr->failed;
  gr_unlock(&gr->lock);
  return failed ? &gr->error : NULL;
}

bool gr_group_tell(GrGroup *gr) {
  gr_lock(&gr->lock);
  bool first = !gr->told;
  GrUntold *untold = gr->untold;
  gr->told = true;
  gr->untold = NULL;
  gr_unlock(&gr->lock);
  gr_untold_drop(untold);
  return first;
}

/* ---- places ---- */

static void place_init(GrPlace *p, GrGroup *gr, bool taken) {
  gr_share_ref(gr->owner);
  p->group = gr;
  p->taken = taken;
}

static void place_fini(GrPlace *p) {
  GrGroup *gr = p->group;
  *p = (GrPlace){NULL, false};
  gr_share_unref(gr->owner);
}

int gr_group_take(G *g, GrGroup *gr, GrPlace *p, bool blocks) {
  int r = GR_OK;
  gr_lock(&gr->lock);
  if (gr->limit == 0 || gr->running < gr->limit) gr->running++;
  else r = gr_queue_wait(g, &gr_group_waits, GR_FOREVER, blocks, &gr->lock, &gr->goers, false);
  if (r == GR_OK || r == GR_PARK) place_init(p, gr, r == GR_OK);
  if (r == GR_PARK) *gr_queue_note(&g->one) = (intptr_t)p;
  gr_unlock(&gr->lock);
  return r;
}

static int finish(G *g, GrGroup *gr, GrCause *cause) {
  *cause = gr_wait_finish(g);
  if (*cause == GR_CAUSE_SUDOG) return GR_OK;
  gr_lock(&gr->lock);
  gr_queue_leave(g);
  gr_unlock(&gr->lock);
  return gr_queue_result(*cause);
}

int gr_group_take_finish(G *g, GrPlace *p, GrCause *cause) {
  int r = finish(g, p->group, cause);
  if (r != GR_OK) place_fini(p);
  return r;
}

void gr_place_give(GrPlace *p) { place_fini(p); }

void gr_place_release(GrPlace *p) {
  if (p->group == NULL) return;
  if (p->taken) gr_group_end(p->group);
  place_fini(p);
}

/* ---- waiting for all ---- */

int gr_group_wait(G *g, GrGroup *gr, bool blocks) {
  gr_lock(&gr->lock);
  int r = GR_OK;
  if (gr->running > 0)
    r = gr_queue_wait(g, gr->waits_as, GR_FOREVER, blocks, &gr->lock, &gr->waiters, false);
  gr_unlock(&gr->lock);
  return r;
}

int gr_group_wait_finish(G *g, GrGroup *gr, GrCause *cause) { return finish(g, gr, cause); }

/* SPDX-License-Identifier: MIT */
/* g.c - the memory of Gs: slabs that are never given back, so that a G pointer stays one for the life of the process.
 *
 * A late waker may look at a G that has ended and been reused; the sequence number in its wait word, which only ever grows, tells it so.
 * Free Gs lie in a list of the M that freed them; long lists spill over to a common one. */
#include "sched/pool.h"

enum { SLAB = 64, KEEP = 64 };

typedef struct Slab {
  struct Slab *next;
  G gs[SLAB];
} Slab;

static Slab *_Atomic slabs;
static GrLock free_lock = GR_LOCK_INIT(GR_RANK_LEAF);
static G *free_list;

static void give(G *first, G *last) {
  gr_lock(&free_lock);
  last->link = free_list;
  free_list = first;
  gr_unlock(&free_lock);
}

static bool new_slab(void) {
  Slab *slab = gr_zalloc(sizeof *slab);
  if (slab == NULL) return false;
  for (int i = 0; i < SLAB; i++) {
    atomic_init(&slab->gs[i].status, G_FREE);
    atomic_init(&slab->gs[i].wait, 1);
    slab->gs[i].link = i + 1 < SLAB ? &slab->gs[i + 1] : NULL;
  }
  slab->next = atomic_load(&slabs);
  while (!atomic_compare_exchange_weak(&slabs, &slab->next, slab)) {}
  give(&slab->gs[0], &slab->gs[SLAB - 1]);
  return true;
}

static G *take_common(void) {
  gr_lock(&free_lock);
  G *g = free_list;
  if (g != NULL) free_list = g->link;
  gr_unlock(&free_lock);
  return g;
}

/* Status FREE, wait done, everything else unset. */
G *gr_g_alloc(M *m) {
  G *g;
  if (m != NULL && (g = m->free) != NULL) {
    m->free = g->link;
    m->nfree--;
  } else {
    while ((g = take_common()) == NULL)
      if (!new_slab()) return NULL;
  }
  g->link = NULL;
  g->m = NULL;
  g->data = NULL;
  g->winner = NULL;
  g->many = NULL;
  g->nmany = 0;
  atomic_store_explicit(&g->is_host, false, memory_order_relaxed);
  atomic_store_explicit(&g->blocks, false, memory_order_relaxed);
  g->runs_on = true;
  g->reason = GR_WAIT_NONE;
  gr_list_init(&g->one.link);
  return g;
}

void gr_g_free(M *m, G *g) {
  atomic_store(&g->status, G_FREE);
  if (m == NULL || m->nfree >= KEEP) {
    give(g, g);
    return;
  }
  g->link = m->free;
  m->free = g;
  m->nfree++;
}

void gr_g_bury(Sched *s, G *g) {
  gr_lock(&s->lock);
  g->link = s->graves;
  s->graves = g;
  gr_unlock(&s->lock);
}

void gr_g_unbury(Sched *s) {
  while (s->graves != NULL) {
    G *g = s->graves;
    s->graves = g->link;
    gr_g_free(NULL, g);
  }
}

void gr_g_each(bool (*visit)(G *g, void *arg), void *arg) {
  for (Slab *slab = atomic_load(&slabs); slab != NULL; slab = slab->next)
    for (int i = 0; i < SLAB; i++)
      if (!visit(&slab->gs[i], arg)) return;
}

/* SPDX-License-Identifier: MIT */
/* g.c - the memory of Gs. It comes from slabs that serve Gs only, so a pointer to a G stays a
 * pointer to a G for the life of the process.
 *
 *        slab (head elsewhere)          gs: 64 KB
 *        +------------------+           +----+----+----+----+ ... +----+
 *        | gs, free, seq, … |---------> | G  | G  | G  | G  |     | G  |
 *        +------------------+           +----+----+----+----+ ... +----+
 *           | with_free, in the order:  some are free ... all are free
 *           | cleared:                  the pages of the 64 KB are given back
 *
 * A thread may look at a G after that has ended and its memory was reused: a late waker, say. The
 * sequence number in the wait word, which only grows, tells it so.
 *
 * A free G lies in a list of the M that freed it; when that list is long, the G goes back to its
 * slab. After a burst, slabs whose Gs are all free lose their pages (gr_g_settle), but not their
 * addresses. A late look finds zeros there: a free G in wait 0, in which no goroutine waits. The
 * head of a slab lies elsewhere and remembers the greatest sequence number that the slab has
 * seen, so that numbers go on growing when the slab is used again. */
#include "sched/pool.h"

#include <string.h>

#include "base/chunk.h"

enum { SLAB_BYTES = 64 << 10, SLAB = SLAB_BYTES / sizeof(G), KEEP = 64, KEEP_SLABS = 64 };

struct GrSlabOfGs {
  GrSlabOfGs *all; /* next of all slabs */
  GrList link;     /* in `with_free` or `cleared`, or in none when none of its Gs is free */
  G *gs;
  G *free;
  uint32_t nfree;
  uint64_t seq;        /* the greatest sequence number of its free Gs */
  atomic_bool cleared; /* its Gs are zeros */
};
typedef GrSlabOfGs Slab;

static Slab *_Atomic slabs;
static GrLock free_lock = GR_LOCK_INIT(GR_RANK_LEAF);
/* The lock guards these, and all of a slab but `all` and `gs`. */
static GrList with_free = {&with_free, &with_free}, cleared = {&cleared, &cleared};
static uint32_t all_free; /* how many slabs have only free Gs and are not cleared */

static void give(G *g) {
  Slab *slab = g->slab;
  uint64_t seq = gr_wait_seq(g);
  gr_lock(&free_lock);
  if (seq > slab->seq) slab->seq = seq;
  g->link = slab->free;
  slab->free = g;
  if (slab->nfree++ == 0) gr_list_push_back(with_free.next, &slab->link);
  if (slab->nfree == SLAB) {
    gr_list_remove(&slab->link);
    gr_list_push_back(&with_free, &slab->link);
    all_free++;
  }
  gr_unlock(&free_lock);
}

/* Makes all Gs of the slab free. Nobody has them, and they are zeros. */
static void fill(Slab *slab) {
  for (uint32_t i = 0; i < SLAB; i++) {
    G *g = &slab->gs[i];
    atomic_store_explicit(&g->wait, slab->seq << 1 | 1, memory_order_relaxed);
    g->slab = slab;
    g->link = i + 1 < SLAB ? g + 1 : NULL;
  }
  slab->free = slab->gs;
  slab->nfree = SLAB;
  atomic_store_explicit(&slab->cleared, false, memory_order_release);
}

static Slab *new_slab(void) {
  Slab *slab = gr_zalloc(sizeof *slab);
  if (slab == NULL) return NULL;
  if ((slab->gs = gr_chunk_get(SLAB_BYTES)) == NULL) {
    gr_free(slab);
    return NULL;
  }
  memset(slab->gs, 0, SLAB_BYTES);
  gr_list_init(&slab->link);
  return slab;
}

/* Adds a slab with free Gs: one that was cleared, or a new one. False: no memory. */
static bool add_slab(void) {
  gr_lock(&free_lock);
  GrList *entry = gr_list_pop_front(&cleared);
  gr_unlock(&free_lock);
  Slab *slab = entry != NULL ? gr_container_of(entry, Slab, link) : new_slab();
  if (slab == NULL) return false;
  fill(slab);
  if (entry == NULL) {
    slab->all = atomic_load(&slabs);
    while (!atomic_compare_exchange_weak(&slabs, &slab->all, slab)) {}
  }
  gr_lock(&free_lock);
  gr_list_push_back(&with_free, &slab->link);
  all_free++;
  gr_unlock(&free_lock);
  return true;
}

static G *take_common(void) {
  G *g = NULL;
  gr_lock(&free_lock);
  if (!gr_list_empty(&with_free)) {
    Slab *slab = gr_container_of(with_free.next, Slab, link);
    g = slab->free;
    slab->free = g->link;
    if (slab->nfree-- == SLAB) all_free--;
    if (slab->nfree == 0) gr_list_remove(&slab->link);
  }
  gr_unlock(&free_lock);
  return g;
}

/* A dump may have asked a G that ended meanwhile. Then it looks at the question there again. */
static bool is_asked(const Slab *slab) {
  for (uint32_t i = 0; i < SLAB; i++)
    if (atomic_load_explicit(&slab->gs[i].report, memory_order_relaxed) != NULL) return true;
  return false;
}

/* Clears the slabs that are all free, but KEEP_SLABS, one by one. While a slab is in no list, no
 * thread can take a G of it. */
void gr_g_settle(void) {
  for (;;) {
    Slab *slab = NULL;
    gr_lock(&free_lock);
    if (all_free > KEEP_SLABS) {
      slab = gr_container_of(with_free.prev, Slab, link);
      gr_list_remove(&slab->link);
      all_free--;
    }
    gr_unlock(&free_lock);
    if (slab == NULL) return;
    bool clear = !is_asked(slab);
    if (clear) {
      atomic_store(&slab->cleared, true);
      gr_chunk_clear(slab->gs, SLAB_BYTES);
    }
    gr_lock(&free_lock);
    gr_list_push_back(clear ? &cleared : with_free.next, &slab->link);
    if (!clear) all_free++;
    gr_unlock(&free_lock);
    if (!clear) return;
  }
}

/* A G of status FREE, with a wait that is done and everything else unset. m: the caller's M, or
 * NULL. NULL: no memory. */
G *gr_g_alloc(M *m) {
  G *g;
  if (m != NULL && (g = m->free) != NULL) {
    m->free = g->link;
    m->nfree--;
  } else {
    while ((g = take_common()) == NULL)
      if (!add_slab()) return NULL;
  }
  g->link = NULL;
  g->m = NULL;
  g->data = NULL;
  g->winner = NULL;
  g->many = NULL;
  g->nmany = 0;
  atomic_store_explicit(&g->is_host, false, memory_order_relaxed);
  atomic_store_explicit(&g->blocks, false, memory_order_relaxed);
  atomic_store_explicit(&g->ends, false, memory_order_relaxed);
  g->runs_on = true;
  g->keeps = false;
  g->used = 0;
  g->waits = NULL;
  gr_list_init(&g->one.link);
  return g;
}

void gr_g_free(M *m, G *g) {
  atomic_store(&g->status, G_FREE);
  if (m == NULL || m->nfree >= KEEP) {
    give(g);
    return;
  }
  g->link = m->free;
  m->free = g;
  m->nfree++;
}

void gr_g_each(bool (*visit)(G *g, void *arg), void *arg) {
  for (Slab *slab = atomic_load(&slabs); slab != NULL; slab = slab->all) {
    if (atomic_load_explicit(&slab->cleared, memory_order_acquire)) continue;
    for (uint32_t i = 0; i < SLAB; i++)
      if (!visit(&slab->gs[i], arg)) return;
  }
}

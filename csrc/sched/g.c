/* SPDX-License-Identifier: MIT */
/* g.c - the memory of Gs. It is type-stable (base/slab.h), so a pointer to a G stays a pointer to a
 * G for the life of the process.
 *
 * A thread may look at a G after the goroutine has ended and the memory was reused: a late waker,
 * say. The sequence number in the wait word, which only grows, tells it so. In memory that was
 * cleared it finds zeros: a free G in wait 0, in which no goroutine waits.
 *
 * A free G lies in a list of the M that freed it; when that list is long, in its slab. */
#include "sched/pool.h"

enum { SLAB_BYTES = 64 << 10, KEEP = 64 };

static void init(void *object, uint64_t seq) {
  atomic_store_explicit(&((G *)object)->wait, seq << 1 | 1, memory_order_relaxed);
}

static uint64_t seq_of(const void *object) {
  return atomic_load_explicit(&((const G *)object)->wait, memory_order_relaxed) >> 1;
}

/* A dump may have asked a G that ended meanwhile. Then it looks at the question there again. */
static bool is_asked(const void *object) {
  return atomic_load_explicit(&((const G *)object)->report, memory_order_relaxed) != NULL;
}

static GrSlabs slabs = {.bytes = SLAB_BYTES,
                        .size = sizeof(G),
                        .init = init,
                        .seq = seq_of,
                        .keeps = is_asked,
                        GR_SLABS_LISTS(slabs)};

void gr_g_settle(void) { gr_slab_settle(&slabs); }

/* A G of status FREE, with a wait that is done and everything else unset. m: the caller's M, or
 * NULL. NULL: no memory. */
G *gr_g_alloc(M *m) {
  G *g;
  if (m != NULL && (g = m->free) != NULL) {
    m->free = g->link;
    m->nfree--;
  } else if ((g = gr_slab_get(&slabs)) == NULL) {
    return NULL;
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
    gr_slab_put(&slabs, g);
    return;
  }
  g->link = m->free;
  m->free = g;
  m->nfree++;
}

void gr_g_each(bool (*visit)(G *g, void *arg), void *arg) {
  GrSlabAt at = {0};
  for (G *g; (g = gr_slab_next(&slabs, &at)) != NULL;)
    if (!visit(g, arg)) return;
}

/* SPDX-License-Identifier: MIT */
/* slab.c - type-stable memory: see slab.h. */
#include "base/slab.h"

#include <string.h>

#include "base/chunk.h"

enum { KEEP_SLABS = 64 };

struct GrTypeSlab {
  GrTypeSlab *all; /* next of all slabs */
  GrList link;     /* in `with_free` or `cleared`, or in none when no object is free */
  char *at;
  GrSlabItem *free;
  uint32_t nfree;
  uint64_t seq;        /* the greatest number of its free objects */
  atomic_bool cleared; /* its objects are zeros */
};

static uint32_t count_of(const GrSlabs *s) { return (uint32_t)(s->bytes / s->size); }

static void *object_at(const GrSlabs *s, const GrTypeSlab *slab, size_t i) {
  return slab->at + i * s->size;
}

void gr_slab_put(GrSlabs *s, void *object) {
  GrSlabItem *item = object;
  GrTypeSlab *slab = item->slab;
  uint64_t seq = s->seq != NULL ? s->seq(object) : 0;
  gr_lock(&s->lock);
  if (seq > slab->seq) slab->seq = seq;
  item->next = slab->free;
  slab->free = item;
  if (slab->nfree++ == 0) gr_list_push_front(&s->with_free, &slab->link);
  if (slab->nfree == count_of(s)) {
    gr_list_remove(&slab->link);
    gr_list_push_back(&s->with_free, &slab->link);
    s->all_free++;
  }
  gr_unlock(&s->lock);
}

/* Makes all objects of the slab free. Nobody has them, and they are zeros. */
static void fill(GrSlabs *s, GrTypeSlab *slab) {
  slab->free = NULL;
  slab->nfree = count_of(s);
  for (uint32_t i = slab->nfree; i > 0; i--) {
    GrSlabItem *item = object_at(s, slab, i - 1);
    s->init(item, slab->seq);
    item->slab = slab;
    item->next = slab->free;
    slab->free = item;
  }
  atomic_store_explicit(&slab->cleared, false, memory_order_release);
}

static GrTypeSlab *new_slab(const GrSlabs *s) {
  GrTypeSlab *slab = gr_zalloc(sizeof *slab);
  if (slab == NULL) return NULL;
  if ((slab->at = gr_chunk_get(s->bytes)) == NULL) {
    gr_free(slab);
    return NULL;
  }
  memset(slab->at, 0, s->bytes);
  gr_list_init(&slab->link);
  return slab;
}

/* Adds a slab with free objects: one that was cleared, or a new one. False: no memory. */
static bool add_slab(GrSlabs *s) {
  gr_lock(&s->lock);
  GrList *entry = gr_list_pop_front(&s->cleared);
  gr_unlock(&s->lock);
  GrTypeSlab *slab = entry != NULL ? gr_container_of(entry, GrTypeSlab, link) : new_slab(s);
  if (slab == NULL) return false;
  fill(s, slab);
  if (entry == NULL) {
    slab->all = atomic_load(&s->all);
    while (!atomic_compare_exchange_weak(&s->all, &slab->all, slab)) {}
  }
  gr_lock(&s->lock);
  gr_list_push_back(&s->with_free, &slab->link);
  s->all_free++;
  gr_unlock(&s->lock);
  return true;
}

static GrSlabItem *take(GrSlabs *s) {
  GrSlabItem *item = NULL;
  gr_lock(&s->lock);
  if (!gr_list_empty(&s->with_free)) {
    GrTypeSlab *slab = gr_container_of(s->with_free.next, GrTypeSlab, link);
    item = slab->free;
    slab->free = item->next;
    if (slab->nfree-- == count_of(s)) s->all_free--;
    if (slab->nfree == 0) gr_list_remove(&slab->link);
  }
  gr_unlock(&s->lock);
  return item;
}

void *gr_slab_get(GrSlabs *s) {
  GrSlabItem *item;
  while ((item = take(s)) == NULL)
    if (!add_slab(s)) return NULL;
  return item;
}

static bool may_clear(const GrSlabs *s, const GrTypeSlab *slab) {
  for (uint32_t i = 0; s->keeps != NULL && i < count_of(s); i++)
    if (s->keeps(object_at(s, slab, i))) return false;
  return true;
}

/* While a slab is in no list, no thread can take an object of it. */
void gr_slab_settle(GrSlabs *s) {
  for (;;) {
    GrTypeSlab *slab = NULL;
    gr_lock(&s->lock);
    if (s->all_free > KEEP_SLABS) {
      slab = gr_container_of(s->with_free.prev, GrTypeSlab, link);
      gr_list_remove(&slab->link);
      s->all_free--;
    }
    gr_unlock(&s->lock);
    if (slab == NULL) return;
    bool clear = may_clear(s, slab);
    if (clear) {
      atomic_store(&slab->cleared, true);
      gr_chunk_clear(slab->at, s->bytes);
    }
    gr_lock(&s->lock);
    gr_list_push_front(clear ? &s->cleared : &s->with_free, &slab->link);
    if (!clear) s->all_free++;
    gr_unlock(&s->lock);
    if (!clear) return;
  }
}

void *gr_slab_next(GrSlabs *s, GrSlabAt *at) {
  if (at->slab == NULL) at->slab = atomic_load(&s->all);
  else if (at->next == count_of(s)) *at = (GrSlabAt){.slab = at->slab->all};
  while (at->slab != NULL && atomic_load_explicit(&at->slab->cleared, memory_order_acquire))
    *at = (GrSlabAt){.slab = at->slab->all};
  return at->slab != NULL ? object_at(s, at->slab, at->next++) : NULL;
}

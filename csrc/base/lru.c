/* SPDX-License-Identifier: MIT */
/* lru.c - buckets and one list: see lru.h. A removed entry is freed after the unlock, since
 * `free` may take other locks. */
#include "base/lru.h"

static GrLruEntry **bucket_of(GrLru *c, uint64_t hash) {
  return &c->buckets[(hash ^ hash >> 32) % GR_LRU_BUCKETS];
}

static GrLruEntry *find_locked(GrLru *c, uint64_t hash, const void *key) {
  GrLruEntry *e = *bucket_of(c, hash);
  while (e != NULL && !(e->hash == hash && c->is(e, key))) e = e->next;
  if (e == NULL) return NULL;
  gr_list_remove(&e->recent);
  gr_list_push_back(&c->recent, &e->recent);
  gr_lru_ref(e);
  return e;
}

/* Removes e. The reference of the table is the caller's from now on. */
static void take_out_locked(GrLru *c, GrLruEntry *e) {
  GrLruEntry **at = bucket_of(c, e->hash);
  while (*at != e) at = &(*at)->next;
  *at = e->next;
  gr_list_remove(&e->recent);
  c->bytes -= e->size;
  e->there = false;
}

/* Removes entries until there is room. Returns them, linked by `next`. */
static GrLruEntry *make_room_locked(GrLru *c) {
  GrLruEntry *gone = NULL;
  for (GrList *at = c->recent.next; c->bytes > c->most && at != &c->recent;) {
    GrLruEntry *e = gr_container_of(at, GrLruEntry, recent);
    at = at->next;
    if (c->stays != NULL && c->stays(e)) continue;
    take_out_locked(c, e);
    e->next = gone;
    gone = e;
  }
  return gone;
}

void gr_lru_unref(const GrLru *c, GrLruEntry *e) {
  if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1) c->free(e);
}

GrLruEntry *gr_lru_get(GrLru *c, uint64_t hash, const void *key) {
  gr_lock(&c->lock);
  GrLruEntry *e = find_locked(c, hash, key);
  gr_unlock(&c->lock);
  return e;
}

GrLruEntry *gr_lru_enter(GrLru *c, GrLruEntry *e, const void *key) {
  GrLruEntry *gone = NULL;
  gr_lock(&c->lock);
  GrLruEntry *other = find_locked(c, e->hash, key);
  if (other == NULL) {
    GrLruEntry **bucket = bucket_of(c, e->hash);
    atomic_init(&e->refs, 2);
    e->there = true;
    e->next = *bucket;
    *bucket = e;
    c->bytes += e->size;
    gone = make_room_locked(c);
    gr_list_init(&e->recent);
    gr_list_push_back(&c->recent, &e->recent);
  }
  gr_unlock(&c->lock);
  for (GrLruEntry *next; gone != NULL; gone = next) {
    next = gone->next;
    gr_lru_unref(c, gone);
  }
  if (other == NULL) return e;
  c->free(e);
  return other;
}

void gr_lru_remove(GrLru *c, GrLruEntry *e) {
  gr_lock(&c->lock);
  bool there = e->there;
  if (there) take_out_locked(c, e);
  gr_unlock(&c->lock);
  if (there) gr_lru_unref(c, e);
}

/* SPDX-License-Identifier: MIT */
/* lru.h - a table of entries, bounded in bytes: the one that was used least recently goes first.
 *
 * Entries are counted: one that somebody uses outlives its removal. Any thread; the table's lock is
 * a leaf, and held for no more than the look into a bucket. */
#ifndef GR_LRU_H
#define GR_LRU_H

#include "base/list.h"
#include "base/lock.h"

enum { GR_LRU_BUCKETS = 1024 };

typedef struct GrLruEntry {
  struct GrLruEntry *next; /* in its bucket */
  GrList recent;
  uint64_t hash;   /* set by the maker, */
  size_t size;     /* as this is: bytes that it counts for */
  atomic_int refs; /* the table's, and those of its users */
  bool there;      /* in the table */
} GrLruEntry;

typedef struct GrLru {
  size_t most; /* bytes */
  bool (*is)(const GrLruEntry *e, const void *key);
  bool (*stays)(const GrLruEntry *e); /* NULL, or: is it never removed to make room? */
  void (*free)(GrLruEntry *e);        /* nobody uses it any more */
  GrLock lock;                        /* guards all below, and next, recent, there of entries */
  size_t bytes;
  GrList recent; /* last: the one used last */
  GrLruEntry *buckets[GR_LRU_BUCKETS];
} GrLru;

#define GR_LRU_INIT(name, most_, is_, stays_, free_) \
  { \
    .most = (most_), .is = (is_), .stays = (stays_), .free = (free_), \
    .lock = GR_LOCK_INIT(GR_RANK_LEAF), .recent = { \
      &(name).recent, \
      &(name).recent \
    } \
  }

/* The key's entry, with a reference for the caller, or NULL. */
GrLruEntry *gr_lru_get(GrLru *c, uint64_t hash, const void *key);
/* Takes e, whose key is `key`, and returns it with a reference for the caller: or, if the key has
 * an entry already, that one. */
GrLruEntry *gr_lru_enter(GrLru *c, GrLruEntry *e, const void *key);
/* Takes it out of the table, unless it is out. The caller keeps its own reference. */
void gr_lru_remove(GrLru *c, GrLruEntry *e);

static inline void gr_lru_ref(GrLruEntry *e) {
  atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
}
void gr_lru_unref(const GrLru *c, GrLruEntry *e);

#endif

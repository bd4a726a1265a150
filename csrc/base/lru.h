/* SPDX-License-Identifier: MIT */
/* lru.h - a table of entries, bounded in bytes. When it is full, the entry that was used least
 * recently is removed.
 *
 *        buckets by hash:   [ ] [e]->[e] [ ] [e] ...
 *        recent:            e (removed next) <-> e <-> ... <-> e (used last)
 *
 * Entries have a reference count, so an entry that is in use outlives its removal. Any thread may
 * call the functions here. The lock of the table is a leaf, held only for a look into a bucket. */
#ifndef GR_LRU_H
#define GR_LRU_H

#include "base/list.h"
#include "base/lock.h"

enum { GR_LRU_BUCKETS = 1024 };

typedef struct GrLruEntry {
  struct GrLruEntry *next; /* in its bucket */
  GrList recent;
  uint64_t hash;   /* the maker sets this, */
  size_t size;     /* and this: how many bytes the entry counts for */
  atomic_int refs; /* the table has one, each user has one */
  bool there;      /* it is in the table */
} GrLruEntry;

typedef struct GrLru {
  size_t most; /* bytes */
  bool (*is)(const GrLruEntry *e, const void *key);
  bool (*stays)(const GrLruEntry *e); /* NULL, or: must the entry never be removed to make room? */
  void (*free)(GrLruEntry *e);        /* the entry has no reference left */
  GrLock lock;                        /* guards what follows, and next, recent, there of entries */
  size_t bytes;
  GrList recent; /* the last entry is the one that was used last */
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

/* The entry of the key, with a reference for the caller, or NULL. */
GrLruEntry *gr_lru_get(GrLru *c, uint64_t hash, const void *key);
/* Puts e, whose key is `key`, into the table and takes it. Returns it with a reference for the
 * caller. If the key has an entry already, returns that entry in its place, and frees e. */
GrLruEntry *gr_lru_enter(GrLru *c, GrLruEntry *e, const void *key);
/* Removes e from the table, if it is there. The caller keeps its own reference. */
void gr_lru_remove(GrLru *c, GrLruEntry *e);

static inline void gr_lru_ref(GrLruEntry *e) {
  atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
}
void gr_lru_unref(const GrLru *c, GrLruEntry *e);

#endif

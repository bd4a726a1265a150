/* SPDX-License-Identifier: MIT */
/* slab.h - memory for objects of one type that serves that type for ever: it is type-stable.
 *
 * A thread may look at such an object after it has been freed, and finds a free object or a new one
 * of the same type, never something else. So a late look needs no lock, if a number in the object
 * tells it that it is late.
 *
 *        slab (its head lies elsewhere)   objects: `bytes` of memory
 *        +-----------------------+        +----+----+----+----+ ... +----+
 *        | at, free, nfree, seq  |------> | o  | o  | o  | o  |     | o  |
 *        +-----------------------+        +----+----+----+----+ ... +----+
 *          with_free: some objects are free, …, all are free
 *          cleared:   all are free, and the system has the pages back
 *
 * After a burst gr_slab_settle clears slabs whose objects are all free. Their addresses stay: a
 * late look finds zeros. A number that must only grow would begin anew there; so the head of the
 * slab remembers the greatest one (`seq`), and gr_slab_get's caller goes on from it. */
#ifndef GR_SLAB_H
#define GR_SLAB_H

#include "base/base.h"
#include "base/list.h"
#include "base/lock.h"

typedef struct GrTypeSlab GrTypeSlab;

/* The first member of each object. */
typedef struct GrSlabItem {
  struct GrSlabItem *next; /* free */
  GrTypeSlab *slab;
} GrSlabItem;

/* All slabs of one type: a static object. */
typedef struct GrSlabs {
  size_t bytes, size; /* of a slab, of an object */
  /* Zeros become a free object, whose number is `seq`. */
  void (*init)(void *object, uint64_t seq);
  /* NULL, or: the number of a free object, which only grows. */
  uint64_t (*seq)(const void *object);
  /* NULL, or: must a free object keep its contents? */
  bool (*keeps)(const void *object);
  GrTypeSlab *_Atomic all; /* never shrinks */
  GrLock lock;             /* guards what follows, and the slabs but for their `all` and `at` */
  GrList with_free, cleared;
  uint32_t all_free; /* slabs whose objects are all free, and that are not cleared */
} GrSlabs;

/* For the initializer of the static object `name`. */
#define GR_SLABS_LISTS(name) \
  .lock = GR_LOCK_INIT(GR_RANK_LEAF), .with_free = GR_LIST_INIT((name).with_free), \
  .cleared = GR_LIST_INIT((name).cleared)

/* A free object, the caller's, with the contents that it had when it was put; or NULL: no memory.
 * Any thread may call these two. */
void *gr_slab_get(GrSlabs *s);
void gr_slab_put(GrSlabs *s, void *object);
/* Clears the slabs whose objects are all free, but for a few. */
void gr_slab_settle(GrSlabs *s);

/* Goes through all objects, free ones too, but not those of cleared slabs: begins with {0}. NULL:
 * that was all. */
typedef struct GrSlabAt {
  GrTypeSlab *slab;
  size_t next;
} GrSlabAt;
void *gr_slab_next(GrSlabs *s, GrSlabAt *at);

#endif

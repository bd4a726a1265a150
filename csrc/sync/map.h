/* SPDX-License-Identifier: MIT */
/* map.h - a concurrent map. Keys lead to values, which are copied in and out. A goroutine can
 * have a key to itself while it computes the key's next value.
 *
 * A value in the map is a GrMsg in a form of this module. A message that plain assignment may
 * copy is stored as it is. Any other message is in a box with a reference count, so that a
 * look-up only takes a reference. The functions below return values in this form: gr_map_message
 * reads one, gr_map_drop gives it back.
 *
 * `g` is always the caller's own. No function here blocks; gr_map_acquire may return GR_PARK. */
#ifndef GR_MAP_H
#define GR_MAP_H

#include "base/msg.h"
#include "base/share.h"
#include "sched/sched.h"

typedef struct GrMap GrMap;

typedef enum GrKeyKind {
  GR_KEY_BOOLEAN,
  GR_KEY_INTEGER,
  GR_KEY_FLOAT,
  GR_KEY_POINTER,
  GR_KEY_STRING,
  GR_KEY_OBJECT
} GrKeyKind;

/* A key. It borrows the bytes of its string, or its object. A float key is not NaN and is not
 * equal to any integer. */
typedef struct GrKey {
  uint8_t kind;  /* GrKeyKind */
  uint8_t view;  /* an object's view */
  uint64_t hash; /* by gr_map_hash */
  const char *s; /* of a string */
  union {
    int64_t i; /* an integer, a boolean */
    double n;
    void *p;
    GrShare *share;
    size_t len; /* of a string */
  } u;
} GrKey;

/* Fills in k->hash from all other fields of k. */
void gr_map_hash(GrKey *k);

/* A new, empty map. `type` names its class (its destroy must be gr_map_destroy). NULL without
 * memory. */
GrMap *gr_map_new(const GrShareType *type);
void gr_map_destroy(GrShare *s);
GrShare *gr_map_share(GrMap *m);
GrMap *gr_map_of(GrShare *s);

/* Turns the message *m into a value. `plain`: assignment may copy the message. False: no memory,
 * and the message is dropped. */
bool gr_map_value(GrMsg *m, bool plain);
/* The message in the value v, borrowed and read only. NULL: v is no value. */
const GrMsg *gr_map_message(const GrMsg *v);
void gr_map_drop(GrMsg *v);

/* The three functions below return GR_OK, or one of these, and then nothing has changed:
 *   GR_CLOSED   g has this key to itself
 *   GR_AGAIN    another goroutine has this key to itself; the caller must acquire it
 *   GR_NOMEM */

/* *v becomes a reference to the value, the caller's, or GR_MSG_EMPTY. */
int gr_map_get(GrMap *m, const GrKey *k, G *g, GrMsg *v);
/* Stores *v under the key; GR_MSG_EMPTY deletes the key. *v becomes the value before, and the
 * caller drops it. */
int gr_map_set(GrMap *m, const GrKey *k, G *g, GrMsg *v);
/* If the key has no value, stores *v. If it has one, drops *v, sets *v to a reference to that
 * value, the caller's, and sets *there. */
int gr_map_get_or_set(GrMap *m, const GrKey *k, G *g, GrMsg *v, bool *there);

/* How many values there are. */
int64_t gr_map_len(GrMap *m);

/* A claim to one key. All fields zero: no claim. The caller provides the memory, and must not
 * move it while the claim waits or owns. The fields belong to map.c. */
typedef struct GrClaim {
  GrMap *map; /* a reference; or NULL: this is no claim */
  struct GrMapShard *shard;
  struct GrMapEntry *entry;
  G *g;
  bool owns;
  GrMsg value;    /* the owner's: the value of the key */
  GrList waiters; /* the owner's: the GSudogs of the goroutines that wait; their objects are their
                     claims */
} GrClaim;

/* Gives the key to g alone. All other goroutines that want it wait, first come, first served.
 * GR_OK: c owns the key. GR_PARK: the caller parks, then calls gr_map_acquire_finish. GR_CLOSED,
 * GR_NOMEM, GR_NOTHREAD, GR_ABORTED: c is no claim. */
int gr_map_acquire(G *g, GrMap *m, const GrKey *k, GrClaim *c, bool blocks);
/* After the park. GR_OK: c owns the key. GR_ABORTED: c is no claim; *cause says why. */
int gr_map_acquire_finish(G *g, GrClaim *c, GrCause *cause);
/* The value of the key that c owns: a reference, the caller's, or GR_MSG_EMPTY. */
GrMsg gr_map_owned(const GrClaim *c);
/* Gives the key back; c is no claim afterwards. The key gets the value *v, which is taken. When
 * v is NULL, the key keeps the value it had. When c was no claim, nothing happens; then v must
 * be NULL. */
void gr_map_release(GrClaim *c, GrMsg *v);

/* A snapshot of the map. Each item is an entry as it was at some moment during gr_map_snap. Each
 * entry that was in the map all the time is in the snapshot. */
typedef struct GrSnapItem {
  uint8_t kind, view; /* the kind and the view of the key */
  size_t at;          /* where a string begins in `bytes` */
  union {
    int64_t i;
    double n;
    void *p;
    GrShare *share; /* a reference */
    size_t len;
  } u;
  GrMsg value; /* a reference */
} GrSnapItem;

typedef struct GrSnap {
  GrSnapItem *items;
  char *bytes;
  size_t n, cap, nbytes, bytes_cap;
  size_t next; /* the items before this one are the caller's to drop, by gr_map_drop and
                  gr_share_unref */
} GrSnap;

/* Fills an empty snapshot. GR_OK; GR_NOMEM: the caller drops the snapshot then, too. */
int gr_map_snap(GrMap *m, GrSnap *snap);
void gr_snap_drop(GrSnap *snap);

#endif

/* SPDX-License-Identifier: MIT */
/* map.h - a concurrent map: keys to values that are copied in and out, and keys that one goroutine
 * has to itself while it computes the next value.
 *
 * A value in the map is a GrMsg in a form of this module: one that may be copied by plain
 * assignment lies there as it is, any other in a box that is counted, so that a look-up takes a
 * reference and no more. Values that come out of here are read by gr_map_message and given back by
 * gr_map_drop.
 *
 * `g` is always the caller's own. Nothing here blocks, except that gr_map_acquire may return
 * GR_PARK. */
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

/* Borrowed: the bytes of a string, the object. A float is none that an integer equals, and no NaN.
 */
typedef struct GrKey {
  uint8_t kind;  /* GrKeyKind */
  uint8_t view;  /* of an object */
  uint64_t hash; /* by gr_map_hash */
  const char *s; /* of a string */
  union {
    int64_t i; /* a boolean's too */
    double n;
    void *p;
    GrShare *share;
    size_t len; /* of a string */
  } u;
} GrKey;

/* Fills in k->hash, the last thing before it is used. */
void gr_map_hash(GrKey *k);

/* Empty. `type` names its class (its destroy must be gr_map_destroy). NULL without memory. */
GrMap *gr_map_new(const GrShareType *type);
void gr_map_destroy(GrShare *s);
GrShare *gr_map_share(GrMap *m);
GrMap *gr_map_of(GrShare *s);

/* Makes a value of *m, which it takes. `plain`: it may be copied by assignment. False without
 * memory; *m is dropped then. */
bool gr_map_value(GrMsg *m, bool plain);
/* The message in it, to be read only; NULL: there is no value. Borrowed from v. */
const GrMsg *gr_map_message(const GrMsg *v);
void gr_map_drop(GrMsg *v);

/* What follows returns GR_OK, or with nothing changed: GR_CLOSED, g has this key to itself;
 * GR_AGAIN, somebody else has, so that it must be acquired; GR_NOMEM. */

/* *v: a reference of the caller's, or GR_MSG_EMPTY. */
int gr_map_get(GrMap *m, const GrKey *k, G *g, GrMsg *v);
/* GR_MSG_EMPTY deletes. *v becomes what was there before; the caller drops it. */
int gr_map_set(GrMap *m, const GrKey *k, G *g, GrMsg *v);
/* Unless there is a value, sets *v. Else *v is dropped, and becomes that value, a reference of the
 * caller's; *there is true then. */
int gr_map_get_or_set(GrMap *m, const GrKey *k, G *g, GrMsg *v, bool *there);

/* How many values there are. */
int64_t gr_map_len(GrMap *m);

/* A claim to one key. All zero: none. Lives where the caller wants, and stays there while it waits
 * or owns. The fields are map.c's. */
typedef struct GrClaim {
  GrMap *map; /* a reference, or NULL: it claims nothing */
  struct GrMapShard *shard;
  struct GrMapEntry *entry;
  G *g;
  bool owns;
  GrMsg value; /* of the owner: what there is under the key */
  GrList
      waiters; /* of the owner: GSudogs of those who want the key, whose objects are their claims */
} GrClaim;

/* The key for g alone: all others wait, first come, first served. GR_OK: c owns it. GR_PARK.
 * GR_CLOSED, GR_NOMEM, GR_NOTHREAD, GR_ABORTED: c claims nothing. */
int gr_map_acquire(G *g, GrMap *m, const GrKey *k, GrClaim *c, bool blocks);
/* GR_OK: c owns it; GR_ABORTED: c claims nothing. */
int gr_map_acquire_finish(G *g, GrClaim *c, GrCause *cause);
/* The value of the key that c owns: a reference of the caller's, or GR_MSG_EMPTY. */
GrMsg gr_map_owned(const GrClaim *c);
/* The key is everybody's again, with the value *v, which it takes, unless v is NULL: as it was. c
 * claims nothing; when it does so already, nothing happens, and v must be NULL. */
void gr_map_release(GrClaim *c, GrMsg *v);

/* What was in the map, each entry as it was at some moment during gr_map_snap, and each one that
 * was there all the time. */
typedef struct GrSnapItem {
  uint8_t kind, view; /* of the key */
  size_t at;          /* a string's place in `bytes` */
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
  size_t next; /* those before are the caller's to drop, by gr_map_drop and gr_share_unref */
} GrSnap;

/* Fills an empty snapshot. GR_OK or GR_NOMEM: then it is to be dropped too. */
int gr_map_snap(GrMap *m, GrSnap *snap);
void gr_snap_drop(GrSnap *snap);

#endif

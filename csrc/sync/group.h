/* SPDX-License-Identifier: MIT */
/* group.h - goroutines that belong together: how many may run, who waits for all of them, the first
 * error.
 *
 * A GrGroup is part of another object, which is a GrShare and outlives every use of it: each
 * member, each place, each waiter holds a reference to that. `g` is always the caller's own. No
 * function here waits; gr_group_take and gr_group_wait may return GR_PARK. */
#ifndef GR_GROUP_H
#define GR_GROUP_H

#include "base/msg.h"
#include "base/untold.h"
#include "sync/context.h"
#include "sync/queue.h"

typedef struct GrGroup {
  GrShare *owner; /* what it is part of */
  const GrWaitType *waits_as;
  GrLock lock;
  int64_t limit;   /* 0: none */
  int64_t running; /* members, and places that have been taken for them */
  GrList goers;    /* who wants a place: places in notes of their sudogs */
  GrList waiters;  /* who waits for all to end */
  bool failed, told;
  GrMsg error;      /* of the first that failed, as joins are told; set once, then read only */
  GrUntold *untold; /* its text, until somebody is told; or NULL */
  GrContext *ctx;   /* a reference, or NULL */
} GrGroup;

/* For its members, or for a place in it. */
extern const GrWaitType gr_group_waits;
/* Takes the reference ctx, or NULL. `waits_as` is what dumps say of who waits for all to end. */
void gr_group_init(GrGroup *gr, GrShare *owner, const GrWaitType *waits_as, int64_t limit,
                   GrContext *ctx);
/* An error that nobody has been told of goes to stderr. */
void gr_group_fini(GrGroup *gr);

/* One more member, which needs no place. */
void gr_group_begin(GrGroup *gr);
/* A member has failed, by *error, which is taken. True when it is the first: then the caller
 * cancels what is to be cancelled. */
bool gr_group_fail(GrGroup *gr, GrMsg *error);
/* After it, by that caller: its text. Takes it; NULL does nothing. */
void gr_group_note(GrGroup *gr, GrUntold *untold);
/* A member has ended, however; the last thing about it. */
void gr_group_end(GrGroup *gr);

/* A place for a member that is about to begin. All zero: none. Stays where it is while somebody
 * waits for it or has it. */
typedef struct GrPlace {
  GrGroup *group; /* with a reference to its owner, or NULL */
  bool taken;
} GrPlace;

/* Strictly first come, first served. GR_OK: p is taken; GR_PARK; GR_NOTHREAD, GR_ABORTED, GR_NOMEM:
 * p is none. */
int gr_group_take(G *g, GrGroup *gr, GrPlace *p, bool blocks);
/* GR_OK: p is taken. GR_ABORTED: p is none. */
int gr_group_take_finish(G *g, GrPlace *p, GrCause *cause);
/* A member has begun: the place is his. p is none. */
void gr_place_give(GrPlace *p);
/* Nobody has begun: the place goes to others. Nothing when p is none. */
void gr_place_release(GrPlace *p);

/* Waits until there is no member and no place is taken. GR_OK, GR_PARK; GR_NOTHREAD, GR_ABORTED. */
int gr_group_wait(G *g, GrGroup *gr, bool blocks);
int gr_group_wait_finish(G *g, GrGroup *gr, GrCause *cause);

/* The first error, borrowed from the group; NULL: nobody has failed. */
const GrMsg *gr_group_error(GrGroup *gr);
/* Somebody is told of it: false when another has been before. */
bool gr_group_tell(GrGroup *gr);

#endif

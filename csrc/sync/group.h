/* SPDX-License-Identifier: MIT */
/* group.h - goroutines that belong together: a limit for how many run at once, the wait for all
 * of them to end, their first error.
 *
 * A GrGroup is part of another object, its owner. The owner is a GrShare. Each member, each
 * place and each waiter holds a reference to the owner, so it outlives every use of the group.
 * `g` is always the caller's own. No function here waits; gr_group_take and gr_group_wait may
 * return GR_PARK. */
#ifndef GR_GROUP_H
#define GR_GROUP_H

#include "base/msg.h"
#include "base/untold.h"
#include "sync/context.h"
#include "sync/queue.h"

typedef struct GrGroup {
  GrShare *owner; /* the object that the group is part of */
  const GrWaitType *waits_as;
  GrLock lock;
  int64_t limit;   /* how many members may run at once; 0: any number */
  int64_t running; /* members, and places that are taken for members to come */
  GrList goers;    /* the goroutines that wait for a place; the note of each sudog is its GrPlace */
  GrList waiters;  /* the goroutines that wait until all members have ended */
  bool failed, told;
  GrMsg error; /* the error of the first member that failed, as joins report it; set once, then only
                  read */
  GrUntold *untold; /* the text of the error, until somebody is told of it; or NULL */
  GrContext *ctx;   /* a reference, or NULL */
} GrGroup;

/* The wait for a place. It is also the wait for all members, unless the group gives that another
 * type. */
extern const GrWaitType gr_group_waits;
/* Takes the reference ctx; ctx may be NULL. `waits_as` is the type of the wait for all members:
 * dumps show its name. */
void gr_group_init(GrGroup *gr, GrShare *owner, const GrWaitType *waits_as, int64_t limit,
                   GrContext *ctx);
/* If nobody has been told of the error, its text goes to stderr. */
void gr_group_fini(GrGroup *gr);

/* A member begins that needs no place. */
void gr_group_begin(GrGroup *gr);
/* A member has failed with *error; takes *error. True: it is the first member that failed. Then
 * the caller cancels what a first error has to cancel. */
bool gr_group_fail(GrGroup *gr, GrMsg *error);
/* After gr_group_fail has returned true, the same caller hands over the text of the error. Takes
 * `untold`; NULL does nothing. */
void gr_group_note(GrGroup *gr, GrUntold *untold);
/* A member has ended, whether it failed or not. This is the last call for that member. */
void gr_group_end(GrGroup *gr);

/* A place for a member that is about to begin. All fields zero: no place. The struct must not
 * move while its goroutine waits for the place or has it. */
typedef struct GrPlace {
  GrGroup *group; /* the place holds a reference to the owner of this group; or NULL */
  bool taken;
} GrPlace;

/* Asks for a place. Places are given strictly in the order of the calls. GR_OK: p is taken.
 * GR_PARK: the caller parks, then calls gr_group_take_finish. GR_NOTHREAD, GR_ABORTED, GR_NOMEM:
 * p is no place. */
int gr_group_take(G *g, GrGroup *gr, GrPlace *p, bool blocks);
/* After the park. GR_OK: p is taken. GR_ABORTED: p is no place; *cause says why. */
int gr_group_take_finish(G *g, GrPlace *p, GrCause *cause);
/* A member has begun: the place is that member's from now on, and p is no place. */
void gr_place_give(GrPlace *p);
/* No member has begun: a waiting goroutine gets the place, or the place is free again. Does
 * nothing when p is no place. */
void gr_place_release(GrPlace *p);

/* Waits until no member runs and no place is taken. GR_OK: so it is. GR_PARK: the caller parks,
 * then calls gr_group_wait_finish. GR_NOTHREAD, GR_ABORTED. */
int gr_group_wait(G *g, GrGroup *gr, bool blocks);
int gr_group_wait_finish(G *g, GrGroup *gr, GrCause *cause);

/* The first error, borrowed from the group. NULL: no member has failed. */
const GrMsg *gr_group_error(GrGroup *gr);
/* The caller is told of the error. False: another caller was told before. */
bool gr_group_tell(GrGroup *gr);

#endif

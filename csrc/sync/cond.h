/* SPDX-License-Identifier: MIT */
/* cond.h - condition variables: goroutines wait until another goroutine tells them that
 * something has changed. The mutex is the caller's business: the caller unlocks it after
 * gr_cond_wait and before it parks. */
#ifndef GR_COND_H
#define GR_COND_H

#include "base/share.h"
#include "sched/sched.h"

typedef struct GrCond GrCond;

/* `type` names its class (its destroy must be gr_cond_destroy). Shares `mutex`: only the caller
 * knows what kind of object that is. NULL without memory. */
GrCond *gr_cond_new(GrShare *mutex, const GrShareType *type);
void gr_cond_destroy(GrShare *s);
GrShare *gr_cond_share(GrCond *c);
GrCond *gr_cond_of(GrShare *s);
/* The mutex that gr_cond_new was given. Borrowed. */
GrShare *gr_cond_mutex(GrCond *c);

/* GR_PARK: signals reach g from now on; the caller parks, then calls gr_cond_finish. GR_TIMEOUT,
 * GR_NOMEM, GR_NOTHREAD, GR_ABORTED. `g` is the caller's own. */
int gr_cond_wait(G *g, GrCond *c, int64_t until, bool blocks);
/* After the park. GR_OK: a signal or a broadcast has reached g; GR_TIMEOUT; GR_ABORTED: *cause
 * says why. */
int gr_cond_finish(G *g, GrCond *c, GrCause *cause);
/* After a GR_PARK of gr_cond_wait, instead of parking: g leaves the queue. */
void gr_cond_unwait(G *g, GrCond *c);

/* Wakes the longest waiting goroutine. Wakes all waiting goroutines. */
void gr_cond_signal(GrCond *c);
void gr_cond_broadcast(GrCond *c);
/* How many calls of gr_cond_signal and gr_cond_broadcast there have been. */
uint64_t gr_cond_told(GrCond *c);

#endif

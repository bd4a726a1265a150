/* SPDX-License-Identifier: MIT */
/* cond.h - goroutines that wait until they are told that something has changed. The mutex is the
 * caller's business: he unlocks it between gr_cond_wait and parking. */
#ifndef GR_COND_H
#define GR_COND_H

#include "base/share.h"
#include "sched/sched.h"

typedef struct GrCond GrCond;

/* `type` names its class (its destroy must be gr_cond_destroy). Shares `mutex`, which is the
 * caller's to interpret. NULL without memory. */
GrCond *gr_cond_new(GrShare *mutex, const GrShareType *type);
void gr_cond_destroy(GrShare *s);
GrShare *gr_cond_share(GrCond *c);
GrCond *gr_cond_of(GrShare *s);
/* Borrowed. */
GrShare *gr_cond_mutex(GrCond *c);

/* GR_PARK: signals reach g from now on; then _finish. GR_TIMEOUT, GR_NOMEM, GR_NOTHREAD,
 * GR_ABORTED. `g` is the caller's own. */
int gr_cond_wait(G *g, GrCond *c, int64_t until, bool blocks);
/* GR_OK: it was told; GR_TIMEOUT; GR_ABORTED: *cause says why. */
int gr_cond_finish(G *g, GrCond *c, GrCause *cause);
/* Takes GR_PARK back: g does not park after all. */
void gr_cond_unwait(G *g, GrCond *c);

/* Tells the longest waiting, or all. */
void gr_cond_signal(GrCond *c);
void gr_cond_broadcast(GrCond *c);
/* How often that has been done. */
uint64_t gr_cond_told(GrCond *c);

#endif

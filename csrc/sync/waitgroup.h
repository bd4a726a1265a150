/* SPDX-License-Identifier: MIT */
/* waitgroup.h - a count that one can wait for to be zero. */
#ifndef GR_WAITGROUP_H
#define GR_WAITGROUP_H

#include "base/share.h"
#include "sched/sched.h"

typedef struct GrWaitgroup GrWaitgroup;

#define GR_WAITGROUP_MAX ((int64_t)1 << 60)

/* `type` names its class (its destroy must be gr_waitgroup_destroy). 0 <= count <=
 * GR_WAITGROUP_MAX. NULL without memory. */
GrWaitgroup *gr_waitgroup_new(int64_t count, const GrShareType *type);
void gr_waitgroup_destroy(GrShare *s);
GrShare *gr_waitgroup_share(GrWaitgroup *wg);
GrWaitgroup *gr_waitgroup_of(GrShare *s);

/* One atomic operation, unless it reaches zero while somebody waits: then all who do are woken.
 * Below zero, or above the maximum, nothing happens, and it is GR_CLOSED or GR_NOMEM. */
int gr_waitgroup_add(GrWaitgroup *wg, int64_t n);
/* One more, whom gr_waitgroup_add(wg, -1) will follow: cannot fail. */
void gr_waitgroup_enter(GrWaitgroup *wg);
/* GR_OK: it is zero; GR_PARK: then _finish; GR_TIMEOUT, GR_NOMEM, GR_NOTHREAD, GR_ABORTED. `g` is
 * the caller's own. */
int gr_waitgroup_wait(G *g, GrWaitgroup *wg, int64_t until, bool blocks);
/* GR_OK: it was zero; GR_TIMEOUT; GR_ABORTED: *cause says why. */
int gr_waitgroup_finish(G *g, GrWaitgroup *wg, GrCause *cause);

#endif

/* SPDX-License-Identifier: MIT */
/* waitgroup.h - a count, and goroutines that wait until it is zero. */
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

/* Adds n, which may be negative. GR_OK. GR_CLOSED: the count would fall below zero; GR_NOMEM: it
 * would exceed the maximum; both times nothing has happened. One atomic operation, unless the
 * count reaches zero while somebody waits: then all waiters are woken. */
int gr_waitgroup_add(GrWaitgroup *wg, int64_t n);
/* Adds one. The caller promises that gr_waitgroup_add(wg, -1) will follow. Cannot fail. */
void gr_waitgroup_enter(GrWaitgroup *wg);
/* GR_OK: the count is zero. GR_PARK: the caller parks, then calls gr_waitgroup_finish.
 * GR_TIMEOUT, GR_NOMEM, GR_NOTHREAD, GR_ABORTED. `g` is the caller's own. */
int gr_waitgroup_wait(G *g, GrWaitgroup *wg, int64_t until, bool blocks);
/* After the park. GR_OK: the count was zero; GR_TIMEOUT; GR_ABORTED: *cause says why. */
int gr_waitgroup_finish(G *g, GrWaitgroup *wg, GrCause *cause);

#endif

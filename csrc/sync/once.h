/* SPDX-License-Identifier: MIT */
/* once.h - a task that is done once, by the first goroutine that comes. The others wait for its
 * result. */
#ifndef GR_ONCE_H
#define GR_ONCE_H

#include "base/msg.h"
#include "base/share.h"
#include "sched/sched.h"

typedef struct GrOnce GrOnce;

/* `type` names its class (its destroy must be gr_once_destroy). Takes *task, which says what is
 * to be done. NULL: no memory, and *task stays the caller's. */
GrOnce *gr_once_new(GrMsg *task, const GrShareType *type);
void gr_once_destroy(GrShare *s);
GrShare *gr_once_share(GrOnce *o);
GrOnce *gr_once_of(GrShare *s);

/* Is the task done at this moment? Then gr_once_result returns its result. */
bool gr_once_is_done(GrOnce *o);
/* GR_OK: the task is done, and gr_once_result returns its result. GR_CLOSED: the caller is the
 * first; it takes *task, does it, and calls gr_once_done. GR_PARK: the caller parks, then calls
 * gr_once_finish. GR_NOMEM, GR_NOTHREAD, GR_ABORTED. `g` is the caller's own. */
int gr_once_enter(G *g, GrOnce *o, bool blocks, GrMsg *task);
/* After the park. GR_OK: the task is done; GR_ABORTED: *cause says why. */
int gr_once_finish(G *g, GrOnce *o, GrCause *cause);
/* The task is done. Takes *result. Wakes all waiters. */
void gr_once_done(GrOnce *o, GrMsg *result, bool failed);
/* The result, borrowed. It never changes. Call this only when the task is done. */
const GrMsg *gr_once_result(GrOnce *o, bool *failed);

#endif

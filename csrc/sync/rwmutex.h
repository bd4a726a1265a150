/* SPDX-License-Identifier: MIT */
/* rwmutex.h - a lock that one writer holds, or any number of readers. */
#ifndef GR_RWMUTEX_H
#define GR_RWMUTEX_H

#include "base/share.h"
#include "sched/sched.h"

typedef struct GrRwmutex GrRwmutex;

/* `type` names its class (its destroy must be gr_rwmutex_destroy). NULL without memory. */
GrRwmutex *gr_rwmutex_new(const GrShareType *type);
void gr_rwmutex_destroy(GrShare *s);
GrShare *gr_rwmutex_share(GrRwmutex *rw);
GrRwmutex *gr_rwmutex_of(GrShare *s);

/* Lock rw for a writer, for a reader, if no wait is needed. True: the caller holds rw now. One
 * atomic operation. */
bool gr_rwmutex_try_lock(GrRwmutex *rw);
bool gr_rwmutex_try_rlock(GrRwmutex *rw);
/* For a writer, for a reader. GR_OK: the caller holds rw. GR_PARK: the caller parks, then calls
 * gr_rwmutex_finish. GR_TIMEOUT, GR_NOMEM, GR_NOTHREAD, GR_ABORTED. `g` is the caller's own. */
int gr_rwmutex_lock(G *g, GrRwmutex *rw, int64_t until, bool blocks);
int gr_rwmutex_rlock(G *g, GrRwmutex *rw, int64_t until, bool blocks);
/* After the park, for a writer and for a reader. GR_OK, GR_TIMEOUT; GR_ABORTED: *cause says why. */
int gr_rwmutex_finish(G *g, GrRwmutex *rw, GrCause *cause);
/* False: no writer (no reader) held rw, and nothing has happened. */
bool gr_rwmutex_unlock(GrRwmutex *rw);
bool gr_rwmutex_runlock(GrRwmutex *rw);
/* Does a writer hold rw at this moment? */
bool gr_rwmutex_is_locked(GrRwmutex *rw);

#endif

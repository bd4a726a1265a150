/* SPDX-License-Identifier: MIT */
/* mutex.h - a lock that goroutines hold, by anyone released. */
#ifndef GR_MUTEX_H
#define GR_MUTEX_H

#include "base/share.h"
#include "sched/sched.h"

typedef struct GrMutex GrMutex;

/* `type` names its class (its destroy must be gr_mutex_destroy). NULL without memory. */
GrMutex *gr_mutex_new(const GrShareType *type);
void gr_mutex_destroy(GrShare *s);
GrShare *gr_mutex_share(GrMutex *m);
GrMutex *gr_mutex_of(GrShare *s);

/* True: it is the caller's now. One atomic operation. */
bool gr_mutex_try_lock(GrMutex *m);
/* GR_OK; GR_PARK: then _finish; GR_TIMEOUT, GR_NOMEM, GR_NOTHREAD, GR_ABORTED. `g` is the caller's
 * own. */
int gr_mutex_lock(G *g, GrMutex *m, int64_t until, bool blocks);
/* The same, and GR_PARK when somebody else was faster: park again, by the same limit and in the
 * same way. GR_ABORTED: *cause says why. */
int gr_mutex_lock_finish(G *g, GrMutex *m, int64_t until, bool blocks, GrCause *cause);
/* False: it was not locked, and nothing has happened. */
bool gr_mutex_unlock(GrMutex *m);
/* At this moment. */
bool gr_mutex_is_locked(GrMutex *m);

#endif

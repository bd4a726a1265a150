/* SPDX-License-Identifier: MIT */
/* mutex.h - a lock for goroutines. Any goroutine may release it, not only the one that locked
 * it. */
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

/* Locks m if it is free. True: the caller holds m now. One atomic operation. */
bool gr_mutex_try_lock(GrMutex *m);
/* GR_OK: the caller holds m. GR_PARK: the caller parks, then calls gr_mutex_lock_finish.
 * GR_TIMEOUT, GR_NOMEM, GR_NOTHREAD, GR_ABORTED. `g` is the caller's own. */
int gr_mutex_lock(G *g, GrMutex *m, int64_t until, bool blocks);
/* After the park. The same results; GR_PARK means here that another goroutine was faster: the
 * caller parks again, with the same `until` and `blocks`, and calls this again. GR_ABORTED:
 * *cause says why. */
int gr_mutex_lock_finish(G *g, GrMutex *m, int64_t until, bool blocks, GrCause *cause);
/* False: m was not locked, and nothing has happened. */
bool gr_mutex_unlock(GrMutex *m);
/* Does somebody hold m at this moment? */
bool gr_mutex_is_locked(GrMutex *m);

#endif

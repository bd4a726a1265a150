/* SPDX-License-Identifier: MIT */
/* sema.h - a weighted semaphore, first come, first served. */
#ifndef GR_SEMA_H
#define GR_SEMA_H

#include "base/share.h"
#include "sched/sched.h"

typedef struct GrSema GrSema;

#define GR_SEMA_MAX ((int64_t)1 << 60)

/* `type` names its class (its destroy must be gr_sema_destroy). 0 <= size <= GR_SEMA_MAX. NULL
 * without memory. */
GrSema *gr_sema_new(int64_t size, const GrShareType *type);
void gr_sema_destroy(GrShare *s);
GrShare *gr_sema_share(GrSema *s);
GrSema *gr_sema_of(GrShare *s);
int64_t gr_sema_size(GrSema *s);

/* In all functions below, 0 <= k <= the size. True: the caller has taken k of the semaphore. One
 * atomic operation. */
bool gr_sema_try_acquire(GrSema *s, int64_t k);
/* GR_OK: the caller has taken k. GR_PARK: the caller parks, then calls gr_sema_finish.
 * GR_TIMEOUT, GR_NOMEM, GR_NOTHREAD, GR_ABORTED. `g` is the caller's own. */
int gr_sema_acquire(G *g, GrSema *s, int64_t k, int64_t until, bool blocks);
/* GR_OK, GR_TIMEOUT; GR_ABORTED: *cause says why. */
int gr_sema_finish(G *g, GrSema *s, GrCause *cause);
/* Gives k back. False: less than k is taken, and nothing has happened. */
bool gr_sema_release(GrSema *s, int64_t k);

#endif

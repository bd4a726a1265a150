/* SPDX-License-Identifier: MIT */
/* once.h - something that is done once, by whoever comes first; the others wait for what came of
 * it. */
#ifndef GR_ONCE_H
#define GR_ONCE_H

#include "base/msg.h"
#include "base/share.h"
#include "sched/sched.h"

typedef struct GrOnce GrOnce;

/* `type` names its class (its destroy must be gr_once_destroy). Takes *task, what is to be done.
 * NULL without memory: *task stays the caller's. */
GrOnce *gr_once_new(GrMsg *task, const GrShareType *type);
void gr_once_destroy(GrShare *s);
GrShare *gr_once_share(GrOnce *o);
GrOnce *gr_once_of(GrShare *s);

/* At this moment. When it is, gr_once_result tells. */
bool gr_once_is_done(GrOnce *o);
/* GR_OK: it is done, gr_once_result tells. GR_CLOSED: the caller is the first; *task is his, and he
 * will call gr_once_done. GR_PARK: then _finish. GR_NOMEM, GR_NOTHREAD, GR_ABORTED. `g` is the
 * caller's own. */
int gr_once_enter(G *g, GrOnce *o, bool blocks, GrMsg *task);
/* GR_OK: it is done; GR_ABORTED: *cause says why. */
int gr_once_finish(G *g, GrOnce *o, GrCause *cause);
/* Takes *result. */
void gr_once_done(GrOnce *o, GrMsg *result, bool failed);
/* Borrowed, for ever the same. */
const GrMsg *gr_once_result(GrOnce *o, bool *failed);

#endif

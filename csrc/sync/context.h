/* SPDX-License-Identifier: MIT */
/* context.h - contexts, after Go's package context: a tree of things that may be cancelled, have
 * deadlines and carry values.
 *
 * A GrContext is a GrShare. It holds a reference to its parent; a parent knows its children only
 * weakly, so one that nobody can see any more is gone from the tree at once, with its timer. Who
 * awaits a context sees it: its done channel holds a reference to it.
 *
 * No function here waits, but gr_context_cancel for another call of itself that is at work below.
 * All may be called by any thread, without locks. */
#ifndef GR_CONTEXT_H
#define GR_CONTEXT_H

#include "sync/chan.h"

typedef struct GrContext GrContext;

typedef enum GrContextErr { GR_CTX_LIVE, GR_CTX_CANCELED, GR_CTX_DEADLINE } GrContextErr;

/* How contexts and their done channels are known above. Once a process, before anything else here.
 */
void gr_context_init(const GrShareType *context, const GrShareType *chan);
void gr_context_destroy(GrShare *s); /* what context->destroy must be */

GrShare *gr_context_share(GrContext *c);
GrContext *gr_context_of(GrShare *s);

/* The root: never cancelled. Borrowed, for ever. */
GrContext *gr_context_background(void);
/* A child that can be cancelled. It is born cancelled when its parent is, or when `until` is past;
 * else it is cancelled at `until` at the latest (GR_FOREVER: no limit of its own), which is `wall`
 * in seconds since 1970. GR_OK, *out is the caller's reference; GR_NOMEM, GR_NOTHREAD, GR_ABORTED.
 */
int gr_context_new(GrContext *parent, int64_t until, double wall, GrContext **out);
/* A child that knows `value` by this key: `kind` and `len` bytes, copied. Takes *value. NULL
 * without memory: then it takes nothing. */
GrContext *gr_context_with_value(GrContext *parent, char kind, const void *key, size_t len,
                                 GrMsg *value);

/* Was it made by gr_context_new? Only such a one may be cancelled. */
bool gr_context_can_cancel(const GrContext *c);
/* Cancels c and everything below it; all of that has been reached when it returns. Takes *cause
 * (kind 0: none). Does nothing but take *cause, and wait until all has been reached, when c is
 * cancelled already. */
void gr_context_cancel(GrContext *c, GrMsg *cause);

GrContextErr gr_context_err(const GrContext *c);
/* "canceled", "deadline exceeded"; NULL for GR_CTX_LIVE. */
const char *gr_context_err_text(GrContextErr err);
/* The cause of its end that was given to gr_context_cancel; NULL: it has not ended, or there was
 * none. Borrowed as long as c. */
const GrMsg *gr_context_cause(const GrContext *c);
/* The earliest limit of it and those above it. False: there is none. */
bool gr_context_deadline(const GrContext *c, double *wall);
/* The value that it, or the nearest above it, knows by the key. NULL: none. Borrowed as long as c.
 */
const GrMsg *gr_context_value(const GrContext *c, char kind, const void *key, size_t len);
/* The channel that is closed when it ends; the same one as long as anybody has it. *out is the
 * caller's reference. GR_OK or GR_NOMEM. Only a receiver's view of it may be given to programs. */
int gr_context_done(GrContext *c, GrChan **out);

#endif

/* SPDX-License-Identifier: MIT */
/* context.h - contexts, after Go's package context: a tree of objects that may be cancelled,
 * have deadlines and carry values.
 *
 * A GrContext is a GrShare. A child holds a reference to its parent. A parent has only a pointer
 * to each child, without a reference. So a context to which nobody has a reference any more
 * leaves the tree at once, and its timer goes too. A goroutine that waits for a context keeps it
 * alive: the context's done channel holds a reference to the context.
 *
 * Only gr_context_cancel may wait: for another call of itself that is cancelling the same
 * context or one below it. Any thread may call the functions here. The caller holds no lock. */
#ifndef GR_CONTEXT_H
#define GR_CONTEXT_H

#include "sync/chan.h"

typedef struct GrContext GrContext;

typedef enum GrContextErr { GR_CTX_LIVE, GR_CTX_CANCELED, GR_CTX_DEADLINE } GrContextErr;

/* The types by which programs know contexts and their done channels. To be called once in a
 * process, before any other function here. */
void gr_context_init(const GrShareType *context, const GrShareType *chan);
void gr_context_destroy(GrShare *s); /* context->destroy must be this function */

GrShare *gr_context_share(GrContext *c);
GrContext *gr_context_of(GrShare *s);

/* The root of the tree. It is never cancelled. Borrowed, for ever. */
GrContext *gr_context_background(void);
/* A child that can be cancelled. When the parent is cancelled, or `until` is past, the child is
 * born cancelled. Otherwise it is cancelled at `until` at the latest (GR_FOREVER: it has no
 * limit of its own). `wall` is the same time as `until`, in seconds since 1970. GR_OK: *out is
 * the caller's reference. GR_NOMEM, GR_NOTHREAD, GR_ABORTED. */
int gr_context_new(GrContext *parent, int64_t until, double wall, GrContext **out);
/* A child that carries `value` under a key. The key is `kind` and `len` bytes at `key`, which
 * are copied. Takes *value. NULL: no memory, and *value stays the caller's. */
GrContext *gr_context_with_value(GrContext *parent, char kind, const void *key, size_t len,
                                 GrMsg *value);

/* Was c made by gr_context_new? Only such a context may be cancelled. */
bool gr_context_can_cancel(const GrContext *c);
/* Cancels c and every context below it; when the call returns, all of them have ended. Takes
 * *cause (kind 0: there is none). When c is cancelled already, the call only drops *cause and
 * waits until every context below c has ended. */
void gr_context_cancel(GrContext *c, GrMsg *cause);

GrContextErr gr_context_err(const GrContext *c);
/* The text of the error: "canceled", "deadline exceeded"; NULL for GR_CTX_LIVE. */
const char *gr_context_err_text(GrContextErr err);
/* The cause that gr_context_cancel was given when c ended. NULL: c has not ended, or there was
 * no cause. Borrowed as long as c. */
const GrMsg *gr_context_cause(const GrContext *c);
/* *wall becomes the earliest of the limits of c and of the contexts above c. False: there is no
 * limit. */
bool gr_context_deadline(const GrContext *c, double *wall);
/* The value under the key in c, or in the nearest context above c that has one. NULL: there is
 * none. Borrowed as long as c. */
const GrMsg *gr_context_value(const GrContext *c, char kind, const void *key, size_t len);
/* The channel that is closed when c ends. As long as anybody has a reference to that channel,
 * each call returns the same one. *out is the caller's reference. GR_OK or GR_NOMEM. Programs
 * may only get a receiver's view of the channel. */
int gr_context_done(GrContext *c, GrChan **out);

#endif

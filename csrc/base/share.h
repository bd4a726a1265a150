/* SPDX-License-Identifier: MIT */
/* share.h - objects that several Lua states and threads hold at once, by a reference count.
 *
 * A GrShare is the first member of such an object. Each pointer to it that is kept is one
 * reference. When the last reference goes, type->destroy frees the object. It may drop other
 * references: a channel drops its messages, and these hold channels. So destruction is flat: an
 * unref inside a `destroy` only queues the object, and the outermost unref destroys the queued
 * ones. So a chain of a million channels, each in the buffer of the one before, needs no stack.
 * `destroy` runs on any thread, under no lock of goro's, and must not raise Lua errors. */
#ifndef GR_SHARE_H
#define GR_SHARE_H

#include "base/base.h"

typedef struct GrShare GrShare;

typedef struct GrShareType {
  const char *name;            /* what users see: "goro.chan" */
  void (*destroy)(GrShare *s); /* frees; s->refs is 0 */
  bool foreign; /* it belongs to a C module, whose functions may look for anything in a state */
} GrShareType;

struct GrShare {
  atomic_int_fast64_t refs;
  const GrShareType *type;
  GrShare *dead_link; /* next of the objects that the thread is to destroy */
};

/* s has one reference afterwards, the caller's. */
void gr_share_init(GrShare *s, const GrShareType *type);
void gr_share_ref(GrShare *s);
/* Drops the caller's reference. NULL does nothing. */
void gr_share_unref(GrShare *s);
/* Makes a reference of a pointer that is not counted. False: the object is being destroyed. */
bool gr_share_tryref(GrShare *s);

#endif

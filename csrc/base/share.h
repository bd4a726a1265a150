/* SPDX-License-Identifier: MIT */
/* share.h - objects that several Lua states and threads hold at once, by a reference count.
 *
 * A GrShare is the first member of such an object. Whoever keeps a pointer owns one reference. When
 * the last one goes, type->destroy frees the object; it may drop further references (a channel
 * drops its messages, which hold channels), so destruction is flat: an unref inside a destroy only
 * queues, and the outermost one works the queue off. Thus a chain of a million channels, each in
 * the buffer of the one before, needs no stack. `destroy` runs on any thread, never inside a lock
 * of goro, and must not raise Lua errors. */
#ifndef GR_SHARE_H
#define GR_SHARE_H

#include "base/base.h"

typedef struct GrShare GrShare;

typedef struct GrShareType {
  const char *name;            /* what users see: "goro.chan" */
  void (*destroy)(GrShare *s); /* frees; s->refs is 0 */
  bool foreign; /* it is of a C module, whose functions may look for anything in a state */
} GrShareType;

struct GrShare {
  atomic_int_fast64_t refs;
  const GrShareType *type;
  GrShare *dead_link; /* in the queue of the dying */
};

/* One reference, the caller's. */
void gr_share_init(GrShare *s, const GrShareType *type);
void gr_share_ref(GrShare *s);
/* Takes the caller's reference. NULL does nothing. */
void gr_share_unref(GrShare *s);
/* A reference from a pointer that is not counted, when the object is not dying already. */
bool gr_share_tryref(GrShare *s);

#endif

/* SPDX-License-Identifier: MIT */
/* share.c - reference counts with flat destruction. */
#include "base/share.h"

static GR_TLS GrShare *dying;  /* the objects that this thread is to destroy */
static GR_TLS bool destroying; /* the outermost unref is at work */

void gr_share_init(GrShare *s, const GrShareType *type) {
  atomic_init(&s->refs, 1);
  s->type = type;
  s->dead_link = NULL;
}

void gr_share_ref(GrShare *s) { atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed); }

bool gr_share_tryref(GrShare *s) {
  int_fast64_t n = atomic_load_explicit(&s->refs, memory_order_relaxed);
  while (n > 0)
    if (atomic_compare_exchange_weak_explicit(&s->refs, &n, n + 1, memory_order_acquire,
                                              memory_order_relaxed))
      return true;
  return false;
}

void gr_share_unref(GrShare *s) {
  if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
  s->dead_link = dying;
  dying = s;
  if (destroying) return;
  destroying = true;
  while ((s = dying) != NULL) {
    dying = s->dead_link;
    s->type->destroy(s);
  }
  destroying = false;
}

/* SPDX-License-Identifier: MIT */
/* join.c - the end of a goroutine is told; see join.h. */
#include "run/join.h"

void gr_join_end(GrJoin *join, G *g, GrEnd how, GrMsg *m, const GrFailure *failure) {
  GrShare *object = join->object;
  if (object == NULL) {
    gr_msg_drop(m);
    return;
  }
  join->object = NULL;
  join->ops->end(object, g, how, m, failure);
  gr_share_unref(object);
}

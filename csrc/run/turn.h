/* SPDX-License-Identifier: MIT */
/* turn.h - one goroutine or host at a time, for what was written for one thread: others' code that
 * goro calls, and that may wait, raise or never come back.
 *
 * It is no lock: whoever cannot have the turn for long goes on without it. */
#ifndef GR_TURN_H
#define GR_TURN_H

#include "run/state.h"

typedef struct GrTurn {
  GrLock lock;
  const GrState *owner; /* NULL: nobody. Not looked into */
  G *g;                 /* the owner's: its memory stays one */
  int depth;
  GrList waiters;
} GrTurn;

#define GR_TURN_INIT(name) \
  { \
    .lock = GR_LOCK_INIT(GR_RANK_LEAF), .waiters = { &(name).waiters, &(name).waiters } \
  }

/* GR_OK: st has the turn; when it had it already, once more. GR_TIMEOUT: st is to go on without the
 * turn. GR_ABORTED: the same, since the pool ends. A goroutine that waits keeps its thread and
 * gives its place away. */
int gr_turn_take(GrTurn *t, const GrState *st);
void gr_turn_give(GrTurn *t);

#endif

/* SPDX-License-Identifier: MIT */
/* join.h - who is told when a goroutine ends, and what of it. */
#ifndef GR_JOIN_H
#define GR_JOIN_H

#include <lua.h>

#include "base/msg.h"
#include "base/share.h"
#include "sched/sched.h"

/* How a goroutine ended. */
typedef enum GrEnd {
  GR_END_RETURN,
  GR_END_ERROR,
  GR_END_EXIT,    /* goexit */
  GR_END_DROPPED, /* the pool ended first; nobody waits any more */
} GrEnd;

/* An error that has ended a goroutine, while its state is still there: panic.h. */
typedef struct GrFailure GrFailure;

/* Who is told when a goroutine ends, and what of it. Its Lua code has ended by then, but for
 * finalizers; it still counts as a goroutine. */
typedef struct GrJoinOps GrJoinOps;
struct GrJoinOps {
  bool results; /* a return tells (true, results…); else nothing is packed */
  bool errors;  /* an error tells (false, value, traceback), or nothing for want of memory; else it
                   is a panic, raised before `end` */
  /* NULL, or: before it runs, when nothing can fail any more. May neither wait nor raise. */
  void (*begin)(GrShare *object);
  /* Once for each that has begun, on the thread of g, which ends. Takes *m, which may be empty. May
   * ready others; may neither wait nor raise. `failure` is of an error, else NULL. */
  void (*end)(GrShare *object, G *g, GrEnd how, GrMsg *m, const GrFailure *failure);
  /* NULL, or: the goroutine does not end by an error, but goes on with this function, called with
   * the error, its traceback or nil, and `object` as a light userdata. Its end is told to `after`.
   */
  lua_CFunction handle;
  const GrJoinOps *after;
};

typedef struct GrJoin {
  GrShare *object; /* NULL: nobody is told */
  const GrJoinOps *ops;
} GrJoin;

/* The goroutine of g ends: its join is told, once. Takes *m. */
void gr_join_end(GrJoin *join, G *g, GrEnd how, GrMsg *m, const GrFailure *failure);

#endif

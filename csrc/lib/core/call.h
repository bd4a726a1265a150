/* SPDX-License-Identifier: MIT */
/* call.h - a call that waits: one driver for all bindings; see call.c. */
#ifndef GR_CALL_H
#define GR_CALL_H

#include "lib/core/lib.h"

typedef struct GrCall GrCall;

/* One step of a call, made by the driver for the call's functions. */
typedef struct GrStep {
  GrState *st;
  const GrCall *call;
  bool blocks;   /* a wait that begins now keeps its thread */
  bool fresh;    /* of begin: the first step of the call; an earlier one may have kept something */
  GrCause cause; /* set by finish: why the wait was aborted */
  int n;         /* set with GR_OK: how many results have been pushed */
} GrStep;

/* A kind of call that waits: a static const of the binding. All functions see the call's arguments
 * at the places of the stack where the binding has left them, its absolute time limit among them,
 * since a continuation has no C locals. begin and finish return one of these:
 *   GR_OK       the call is over, s->n results are pushed. They may be those of a Lua function that
 *               was called with lua_callk: its continuation returns them.
 *   GR_AGAIN    begin anew, with what finish has found or kept (a turn, a descriptor's readiness)
 *   GR_PARK     a wait is prepared and linked
 *   GR_ABORTED  the wait was ended from outside, by s->cause
 *   another     refused: `failed` tells
 * Between the core's GR_PARK and the return nothing may raise. */
struct GrCall {
  int (*begin)(lua_State *L, GrStep *s);  /* the core's first half */
  int (*finish)(lua_State *L, GrStep *s); /* the second half, after GR_PARK */
  /* Reports a refusal and returns the number of results, or raises. NULL: gr_raise_code. */
  int (*failed)(lua_State *L, int r);
  /* An error leaves the call: gives up what it holds or has begun. The value of slot `object` is at
   * `at`. NULL: there is nothing to give up. Must not raise. */
  void (*quit)(lua_State *L, GrState *st, int at, GrCause cause);
  int object;
  /* Not 0: the call may not be left before it has what it waits for. A panic that comes to a host
   * meanwhile, and with keeps_hook a hook's error, is kept in slot `keeps`, one above the call's
   * own, the first one only, and quit is told. Raising it at the end is the call's. */
  int keeps;
  bool keeps_hook;
  const void *with; /* the call's own */
};

/* For a finish after which begin looks again. */
static inline int gr_again(int r) { return r == GR_OK ? GR_AGAIN : r; }

/* Makes the call: `return gr_call(L, st, &call)`. */
int gr_call(lua_State *L, GrState *st, const GrCall *call);
/* The same, when the binding has called the core's first half itself, because most calls end
 * there. `r` is what the core said, and `blocks` what it was told. */
int gr_call_begun(lua_State *L, GrState *st, const GrCall *call, bool blocks, int r);

/* For a host that waits in the system instead, a little at a time: lets a hook run and a panic be
 * met. May raise. */
void gr_call_look_up(lua_State *L, GrState *st);

#endif

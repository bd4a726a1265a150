/* SPDX-License-Identifier: MIT */
/* call.h - a call that waits: one driver for all bindings; see call.c. */
#ifndef GR_CALL_H
#define GR_CALL_H

#include "lib/core/lib.h"

typedef struct GrCall GrCall;

/* One step of a call. The driver makes it for the functions of the call. */
typedef struct GrStep {
  GrState *st;
  const GrCall *call;
  bool blocks;   /* a wait that begins now keeps its thread */
  bool fresh;    /* for begin: the first step of the call; later steps may find kept things */
  GrCause cause; /* set by finish: why the wait was aborted */
  int n;         /* set with GR_OK: how many results have been pushed */
} GrStep;

/* A kind of call that waits: a static const of the binding. A continuation has no C locals, so all
 * functions read the arguments of the call from the stack, at the places where the binding has left
 * them. The absolute time limit is one of them. begin and finish return one of these:
 *   GR_OK       the call is over, and s->n results are pushed. They may be the results of a Lua
 *               function that was called with lua_callk; then its continuation returns them.
 *   GR_AGAIN    call begin anew; finish has kept what begin needs (a turn, the readiness of a
 *               descriptor)
 *   GR_PARK     a wait is prepared and linked
 *   GR_ABORTED  the wait was ended from outside, by s->cause
 *   another     the call was refused: `failed` reports it
 * Between the core's GR_PARK and the return from begin or finish, nothing may raise. */
struct GrCall {
  int (*begin)(lua_State *L, GrStep *s);  /* calls the core's first half */
  int (*finish)(lua_State *L, GrStep *s); /* calls the core's second half, after GR_PARK */
  /* Reports a refusal and returns the number of results, or raises. NULL: gr_raise_code. */
  int (*failed)(lua_State *L, int r);
  /* An error leaves the call: gives up what the call holds or has begun. The value of slot `object`
   * is at index `at`. NULL: there is nothing to give up. Must not raise. */
  void (*quit)(lua_State *L, GrState *st, int at, GrCause cause);
  int object;
  /* Not 0: the call must not end before it has what it waits for. When a panic comes to a host
   * meanwhile, the first one is kept in the stack slot `keeps`, which is one above the call's own
   * slots, and quit is called. With keeps_hook, the same goes for an error of a hook. The binding
   * raises the kept error at the end of the call. */
  int keeps;
  bool keeps_hook;
  const void *with; /* for the binding: the driver does not read it */
};

/* For a finish whose success means that begin must look again. */
static inline int gr_again(int r) { return r == GR_OK ? GR_AGAIN : r; }

/* Makes the call. Use it as `return gr_call(L, st, &call)`. */
int gr_call(lua_State *L, GrState *st, const GrCall *call);
/* The same, for a binding that has called the core's first half itself, because most calls end
 * there. `r` is what the core returned, and `blocks` is what the binding told the core. */
int gr_call_begun(lua_State *L, GrState *st, const GrCall *call, bool blocks, int r);

/* For a host that waits in a system call, a short time at once: runs a hook that is due, and raises
 * a panic that was posted. May raise. */
void gr_call_look_up(lua_State *L, GrState *st);

#endif

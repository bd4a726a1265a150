/* SPDX-License-Identifier: MIT */
/* go.h - starting goroutines: now, or later from a model. */
#ifndef GR_GO_H
#define GR_GO_H

#include "run/state.h"

/* Starts a goroutine of the n values at 1..n of L: a function and its arguments. `verb` names the
 * call for panics. `join` is told of its end (a reference of its object is taken), or NULL. Raises;
 * then nothing has happened. */
void gr_go(lua_State *L, GrState *st, int n, const char *verb, const GrJoin *join);

/* For goroutines that start later, on any thread and perhaps several times. A model of one, of the
 * n values at idx, idx + 1, …; it never runs. Raises. */
GrState *gr_go_model(lua_State *L, GrState *st, int idx, int n, const char *verb);
/* A goroutine as gr_go would have started it, which takes a message's copy and no Lua. NULL: *err
 * says why. */
GrState *gr_go_prepare(const GrState *model, int *err);
/* Takes it; `join` as in gr_go. Cannot fail. */
void gr_go_start(GrState *prepared, const GrJoin *join);
/* Frees a model, or a goroutine that was prepared and is not to be started. */
void gr_go_discard(GrState *st);

#endif

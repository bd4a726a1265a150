/* SPDX-License-Identifier: MIT */
/* inherit.h - what each new goroutine gets from its parent without being given it: arg,
 * package.path, cpath, preload and added searchers.
 *
 * It is packed when it has changed since the last goroutine was started, and shared by all
 * goroutines that are started in between. A state without the package library can neither see nor
 * change these settings, and hands on what it was given itself. They are put in place when that
 * library is opened. */
#ifndef GR_INHERIT_H
#define GR_INHERIT_H

#include "run/state.h"

typedef struct GrInherited GrInherited;

/* Makes st->inherited what a goroutine that is started now inherits. NULL there: nothing that a new
 * state has not anyway. Raises. */
void gr_inherit_prepare(lua_State *L, GrState *st);
GrInherited *gr_inherit_ref(GrInherited *inherited);
/* Puts what st was given in place; `arg` only unless the state had that name before (`before`). The
 * package library is open. `begins`: the goroutine has not run yet, and globals that come along are
 * set even where present. Raises. */
void gr_inherit_install(lua_State *L, GrState *st, GrNeed before, bool begins);
/* NULL does nothing. */
void gr_inherit_unref(GrInherited *inherited);

#endif

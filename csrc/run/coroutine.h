/* SPDX-License-Identifier: MIT */
/* coroutine.h - the coroutine library of goroutines. */
#ifndef GR_COROUTINE_H
#define GR_COROUTINE_H

#include "run/state.h"

/* Puts ours over the stock functions. */
void gr_coroutine_open(lua_State *L, GrHeap *h);
/* Tells names.c which stock functions they stand for. Once, at start. */
void gr_coroutine_names(void);

#endif

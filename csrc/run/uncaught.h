/* SPDX-License-Identifier: MIT */
/* uncaught.h - the goroutine's traceback of an error that ends the script. */
#ifndef GR_UNCAUGHT_H
#define GR_UNCAUGHT_H

#include "run/state.h"

/* The running function is about to raise, in a host's state, another goroutine's error: its value
 * is at idx, its traceback or nil at idx + 1. When nobody can catch it, and the stand-alone
 * interpreter will report it, its text goes to stderr as soon as the host closes. Does not raise.
 */
void gr_uncaught_note(lua_State *L, const GrState *st, int idx);

#endif

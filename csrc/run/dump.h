/* SPDX-License-Identifier: MIT */
/* dump.h - what every goroutine does at this moment, as text. */
#ifndef GR_DUMP_H
#define GR_DUMP_H

#include "run/state.h"

/* The dump: for each goroutine its state, what it waits for and since when, its traceback, the
 * memory that its state holds, where it was created. `L` and `self` are the caller's running thread
 * and state, or both NULL. Takes up to 50 ms when goroutines run, which are asked. *len bytes, to
 * be gr_freed; NULL without memory. Does not raise and takes no Lua memory. */
char *gr_dump(lua_State *L, GrState *self, size_t *len);
/* Called by hooks: tells who asked what this running goroutine does. One load when nobody did. */
void gr_dump_answer(lua_State *L, GrState *st);
/* SIGQUIT prints the dump on stderr, and the program goes on. Of the state of this thread too, when
 * it runs Lua then. */
void gr_dump_on_quit(GrState *st);

#endif

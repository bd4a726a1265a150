/* SPDX-License-Identifier: MIT */
/* dump.h - what every goroutine does at this moment, as text. */
#ifndef GR_DUMP_H
#define GR_DUMP_H

#include "run/state.h"

/* The dump: for each goroutine its state, what it waits for and since when, its traceback, the
 * memory that its state holds, where it was created. `L` and `self` are the caller's running thread
 * and state, or both NULL. Goroutines that run are asked, and waited for up to 50 ms. *len bytes,
 * to be gr_freed; NULL without memory. Does not raise and takes no Lua memory. */
char *gr_dump(lua_State *L, GrState *self, size_t *len);
/* Called by hooks: answers a dump that asks what this running goroutine does. When none asks it
 * costs one load. */
void gr_dump_answer(lua_State *L, GrState *st);
/* From now on SIGQUIT prints the dump on stderr, and the program goes on. `st` is the host of this
 * thread, whose traceback is in the dump too when it runs Lua then; NULL: it is gone. */
void gr_dump_on_quit(GrState *st);

#endif

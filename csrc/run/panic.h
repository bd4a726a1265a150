/* SPDX-License-Identifier: MIT */
/* panic.h - how the error of one goroutine reaches another state, and the errors that goro raises
 * itself. */
#ifndef GR_PANIC_H
#define GR_PANIC_H

#include "base/untold.h"
#include "run/state.h"

/* The traceback of a thread that has just failed (its stack is still there), as a gr_malloc'd text,
 * like luaL_traceback's; NULL when there is no memory for it. Takes none of Lua's, and calls
 * nothing in the thread, which is dead. */
char *gr_panic_traceback(lua_State *L);
/* The traceback of the error at idx is on top: the one from where it was thrown is put before it,
 * when that was in another goroutine. Raises. */
void gr_panic_whole_traceback(lua_State *L, int idx);
/* The goroutine ends by the error value on top of its (reset) state; without a state, by want of
 * memory. It goes to the join when that takes errors; else it is a panic: printed, and posted to
 * the root host. */
void gr_panic(GrState *st, const char *traceback);
/* Inside a join's `end`: the text that a panic of this error would print, with `note` as its last
 * line, for the case that nobody will be told of the error. NULL when there is nothing to be kept:
 * the pool ends, or it has been printed for want of memory. Does not raise. */
GrUntold *gr_panic_untold(const GrFailure *failure, const char *note);
/* Prints the error at idx, whose traceback or nil is at idx + 1, in the same way; `created` and
 * `note` may be NULL. May run Lua (__tostring). Does not raise. */
void gr_panic_say(lua_State *L, int idx, const char *created, const char *note);
/* The error at idx, whose traceback is at idx + 1, as a text that says where it was thrown. NULL:
 * no traceback, or no memory. May run Lua (__tostring). Does not raise; wants room on the stack. */
GrUntold *gr_panic_thrown(lua_State *L, int idx, const GrHost *host);
/* The error value on top, packed as (false, value, traceback or nil), as joins are told; it stays.
 * One that cannot be sent goes as its text; empty: no memory. Does not raise. */
void gr_panic_pack(lua_State *L, const char *traceback, GrMsg *out);
/* Raises the error in a received (false, value, traceback) message that has been pushed from idx
 * on. */
int gr_raise_remote(lua_State *L, int idx);
/* Raises the Lua error of a core call's result code: no memory, no thread. */
GR_NORETURN void gr_raise_code(lua_State *L, int code);
/* What a host owes its program: raises the panic that was posted to it first, if any. Called by
 * each goro call. In a finalizer nothing: panics wait for a call that is in none. */
void gr_check_inbox(lua_State *L, GrState *st);

/* A wait ended as GR_ABORTED: raises what the cause demands (panic, deadlock report, shutting
 * down), or returns when the call should simply be tried again (a hook ran). */
void gr_raise_cause(lua_State *L, GrState *st, GrCause cause);

/* Text of the traceback of the last error that goro raised in this state on another goroutine's
 * behalf: registry key. */
extern const char gr_traceback_key;

#endif

/* SPDX-License-Identifier: MIT */
/* trace.h - tracebacks as text in C's memory, without calling anything in the state. */
#ifndef GR_TRACE_H
#define GR_TRACE_H

#include <lua.h>

#include "base/base.h"

/* Text that grows. Without memory a piece is missing, or all. */
typedef struct GrTrace {
  char *at; /* gr_free; ends in a zero; NULL: nothing */
  size_t len, cap;
} GrTrace;

GR_PRINTF(2, 3) void gr_trace_add(GrTrace *t, const char *fmt, ...);

/* Where a function that a module owns gets its name from, as luaL_traceback does ("function
 * 'string.rep'"): from the state itself, whose stack is used for it. Not for other threads'
 * states. */
typedef enum GrTraceNames { GR_TRACE_BY_CALL, GR_TRACE_BY_MODULE } GrTraceNames;

/* A line for each level of L's stack, from the innermost; of many, the first and the last. L may be
 * a thread that an error has ended. Neither raises nor takes Lua's memory; nothing stays on the
 * stack. */
void gr_trace_stack(GrTrace *t, lua_State *L, GrTraceNames names);

#endif

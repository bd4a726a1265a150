/* SPDX-License-Identifier: MIT */
/* process.h - what the bindings of goro.process share: commands and their options. */
#ifndef GR_LIB_PROCESS_H
#define GR_LIB_PROCESS_H

#include "io/child.h"
#include "lib/io/io.h"

/* Reads the command at 1 and the options at 2 (a table, or nil) for process.run or process.spawn.
 * *cmd lives as long as the two values that this pushes. False: the system could not have such a
 * command (a zero in a string); the failure has been pushed, three values. Raises misuse. */
bool gr_check_command(lua_State *L, bool runs, GrCommand *cmd);
/* nil, message, code: it could not be started. */
int gr_start_failed(lua_State *L, int r, const GrCommand *cmd, bool of_cwd);
/* "TERM" or its number: the signal's name, or nil, is pushed. */
void gr_push_signal(lua_State *L, int sig);

#endif

/* SPDX-License-Identifier: MIT */
/* process.h - what the bindings of goro.process share: commands and their options. */
#ifndef GR_LIB_PROCESS_H
#define GR_LIB_PROCESS_H

#include "io/child.h"
#include "lib/io/io.h"

/* Reads the command at 1 and the options at 2 (a table, or nil) of process.run (`runs`) or
 * process.spawn. Pushes two values; *cmd is valid as long as they are. False: there is a zero in a
 * string, which no command can have; the failure has been pushed, three values. Raises misuse. */
bool gr_check_command(lua_State *L, bool runs, GrCommand *cmd);
/* Pushes nil, message, code: the command could not be started. Returns 3. */
int gr_start_failed(lua_State *L, int r, const GrCommand *cmd, bool of_cwd);
/* Pushes the name of the signal ("TERM"), or nil if it has none. */
void gr_push_signal(lua_State *L, int sig);

#endif

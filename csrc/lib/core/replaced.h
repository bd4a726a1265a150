/* SPDX-License-Identifier: MIT */
/* replaced.h - the standard functions that goro replaces, since the stock ones were written for one
 * thread. */
#ifndef GR_REPLACED_H
#define GR_REPLACED_H

#include "run/state.h"

/* Into a library of a goroutine's state that has just been opened. Raises. */
void gr_replaced_open(lua_State *L, GrHeap *h, const char *module);
/* Into a host's: only over what is still the stock function there. Raises. */
void gr_replaced_open_host(lua_State *L, GrHeap *h);
/* Tells names.c which stock functions ours stand for, and looks up the stock ones. Once, at start,
 * before any of the above. */
void gr_replaced_names(void);

/* stdio.c */
int gr_stdio_print(lua_State *L);
int gr_stdio_io_write(lua_State *L);
int gr_stdio_file_write(lua_State *L);
int gr_stdio_io_flush(lua_State *L);
int gr_stdio_file_flush(lua_State *L);
extern lua_CFunction gr_stdio_stock_io_flush, gr_stdio_stock_file_flush;
/* shell.c */
int gr_shell_execute(lua_State *L);
int gr_shell_host_execute(lua_State *L);
int gr_shell_popen(lua_State *L);

#endif

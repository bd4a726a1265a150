/* SPDX-License-Identifier: MIT */
/* replaced.h - the standard functions that goro replaces, since the stock functions were written
 * for one thread. */
#ifndef GR_REPLACED_H
#define GR_REPLACED_H

#include "run/state.h"

/* Replaces the functions of a library that has just been opened in a goroutine's state. Raises. */
void gr_replaced_open(lua_State *L, GrHeap *h, const char *module);
/* Replaces functions in a host's state: only those that are still the stock functions. Raises. */
void gr_replaced_open_host(lua_State *L, GrHeap *h);
/* Looks up the stock functions, and tells names.c which of them our functions stand for. Once, at
 * the start, before the two functions above. */
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

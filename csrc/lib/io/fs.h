/* SPDX-License-Identifier: MIT */
/* fs.h - what the bindings of goro.fs share. */
#ifndef GR_LIB_FS_H
#define GR_LIB_FS_H

#include "io/bytes.h"
#include "io/fs.h"
#include "lib/core/lib.h"

/* Pushes nil, "CODE: reason: subject", "CODE" and returns 3. Raises when memory was missing. */
int gr_fs_failed(lua_State *L, int err, const char *subject);
/* The results of a call that has nothing to give but success. */
int gr_fs_result(lua_State *L, int err, const char *subject);
/* Pushes "CODE: reason: subject". */
void gr_fs_push_message(lua_State *L, int err, const char *subject);
void gr_fs_push_stat(lua_State *L, const GrStat *st);
/* The path at `arg`. NULL: there is a zero in it, so no file can have it; the failure has been
 * pushed, three values. */
const char *gr_fs_path(lua_State *L, int arg);
/* Pushes the bytes as a string, and frees them, even when it raises. */
void gr_fs_push_bytes(lua_State *L, GrBytes *b);
/* Tells the collector that an object with a descriptor was made. The collector sees neither the
 * object's buffer nor that descriptors are few. */
void gr_fs_charge(lua_State *L);

/* fsfile.c */
int gr_lib_fs_open(lua_State *L);
int gr_lib_fs_mkstemp(lua_State *L);
void gr_file_names(void);
/* fstree.c */
int gr_lib_fs_list(lua_State *L);
int gr_lib_fs_walk(lua_State *L);
/* watch.c */
int gr_lib_fs_watch(lua_State *L);
void gr_watch_names(void);

#endif

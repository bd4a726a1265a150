/* SPDX-License-Identifier: MIT */
/* error.h - what the system refuses, as the result of a core function.
 *
 * A core function of csrc/io returns GR_OK, GR_PARK, another code of base.h's, or GR_SYS(uv code).
 * A libuv code is a negative errno, or one of libuv's own (UV_EOF, UV_EAI_NONAME). GR_SYS moves
 * these codes to a range that base.h does not use. Names and texts of the codes are libuv's; where
 * libuv has none they are the C library's. */
#ifndef GR_IO_ERROR_H
#define GR_IO_ERROR_H

#include "base/base.h"

enum { GR_SYS_FIRST = -0x10000 };
#define GR_SYS(uv_code) (GR_SYS_FIRST + (uv_code)) /* uv_code <= 0 */
#define GR_ERRNO(e) GR_SYS(-(e))                   /* of an errno */

/* The result of a call that ended with this code: 0, a negative errno, or one of libuv's own. GR_OK
 * for 0, GR_NOMEM where memory was missing (ENOMEM, UV_EAI_MEMORY), else GR_SYS. Every refusal
 * comes through here, with one exception: accept tells even ENOMEM by its name (net.c). ENOBUFS is
 * a refusal by its name: the system's buffers are full, not the program's memory. */
int gr_sys_result(int code);

static inline bool gr_is_sys(int r) { return r <= GR_SYS_FIRST; }
/* The errno in a GR_SYS result; 0 for other results, and for codes that are libuv's own. */
int gr_sys_errno(int r);
/* The name ("ECONNRESET") and the text ("connection reset by peer") of a result. They may lie in
 * `buf`, which has GR_ERROR_SIZE bytes. GR_CLOSED and GR_TIMEOUT have names here too (ECANCELED,
 * ETIMEDOUT), for bindings report them like the others. */
enum { GR_ERROR_SIZE = 64 };
const char *gr_sys_name(int r, char *buf);
const char *gr_sys_text(int r, char *buf);

#endif

/* SPDX-License-Identifier: MIT */
/* sigpipe.h - writing where a write may raise SIGPIPE: pipes, and what a path leads to.
 *
 *   GrNoPipe quiet = gr_no_pipe_begin();
 *   … write …                              may fail by EPIPE
 *   gr_no_pipe_end(&quiet);                errno stays
 *
 * Both on the same thread, with no Lua between. Sockets need none of it: they are written to with MSG_NOSIGNAL. */
#ifndef GR_IO_SIGPIPE_H
#define GR_IO_SIGPIPE_H

#include <stdbool.h>

typedef struct GrNoPipe {
  bool on, pending;
} GrNoPipe;
GrNoPipe gr_no_pipe_begin(void);
void gr_no_pipe_end(const GrNoPipe *p);

#endif

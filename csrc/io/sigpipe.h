/* SPDX-License-Identifier: MIT */
/* sigpipe.h - writing to a pipe that nobody may be reading any more. A write between
 * gr_no_pipe_begin and gr_no_pipe_end fails by EPIPE and raises no SIGPIPE. A broken standard
 * output or error ends the program (gr_pipe_broke), as it ends other programs. */
#ifndef GR_IO_SIGPIPE_H
#define GR_IO_SIGPIPE_H

#include <stdbool.h>

typedef struct GrNoPipe {
  bool on;      /* the signal was blocked for these writes */
  bool pending; /* a SIGPIPE was pending already */
} GrNoPipe;

/* They go around one or more writes, on one thread. On goro's own threads, which always block the
 * signal, they do nothing. `broken`: one of the writes failed by EPIPE. gr_no_pipe_end keeps
 * errno. */
GrNoPipe gr_no_pipe_begin(void);
void gr_no_pipe_end(const GrNoPipe *p, bool broken);

/* A write to this descriptor has failed by EPIPE. If it is standard output or error, and SIGPIPE
 * has its default action, this raises SIGPIPE, and the process ends. Otherwise this does nothing.
 * Any thread. */
void gr_pipe_broke(int fd);

#endif

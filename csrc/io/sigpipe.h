/* SPDX-License-Identifier: MIT */
/* sigpipe.h - writing to what may be a pipe nobody reads any more. Without SIGPIPE: the write fails
 * by EPIPE alone; or, to the program's output, as anybody's write: the program ends. */
#ifndef GR_IO_SIGPIPE_H
#define GR_IO_SIGPIPE_H

#include <stdbool.h>

typedef struct GrNoPipe {
  bool on, pending; /* the signal is blocked for the time being; one was waiting before */
} GrNoPipe;

/* Around one or more writes, on one thread. Does nothing on goro's own threads, which block the
 * signal always. `broken`: one of the writes failed by EPIPE. Keeps errno. */
GrNoPipe gr_no_pipe_begin(void);
void gr_no_pipe_end(const GrNoPipe *p, bool broken);

/* A write to this descriptor has failed by EPIPE. When it is standard output or error, and SIGPIPE
 * has its default action, this raises it: the process ends. Else it does nothing. Any thread. */
void gr_pipe_broke(int fd);

#endif

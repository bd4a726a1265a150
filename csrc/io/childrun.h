/* SPDX-License-Identifier: MIT */
/* childrun.h - a child that one goroutine runs from its beginning to its end: what it is given to
 * read, what it writes, how it ends.
 *
 * The wait has the two halves of poll.h: gr_run_step, and after a park gr_run_awake and the step
 * again, with fresh = false. */
#ifndef GR_IO_CHILDRUN_H
#define GR_IO_CHILDRUN_H

#include "io/child.h"
#include "io/poll.h"

typedef struct GrRunning GrRunning;

/* As gr_child_start. */
int gr_run_start(const GrCommand *cmd, G *g, GrRunning **out, bool *of_cwd);
/* Kills what has not ended. NULL does nothing. */
void gr_run_free(GrRunning *r);
/* `in`: what the child reads, the same at each step. GR_OK: the child has ended, and its pipes; or
 * `until` came, or it was stopped, and it (or its group) was killed. GR_PARK; GR_NOMEM: the output
 * found no memory; GR_SYS, GR_NOTHREAD, GR_ABORTED. */
int gr_run_step(GrRunning *r, G *g, const char *in, size_t len, int64_t until, bool blocks,
                bool fresh);
/* GR_OK, GR_ABORTED. */
int gr_run_awake(GrRunning *r, G *g, GrCause *cause);
/* The run is given up: the child, or its group, is killed. */
void gr_run_quit(GrRunning *r, G *g);

typedef struct GrRunEnd {
  GrExit exit;
  bool timed_out;
  bool unknown; /* it was to be killed, and this process may not: it goes on */
  struct {
    const char *data;
    size_t len;
  } out[2]; /* stdout, stderr: borrowed from r */
} GrRunEnd;
void gr_run_end(const GrRunning *r, GrRunEnd *end);

#endif

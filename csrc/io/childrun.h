/* SPDX-License-Identifier: MIT */
/* childrun.h - a child that one goroutine runs from beginning to end: what the child reads, what it
 * writes, how it ends. This is goro.process.run.
 *
 * The wait has the two halves of poll.h: gr_run_step; after a park gr_run_awake, and gr_run_step
 * again with fresh = false. */
#ifndef GR_IO_CHILDRUN_H
#define GR_IO_CHILDRUN_H

#include "io/child.h"
#include "io/poll.h"

typedef struct GrRunning GrRunning;

/* As gr_child_start. */
int gr_run_start(const GrCommand *cmd, G *g, GrRunning **out, bool *of_cwd);
/* Kills a child that has not ended. NULL does nothing. */
void gr_run_free(GrRunning *r);
/* `in` is what the child reads; the caller passes the same bytes at each step. GR_OK: the run is
 * over. Either the child and its pipes have ended, or `until` came or the child was stopped, and
 * the child (or its group) was killed. GR_PARK; GR_NOMEM: there was no memory for the output;
 * GR_SYS, GR_NOTHREAD, GR_ABORTED. */
int gr_run_step(GrRunning *r, G *g, const char *in, size_t len, int64_t until, bool blocks,
                bool fresh);
/* GR_OK, GR_ABORTED. */
int gr_run_awake(GrRunning *r, G *g, GrCause *cause);
/* Gives the run up: kills the child, or its group. */
void gr_run_quit(GrRunning *r, G *g);

typedef struct GrRunEnd {
  GrExit exit;
  bool timed_out;
  bool unknown; /* the child could not be killed: it goes on */
  struct {
    const char *data;
    size_t len;
  } out[2]; /* stdout, stderr; r owns them */
} GrRunEnd;
void gr_run_end(const GrRunning *r, GrRunEnd *end);

#endif

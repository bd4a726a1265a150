/* SPDX-License-Identifier: MIT */
/* process.h - a child process as an object, for goro.process.spawn. Its pipes are streams, many
 * goroutines may wait for its end, and it is reaped in any case. */
#ifndef GR_IO_PROCESS_H
#define GR_IO_PROCESS_H

#include "io/child.h"
#include "io/stream.h"

typedef struct GrProcess GrProcess;

/* Starts a process. type->destroy must be gr_process_destroy; `conn` is the type of its streams.
 * The rest is as in gr_child_start. */
int gr_process_start(const GrCommand *cmd, G *g, const GrShareType *type, const GrShareType *conn,
                     GrProcess **out, bool *of_cwd);
/* Closes those pipes that nobody else has. The child goes on, and is reaped when it ends. */
void gr_process_destroy(GrShare *s);
GrShare *gr_process_share(GrProcess *p);
GrProcess *gr_process_of(GrShare *s);
pid_t gr_process_pid(const GrProcess *p);
/* Our end of the pipe that is the child's stdin (0), stdout (1) or stderr (2); NULL: that is no
 * pipe. p owns it. */
GrStream *gr_process_stream(const GrProcess *p, int i);

/* Waits for the child's end. GR_OK: *out says how it ended; GR_PARK: then gr_process_awake;
 * GR_TIMEOUT, GR_NOMEM, GR_NOTHREAD, GR_ABORTED. */
int gr_process_wait(GrProcess *p, G *g, GrExit *out, int64_t until, bool blocks);
/* GR_OK: the child has ended, and gr_process_wait says how; GR_TIMEOUT, GR_ABORTED. */
int gr_process_awake(GrProcess *p, G *g, GrCause *cause);
/* Sends a signal to the child, or to its group. GR_OK, GR_SYS; ESRCH: the child has ended. */
int gr_process_kill(GrProcess *p, int sig);

/* Takes a child for which there is no handle, and reaps it when it has ended. */
void gr_process_adopt(const GrChild *child);

#endif

/* SPDX-License-Identifier: MIT */
/* process.h - a child process as an object: its pipes are streams, its end may be awaited by many,
 * and it is reaped in any case. */
#ifndef GR_IO_PROCESS_H
#define GR_IO_PROCESS_H

#include "io/child.h"
#include "io/stream.h"

typedef struct GrProcess GrProcess;

/* Starts one. `type`'s destroy must be gr_process_destroy; `conn` is the type of its streams.
 * Otherwise as gr_child_start. */
int gr_process_start(const GrCommand *cmd, G *g, const GrShareType *type, const GrShareType *conn,
                     GrProcess **out, bool *of_cwd);
/* Its pipes are closed unless somebody else has them; the child goes on, and is reaped when it
 * ends. */
void gr_process_destroy(GrShare *s);
GrShare *gr_process_share(GrProcess *p);
GrProcess *gr_process_of(GrShare *s);
pid_t gr_process_pid(const GrProcess *p);
/* Our end of the pipe that is the child's stdin (0), stdout, stderr; NULL: there is none.
 * Borrowed. */
GrStream *gr_process_stream(const GrProcess *p, int i);

/* GR_OK: it has ended, *out says how; GR_PARK: then gr_process_awake; GR_TIMEOUT, GR_NOMEM,
 * GR_NOTHREAD, GR_ABORTED. */
int gr_process_wait(GrProcess *p, G *g, GrExit *out, int64_t until, bool blocks);
/* GR_OK: it has ended: gr_process_wait says how; GR_TIMEOUT, GR_ABORTED. */
int gr_process_awake(GrProcess *p, G *g, GrCause *cause);
/* To the child, or its group. GR_OK, GR_SYS: ESRCH when it has ended. */
int gr_process_kill(GrProcess *p, int sig);

/* Takes a child that nobody has a handle of: reaps it when it has ended. */
void gr_process_adopt(const GrChild *child);

#endif

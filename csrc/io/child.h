/* SPDX-License-Identifier: MIT */
/* child.h - a child process: starting it, knowing when it has ended, reaping it.
 *
 * Four files know children:
 *
 *   exec.c      makes one child: clone and execve. It remembers nothing.
 *   child.c     a GrChild, for whoever started it: pipes, looking at it, signals, reaping.
 *   childrun.c  goro.process.run: one goroutine runs a child to its end, with its input and output.
 *   process.c   goro.process.spawn: a handle that many may have; the loop reaps the child.
 *
 * lib/io/shell.c (os.execute, io.popen) uses child.c alone and blocks its thread.
 *
 * A descriptor tells of a child's end. Where the system has none, somebody looks at the child again
 * and again. Whoever started the child reaps it (childrun.h, process.h, shell.c). Until then the
 * child's number belongs to nobody else. So a signal that is sent under the lock that the reaping
 * takes cannot reach a stranger. */
#ifndef GR_IO_CHILD_H
#define GR_IO_CHILD_H

#include <signal.h>
#include <sys/types.h>

#include "io/error.h"
#include "sched/sched.h"

typedef enum GrStdio {
  GR_STDIO_PIPE,
  GR_STDIO_INHERIT, /* this process's own */
  GR_STDIO_NULL,
} GrStdio;

typedef struct GrCommand {
  char *const *argv; /* at least one, then NULL */
  const char *file;  /* the program's path. NULL: it is argv[0], which is looked for in the child's
                        PATH when it has no slash */
  char *const *env;  /* NULL: this process's own */
  const char *cwd;   /* or NULL */
  GrStdio stdio[3];
  bool group; /* the child leads a process group of its own */
  /* The caller blocks its thread for the child: our ends of the pipes block, and the child has no
   * descriptor that tells of its end (none may be left for it). */
  bool blocking;
  /* What this process ignores now, the child ignores too, but for these signals, and for SIGPIPE
   * unless it was ignored when goro was loaded. NULL: the child ignores only what was ignored when
   * goro was loaded. */
  const sigset_t *defaults;
} GrCommand;

/* A child that was started. */
typedef struct GrChild {
  pid_t pid;
  int end;    /* a descriptor that can be read once the child has ended; -1: there is none */
  bool group; /* the child leads a group of its own; then signals go to the whole group */
} GrChild;

/* How a child ended: by `signal`; or, when `signal` is 0, with `code`. code -1: somebody else has
 * reaped the child, and nobody knows how it ended. */
typedef struct GrExit {
  int code, signal;
  int stopped; /* this signal had stopped the child, so it was killed; or 0 */
} GrExit;

/* Starts the command. ours[i] is our end of the pipe to the child's descriptor i, or -1. These ends
 * (non-blocking unless cmd->blocking) and child->end are close-on-exec and the caller's. The child
 * has the signal mask and the limit of descriptors that this process had when goro was loaded.
 * Blocks, in a blocking region of g, the caller's own. GR_OK, GR_NOMEM, GR_SYS; *of_cwd then says
 * that it was for the folder. */
int gr_child_start(const GrCommand *cmd, G *g, GrChild *child, int ours[3], bool *of_cwd);
/* Has the child ended? If so, *out says how, and without `keep` the child is reaped. */
bool gr_child_ended(const GrChild *c, bool keep, GrExit *out);
/* The signal that has stopped the child; 0: it is not stopped. */
int gr_child_stopped(const GrChild *c);
/* Sends a signal to the child, or to its group. 0 or errno; ESRCH: the child has ended, and
 * somebody else has reaped it. */
int gr_child_signal(const GrChild *c, int sig);
/* Kills the child, or its group, and reaps it. That takes no time, except for a child that the
 * kernel holds. False: the child has not ended after a second, or this process may not kill it. */
bool gr_child_kill(const GrChild *c, GrExit *out);

/* How long to wait before the next look at the child, in ns. `looks` counts the looks so far.
 * GR_FOREVER: the child need not be looked at. */
int64_t gr_child_pause(const GrChild *c, uint32_t looks);

#endif

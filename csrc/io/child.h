/* SPDX-License-Identifier: MIT */
/* child.h - child processes: starting one, knowing when it has ended, reaping it.
 *
 * A child's end is told by a descriptor, or where the system has none for it by looking again and
 * again; it is reaped by whoever started it: run.h and process.h. Until then its number is nobody
 * else's, so a signal that is sent under the lock that the reaping takes, too, cannot reach a
 * stranger. */
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

/* A child that has been started. */
typedef struct GrChild {
  pid_t pid;
  int end;    /* can be read from once the child has ended; -1: the system has no such descriptor */
  bool group; /* leads a group of its own: a signal is for all of the group, else for the child */
} GrChild;

/* How a child has ended: by `signal`, or when that is 0 with `code`; -1: somebody else has reaped
 * it, and nobody knows. */
typedef struct GrExit {
  int code, signal;
  int stopped; /* a signal that had stopped it: so it was killed */
} GrExit;

/* Starts it. ours[i] is our end of a pipe, non-blocking, or -1; that and child->end are
 * close-on-exec, the caller's. The child has the signal mask and the limit of descriptors that this
 * process had when goro was loaded, and default actions but for the signals that were ignored then.
 * Blocks, in a blocking region of g, the caller's own. GR_OK, GR_NOMEM, GR_SYS; *of_cwd then says
 * that it was for the folder. */
int gr_child_start(const GrCommand *cmd, G *g, GrChild *child, int ours[3], bool *of_cwd);
/* Has it ended? Unless `keep`, it is reaped then. */
bool gr_child_ended(const GrChild *c, bool keep, GrExit *out);
/* The signal that has stopped it; 0: it is not stopped. */
int gr_child_stopped(const GrChild *c);
/* To the child, or its group. 0 or errno: ESRCH when it has ended and somebody else has reaped
 * it. */
int gr_child_signal(const GrChild *c, int sig);
/* Kills it, or its group, and reaps it, which takes no time but for one that the kernel holds:
 * false after a second, or at once when this process may not. */
bool gr_child_kill(const GrChild *c, GrExit *out);

/* When to look again at a child that must be looked at: nanoseconds from now. `looks` counts the
 * looks so far. GR_FOREVER: there is no need to. */
int64_t gr_child_pause(const GrChild *c, uint32_t looks);

#endif

/* SPDX-License-Identifier: MIT */
/* child.h - child processes: starting one, knowing when it has ended, reaping it.
 *
 * A child's end is told by a descriptor, and it is reaped by its own number, by whoever started it:
 * run.h and process.h. Until then its number is nobody else's, so a signal that is sent under the
 * lock that the reaping takes, too, cannot reach a stranger. */
#ifndef GR_IO_CHILD_H
#define GR_IO_CHILD_H

#include <sys/types.h>

#include "io/error.h"
#include "sched/sched.h"

typedef enum GrStdio {
  GR_STDIO_PIPE,
  GR_STDIO_INHERIT, /* this process's own */
  GR_STDIO_NULL,
} GrStdio;

typedef struct GrCommand {
  char *const *argv; /* at least one, then NULL. The first is looked for in PATH, the child's, when
                        it has no slash */
  char *const *env;  /* NULL: this process's own */
  const char *cwd;   /* or NULL */
  GrStdio stdio[3];
  bool group; /* the child leads a process group of its own */
} GrCommand;

/* How a child has ended: by `signal`, or when that is 0 with `code`; -1: somebody else has reaped
 * it, and nobody knows. */
typedef struct GrExit {
  int code, signal;
} GrExit;

/* Starts it. ours[i] is our end of a pipe, non-blocking, or -1; *end can be read from once the
 * child has ended; all close-on-exec, the caller's. The child has the signal mask that this process
 * had when goro was loaded, and default actions but for the signals that were ignored then. Blocks:
 * g is the caller's, when it has a place to hand on meanwhile, or NULL. GR_OK, GR_NOMEM, GR_SYS;
 * *of_cwd then says that it was for the folder. */
int gr_child_start(const GrCommand *cmd, G *g, pid_t *pid, int *end, int ours[3], bool *of_cwd);
/* Has it ended? Unless `keep`, it is reaped then. */
bool gr_child_ended(pid_t pid, bool keep, GrExit *out);
/* Kills it, or with `group` its whole group, and reaps it, which takes no time but for one that the
 * kernel holds: false after a second, or at once when this process may not. */
bool gr_child_kill(pid_t pid, bool group, GrExit *out);

#endif

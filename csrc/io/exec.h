/* SPDX-License-Identifier: MIT */
/* exec.h - starts a program in a new process: what process.run, process.spawn, os.execute and
 * io.popen have in common. */
#ifndef GR_IO_EXEC_H
#define GR_IO_EXEC_H

#include <signal.h>
#include <sys/types.h>

#include "base/base.h"

enum { GR_EXEC_INHERIT = -1, GR_EXEC_NULL = -2 };

typedef struct GrExec {
  const char *file; /* its path; nothing is searched */
  char *const *argv, *const *env;
  const char *cwd; /* or NULL: this process's */
  int fds[3];      /* these become the child's 0 to 2; or this process's own, or /dev/null */
  bool group;      /* the child leads a process group of its own */
  /* The signals that begin with their default action although this process ignores them. Those that
   * have a handler here begin so in any case. */
  const sigset_t *defaults;
} GrExec;

/* The child has the signal mask that this process had when goro was loaded, and the limit of open
 * descriptors that it had before goro raised it (nofile.h). 0 or errno; *of_cwd then says that it
 * was for the folder. *pidfd, unless pidfd is NULL, is a descriptor of the child that waitid knows
 * as P_PIDFD, close-on-exec, the caller's; -1 when the system has none. Blocks until the program
 * has begun. Any thread. */
int gr_exec(const GrExec *s, pid_t *pid, int *pidfd, bool *of_cwd);
/* All signals but those that were ignored when goro was loaded (by nohup). */
const sigset_t *gr_exec_defaults(void);

#ifdef GORO_TESTING
/* For specs: as on a system that has no pidfds. */
void gr_exec_without_pidfds(bool without);
#endif

#endif

/* SPDX-License-Identifier: MIT */
/* exec.h - starts a program in a new process, for child.c. */
#ifndef GR_IO_EXEC_H
#define GR_IO_EXEC_H

#include <signal.h>
#include <sys/types.h>

#include "base/base.h"

enum { GR_EXEC_INHERIT = -1, GR_EXEC_NULL = -2 };

typedef struct GrExec {
  const char *file; /* the program's path; PATH is not searched */
  char *const *argv, *const *env;
  const char *cwd; /* the child's working folder; NULL: this process's */
  int fds[3];      /* what the child's descriptors 0 to 2 are: a number, or one of the above */
  bool group;      /* the child leads a process group of its own */
  /* These signals begin with their default action, even if this process ignores them. Signals that
   * have a handler here begin with it in any case. */
  const sigset_t *defaults;
} GrExec;

/* Starts the program, and blocks until it has begun. The child has the signal mask that this
 * process had when goro was loaded, and the limit of open descriptors that this process had before
 * goro raised it (nofile.h). 0 or errno; *of_cwd: the error concerns the folder. Unless pidfd is
 * NULL, *pidfd becomes the child's pidfd (waitid's P_PIDFD), close-on-exec and the caller's; -1:
 * the system has no pidfds. Any thread. */
int gr_exec(const GrExec *s, pid_t *pid, int *pidfd, bool *of_cwd);
/* All signals, except those that were ignored when goro was loaded (by nohup). */
const sigset_t *gr_exec_defaults(void);

#ifdef GORO_TESTING
/* For specs: behaves as on a system without pidfds. */
void gr_exec_without_pidfds(bool without);
#endif

#endif

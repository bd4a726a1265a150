/* SPDX-License-Identifier: MIT */
/* sigpipe.c - keeps SIGPIPE from a program that has not asked for it.
 *
 * There is no flag for pipes as there is for sockets. goro's threads block the signal always (m.c). A host's thread is the program's, whose handler and mask are
 * not ours to change for good: it blocks the signal for the call, and takes it from the queue if the call has put it there. One that was pending before is the
 * program's own and stays. */
#include "io/sigpipe.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "sched/sched.h"

GrNoPipe gr_no_pipe_begin(void) {
  if (gr_sched_own_thread()) return (GrNoPipe){0};
  sigset_t set, old;
  sigpending(&set);
  GrNoPipe p = {.pending = sigismember(&set, SIGPIPE) == 1};
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, &old);
  p.on = sigismember(&old, SIGPIPE) == 0;
  return p;
}

void gr_no_pipe_end(const GrNoPipe *p) {
  if (!p->on) return;
  int err = errno;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  if (!p->pending) sigtimedwait(&set, NULL, &(struct timespec){0});
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  errno = err;
}

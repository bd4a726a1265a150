/* SPDX-License-Identifier: MIT */
/* sigpipe.c - SIGPIPE, as in Go: a write to a socket or a pipe of goro's never raises it, a write
 * to a broken standard output or error does.
 *
 * Its own threads block the signal from their creation (m.c). A host's thread is the program's,
 * which may want SIGPIPE for writes of its own: so it is blocked for the write only, and what the
 * write has put into the thread's queue is taken out again, unless one was in there before: two
 * that wait are one. (Rejected: ignoring it for the process, which its children would inherit.)
 *
 * `lua job.lua | head -1` must end when head does, whoever prints. On a host's thread the kernel
 * sees to that. On one of goro's own, which block the signal, whoever writes there says that the
 * pipe broke, and it is raised here, unless the program wants something else: a handler (its own,
 * or signal.notify's), or to ignore it. */
#include "io/sigpipe.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "sched/sched.h"

static sigset_t only_pipe(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  return set;
}

GrNoPipe gr_no_pipe_begin(void) {
  if (gr_sched_own_thread()) return (GrNoPipe){0};
  sigset_t set = only_pipe(), before, pending;
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &set, &before);
  return (GrNoPipe){.on = sigismember(&before, SIGPIPE) == 0,
                    .pending = sigismember(&pending, SIGPIPE) == 1};
}

void gr_no_pipe_end(const GrNoPipe *p, bool broken) {
  if (!p->on) return;
  int err = errno;
  sigset_t set = only_pipe();
  if (broken && !p->pending) sigtimedwait(&set, NULL, &(struct timespec){0});
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  errno = err;
}

void gr_pipe_broke(int fd) {
  struct sigaction action;
  if ((fd != STDOUT_FILENO && fd != STDERR_FILENO) || !gr_sched_own_thread()) return;
  if (sigaction(SIGPIPE, NULL, &action) != 0 || action.sa_handler != SIG_DFL) return;
  sigset_t set = only_pipe(), before;
  pthread_sigmask(SIG_UNBLOCK, &set, &before); /* the write's own may be waiting: that is the end */
  raise(SIGPIPE);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* SPDX-License-Identifier: MIT */
/* sigpipe.c - SIGPIPE, as in Go: a write of goro's to a socket or a pipe never raises it; a write
 * to a broken standard output or error does.
 *
 * goro's own threads block the signal from their creation (m.c). A host's thread belongs to the
 * program, which may want SIGPIPE for writes of its own. So there the signal is blocked for the
 * write only. Afterwards the signal that the write has raised is taken out of the thread's pending
 * signals, unless one was pending before: a thread cannot have two. (Rejected: to ignore the signal
 * in the process. Children would inherit that.)
 *
 * `lua job.lua | head -1` must end when head ends, whichever thread prints. On a host's thread the
 * kernel sees to that. On goro's own threads, which block the signal, the writer calls
 * gr_pipe_broke, which raises it, unless the program ignores SIGPIPE or has a handler for it (its
 * own, or signal.notify's). */
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
  pthread_sigmask(SIG_UNBLOCK, &set,
                  &before); /* the write's own signal may be pending: then the process ends here */
  raise(SIGPIPE);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

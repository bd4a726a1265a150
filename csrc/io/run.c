/* SPDX-License-Identifier: MIT */
/* run.c - running a child to its end, with all that it reads and writes.
 *
 * The pipes and the child's descriptor are in an epoll of the run's own, which is one descriptor to
 * wait for (poll.h): the goroutine sleeps until any of the four can go on, and moves the bytes
 * itself. So neither side can wait for the other: output is taken while input is given.
 *
 * A run is over when the child has ended and its pipes have, too: others may have inherited them
 * (`sleep 100 &`), and what they write belongs to the output. The child stays a zombie until then,
 * for its number is the group's: as long as nobody reaps it, a signal to the group reaches nobody
 * else. When the time is over all of the group are killed; then only what is in the pipes is taken,
 * since who has left the group may hold them for ever.
 *
 * A child that does not read its input, or closes it, is no error: what is left is thrown away. */
#include "io/run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io/process.h"

enum { PIECE = 65536, OF_IN = 0, OF_OUT = 1, OF_ERR = 2, OF_CHILD = 3, ALL = 4 };

typedef struct Output {
  char *buf;
  size_t len, cap;
} Output;

struct GrRunning {
  GrFd *ready;   /* the epoll */
  pid_t pid;     /* 0: reaped, or given to others */
  int fds[ALL];  /* -1: closed */
  size_t given;  /* of the input */
  Output out[2]; /* stdout, stderr */
  bool ended, timed_out, unknown;
  GrExit exit;
};

static void close_one(GrRunning *r, int i) {
  if (r->fds[i] < 0) return;
  /* A child that is being started at this moment has the descriptor, too: so it does not leave the
   * epoll by being closed. */
  if (r->ready != NULL) epoll_ctl(gr_fd_number(r->ready), EPOLL_CTL_DEL, r->fds[i], NULL);
  close(r->fds[i]);
  r->fds[i] = -1;
}

/* ---- beginning and end ---- */

static int watch_all(GrRunning *r) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return GR_ERRNO(errno);
  for (int i = 0; i < ALL; i++) {
    struct epoll_event e = {.events = i == OF_IN ? EPOLLOUT : EPOLLIN, .data.u32 = (uint32_t)i};
    if (r->fds[i] < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, r->fds[i], &e) == 0) continue;
    int err = errno;
    close(epoll);
    return err == ENOMEM ? GR_NOMEM : GR_ERRNO(err);
  }
  int got = gr_fd_new(epoll, &r->ready);
  if (got != GR_OK) close(epoll);
  return got;
}

/* Nobody of its group lives on, if that can be helped. */
static void end_child(GrRunning *r) {
  if (r->pid == 0) return;
  if (gr_child_kill(r->pid, true, &r->exit)) {
    r->ended = true;
  } else { /* the kernel holds it, or it is another user's */
    r->unknown = true;
    if (r->fds[OF_CHILD] >= 0) {
      if (r->ready != NULL)
        epoll_ctl(gr_fd_number(r->ready), EPOLL_CTL_DEL, r->fds[OF_CHILD], NULL);
      gr_process_adopt(r->pid, r->fds[OF_CHILD]);
      r->fds[OF_CHILD] = -1;
    }
  }
  r->pid = 0;
}

void gr_run_free(GrRunning *r) {
  if (r == NULL) return;
  if (!atomic_load_explicit(&gr_forked, memory_order_relaxed)) end_child(r);
  for (int i = 0; i < ALL; i++) close_one(r, i);
  gr_fd_free(r->ready);
  for (int i = 0; i < 2; i++) gr_free(r->out[i].buf);
  gr_free(r);
}

int gr_run_start(const GrCommand *cmd, G *g, GrRunning **out, bool *of_cwd) {
  *of_cwd = false;
  GrRunning *r = gr_zalloc(sizeof *r);
  if (r == NULL) return GR_NOMEM;
  int got = gr_child_start(cmd, g, &r->pid, &r->fds[OF_CHILD], r->fds, of_cwd);
  if (got != GR_OK) {
    gr_free(r);
    return got;
  }
  if ((got = watch_all(r)) != GR_OK) gr_run_free(r);
  else *out = r;
  return got;
}

/* ---- moving bytes ---- */

static int give(GrRunning *r, const char *in, size_t len) {
  while (r->fds[OF_IN] >= 0 && r->given < len) {
    struct iovec rest = {.iov_base = (void *)(uintptr_t)(in + r->given), .iov_len = len - r->given};
    ssize_t n = gr_pipe_write(r->fds[OF_IN], &rest, 1);
    if (n >= 0) r->given += (size_t)n;
    else if (errno == EAGAIN) return GR_OK;
    else if (errno != EINTR) break; /* it has closed its input */
  }
  close_one(r, OF_IN);
  return GR_OK;
}

static bool reserve(Output *o) {
  if (o->cap - o->len >= PIECE) return true;
  size_t cap = o->cap * 2 < PIECE ? PIECE : o->cap * 2;
  if (cap - o->len < PIECE) cap = o->len + PIECE;
  char *buf = gr_realloc(o->buf, cap);
  if (buf == NULL) return false;
  o->buf = buf;
  o->cap = cap;
  return true;
}

/* What is there now, a piece of it. */
static int take(GrRunning *r, int i) {
  Output *o = &r->out[i - OF_OUT];
  if (r->fds[i] < 0) return GR_OK;
  if (!reserve(o)) return GR_NOMEM;
  ssize_t n = read(r->fds[i], o->buf + o->len, PIECE);
  if (n > 0) o->len += (size_t)n;
  else if (n == 0 || (errno != EAGAIN && errno != EINTR)) close_one(r, i);
  return GR_OK;
}

static void look_at_child(GrRunning *r) {
  if (r->fds[OF_CHILD] < 0 || r->pid == 0 || !gr_child_ended(r->pid, true, &r->exit)) return;
  r->ended = true;
  close_one(r, OF_CHILD);
  close_one(r, OF_IN);
}

static int go_on(GrRunning *r, uint32_t i, const char *in, size_t len) {
  if (i == OF_CHILD) look_at_child(r);
  return i == OF_CHILD ? GR_OK : i == OF_IN ? give(r, in, len) : take(r, (int)i);
}

/* The time is over: what its pipes hold is taken, and no more is waited for. */
static int time_out(GrRunning *r) {
  r->timed_out = true;
  end_child(r);
  for (int i = OF_OUT; i <= OF_ERR; i++) {
    size_t before;
    do {
      before = r->out[i - OF_OUT].len;
      if (take(r, i) != GR_OK) return GR_NOMEM;
    } while (r->out[i - OF_OUT].len != before);
    close_one(r, i);
  }
  close_one(r, OF_IN);
  return GR_OK;
}

static bool over(const GrRunning *r) {
  return (r->ended || r->unknown) && r->fds[OF_OUT] < 0 && r->fds[OF_ERR] < 0;
}

/* GR_OK: it is over; GR_PARK: nothing can go on now. */
static int pump(GrRunning *r, const char *in, size_t len, int64_t until) {
  struct epoll_event found[ALL];
  if (len == 0) close_one(r, OF_IN);
  while (!over(r)) {
    int n = epoll_wait(gr_fd_number(r->ready), found, ALL, 0);
    if (n == 0) return GR_PARK;
    for (int i = 0; i < n; i++)
      if (go_on(r, found[i].data.u32, in, len) != GR_OK) return GR_NOMEM;
    if (until != GR_FOREVER && gr_now_ns() >= until) return over(r) ? GR_OK : time_out(r);
  }
  return GR_OK;
}

/* It has ended by itself: what is left of its group goes on, as everywhere. */
static void reap(GrRunning *r) {
  if (r->pid != 0) gr_child_ended(r->pid, false, &r->exit);
  r->pid = 0;
}

int gr_run_step(GrRunning *r, G *g, const char *in, size_t len, int64_t until, bool blocks,
                bool fresh) {
  int got = gr_fd_enter(r->ready, GR_READ, g, GR_WAIT_PROCESS_RUN, GR_FOREVER, blocks, fresh);
  if (got != GR_OK) return got;
  while ((got = pump(r, in, len, until)) == GR_PARK) {
    got = gr_fd_await(r->ready, GR_READ, g, GR_WAIT_PROCESS_RUN, until, blocks, false);
    if (got != GR_TIMEOUT && got != GR_OK) return got;
    if (got == GR_TIMEOUT) { /* the turn is given up by now, and the epoll is not used any more */
      got = time_out(r);
      if (got == GR_OK) reap(r);
      return got;
    }
  }
  gr_fd_leave(r->ready, GR_READ, g, false);
  if (got == GR_OK) reap(r);
  return got;
}

int gr_run_awake(GrRunning *r, G *g, GrCause *cause) {
  int got = gr_fd_awake(r->ready, GR_READ, g, cause);
  return got == GR_TIMEOUT ? GR_OK : got; /* the step finds that the time is over */
}

void gr_run_quit(GrRunning *r, G *g) {
  gr_fd_quit(r->ready, GR_READ, g);
  end_child(r);
}

void gr_run_end(const GrRunning *r, GrRunEnd *end) {
  *end = (GrRunEnd){.exit = r->exit, .timed_out = r->timed_out, .unknown = r->unknown};
  for (int i = 0; i < 2; i++) {
    end->out[i].data = r->out[i].buf;
    end->out[i].len = r->out[i].len;
  }
}

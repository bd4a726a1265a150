/* SPDX-License-Identifier: MIT */
/* childrun.c - running a child to its end, with all that it reads and writes.
 *
 * The three pipes and the child's descriptor are in an epoll that belongs to the run. That epoll is
 * one descriptor to wait for (poll.h). The goroutine sleeps until any of the four can go on, and
 * moves the bytes itself. Output is taken while input is given, so neither side can wait for the
 * other.
 *
 * A run is over when the child has ended and its pipes have ended too. Other processes may have
 * inherited the pipes (`sleep 100 &`), and what they write belongs to the output. Until then the
 * child stays a zombie, for its number is also the number of its group, if it has one: as long as
 * nobody reaps the child, a signal to the group reaches nobody else.
 *
 * When the time is over, the child or its whole group is killed. Then only what lies in the pipes
 * is taken, since others may hold the pipes open for ever. A child that has no descriptor to tell
 * of its end (child.h) is looked at between two waits; each wait ends when the next look is due. A
 * child that was stopped is killed as if its time were over.
 *
 * A child that does not read its input, or closes it, is no error: the rest of the input is thrown
 * away. */
#include "io/childrun.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io/bytes.h"
#include "io/process.h"

enum { PIECE = 65536, OF_IN = 0, OF_OUT = 1, OF_ERR = 2, OF_CHILD = 3, ALL = 4 };

struct GrRunning {
  GrFd *ready;     /* the epoll */
  GrChild child;   /* pid 0: reaped, or given away. Its `end` is fds[OF_CHILD] */
  int fds[ALL];    /* -1: closed */
  int64_t look_at; /* the next look at the child */
  uint32_t looks;
  size_t given;   /* how much of the input the child has got */
  GrBytes out[2]; /* stdout, stderr */
  bool ended, timed_out, unknown;
  GrExit exit;
};

static void close_one(GrRunning *r, int i) {
  if (r->fds[i] < 0) return;
  /* A child that another thread is starting at this moment has the descriptor too. So closing it
   * does not take it out of the epoll. */
  if (r->ready != NULL) epoll_ctl(gr_fd_number(r->ready), EPOLL_CTL_DEL, r->fds[i], NULL);
  close(r->fds[i]);
  r->fds[i] = -1;
}

/* ---- beginning and end ---- */

static int watch_all(GrRunning *r) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return gr_sys_result(-errno);
  for (int i = 0; i < ALL; i++) {
    struct epoll_event e = {.events = i == OF_IN ? EPOLLOUT : EPOLLIN, .data.u32 = (uint32_t)i};
    if (r->fds[i] < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, r->fds[i], &e) == 0) continue;
    int err = errno;
    close(epoll);
    return gr_sys_result(-err);
  }
  int got = gr_fd_new(epoll, &r->ready);
  if (got != GR_OK) close(epoll);
  return got;
}

/* The run does not wait for the child any more. */
static void forget_child(GrRunning *r) {
  r->child.pid = 0;
  r->look_at = GR_FOREVER;
}

/* The child could not be killed: the kernel holds it, or it is another user's. */
static void give_away(GrRunning *r) {
  r->unknown = true;
  if (r->ready != NULL && r->child.end >= 0)
    epoll_ctl(gr_fd_number(r->ready), EPOLL_CTL_DEL, r->child.end, NULL);
  r->fds[OF_CHILD] = -1;
  gr_process_adopt(&r->child);
}

/* Kills the child, and all of its group if it has one of its own. */
static void end_child(GrRunning *r) {
  if (r->child.pid == 0) return;
  if (gr_child_kill(&r->child, &r->exit)) r->ended = true;
  else give_away(r);
  forget_child(r);
}

void gr_run_free(GrRunning *r) {
  if (r == NULL) return;
  if (!atomic_load_explicit(&gr_forked, memory_order_relaxed)) end_child(r);
  for (int i = 0; i < ALL; i++) close_one(r, i);
  gr_fd_free(r->ready);
  for (int i = 0; i < 2; i++) gr_bytes_free(&r->out[i]);
  gr_free(r);
}

static void plan_look(GrRunning *r) {
  int64_t pause = gr_child_pause(&r->child, r->looks++);
  r->look_at = pause == GR_FOREVER ? GR_FOREVER : gr_now_ns() + pause;
}

int gr_run_start(const GrCommand *cmd, G *g, GrRunning **out, bool *of_cwd) {
  *of_cwd = false;
  GrRunning *r = gr_zalloc(sizeof *r);
  if (r == NULL) return GR_NOMEM;
  int got = gr_child_start(cmd, g, &r->child, r->fds, of_cwd);
  if (got != GR_OK) {
    gr_free(r);
    return got;
  }
  r->fds[OF_CHILD] = r->child.end;
  plan_look(r);
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
    else if (errno != EINTR) break; /* the child has closed its input */
  }
  close_one(r, OF_IN);
  return GR_OK;
}

/* Takes one piece of what a pipe holds now. */
static int take(GrRunning *r, int i) {
  GrBytes *o = &r->out[i - OF_OUT];
  if (r->fds[i] < 0) return GR_OK;
  if (!gr_bytes_room(o, PIECE)) return GR_NOMEM;
  ssize_t n = read(r->fds[i], o->data + o->len, PIECE);
  if (n > 0) o->len += (size_t)n;
  else if (n == 0 || (errno != EAGAIN && errno != EINTR)) close_one(r, i);
  return GR_OK;
}

/* Has the child ended? Its descriptor stays open until it is reaped, for a kill may need it. */
static void look_at_child(GrRunning *r) {
  if (r->child.pid == 0 || r->ended || !gr_child_ended(&r->child, true, &r->exit)) return;
  r->ended = true;
  r->look_at = GR_FOREVER;
  if (r->child.end >= 0) epoll_ctl(gr_fd_number(r->ready), EPOLL_CTL_DEL, r->child.end, NULL);
  close_one(r, OF_IN);
}

static int go_on(GrRunning *r, uint32_t i, const char *in, size_t len) {
  if (i == OF_CHILD) look_at_child(r);
  return i == OF_CHILD ? GR_OK : i == OF_IN ? give(r, in, len) : take(r, (int)i);
}

/* Kills the child, takes what its pipes hold, and waits for nothing more. */
static int cut_short(GrRunning *r) {
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

static int time_out(GrRunning *r) {
  r->timed_out = true;
  return cut_short(r);
}

/* Looks at a child that must be looked at, when that is due. */
static int look(GrRunning *r) {
  if (r->look_at == GR_FOREVER || gr_now_ns() < r->look_at) return GR_OK;
  look_at_child(r);
  if (r->ended) return GR_OK;
  plan_look(r);
  int sig = r->child.group ? gr_child_stopped(&r->child) : 0;
  if (sig == 0) return GR_OK;
  int got = cut_short(r);
  r->exit.stopped = sig;
  return got;
}

static bool over(const GrRunning *r) {
  return (r->ended || r->unknown) && r->fds[OF_OUT] < 0 && r->fds[OF_ERR] < 0;
}

/* GR_OK: the run is over; GR_PARK: nothing can go on now. */
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

/* The run is over: reaps the child. Others in the child's group go on, as under any shell. */
static int finish(GrRunning *r, int got) {
  if (got != GR_OK) return got;
  if (r->child.pid != 0) gr_child_ended(&r->child, false, &r->exit);
  forget_child(r);
  return GR_OK;
}

int gr_run_step(GrRunning *r, G *g, const char *in, size_t len, int64_t until, bool blocks,
                bool fresh) {
  static const GrWaitType running = {"process run", NULL};
  int got = gr_fd_enter(r->ready, GR_READ, g, &running, GR_FOREVER, blocks, fresh);
  while (got == GR_OK) {
    if ((got = look(r)) == GR_OK) got = pump(r, in, len, until);
    if (got != GR_PARK) {
      gr_fd_leave(r->ready, GR_READ, g, false);
      return finish(r, got);
    }
    got = gr_fd_await(r->ready, GR_READ, g, &running, gr_earlier(until, r->look_at), blocks, false);
    if (got != GR_TIMEOUT) continue;
    if (gr_now_ns() >= until) return finish(r, time_out(r)); /* await has given the turn up */
    got = gr_fd_enter(r->ready, GR_READ, g, &running, GR_FOREVER, blocks, false);
  }
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
    end->out[i].data = r->out[i].data;
    end->out[i].len = r->out[i].len;
  }
}

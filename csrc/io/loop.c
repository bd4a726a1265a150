/* SPDX-License-Identifier: MIT */
/* loop.c - libuv's loop, run by whichever thread polls.
 *
 * libuv is not made for threads: so everything that touches the loop is a request, and requests are
 * run by who holds the poll token, which exactly one thread does at a time. A request that finds
 * nobody polling takes the token itself and is done before gr_loop_post returns; else the thread
 * that polls is woken. The queue is a stack of one CAS (Treiber), taken as a whole and reversed: no
 * ABA, since nobody pops.
 *
 * libuv's epoll is itself a descriptor in ours. It is readable when libuv has something to do; what
 * it wants to register it registers in uv_run, which therefore follows each request. Its timers
 * limit how long the poller sleeps. */
#include "io/loop.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/poll.h"

static GrLoopReq *_Atomic posted;
static uv_loop_t loop; /* of who has the token */
static bool made;
static int64_t timer_at = GR_FOREVER;

bool gr_loop_posted(void) { return atomic_load(&posted) != NULL; }
bool gr_loop_due(void) { return timer_at != GR_FOREVER && gr_now_ns() >= timer_at; }

void gr_loop_limit(int64_t *until) {
  if (timer_at < *until) *until = timer_at;
}

/* libuv aborts the process when there are no descriptors for a pipe of its own (1.44), so it is
 * asked only when there are. 0 or a libuv code. */
static int room(void) {
  enum { WANTS = 4 };
  int fds[WANTS], n = 0, err = 0;
  while (n < WANTS && (fds[n] = eventfd(0, EFD_CLOEXEC)) >= 0) n++;
  if (n < WANTS) err = -errno;
  while (n > 0) close(fds[--n]);
  return err;
}

static int make(void) {
  if (made) return 0;
  int r = gr_poll_start();
  if (r != GR_OK) return -gr_sys_errno(r);
  if ((r = room()) != 0 || (r = uv_loop_init(&loop)) != 0) return r;
  if ((r = gr_poll_watch_loop(uv_backend_fd(&loop))) != 0) uv_loop_close(&loop);
  made = r == 0;
  return r;
}

static GrLoopReq *take_in_order(void) {
  GrLoopReq *in_order = NULL;
  for (GrLoopReq *req = atomic_exchange(&posted, NULL), *next; req != NULL; req = next) {
    next = req->next;
    req->next = in_order;
    in_order = req;
  }
  return in_order;
}

static void run_posted(bool ends) {
  for (GrLoopReq *req = take_in_order(), *next; req != NULL; req = next) {
    next = req->next;
    int error = ends ? UV_ECANCELED : make();
    req->run(req, error == 0 ? &loop : NULL, error);
  }
}

void gr_loop_run(void) {
  while (gr_loop_posted()) run_posted(false);
  if (!made) return;
  int ms;
  do {
    uv_run(&loop, UV_RUN_NOWAIT);
    ms = uv_loop_alive(&loop) ? uv_backend_timeout(&loop)
                              : -1; /* of a loop with nothing in it libuv says 0 */
  } while (ms == 0);                /* handles to be closed */
  timer_at = ms < 0 ? GR_FOREVER : gr_now_ns() + (int64_t)ms * 1000000;
}

void gr_loop_post(GrLoopReq *req) {
  (void)gr_poll_start(); /* so that whoever polls can be woken from there; a failure is told by make
                          */
  req->next = atomic_load_explicit(&posted, memory_order_relaxed);
  while (!atomic_compare_exchange_weak(&posted, &req->next, req)) {}
  gr_sched_poll();
  (void)gr_sched_poll_wanted(); /* when the token was another's: it is asked for once more by who
                                   runs out of work */
}

/* ---- descriptors that stay ---- */

static void end_watch(GrLoopFd *w, int error) {
  atomic_store(&w->error, error);
  atomic_store(&w->watched, false);
  w->ended(error);
}

static void on_watch_closed(uv_handle_t *h) {
  end_watch(gr_container_of((uv_close_cb *)h->data, GrLoopFd, closed), UV_ECANCELED);
}

static void on_watch_ready(uv_poll_t *poll, int status, int events) {
  (void)status, (void)events;
  GrLoopFd *w = gr_container_of((uv_close_cb *)poll->data, GrLoopFd, closed);
  w->ready(w->fd);
}

static void begin_watch(GrLoopReq *req, uv_loop_t *l, int error) {
  GrLoopFd *w = gr_container_of(req, GrLoopFd, req);
  if (l != NULL) error = uv_poll_init(l, &w->poll, w->fd);
  if (error != 0) {
    end_watch(w, error);
    return;
  }
  w->closed = on_watch_closed;
  w->poll.data = &w->closed;
  uv_poll_start(&w->poll, UV_READABLE, on_watch_ready);
}

int gr_loop_watch(GrLoopFd *w) {
  if (atomic_exchange(&w->watched, true)) return GR_OK;
  w->req.run = begin_watch;
  gr_loop_post(&w->req);
  return atomic_load(&w->watched) ? GR_OK : gr_sys_result(atomic_load(&w->error));
}

/* ---- the end ---- */

static void close_handle(uv_handle_t *h, void *arg) {
  (void)arg;
  uv_close_cb *owner = h->data;
  if (!uv_is_closing(h)) uv_close(h, owner != NULL ? *owner : NULL);
}

void gr_loop_end(void) {
  run_posted(true);
  if (!made) return;
  uv_walk(&loop, close_handle, NULL);
  while (uv_run(&loop, UV_RUN_DEFAULT) != 0) {}
  uv_loop_close(&loop);
  made = false;
  timer_at = GR_FOREVER;
}

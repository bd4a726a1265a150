/* SPDX-License-Identifier: MIT */
/* loop.c - libuv's loop, run by whichever thread polls.
 *
 * What libuv does for goro:
 *
 *   files by path     uv_fs_* without a callback: the system call on the caller's thread (fs.c)
 *   ends of children  a uv_poll_t on the pidfd, a uv_timer_t where there is no pidfd (process.c)
 *   signals           a uv_poll_t on the eventfd that the signal handler writes to (signal.c)
 *   watched files     a uv_poll_t on the inotify descriptor (watch.c)
 *   errors            their names and texts (error.c)
 *
 * What libuv does not do, and why:
 *
 *   sockets, pipes      uv_poll_t polls level-triggered. A handle must be stopped after each
 *   (poll.c)            event and started before each wait, which is two requests to the polling
 *                       thread; otherwise it reports the same event over and over. Handles that
 *                       stay started, with a flag beside them, were 15 to 20 % slower than poll.c
 *                       in the echo measurement of DESIGN.md. And only one thread may touch the
 *                       loop.
 *   children            uv_process_t learns of a child's end by SIGCHLD. It replaces the
 *   (child.c, exec.c)   program's handler as long as any child lives, and leaves the default
 *                       action there afterwards. When the program or a C module calls wait()
 *                       itself, libuv waits for ever. uv_spawn (1.44) forks, on the one thread
 *                       that polls, and that thread then waits for the exec. exec.c starts
 *                       children on the callers' threads, several at a time, at a tenth of the
 *                       price.
 *   signals             uv_signal_t takes the signal only when the loop comes to it, but a
 *   (signal.c)          program that has called notify must not be killed by the signal a moment
 *                       later. At its end it leaves the default action, where the program may
 *                       have had a handler (lua.c has one for SIGINT).
 *   watched files       uv_fs_event_t tells two kinds of events where the kernel tells a dozen.
 *   (watch.c)           It reports what happens to a folder itself as if it had happened to a
 *                       file of that name in the folder. It says nothing when the kernel's queue
 *                       was full.
 *   names of hosts      uv_getaddrinfo has four threads, and shares them with file operations.
 *   (resolver.c)        Four slow names would hold up everybody. resolver.c has up to sixteen
 *                       threads for names alone.
 *   copies of files     uv_fs_copyfile goes by the size that stat tells, so a copy of a file in
 *   (fswhole.c)         /proc is empty. When it fails it deletes the target, even a target that
 *                       was there before; a folder as the source is enough for that.
 *   times, temporary    uv_fs_utime knows no time before 1970, and nothing finer than
 *   names (fs.c)        microseconds. uv_fs_mkdtemp and uv_fs_mkstemp allocate memory of their
 *                       own.
 *
 * How the loop is run. libuv is not made for threads. So everything that touches the loop is a
 * request, and the thread that holds the poll token runs the requests; exactly one thread holds it
 * at a time. When a request finds that nobody polls, the thread that posts it takes the token and
 * runs it, before gr_loop_post returns. Otherwise the post wakes the thread that polls. The
 * requests form a stack (Treiber's: one CAS), which the runner takes as a whole and reverses. There
 * is no ABA problem, since nobody pops a single request.
 *
 * libuv's epoll is itself a descriptor in goro's epoll (poll.c). It is readable when libuv has
 * something to do. libuv registers descriptors inside uv_run only, so uv_run follows each batch of
 * requests. libuv's timers limit how long the poller sleeps. */
#include "io/loop.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/poll.h"

static GrLoopReq *_Atomic posted;
static uv_loop_t loop; /* of the thread that has the token; so are `made` and timer_at */
static bool made;
static int64_t timer_at = GR_FOREVER;

bool gr_loop_posted(void) { return atomic_load(&posted) != NULL; }
bool gr_loop_due(void) { return timer_at != GR_FOREVER && gr_now_ns() >= timer_at; }

void gr_loop_limit(int64_t *until) {
  if (timer_at < *until) *until = timer_at;
}

/* libuv (1.44) aborts the process when it finds no descriptors for a pipe of its own. So the loop
 * is made only after as many descriptors could be opened here. 0 or a libuv code. */
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
                              : -1; /* libuv says 0 of a loop that has nothing in it */
  } while (ms == 0);                /* 0: there are handles to close */
  timer_at = ms < 0 ? GR_FOREVER : gr_now_ns() + (int64_t)ms * 1000000;
}

void gr_loop_post(GrLoopReq *req) {
  (void)gr_poll_start(); /* the poller can be woken then; make() reports a failure */
  req->next = atomic_load_explicit(&posted, memory_order_relaxed);
  while (!atomic_compare_exchange_weak(&posted, &req->next, req)) {}
  gr_sched_poll();
  (void)
      gr_sched_poll_wanted(); /* if another thread had the token, the next one without work polls */
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

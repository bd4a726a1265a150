/* SPDX-License-Identifier: MIT */
/* poll.c - an edge-triggered epoll in which idle threads sleep. fd.c has the descriptors in it.
 *
 * Each descriptor is registered once, at its first wait, for both ways, edge-triggered. After that
 * any thread tries its system call at once and comes here only to wait. libuv's loop is one more
 * descriptor in this epoll; loop.c says what libuv does and why it does not do this.
 *
 * Sleeping and waking. The thread that is about to sleep in epoll_wait sets `asleep`, then looks at
 * `woken` a last time. The thread that wakes it sets `woken` first, and writes to the eventfd only
 * when it sees `asleep`. So one of the two always sees the other. The eventfd is edge-triggered as
 * well, so nobody has to read it.
 *
 * Who polls. A thread without work looks for events without waiting (sched/find.c). The last
 * idle thread sleeps here. sysmon looks when nobody has polled for 10 ms. A host's thread does not
 * poll: it sleeps on its note, as it does for channels, and the pool has at least one thread from
 * the host's first wait on. (Rejected for now: hosts that poll while they wait. That would save a
 * hop of 40 us for programs that do I/O in the main script alone. But such a host would have to
 * hand the poll token over when its own event comes.) */
#include "io/poll.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "io/loop.h"
#include "io/nofile.h"
#include "io/resolver.h"

enum { EVENTS = 256 };

static GrLock start_lock = GR_LOCK_INIT(GR_RANK_LEAF);
static atomic_int epoll_fd = -1, wake_fd = -1;
static atomic_int waiting;    /* goroutines in a wait, and the sum of gr_poll_hold's deltas */
static atomic_int registered; /* descriptors in epoll */
static atomic_bool asleep, woken;
static GrNote note;                      /* the idle M sleeps here as long as there is no epoll */
static struct epoll_event found[EVENTS]; /* this and nfound: of the thread with the token */
static int nfound;
static char of_wake, of_loop; /* their addresses mark the eventfd and libuv's loop in epoll */

/* ---- polling: under the token ---- */

/* Sleeps to the nanosecond where the kernel can (5.11), otherwise to the end of the millisecond. */
static int epoll_until(int fd, int64_t until) {
  static atomic_bool coarse;
  if (until == GR_POLL) return epoll_wait(fd, found, EVENTS, 0);
  if (until == GR_FOREVER) return epoll_wait(fd, found, EVENTS, -1);
  int64_t ns = until - gr_now_ns();
  if (ns <= 0) return epoll_wait(fd, found, EVENTS, 0);
#ifdef SYS_epoll_pwait2
  if (!atomic_load_explicit(&coarse, memory_order_relaxed)) {
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    long n = syscall(SYS_epoll_pwait2, fd, found, EVENTS, &t, NULL, 0);
    if (n >= 0 || (errno != ENOSYS && errno != EPERM)) return (int)n;
    atomic_store(&coarse, true);
  }
#endif
  int64_t ms = (ns + 999999) / 1000000;
  return epoll_wait(fd, found, EVENTS, ms < INT32_MAX ? (int)ms : INT32_MAX);
}

/* There is no epoll. True: a request of loop.c's is to be run, which will be told that it has no
 * loop. */
static bool note_wait(int64_t until) {
  if (until != GR_POLL && !gr_loop_posted()) {
    gr_note_sleep(&note, until);
    gr_note_clear(&note);
  }
  return gr_loop_posted();
}

static bool poll_wait(int64_t until) {
  int fd = atomic_load(&epoll_fd);
  if (fd < 0) return note_wait(until);
  bool sleeps = until != GR_POLL;
  if (sleeps) {
    atomic_store(&asleep, true);
    if (atomic_exchange(&woken, false) || gr_loop_posted()) until = GR_POLL;
    gr_loop_limit(&until);
  }
  nfound = epoll_until(fd, until);
  if (sleeps) atomic_store(&asleep, false);
  return nfound > 0 || gr_loop_posted() || gr_loop_due();
}

static void poll_deliver(void) {
  bool of_libuv = gr_loop_posted() || gr_loop_due();
  for (int i = 0; i < nfound; i++) {
    void *of = found[i].data.ptr;
    if (of == &of_loop) of_libuv = true;
    else if (of != &of_wake) gr_fd_event(of, found[i].events);
  }
  nfound = 0;
  if (of_libuv) gr_loop_run();
}

static void poll_wake(void) {
  if (atomic_load(&epoll_fd) < 0) {
    gr_note_wake(&note);
    return;
  }
  atomic_store(&woken, true);
  if (!atomic_load(&asleep)) return;
  uint64_t one = 1;
  if (write(atomic_load(&wake_fd), &one, sizeof one) < 0)
    return; /* the counter is full: enough writes are on their way */
}

static bool poll_waited_for(void) { return atomic_load(&waiting) > 0 || gr_loop_posted(); }
static bool poll_wanted(void) { return atomic_load(&registered) > 0 || atomic_load(&waiting) > 0; }

/* ---- beginning and end ---- */

static int watch(int epoll, int fd, uint32_t events, void *data) {
  struct epoll_event e = {.events = events, .data.ptr = data};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : errno;
}

static int start_locked(void) {
  if (atomic_load(&epoll_fd) >= 0) return GR_OK;
  gr_nofile_raise();
  int epoll = epoll_create1(EPOLL_CLOEXEC),
      wake = epoll >= 0 ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1, err = errno;
  if (wake >= 0 && (err = watch(epoll, wake, EPOLLIN | EPOLLET, &of_wake)) == 0) {
    atomic_store(&wake_fd, wake);
    atomic_store(&epoll_fd, epoll);
    gr_note_wake(&note); /* a thread that sleeps there is to sleep in the epoll */
    return GR_OK;
  }
  if (wake >= 0) close(wake);
  if (epoll >= 0) close(epoll);
  return gr_sys_result(-err);
}

int gr_poll_start(void) {
  if (gr_likely(atomic_load_explicit(&epoll_fd, memory_order_acquire) >= 0)) return GR_OK;
  gr_lock(&start_lock);
  int r = start_locked();
  gr_unlock(&start_lock);
  return r;
}

int gr_poll_add(int fd, uint32_t events, void *data) {
  int err = watch(atomic_load(&epoll_fd), fd, events, data);
  if (err == 0) atomic_fetch_add(&registered, 1);
  return err;
}

void gr_poll_removed(void) { atomic_fetch_sub(&registered, 1); }

int gr_poll_watch_loop(int fd) { return -gr_poll_add(fd, EPOLLIN, &of_loop); }

/* All threads have left the pool, except those that are stuck in foreign code. */
static void poll_end(void) {
  gr_loop_end();
  gr_lookup_end();
  gr_fd_close_all();
  gr_lock(&start_lock);
  int epoll = atomic_exchange(&epoll_fd, -1), wake = atomic_exchange(&wake_fd, -1);
  if (epoll >= 0) close(epoll);
  if (wake >= 0) close(wake);
  gr_unlock(&start_lock);
  atomic_store(&waiting, 0);
  atomic_store(&registered, 0);
  atomic_store(&woken, false);
}

void gr_poll_init(void) {
  static const GrPoller poller = {poll_wait,       poll_deliver, poll_wake,
                                  poll_waited_for, poll_wanted,  poll_end};
  gr_sched_set_poller(&poller);
}

/* ---- waits ---- */

int gr_poll_hold(int delta) {
  atomic_fetch_add(&waiting, delta);
  int r = delta > 0 ? gr_sched_poll_wanted() : GR_OK;
  if (r != GR_OK) atomic_fetch_sub(&waiting, delta);
  return r;
}

int gr_poll_begin(G *g, const GrWaitType *type, int64_t until, bool blocks) {
  if (until == GR_POLL || (until != GR_FOREVER && gr_now_ns() >= until)) return GR_TIMEOUT;
  atomic_fetch_add(&waiting, 1);
  gr_wait_prepare(g, type, blocks);
  int r = gr_wait_limit(g, until);
  if (r != GR_OK) gr_poll_cancel(g);
  return r;
}

void gr_poll_cancel(G *g) {
  gr_wait_unprepare(g);
  atomic_fetch_sub(&waiting, 1);
}

int gr_poll_finish(G *g, GrCause *cause) {
  *cause = gr_wait_finish(g);
  atomic_fetch_sub(&waiting, 1);
  return *cause == GR_CAUSE_SUDOG ? GR_OK : *cause == GR_CAUSE_TIMEOUT ? GR_TIMEOUT : GR_ABORTED;
}

int gr_poll_finish_attempt(int r, int64_t until) {
  return r == GR_TIMEOUT && (until == GR_FOREVER || gr_now_ns() < until) ? GR_OK : r;
}

/* SPDX-License-Identifier: MIT */
/* poll.c - an edge-triggered epoll that idle threads sleep in. The descriptors in it are fd.c's.
 *
 * Why not uv_poll_t. libuv polls level-triggered, so a handle must be stopped after each event and
 * started before each wait (two requests to the loop's thread), or it reports over and over; left
 * started with a flag beside it, it was 15 to 20 % slower than this in the echo measurement of
 * DESIGN.md, and its loop may be touched by one thread only. Here a descriptor is registered once,
 * at its first wait, for both ways, edge-triggered, and any thread tries its system call at once.
 * libuv's own loop (loop.c) is one more descriptor in this epoll.
 *
 * Sleeping. Who sleeps in epoll_wait says so in `asleep` before the last look at `woken`; who wakes
 * sets `woken` first and writes to the eventfd only when it sees `asleep`. The eventfd is
 * edge-triggered too, and so never read.
 *
 * Where nobody polls: threads look for events without waiting when they run out of work (proc.c),
 * the last idle one sleeps here, sysmon looks when nobody has for 10 ms. A host's thread does not
 * poll: it sleeps on its note, as for channels, and the pool has at least one thread from its first
 * wait on. (Rejected for now: hosts that poll while they wait. It saves a hop, 40 us, for programs
 * that do I/O in the main script alone, but needs the token handed over when such a host gets its
 * own event.) */
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
static atomic_int waiting;    /* goroutines in a wait here, and what gr_poll_hold counts */
static atomic_int registered; /* descriptors in epoll */
static atomic_bool asleep, woken;
static GrNote note;                      /* the idle M sleeps here until there is an epoll */
static struct epoll_event found[EVENTS]; /* this and nfound: of who has the token */
static int nfound;
static char of_wake, of_loop; /* their addresses are epoll's data for those two */

/* ---- polling: under the token ---- */

/* To the nanosecond where the kernel can (5.11), else not before the millisecond has passed. */
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

/* A request is told that there is no loop. */
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
    return; /* full: it has been woken often enough */
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
    gr_note_wake(&note); /* who sleeps there comes over here */
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

/* All threads have left, but for those that are stuck in foreign code. */
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

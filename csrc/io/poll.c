/* SPDX-License-Identifier: MIT */
/* poll.c - an edge-triggered epoll that idle threads sleep in; turns, waits and closing of
 * descriptors.
 *
 * Why not uv_poll_t. libuv polls level-triggered, so a handle must be stopped after each event and
 * started before each wait (two requests to the loop's thread), or it reports over and over; left
 * started with a flag beside it, it was 15 to 20 % slower than this in the echo measurement of
 * DESIGN.md, and its loop may be touched by one thread only. Here a descriptor is registered once,
 * at its first wait, for both ways, edge-triggered, and any thread tries its system call at once.
 * libuv's own loop (loop.c) is one more descriptor in this epoll.
 *
 * How no event is lost. An edge means "something has changed since the last look". Poller: lock the
 * descriptor; somebody waits in that way and can be won: wake him; else set `ready`; unlock.
 * Waiter: clear `ready`, make the call, EAGAIN, lock; `ready` is set: call again; else link;
 * unlock. An edge that comes after the call finds either the flag's place or the waiter. After Go's
 * pollDesc (netpoll.go), with a lock for its two CAS words, since a turn must be taken and a
 * descriptor pinned in the same step.
 *
 * `spent` saves a call. One that moved less than was asked for has emptied a stream's buffer, so
 * the next will say EAGAIN, unless an event has come: epoll(7) says so. The end of a stream makes
 * no edge of its own when it came with the last data's event: so a descriptor that was told of a
 * hang-up is never taken for spent.
 *
 * Who waits is in a GrWay's `owner` and `seq`, not in a sudog: there is one, who has the turn; and
 * those who wait for the turn are in a small vector. So a goroutine that is destroyed while it
 * waits (the pool ends) leaves nothing linked: what is left of it is a sequence number that nobody
 * can win.
 *
 * Closing. A descriptor must not be closed under a call that uses its number, for the number may be
 * another's by then: calls pin it, and the last to leave closes. Who is parked does not pin: so a
 * listener's port is free when close returns. A closed descriptor leaves epoll by itself.
 *
 * Memory of GrFds is type-stable: an event that was fetched just when its descriptor was closed
 * finds a free GrFd, or a new one, and the worst it does is a `ready` too many, which costs one
 * EAGAIN. For the same reason epoll is never told that a descriptor goes.
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
 * own event.)
 *
 * Locks: a descriptor's (GR_RANK_IO), under which waits are prepared; the slabs' (LEAF). */
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

enum { EVENTS = 256, SLAB = 64 };

typedef struct Queued {
  G *g;
  uint64_t seq;
} Queued;

typedef struct Queue {
  uint32_t head, n, cap;
  Queued at[];
} Queue;

typedef struct Way {
  G *owner;     /* has the turn, or NULL */
  uint64_t seq; /* the owner waits for an event in this wait; 0: it does not */
  Queue *queue; /* who waits for the turn, or NULL */
  bool ready;   /* an event has come since the last enter */
  bool spent;   /* the last call took all there was */
  bool hung_up; /* no more edges can be relied upon */
} Way;

struct GrFd {
  GrLock lock; /* all but link; fd and spent may be read by who has pinned it and has the turn */
  int fd;      /* -1: closed, or free */
  uint32_t users;
  bool closed, registered;
  Way way[2];
  GrFd *link; /* free */
};

typedef struct Slab {
  struct Slab *next;
  GrFd fds[SLAB];
} Slab;

static GrLock slabs_lock = GR_LOCK_INIT(GR_RANK_LEAF);
static Slab *slabs;
static GrFd *free_fds;

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

/* Who must be readied, or NULL. */
static G *event_locked(Way *w, bool hung_up) {
  w->hung_up = w->hung_up || hung_up;
  if (w->seq != 0 && gr_wait_win(w->owner, w->seq, GR_CAUSE_SUDOG, NULL)) {
    w->seq = 0;
    w->spent = false;
    return w->owner;
  }
  w->ready = true;
  return NULL;
}

static void event(GrFd *f, uint32_t events) {
  bool broken = (events & (EPOLLHUP | EPOLLERR)) != 0;
  G *reader = NULL, *writer = NULL;
  gr_lock(&f->lock);
  if (broken || events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI))
    reader = event_locked(&f->way[GR_READ], broken || events & EPOLLRDHUP);
  if (broken || events & EPOLLOUT) writer = event_locked(&f->way[GR_WRITE], broken);
  gr_unlock(&f->lock);
  if (reader != NULL) gr_ready(reader);
  if (writer != NULL) gr_ready(writer);
}

static void poll_deliver(void) {
  bool of_libuv = gr_loop_posted() || gr_loop_due();
  for (int i = 0; i < nfound; i++) {
    void *of = found[i].data.ptr;
    if (of == &of_loop) of_libuv = true;
    else if (of != &of_wake) event(of, found[i].events);
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
  return GR_ERRNO(err);
}

int gr_poll_start(void) {
  if (gr_likely(atomic_load_explicit(&epoll_fd, memory_order_acquire) >= 0)) return GR_OK;
  gr_lock(&start_lock);
  int r = start_locked();
  gr_unlock(&start_lock);
  return r;
}

int gr_poll_watch_loop(int fd) {
  int err = watch(atomic_load(&epoll_fd), fd, EPOLLIN, &of_loop);
  if (err == 0) atomic_fetch_add(&registered, 1);
  return -err;
}

/* All threads have left, but for those that are stuck in foreign code. */
static void poll_end(void) {
  gr_loop_end();
  gr_lookup_end();
  for (Slab *s = slabs; s != NULL; s = s->next)
    for (int i = 0; i < SLAB; i++) gr_fd_close(&s->fds[i]);
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

/* ---- descriptors ---- */

static bool slab_new_locked(void) {
  Slab *s = gr_zalloc(sizeof *s);
  if (s == NULL) return false;
  s->next = slabs;
  slabs = s;
  for (int i = SLAB - 1; i >= 0; i--) {
    GrFd *f = &s->fds[i];
    gr_lock_init(&f->lock, GR_RANK_IO);
    f->fd = -1;
    f->closed = true;
    f->link = free_fds;
    free_fds = f;
  }
  return true;
}

int gr_fd_new(int fd, GrFd **out) {
  int r = gr_poll_start();
  if (r != GR_OK) return r;
  gr_lock(&slabs_lock);
  bool have = free_fds != NULL || slab_new_locked();
  GrFd *f = free_fds;
  if (have) free_fds = f->link;
  gr_unlock(&slabs_lock);
  if (!have) return GR_NOMEM;
  gr_lock(&f->lock);
  f->fd = fd;
  f->closed = f->registered = false;
  memset(f->way, 0, sizeof f->way);
  gr_unlock(&f->lock);
  *out = f;
  return GR_OK;
}

static void count_registered(const GrFd *f) {
  if (f->registered) atomic_fetch_sub(&registered, 1);
}

/* The number, for the caller to close, when nobody uses it any more; else -1. */
static int take_number_locked(GrFd *f) {
  if (!f->closed || f->users > 0) return -1;
  int fd = f->fd;
  f->fd = -1;
  return fd;
}

static int unpin_locked(GrFd *f) {
  f->users--;
  return take_number_locked(f);
}

static void close_number(int fd) {
  if (fd >= 0) close(fd);
}

static void wake_queue_locked(Way *w) {
  Queue *q = w->queue;
  w->queue = NULL;
  for (uint32_t i = 0; q != NULL && i < q->n; i++) {
    Queued *e = &q->at[q->head + i];
    if (gr_wait_win(e->g, e->seq, GR_CAUSE_SUDOG, NULL)) gr_ready(e->g);
  }
  gr_free(q);
}

/* In a child of fork the lock may be held by a thread that is not there. */
static bool forked(void) { return atomic_load_explicit(&gr_forked, memory_order_relaxed); }

int gr_fd_close(GrFd *f) {
  if (gr_unlikely(forked())) return GR_CLOSED;
  gr_lock(&f->lock);
  bool was = f->closed;
  if (!was) {
    f->closed = true;
    count_registered(f);
    for (int i = 0; i < 2; i++) {
      Way *w = &f->way[i];
      if (w->seq != 0 && gr_wait_win(w->owner, w->seq, GR_CAUSE_SUDOG, NULL)) gr_ready(w->owner);
      w->seq = 0;
      w->owner = NULL;
      wake_queue_locked(w);
    }
  }
  int fd = take_number_locked(f);
  gr_unlock(&f->lock);
  close_number(fd);
  return was ? GR_CLOSED : GR_OK;
}

bool gr_fd_closed(GrFd *f) {
  gr_lock(&f->lock);
  bool closed = f->closed;
  gr_unlock(&f->lock);
  return closed;
}

void gr_fd_free(GrFd *f) {
  if (f == NULL) return;
  if (gr_unlikely(forked())) {
    close_number(f->fd);
    return;
  }
  gr_fd_close(f);
  gr_lock(&slabs_lock);
  f->link = free_fds;
  free_fds = f;
  gr_unlock(&slabs_lock);
}

void gr_fd_forget(GrFd *f) {
  gr_lock(&f->lock);
  f->fd = -1;
  gr_unlock(&f->lock);
  gr_fd_free(f);
}

int gr_fd_number(const GrFd *f) { return f->fd; }
bool gr_fd_spent(const GrFd *f, GrWay way) { return f->way[way].spent; }

bool gr_fd_pin(GrFd *f) {
  if (gr_unlikely(forked())) return false;
  gr_lock(&f->lock);
  bool open = !f->closed;
  if (open) f->users++;
  gr_unlock(&f->lock);
  return open;
}

void gr_fd_unpin(GrFd *f) {
  gr_lock(&f->lock);
  int fd = unpin_locked(f);
  gr_unlock(&f->lock);
  close_number(fd);
}

/* ---- waits ---- */

int gr_poll_hold(int delta) {
  atomic_fetch_add(&waiting, delta);
  int r = delta > 0 ? gr_sched_poll_wanted() : GR_OK;
  if (r != GR_OK) atomic_fetch_sub(&waiting, delta);
  return r;
}

int gr_poll_begin(G *g, GrReason reason, int64_t until, bool blocks) {
  if (until == GR_POLL || (until != GR_FOREVER && gr_now_ns() >= until)) return GR_TIMEOUT;
  atomic_fetch_add(&waiting, 1);
  gr_wait_prepare(g, reason, blocks);
  int r = gr_wait_limit(g, until);
  if (r == GR_OK) return GR_OK;
  gr_wait_unprepare(g);
  atomic_fetch_sub(&waiting, 1);
  return r;
}

void gr_poll_done(void) { atomic_fetch_sub(&waiting, 1); }

/* The same for an event. A host's thread, or one that none of ours is, looks for no work
 * afterwards, so somebody must be there to poll. */
static int start_wait(G *g, GrReason reason, int64_t until, bool blocks) {
  int r = gr_poll_begin(g, reason, until, blocks);
  if (r != GR_OK || !g->is_host || (r = gr_sched_poll_wanted()) == GR_OK) return r;
  gr_wait_unprepare(g);
  gr_poll_done();
  return r;
}

static bool enqueue_locked(Way *w, G *g) {
  Queue *q = w->queue;
  if (q == NULL || q->head + q->n == q->cap) {
    uint32_t n = q != NULL ? q->n : 0, cap = n * 2 + 4;
    Queue *bigger = gr_malloc(sizeof *q + cap * sizeof *q->at);
    if (bigger == NULL) return false;
    bigger->head = 0;
    bigger->n = n;
    bigger->cap = cap;
    if (n > 0) memcpy(bigger->at, q->at + q->head, n * sizeof *q->at);
    gr_free(q);
    w->queue = q = bigger;
  }
  q->at[q->head + q->n++] = (Queued){g, gr_wait_seq(g)};
  return true;
}

static void dequeue_locked(Way *w, const G *g) {
  Queue *q = w->queue;
  for (uint32_t i = 0; q != NULL && i < q->n; i++) {
    Queued *e = &q->at[q->head + i];
    if (e->g != g) continue;
    memmove(e, e + 1, (q->n - i - 1) * sizeof *e);
    q->n--;
    return;
  }
}

/* The turn goes to who has waited longest for it, who must be readied; NULL: nobody. */
static G *pass_on_locked(Way *w) {
  Queue *q = w->queue;
  w->owner = NULL;
  w->seq = 0;
  while (q != NULL && q->n > 0) {
    Queued e = q->at[q->head++];
    q->n--;
    if (!gr_wait_win(e.g, e.seq, GR_CAUSE_SUDOG, NULL)) continue;
    w->owner = e.g;
    return e.g;
  }
  gr_free(q);
  w->queue = NULL;
  return NULL;
}

static int queue_up_locked(Way *w, G *g, GrReason reason, int64_t until, bool blocks) {
  int r = start_wait(g, reason, until, blocks);
  if (r != GR_OK) return r;
  if (enqueue_locked(w, g)) return GR_PARK;
  gr_wait_unprepare(g);
  atomic_fetch_sub(&waiting, 1);
  return GR_NOMEM;
}

int gr_fd_enter(GrFd *f, GrWay way, G *g, GrReason reason, int64_t until, bool blocks, bool fresh) {
  Way *w = &f->way[way];
  int r = GR_OK;
  gr_lock(&f->lock);
  if (gr_unlikely(f->closed)) r = fresh ? GR_ERRNO(EBADF) : GR_CLOSED;
  else if (w->owner == NULL) w->owner = g;
  else if (w->owner != g) r = queue_up_locked(w, g, reason, until, blocks);
  else if (fresh) r = GR_ERRNO(EBUSY);
  if (r == GR_OK) {
    f->users++;
    if (w->ready) w->spent = false;
    w->ready = false;
  }
  gr_unlock(&f->lock);
  return r;
}

static int register_locked(GrFd *f) {
  if (f->registered) return GR_OK;
  int err = watch(atomic_load(&epoll_fd), f->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, f);
  if (err != 0) return err == ENOMEM ? GR_NOMEM : GR_ERRNO(err);
  f->registered = true;
  atomic_fetch_add(&registered, 1);
  return GR_OK;
}

int gr_fd_await(GrFd *f, GrWay way, G *g, GrReason reason, int64_t until, bool blocks, bool spent) {
  Way *w = &f->way[way];
  G *next = NULL;
  int fd = -1;
  gr_lock(&f->lock);
  int r = f->closed ? GR_CLOSED : register_locked(f);
  if (r == GR_OK && (w->ready || (spent && w->hung_up))) {
    w->ready = w->spent = false;
    gr_unlock(&f->lock);
    return GR_OK;
  }
  if (r == GR_OK) r = start_wait(g, reason, until, blocks);
  if (r == GR_OK) {
    w->seq = gr_wait_seq(g);
    r = GR_PARK;
  } else if (w->owner == g) {
    next = pass_on_locked(w);
  }
  fd = unpin_locked(f);
  gr_unlock(&f->lock);
  close_number(fd);
  if (next != NULL) gr_ready(next);
  return r;
}

int gr_fd_awake(GrFd *f, GrWay way, G *g, GrCause *cause) {
  Way *w = &f->way[way];
  G *next = NULL;
  *cause = gr_wait_finish(g);
  gr_lock(&f->lock);
  atomic_fetch_sub(&waiting, 1);
  if (w->owner == g) w->seq = 0;
  else if (*cause != GR_CAUSE_SUDOG) dequeue_locked(w, g);
  if (*cause == GR_CAUSE_TIMEOUT && w->owner == g) next = pass_on_locked(w);
  gr_unlock(&f->lock);
  if (next != NULL) gr_ready(next);
  return *cause == GR_CAUSE_SUDOG ? GR_OK : *cause == GR_CAUSE_TIMEOUT ? GR_TIMEOUT : GR_ABORTED;
}

void gr_fd_leave(GrFd *f, GrWay way, G *g, bool spent) {
  Way *w = &f->way[way];
  G *next = NULL;
  gr_lock(&f->lock);
  w->spent = spent && !w->hung_up;
  if (w->owner == g) next = pass_on_locked(w);
  int fd = unpin_locked(f);
  gr_unlock(&f->lock);
  close_number(fd);
  if (next != NULL) gr_ready(next);
}

void gr_fd_quit(GrFd *f, GrWay way, G *g) {
  Way *w = &f->way[way];
  G *next = NULL;
  gr_lock(&f->lock);
  if (w->owner == g) next = pass_on_locked(w);
  gr_unlock(&f->lock);
  if (next != NULL) gr_ready(next);
}

/* ---- several at once ---- */

/* GR_PARK: linked; GR_OK: it is ready, or closed: look. */
static int link_one(GrFd *f, Way *w, G *g) {
  gr_lock(&f->lock);
  int r = f->closed ? GR_OK : register_locked(f);
  if (r == GR_OK && !w->ready && !f->closed) {
    w->owner = g;
    w->seq = gr_wait_seq(g);
    r = GR_PARK;
  }
  w->ready = false;
  gr_unlock(&f->lock);
  return r;
}

static void unlink_all(GrFd *const *fds, uint32_t n, GrWay way) {
  atomic_fetch_sub(&waiting, 1);
  for (uint32_t i = 0; i < n; i++) {
    gr_lock(&fds[i]->lock);
    fds[i]->way[way].owner = NULL;
    fds[i]->way[way].seq = 0;
    gr_unlock(&fds[i]->lock);
  }
}

int gr_fds_await(GrFd *const *fds, uint32_t n, GrWay way, G *g, GrReason reason, int64_t until,
                 bool blocks) {
  int r = start_wait(g, reason, until, blocks);
  if (r != GR_OK) return r;
  uint32_t i = 0;
  while (i < n && (r = link_one(fds[i], &fds[i]->way[way], g)) == GR_PARK) i++;
  if (i == n) return GR_PARK;
  gr_wait_unprepare(g);
  unlink_all(fds, n, way);
  return r;
}

int gr_fds_awake(GrFd *const *fds, uint32_t n, GrWay way, G *g, GrCause *cause) {
  *cause = gr_wait_finish(g);
  unlink_all(fds, n, way);
  return *cause == GR_CAUSE_SUDOG ? GR_OK : *cause == GR_CAUSE_TIMEOUT ? GR_TIMEOUT : GR_ABORTED;
}

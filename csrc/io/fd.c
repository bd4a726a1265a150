/* SPDX-License-Identifier: MIT */
/* fd.c - descriptors that goroutines wait for: turns, waits, closing. poll.c brings the events.
 *
 * The states of one way (reading or writing) of a descriptor. `owner` has the turn; `seq` is the
 * number of the owner's wait.
 *
 *                       enter                     EAGAIN, then await
 *      FREE  ------------------------>  IN USE  ----------------------->  PARKED
 *   owner NULL                         owner = g                         owner = g
 *                                      seq 0, pinned                     seq = g's wait, not pinned
 *        ^                              |      ^                          |    |
 *        |   leave: nobody queues       |      |   event, awake, enter    |    |
 *        +------------------------------+      +--------------------------+    |
 *        |                                                                     |
 *        +------------------- awake after a timeout ---------------------------+
 *
 *   enter while another has the turn:  g goes into `queue`; leave gives it the turn, in order.
 *   awake after an abort:              g keeps the turn: IN USE, but not pinned.
 *   close:                             owner and queue are woken; every later enter is refused.
 *
 * The flags of a way, beside its state:
 *
 *   ready    an event came while the owner did not wait. enter clears it; await finds it, and says
 *            "make the call again" in place of waiting.
 *   spent    the last call took all there was. The next caller may wait without trying. An event
 *            clears it.
 *   hung_up  the peer has hung up: no further edge may come, so the way is never taken for spent.
 *   lent     (writing) the owner is parked to read and wants room to write too. The turn is free to
 *            take for every other goroutine.
 *
 * How no event is lost. An edge means "something has changed since the last look".
 *
 *   poller: lock the descriptor; if the owner waits and the poller wins that wait, wake the owner;
 *           else set `ready`; unlock.
 *   waiter: clear `ready`; make the call: EAGAIN; lock; if `ready` is set, make the call again;
 *           else store the wait's number in `seq`; unlock; park.
 *
 * An edge that comes after the waiter's call finds the waiter linked, or leaves the flag that the
 * waiter sees before it links itself. After Go's pollDesc (netpoll.go). A lock stands for Go's two
 * CAS words, since a call must take the turn and pin the descriptor in one step.
 *
 * `spent` saves a system call. A call that moved fewer bytes than were asked for has emptied the
 * stream's buffer, so the next one says EAGAIN unless an event has come (epoll(7) promises this).
 * The end of a stream makes no edge of its own when it arrived in the same event as the last data.
 * That is why a descriptor that was told of a hang-up is never taken for spent.
 *
 * Why there is no sudog here. One goroutine waits for an event: the owner; `owner` and `seq` name
 * its wait. The goroutines that wait for the turn are in a small vector. When the end of the pool
 * destroys a goroutine that waits, nothing stays linked: only a number is left, and nobody can win
 * the wait that it names.
 *
 * A reader may wait for both ways in one wait. Both ways then hold the number of that wait, and the
 * event that comes first wins it. Meanwhile the turn to write is lent.
 *
 * Closing. A descriptor must not be closed while a system call uses its number, for the number may
 * then belong to another file. So every call pins the descriptor, and the last one to leave closes
 * it. A parked goroutine does not pin it; so the port of a listener is free when close returns. A
 * descriptor that is closed leaves epoll by itself.
 *
 * The memory of GrFds is type-stable (base/slab.h), and is never given back. An event may have been
 * fetched just before its descriptor was closed. It then reaches a GrFd that is free, or one that
 * has been made anew; all it does there is to set `ready` once too often, which costs one EAGAIN.
 * So epoll need not be told that a descriptor goes.
 *
 * Locks: a descriptor's own (GR_RANK_IO), under which waits are prepared; the slabs' (LEAF). */
#include "io/poll.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* A goroutine that waits for a turn, in the wait of this number. */
typedef struct Queued {
  G *g;
  uint64_t seq;
} Queued;

typedef struct Queue {
  uint32_t head, n, cap;
  Queued at[];
} Queue;

/* The flags: see above. */
typedef struct Way {
  G *owner;     /* has the turn, or NULL */
  uint64_t seq; /* the owner waits for an event in the wait of this number; 0: it does not wait */
  Queue *queue; /* the goroutines that wait for the turn, or NULL */
  bool ready, spent, hung_up, lent;
} Way;

struct GrFd {
  GrSlabItem slab; /* first: its memory is type-stable */
  GrLock lock;     /* of all but `slab`. A goroutine that has the turn and pins f may read fd and
                      `spent` without it */
  int fd;          /* -1: closed, or free */
  uint32_t users;  /* how many calls pin it */
  bool closed, registered;
  Way way[2];
};

static void init(void *object, uint64_t seq) {
  GrFd *f = object;
  (void)seq;
  gr_lock_init(&f->lock, GR_RANK_IO);
  f->fd = -1;
  f->closed = true;
}

static GrSlabs slabs = {
    .bytes = 16 << 10, .size = sizeof(GrFd), .init = init, GR_SLABS_LISTS(slabs)};

const GrWaitType gr_fd_reading = {"I/O read", NULL}, gr_fd_writing = {"I/O write", NULL};

/* The goroutine that the caller must ready, or NULL. */
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

void gr_fd_event(GrFd *f, uint32_t events) {
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

/* ---- descriptors ---- */

int gr_fd_new(int fd, GrFd **out) {
  int r = gr_poll_start();
  if (r != GR_OK) return r;
  GrFd *f = gr_slab_get(&slabs);
  if (f == NULL) return GR_NOMEM;
  gr_lock(&f->lock);
  f->fd = fd;
  f->closed = f->registered = false;
  memset(f->way, 0, sizeof f->way);
  gr_unlock(&f->lock);
  *out = f;
  return GR_OK;
}

static void count_registered(const GrFd *f) {
  if (f->registered) gr_poll_removed();
}

/* The number, for the caller to close, once f is closed and no call uses it; else -1. */
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

/* In a child of fork the lock may belong to a thread that does not exist there. */
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

void gr_fd_close_all(void) {
  GrSlabAt at = {0};
  for (GrFd *f; (f = gr_slab_next(&slabs, &at)) != NULL;) gr_fd_close(f);
}

void gr_fd_free(GrFd *f) {
  if (f == NULL) return;
  if (gr_unlikely(forked())) {
    close_number(f->fd);
    return;
  }
  gr_fd_close(f);
  gr_slab_put(&slabs, f);
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

/* GR_OK: a wait is prepared. A host's thread does not look for work when it parks, so it does not
 * poll either: here it makes sure that another thread does. */
static int start_wait(G *g, const GrWaitType *type, int64_t until, bool blocks) {
  int r = gr_poll_begin(g, type, until, blocks);
  if (r != GR_OK || !g->is_host || (r = gr_sched_poll_wanted()) == GR_OK) return r;
  gr_poll_cancel(g);
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

/* Gives the turn to the goroutine that has waited longest for it. The caller must ready that
 * goroutine; NULL: nobody waits. */
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

static int queue_up_locked(Way *w, G *g, const GrWaitType *type, int64_t until, bool blocks) {
  int r = start_wait(g, type, until, blocks);
  if (r != GR_OK) return r;
  if (enqueue_locked(w, g)) return GR_PARK;
  gr_poll_cancel(g);
  return GR_NOMEM;
}

static bool is_free_locked(const Way *w) { return w->owner == NULL || w->lent; }

static void take_locked(Way *w, G *g) {
  w->owner = g;
  w->lent = false;
  w->seq = 0;
}

int gr_fd_enter(GrFd *f, GrWay way, G *g, const GrWaitType *type, int64_t until, bool blocks,
                bool fresh) {
  Way *w = &f->way[way];
  int r = GR_OK;
  gr_lock(&f->lock);
  if (gr_unlikely(f->closed)) r = fresh ? GR_ERRNO(EBADF) : GR_CLOSED;
  else if (is_free_locked(w)) take_locked(w, g);
  else if (w->owner != g) r = queue_up_locked(w, g, type, until, blocks);
  else if (fresh) r = GR_ERRNO(EBUSY);
  if (r == GR_OK) {
    f->users++;
    if (w->ready) w->spent = false;
    w->ready = false;
  }
  gr_unlock(&f->lock);
  return r;
}

bool gr_fd_try_enter(GrFd *f, GrWay way, G *g) {
  Way *w = &f->way[way];
  gr_lock(&f->lock);
  bool is_free = !f->closed && is_free_locked(w);
  if (is_free) {
    take_locked(w, g);
    w->ready = false;
    f->users++;
  }
  gr_unlock(&f->lock);
  return is_free;
}

static int register_locked(GrFd *f) {
  if (f->registered) return GR_OK;
  int err = gr_poll_add(f->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, f);
  f->registered = err == 0;
  return gr_sys_result(-err);
}

/* Is there a reason to make the call again? If so, the flags that say so are cleared. */
static bool take_ready_locked(Way *w, bool spent) {
  if (!w->ready && !(spent && w->hung_up)) return false;
  w->ready = w->spent = false;
  return true;
}

/* GR_PARK: the owner's wait is prepared, and stored in this way. */
static int wait_locked(Way *w, G *g, const GrWaitType *type, int64_t until, bool blocks) {
  int r = start_wait(g, type, until, blocks);
  if (r != GR_OK) return r;
  w->seq = gr_wait_seq(g);
  return GR_PARK;
}

int gr_fd_await(GrFd *f, GrWay way, G *g, const GrWaitType *type, int64_t until, bool blocks,
                bool spent) {
  Way *w = &f->way[way];
  G *next = NULL;
  gr_lock(&f->lock);
  int r = f->closed ? GR_CLOSED : register_locked(f);
  if (r == GR_OK && take_ready_locked(w, spent)) {
    gr_unlock(&f->lock);
    return GR_OK;
  }
  if (r == GR_OK) r = wait_locked(w, g, type, until, blocks);
  if (r != GR_PARK && w->owner == g) next = pass_on_locked(w);
  int fd = unpin_locked(f);
  gr_unlock(&f->lock);
  close_number(fd);
  if (next != NULL) gr_ready(next);
  return r;
}

int gr_fd_await_both(GrFd *f, G *g, const GrWaitType *type, int64_t until, bool blocks,
                     bool spent) {
  Way *reads = &f->way[GR_READ], *writes = &f->way[GR_WRITE];
  G *reader = NULL, *writer = NULL;
  gr_lock(&f->lock);
  int r = f->closed ? GR_CLOSED : register_locked(f);
  bool again = r == GR_OK && (take_ready_locked(reads, spent) || take_ready_locked(writes, false));
  if (r == GR_OK && !again) r = wait_locked(reads, g, type, until, blocks);
  if (r == GR_PARK) {
    writes->seq = reads->seq;
    writes->lent = true;
  } else {
    if (!again && reads->owner == g) reader = pass_on_locked(reads);
    if (writes->owner == g) writer = pass_on_locked(writes);
  }
  f->users -= again ? 0 : 1; /* the read's pin; unpin_locked takes the write's */
  int fd = unpin_locked(f);
  gr_unlock(&f->lock);
  close_number(fd);
  if (reader != NULL) gr_ready(reader);
  if (writer != NULL) gr_ready(writer);
  return r;
}

/* g has waited in gr_fd_await_both: its turn to write goes to the next. */
static G *take_back_locked(Way *w, const G *g) {
  if (!w->lent || w->owner != g) return NULL;
  w->lent = false;
  return pass_on_locked(w);
}

int gr_fd_awake(GrFd *f, GrWay way, G *g, GrCause *cause) {
  Way *w = &f->way[way];
  G *next = NULL, *writer = NULL;
  int r = gr_poll_finish(g, cause);
  gr_lock(&f->lock);
  if (way == GR_READ) writer = take_back_locked(&f->way[GR_WRITE], g);
  if (w->owner == g) w->seq = 0;
  else if (*cause != GR_CAUSE_SUDOG) dequeue_locked(w, g);
  if (*cause == GR_CAUSE_TIMEOUT && w->owner == g) next = pass_on_locked(w);
  gr_unlock(&f->lock);
  if (next != NULL) gr_ready(next);
  if (writer != NULL) gr_ready(writer);
  return r;
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

/* GR_PARK: g's wait is stored; GR_OK: f is ready, or closed: the caller must look. */
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
  for (uint32_t i = 0; i < n; i++) {
    gr_lock(&fds[i]->lock);
    fds[i]->way[way].owner = NULL;
    fds[i]->way[way].seq = 0;
    gr_unlock(&fds[i]->lock);
  }
}

int gr_fds_await(GrFd *const *fds, uint32_t n, GrWay way, G *g, const GrWaitType *type,
                 int64_t until, bool blocks) {
  int r = start_wait(g, type, until, blocks);
  if (r != GR_OK) return r;
  uint32_t i = 0;
  while (i < n && (r = link_one(fds[i], &fds[i]->way[way], g)) == GR_PARK) i++;
  if (i == n) return GR_PARK;
  gr_poll_cancel(g);
  unlink_all(fds, n, way);
  return r;
}

int gr_fds_awake(GrFd *const *fds, uint32_t n, GrWay way, G *g, GrCause *cause) {
  int r = gr_poll_finish(g, cause);
  unlink_all(fds, n, way);
  return r;
}

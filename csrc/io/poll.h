/* SPDX-License-Identifier: MIT */
/* poll.h - descriptors that goroutines wait for: sockets, pipes.
 *
 * A GrFd is a non-blocking descriptor with two ways: reading and writing. Each way has a turn. The
 * goroutine that has the turn may use the descriptor in that way; others queue for the turn. Every
 * call on a descriptor has two halves:
 *
 *   first half:
 *     r = gr_fd_enter(f, way, g, type, until, blocks, fresh)
 *         GR_OK: the caller has the turn, and the descriptor is pinned: it stays open even if
 *         another goroutine closes f meanwhile.
 *     the system call
 *         It is done:      gr_fd_leave(f, way, g, spent).
 *         It says EAGAIN:  r = gr_fd_await(f, way, g, type, until, blocks, false)
 *                          GR_OK: make the system call again at once.
 *     r is GR_PARK, from enter or from await: the caller parks (sched.h), with no Lua call before.
 *   second half, when the goroutine runs again:
 *     r = gr_fd_awake(f, way, g, &cause)
 *         GR_OK: the first half again, with fresh = false.
 *
 * With any other r the caller does not have the turn. There is one exception: after GR_ABORTED from
 * gr_fd_awake the caller keeps a turn that it had. So a call that a hook in the main script has
 * interrupted goes on where it was: the driver of calls (lib/core/call.c) lets the hook run; when
 * that raises, the turn is given up by gr_fd_quit; otherwise the first half is made again with
 * fresh = false.
 *
 * Between enter and leave nothing may raise, run Lua, or block.
 *
 * `until` is an absolute time. It is looked at before a wait, never before a try: a call that need
 * not wait succeeds even when its time is over.
 *
 * Results besides those named: GR_SYS(UV_EBADF): f was closed before the call; GR_CLOSED: f was
 * closed during the call (bindings say ECANCELED); GR_TIMEOUT; GR_NOMEM; GR_NOTHREAD; GR_ABORTED:
 * the pool ends; GR_SYS. Any thread may make these calls; g is the caller's own G. */
#ifndef GR_IO_POLL_H
#define GR_IO_POLL_H

#include "io/error.h"
#include "sched/sched.h"

typedef struct GrFd GrFd;
typedef enum GrWay { GR_READ, GR_WRITE } GrWay;
extern const GrWaitType gr_fd_reading, gr_fd_writing;

/* Tells the scheduler that csrc/io is its poller. Once a process, before the first pool. */
void gr_poll_init(void);
/* Makes the epoll unless there is one; gr_fd_new calls this too. GR_OK, GR_SYS. The first call in a
 * process raises RLIMIT_NOFILE to its hard limit. */
int gr_poll_start(void);

/* A GrFd for this descriptor, which is already non-blocking and close-on-exec. GR_OK: the GrFd owns
 * the descriptor; GR_NOMEM, GR_SYS. The first wait registers the descriptor with epoll. */
int gr_fd_new(int fd, GrFd **out);
/* Frees f without closing the descriptor, which the caller owns again. Nobody may have waited for f
 * yet. */
void gr_fd_forget(GrFd *f);
/* Closes f unless that is done, and frees it. Nobody may be in a call on f. NULL does nothing. */
void gr_fd_free(GrFd *f);
/* Wakes all waiting goroutines with GR_CLOSED, and refuses each later call (UV_EBADF). The number
 * itself is closed when the last goroutine that is inside a system call has left it. GR_OK;
 * GR_CLOSED: f was closed before. */
int gr_fd_close(GrFd *f);

/* GR_OK, GR_PARK. GR_SYS(UV_EBUSY): the call is `fresh`, but g has the turn already (a hook or a
 * finalizer runs inside a call of g's). */
int gr_fd_enter(GrFd *f, GrWay way, G *g, const GrWaitType *type, int64_t until, bool blocks,
                bool fresh);
/* Enters if nobody has the turn. False: somebody has it, or f is closed. Never waits. */
bool gr_fd_try_enter(GrFd *f, GrWay way, G *g);
/* The descriptor's number. It stays valid as long as the caller pins f. */
int gr_fd_number(const GrFd *f);
/* After an enter: would the system call say EAGAIN, as far as is known? Then the caller goes
 * straight to gr_fd_await. */
bool gr_fd_spent(const GrFd *f, GrWay way);
/* Waits for an event. `spent`: the caller has not made the system call, since gr_fd_spent said so.
 * GR_OK: make the call again; GR_PARK. */
int gr_fd_await(GrFd *f, GrWay way, G *g, const GrWaitType *type, int64_t until, bool blocks,
                bool spent);
/* The caller has both turns. It waits for data to read, and also for room to write, since bytes
 * that it wrote before have not gone out yet. As gr_fd_await of GR_READ; GR_OK also when there may
 * be room to write. Whatever this returns, the caller has lost the turn to write. With GR_PARK that
 * turn is lent until gr_fd_awake of GR_READ: any goroutine that wants to write takes it at once. */
int gr_fd_await_both(GrFd *f, G *g, const GrWaitType *type, int64_t until, bool blocks, bool spent);
/* GR_OK, GR_TIMEOUT, GR_ABORTED. */
int gr_fd_awake(GrFd *f, GrWay way, G *g, GrCause *cause);
/* Gives the turn to the next goroutine in the queue. `spent`: the system call moved fewer bytes
 * than were asked for, so the next one (on a stream) says EAGAIN unless an event comes first. */
void gr_fd_leave(GrFd *f, GrWay way, G *g, bool spent);
/* Gives up the turn that GR_ABORTED left with the caller. */
void gr_fd_quit(GrFd *f, GrWay way, G *g);

/* Pins the descriptor, without a turn, for a short call that needs its number (getsockname). True:
 * gr_fd_unpin must follow; false: f is closed. */
bool gr_fd_pin(GrFd *f);
void gr_fd_unpin(GrFd *f);

/* ---- several descriptors that one goroutine owns alone (a dial) ---- */

/* Waits until any of them can be used in this way. GR_OK: one may be ready: try all; GR_PARK;
 * GR_TIMEOUT, … */
int gr_fds_await(GrFd *const *fds, uint32_t n, GrWay way, G *g, const GrWaitType *type,
                 int64_t until, bool blocks);
/* GR_OK, GR_TIMEOUT, GR_ABORTED. */
int gr_fds_awake(GrFd *const *fds, uint32_t n, GrWay way, G *g, GrCause *cause);

/* ---- waits for other things than a GrFd ---- */

/* For a wait that the loop ends (a child's end, a signal). While the sum of all deltas is above 0,
 * idle threads poll and the deadlock report is put off. With delta > 0: GR_OK, GR_NOMEM, … */
int gr_poll_hold(int delta);
/* Prepares a wait of g, and puts off the deadlock report until the wait ends. The caller holds the
 * lock of what g waits for. GR_OK: g parks, then gr_poll_finish; or g does not park, then
 * gr_poll_cancel. GR_TIMEOUT: the limit is past, or `until` is GR_POLL; GR_NOMEM, … */
int gr_poll_begin(G *g, const GrWaitType *type, int64_t until, bool blocks);
void gr_poll_cancel(G *g);
/* g is awake, and *cause says why. GR_OK, GR_TIMEOUT, GR_ABORTED. */
int gr_poll_finish(G *g, GrCause *cause);
/* What a wait of one attempt ended with, where the whole call may last until `until`: GR_TIMEOUT
 * becomes GR_OK (try again) unless that moment has come too. */
int gr_poll_finish_attempt(int r, int64_t until);
static inline int64_t gr_earlier(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- between poll.c and fd.c ---- */

/* Registers the descriptor for these events of epoll's. Each event is passed to gr_fd_event of
 * `data`, a GrFd, until the descriptor is closed. 0 or errno. */
int gr_poll_add(int fd, uint32_t events, void *data);
void gr_poll_removed(void); /* a registered descriptor was closed */
void gr_fd_event(GrFd *f, uint32_t events);
void gr_fd_close_all(void); /* the pool ends */

#endif

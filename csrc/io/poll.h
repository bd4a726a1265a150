/* SPDX-License-Identifier: MIT */
/* poll.h - descriptors that goroutines wait for: sockets, pipes.
 *
 * A GrFd is a non-blocking descriptor with two ways, reading and writing, each with a turn: who has
 * it may use the descriptor in that way, others queue. A call on it is always this, with `way`
 * GR_READ or GR_WRITE:
 *
 *   first half:  r = gr_fd_enter(f, way, g, type, until, blocks, fresh)     the turn; the
 * descriptor is pinned: it stays open although others may close f if r == GR_OK: the system call;
 *                  it says EAGAIN:  r = gr_fd_await(f, way, g, type, until, blocks, false) GR_OK:
 * make it again at once it is done:      gr_fd_leave(f, way, g, spent) r is GR_PARK (from enter or
 * await): the caller parks, as channels do (sched.h), with no other Lua call before; and awake:
 *   second half: r = gr_fd_awake(f, way, g, &cause)                           GR_OK: the first half
 * again, with fresh = false
 *
 * Whatever else r is, the turn is not the caller's, with one exception: after GR_ABORTED from
 * gr_fd_awake it is kept when it was held, so that a call that is interrupted (a hook in the main
 * script) goes on where it was. Then: gr_raise_cause, protected; on an error gr_fd_quit; else the
 * first half again with fresh = false. Between enter and leave nothing may raise or run Lua, and
 * nothing may block.
 *
 * `until` is absolute; limits are over when they are looked at: before a wait, never before a try.
 * Codes besides those named: GR_SYS(UV_EBADF) (it was closed before), GR_CLOSED (closed meanwhile:
 * ECANCELED), GR_TIMEOUT, GR_NOMEM, GR_NOTHREAD, GR_ABORTED (the pool ends), GR_SYS. Any thread may
 * call any of this; G is the caller's own. */
#ifndef GR_IO_POLL_H
#define GR_IO_POLL_H

#include "io/error.h"
#include "sched/sched.h"

typedef struct GrFd GrFd;
typedef enum GrWay { GR_READ, GR_WRITE } GrWay;

/* Once a process, before the first pool: csrc/io polls from then on. */
void gr_poll_init(void);
/* The pool's poller exists from here on (gr_fd_new calls this too). GR_OK, GR_SYS. Raises
 * RLIMIT_NOFILE to its hard limit, once a process. */
int gr_poll_start(void);

/* Of a descriptor that is non-blocking and close-on-exec already: takes it when it returns GR_OK.
 * GR_NOMEM, GR_SYS. It is registered with epoll at the first wait. */
int gr_fd_new(int fd, GrFd **out);
/* Frees it without closing the descriptor, which is the caller's again. Nobody has waited for it
 * yet. */
void gr_fd_forget(GrFd *f);
/* Closes it unless that is done, and frees it. Nobody may be in a call on it. NULL does nothing. */
void gr_fd_free(GrFd *f);
/* Wakes all who wait, with GR_CLOSED; each call from now on is refused (UV_EBADF). The descriptor
 * is closed when the last one in a system call has left it. GR_OK; GR_CLOSED: it was closed. */
int gr_fd_close(GrFd *f);

/* GR_OK, GR_PARK. GR_SYS(UV_EBUSY): the turn is g's own (a hook or finalizer inside a call), and
 * `fresh`. */
int gr_fd_enter(GrFd *f, GrWay way, G *g, const GrWaitType *type, int64_t until, bool blocks,
                bool fresh);
/* Enters when nobody has the turn. False: somebody has, or it is closed. Never waits. */
bool gr_fd_try_enter(GrFd *f, GrWay way, G *g);
/* The descriptor's number, while it is pinned. */
int gr_fd_number(const GrFd *f);
/* After an enter: a call would say EAGAIN, as far as is known: go straight to await. */
bool gr_fd_spent(const GrFd *f, GrWay way);
/* `spent`: the call was not made, since it would say EAGAIN as far as is known. GR_OK, GR_PARK. */
int gr_fd_await(GrFd *f, GrWay way, G *g, const GrWaitType *type, int64_t until, bool blocks,
                bool spent);
/* By who has both turns: waits to read, and also for room to write, since what it wrote before has
 * not gone out. As gr_fd_await of GR_READ; whatever it returns, the turn to write is given up, but
 * for GR_PARK: then it is lent, free for who wants it, until gr_fd_awake of GR_READ. GR_OK also
 * when there may be room. */
int gr_fd_await_both(GrFd *f, G *g, const GrWaitType *type, int64_t until, bool blocks, bool spent);
/* GR_OK, GR_TIMEOUT, GR_ABORTED. */
int gr_fd_awake(GrFd *f, GrWay way, G *g, GrCause *cause);
/* Hands the turn on. `spent`: the call moved less than was asked for, so (of a stream) the next one
 * will say EAGAIN unless an event comes. */
void gr_fd_leave(GrFd *f, GrWay way, G *g, bool spent);
/* Gives up a turn that was kept. */
void gr_fd_quit(GrFd *f, GrWay way, G *g);

/* For something short that only needs the number (getsockname): pins it; false: closed. Then unpin.
 */
bool gr_fd_pin(GrFd *f);
void gr_fd_unpin(GrFd *f);

/* ---- several descriptors that are one goroutine's alone (a dial): waits until any of them can be
 * used in this way ---- */

/* GR_OK: one may be ready, try; GR_PARK; GR_TIMEOUT, … */
int gr_fds_await(GrFd *const *fds, uint32_t n, GrWay way, G *g, const GrWaitType *type,
                 int64_t until, bool blocks);
/* GR_OK, GR_TIMEOUT, GR_ABORTED. */
int gr_fds_awake(GrFd *const *fds, uint32_t n, GrWay way, G *g, GrCause *cause);

/* ---- for those who wait in another manner (a child's end, a signal): puts off the deadlock
 * report, makes idle threads poll. GR_OK, GR_NOMEM, … when delta > 0 ---- */
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

/* From now on these events (epoll's) of the descriptor are told to `data`, a GrFd, until it is
 * closed. 0 or errno. */
int gr_poll_add(int fd, uint32_t events, void *data);
void gr_poll_removed(void); /* one was closed */
void gr_fd_event(GrFd *f, uint32_t events);
void gr_fd_close_all(void); /* the pool ends */

#endif

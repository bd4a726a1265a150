/* SPDX-License-Identifier: MIT */
/* loop.h - libuv's loop, for what libuv watches: ends of children, signals, files.
 *
 * The loop belongs to the thread that has the poll token (sched.h). Only that thread may call
 * libuv's functions on the loop: inside a GrLoopReq's `run`, and inside libuv's callbacks.
 *
 * The first request makes the loop. The end of the pool closes it: every handle that is still open
 * is closed, and every request that has not run is told so. A handle's `data` is NULL, or points to
 * a uv_close_cb that is the first member of the handle's owner; the loop calls it when it has
 * closed the handle.
 *
 * Callbacks must not block and must not raise. They wake goroutines by sending to channels
 * (gr_chan_send with GR_POLL) or by the wait protocol. A listener that puts off the deadlock report
 * calls gr_poll_hold (poll.h). */
#ifndef GR_IO_LOOP_H
#define GR_IO_LOOP_H

#include <uv.h>

#include "base/base.h"

typedef struct GrLoopReq GrLoopReq;
struct GrLoopReq {
  GrLoopReq *next;
  /* Runs on the thread that polls. `loop` is NULL when the pool ended first, or when the system
   * gave no loop; `error`, a libuv code, says which. The loop does not touch the request any more:
   * `run` may free it. */
  void (*run)(GrLoopReq *req, uv_loop_t *loop, int error);
};

/* Takes req. Lock-free. When no thread polls, req runs before this returns; otherwise it runs soon,
 * on the thread that polls. The caller holds no lock of rank SCHED or above, and no lock that `run`
 * takes. */
void gr_loop_post(GrLoopReq *req);

/* A descriptor that the loop watches from gr_loop_watch on, until the pool ends. */
typedef struct GrLoopFd {
  uv_close_cb closed; /* first */
  int fd;
  void (*ready)(int fd);    /* the descriptor can be read */
  void (*ended)(int error); /* the watch is over. UV_ECANCELED: the pool ends; any other code: the
                               system gave no loop */
  GrLoopReq req;
  uv_poll_t poll;
  atomic_bool watched;
  atomic_int error;
} GrLoopFd;
/* Does nothing when w is watched already. GR_OK; GR_SYS: the system gave no loop, and `ended` has
 * been called. When another thread polls, the failure may come after this has returned GR_OK: then
 * only `ended` tells. The thread that polls calls `ready` and `ended`. */
int gr_loop_watch(GrLoopFd *w);

/* ---- for poll.c: under the token ---- */

/* Runs the posted requests, then whatever libuv can do without waiting. */
void gr_loop_run(void);
/* Is there a request that has not run? */
bool gr_loop_posted(void);
/* Makes *until earlier where libuv has a timer before it. */
void gr_loop_limit(int64_t *until);
/* Has the time of libuv's first timer come? */
bool gr_loop_due(void);
/* The pool has ended. */
void gr_loop_end(void);
/* Defined by poll.c: puts the loop's descriptor into the epoll. 0 or a libuv code. */
int gr_poll_watch_loop(int fd);

#endif

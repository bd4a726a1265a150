/* SPDX-License-Identifier: MIT */
/* loop.h - libuv's loop, for what is libuv's: processes, signals, watched files.
 *
 * The loop belongs to who polls (sched.h: the token), and libuv's functions on it may be called
 * there only: in a GrLoopReq's run, and in libuv's callbacks. It comes into being with the first
 * request, and ends with the pool: then each handle that is still open is closed, and requests that
 * have not run are told so. A handle's `data` is NULL, or points to a uv_close_cb, the first member
 * of what owns it, which is called then. Callbacks must not block and must not raise; they ready
 * goroutines by sending to channels (gr_chan_send with GR_POLL) or by the wait protocol. A listener
 * that puts off the deadlock report says so by gr_poll_hold (poll.h). */
#ifndef GR_IO_LOOP_H
#define GR_IO_LOOP_H

#include <uv.h>

#include "base/base.h"

typedef struct GrLoopReq GrLoopReq;
struct GrLoopReq {
  GrLoopReq *next;
  /* On the thread that polls. `loop` is NULL when the pool ended first, or when the system gave no
   * loop: *error says why (a libuv code). The request is its own from then on: it may free it. */
  void (*run)(GrLoopReq *req, uv_loop_t *loop, int error);
};

/* Takes req. Lock-free; runs it at once, on this thread, when nobody polls, else on the thread that
 * does. No lock of rank SCHED or above may be held, and none that a run takes. */
void gr_loop_post(GrLoopReq *req);

/* A descriptor that the loop watches, once it has been asked to, until the pool ends. */
typedef struct GrLoopFd {
  uv_close_cb closed; /* first */
  int fd;
  void (*ready)(int fd);    /* there is something to read */
  void (*ended)(int error); /* it is not watched any more. UV_ECANCELED: the pool ends; else the
                               system gave no loop */
  GrLoopReq req;
  uv_poll_t poll;
  atomic_bool watched;
  atomic_int error;
} GrLoopFd;
/* Does nothing when it is watched already. GR_OK; GR_SYS: no loop, and `ended` has been called.
 * When another thread polls that may turn out later: then `ended` alone tells. Both are called on
 * the thread that polls. */
int gr_loop_watch(GrLoopFd *w);

/* ---- for poll.c: under the token ---- */

/* Runs what was posted, and what libuv has to do without waiting. */
void gr_loop_run(void);
/* Is there a request? */
bool gr_loop_posted(void);
/* Makes *until earlier when libuv has a timer; is one due? */
void gr_loop_limit(int64_t *until);
bool gr_loop_due(void);
/* The pool has ended. */
void gr_loop_end(void);
/* poll.c's: the loop's descriptor is watched from now on. 0 or a libuv code. */
int gr_poll_watch_loop(int fd);

#endif

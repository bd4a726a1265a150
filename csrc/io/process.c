/* SPDX-License-Identifier: MIT */
/* process.c - children that programs have handles of.
 *
 * Two objects: the handle, with the pipes, lives as long as anybody in Lua has it; the Watch lives
 * until the child has been reaped, too. libuv's loop watches the child's descriptor (child.h) and
 * reaps the child at once, whether anybody waits for it or not: so there are no zombies. Who waits
 * does so at a channel that is closed then: any number of goroutines, with limits, like all who
 * wait for a channel.
 *
 * A child that must be looked at now and then (child.h) is so by a timer of that loop. One in a
 * group of its own that the terminal has stopped is killed; one that was stopped by anything else
 * is left alone, for its owner may have done it and may undo it (kill "CONT"), while who runs a
 * command to its end (run.c) cannot.
 *
 * Signals are sent under the lock that the reaping takes: a number that the system may have given
 * to another process is never used.
 *
 * Where the loop cannot be had (no descriptors are left when the first child is started) nobody
 * would see the child's end: it is killed. When the pool ends, children go on, but for those that
 * were told to die: these are reaped first. */
#include "io/process.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/lock.h"
#include "io/loop.h"
#include "sync/chan.h"

typedef struct Watch {
  uv_close_cb closed; /* first: what loop.h wants */
  GrShare share;      /* references: the handle's, the loop's */
  GrLoopReq req;
  uv_poll_t poll;
  uv_timer_t timer; /* for a child that must be looked at (child.h) */
  int handles;      /* of these two, those that are the loop's */
  uint32_t looks;
  GrChan *done; /* closed when its end may be told; NULL: it was adopted */
  GrChild child;
  GrLock lock; /* what follows */
  bool reaped, doomed;
  GrExit exit;
} Watch;

struct GrProcess {
  GrShare share;
  Watch *watch;
  GrStream *streams[3];
};

static const GrShareType done_type = {"goro.chan", gr_chan_destroy, false};

static void destroy_watch(GrShare *s) {
  Watch *w = gr_container_of(s, Watch, share);
  if (w->done != NULL) gr_share_unref(gr_chan_share(w->done));
  gr_free(w);
}

static const GrShareType watch_type = {"goro.child", destroy_watch, false};

/* ---- the loop's side ---- */

/* `kills`: it must not live on. True: it has been reaped, now or before. */
static bool reap(Watch *w, bool kills) {
  gr_lock(&w->lock);
  int stopped = w->exit.stopped;
  if (!w->reaped)
    w->reaped =
        kills ? gr_child_kill(&w->child, &w->exit) : gr_child_ended(&w->child, false, &w->exit);
  w->exit.stopped = stopped;
  bool reaped = w->reaped, told = reaped || stopped != 0;
  gr_unlock(&w->lock);
  if (told && w->done != NULL) gr_chan_close(w->done);
  return reaped;
}

static void let_go(Watch *w) {
  if (w->child.end >= 0) close(w->child.end);
  gr_share_unref(&w->share);
}

static Watch *watch_of(void *data) { return gr_container_of((uv_close_cb *)data, Watch, closed); }

static void on_closed(uv_handle_t *h) {
  Watch *w = watch_of(h->data);
  if (--w->handles > 0) return;
  gr_lock(&w->lock);
  bool doomed = w->doomed;
  gr_unlock(&w->lock);
  reap(w, doomed);
  let_go(w);
}

static void close_handles(Watch *w) {
  uv_handle_t *poll = (uv_handle_t *)&w->poll, *timer = (uv_handle_t *)&w->timer;
  if (poll->data != NULL && !uv_is_closing(poll)) uv_close(poll, on_closed);
  if (timer->data != NULL && !uv_is_closing(timer)) uv_close(timer, on_closed);
}

static void on_end(uv_poll_t *poll, int status, int events) {
  (void)status, (void)events;
  Watch *w = watch_of(poll->data);
  if (reap(w, false)) close_handles(w);
}

/* The terminal has stopped it. What stops a child for other reasons is its owner's business. */
static bool wants_terminal(Watch *w) {
  int sig = w->child.group ? gr_child_stopped(&w->child) : 0;
  if (sig != SIGTTIN && sig != SIGTTOU) return false;
  gr_lock(&w->lock);
  w->exit.stopped = sig;
  gr_unlock(&w->lock);
  return true;
}

static void plan_look(Watch *w);

static void on_look(uv_timer_t *timer) {
  Watch *w = watch_of(timer->data);
  if (reap(w, false) || (wants_terminal(w) && reap(w, true))) close_handles(w);
  else plan_look(w);
}

static void plan_look(Watch *w) {
  int64_t pause = gr_child_pause(&w->child, w->looks++);
  if (pause != GR_FOREVER) uv_timer_start(&w->timer, on_look, (uint64_t)pause / 1000000, 0);
}

/* The handles' data tells that they are the loop's. */
static int begin_poll(Watch *w, uv_loop_t *loop) {
  if (w->child.end < 0) return 0;
  int error = uv_poll_init(loop, &w->poll, w->child.end);
  if (error != 0) return error;
  w->poll.data = &w->closed;
  w->handles++;
  uv_poll_start(&w->poll, UV_READABLE, on_end);
  return 0;
}

static void begin_timer(Watch *w, uv_loop_t *loop) {
  if (gr_child_pause(&w->child, 0) == GR_FOREVER) return;
  uv_timer_init(loop, &w->timer);
  w->timer.data = &w->closed;
  w->handles++;
  uv_update_time(loop);
  plan_look(w);
}

static void begin(GrLoopReq *req, uv_loop_t *loop, int error) {
  Watch *w = gr_container_of(req, Watch, req);
  if (loop != NULL && (error = begin_poll(w, loop)) == 0) {
    begin_timer(w, loop);
    return;
  }
  reap(w, error != UV_ECANCELED);
  let_go(w);
}

/* NULL without memory. */
static Watch *watch(const GrChild *child, GrChan *done) {
  Watch *w = gr_zalloc(sizeof *w);
  if (w == NULL) return NULL;
  w->closed = on_closed;
  gr_share_init(&w->share, &watch_type);
  gr_lock_init(&w->lock, GR_RANK_LEAF);
  w->req.run = begin;
  w->done = done;
  w->child = *child;
  return w;
}

void gr_process_adopt(const GrChild *child) {
  Watch *w = watch(child, NULL);
  if (w != NULL) gr_loop_post(&w->req);
  else if (child->end >= 0) close(child->end);
}

/* ---- the handle ---- */

void gr_process_destroy(GrShare *s) {
  GrProcess *p = gr_process_of(s);
  for (int i = 0; i < 3; i++)
    if (p->streams[i] != NULL) gr_share_unref(gr_stream_share(p->streams[i]));
  if (p->watch != NULL) gr_share_unref(&p->watch->share);
  gr_free(p);
}

GrShare *gr_process_share(GrProcess *p) { return &p->share; }
GrProcess *gr_process_of(GrShare *s) { return gr_container_of(s, GrProcess, share); }
pid_t gr_process_pid(const GrProcess *p) { return p->watch->child.pid; }
GrStream *gr_process_stream(const GrProcess *p, int i) { return p->streams[i]; }

/* Takes the descriptors that it makes streams of: those are -1 then. */
static int make_streams(GrProcess *p, int ours[3], const GrShareType *conn) {
  for (int i = 0; i < 3; i++) {
    if (ours[i] < 0) continue;
    int r = gr_stream_new(ours[i], GR_STREAM_PIPE, conn, &p->streams[i]);
    if (r != GR_OK) return r;
    ours[i] = -1;
  }
  return GR_OK;
}

/* Before the child exists, all else that could fail. */
static GrProcess *make(const GrShareType *type) {
  GrProcess *p = gr_zalloc(sizeof *p);
  GrChan *done = p != NULL ? gr_chan_new(0, &done_type) : NULL;
  Watch *w = done != NULL ? watch(&(GrChild){.end = -1}, done) : NULL;
  if (w == NULL) {
    if (done != NULL) gr_share_unref(gr_chan_share(done));
    gr_free(p);
    return NULL;
  }
  gr_share_init(&p->share, type);
  p->watch = w;
  return p;
}

int gr_process_start(const GrCommand *cmd, G *g, const GrShareType *type, const GrShareType *conn,
                     GrProcess **out, bool *of_cwd) {
  int ours[3];
  *of_cwd = false;
  GrProcess *p = make(type);
  if (p == NULL) return GR_NOMEM;
  Watch *w = p->watch;
  int r = gr_child_start(cmd, g, &w->child, ours, of_cwd);
  if (r == GR_OK && (r = make_streams(p, ours, conn)) != GR_OK) {
    gr_child_kill(&w->child, &w->exit);
    if (w->child.end >= 0) close(w->child.end);
    for (int i = 0; i < 3; i++)
      if (ours[i] >= 0) close(ours[i]);
  }
  if (r != GR_OK) {
    gr_share_unref(&p->share);
    return r;
  }
  gr_share_ref(&w->share);
  gr_loop_post(&w->req);
  *out = p;
  return GR_OK;
}

/* Or stopped, although this process may not kill it (sudo). */
static bool ended(Watch *w, GrExit *out) {
  gr_lock(&w->lock);
  bool told = w->reaped || w->exit.stopped != 0;
  *out = w->exit;
  gr_unlock(&w->lock);
  return told;
}

static const GrWaitType ending = {"process wait", gr_chan_abandon};

int gr_process_wait(GrProcess *p, G *g, GrExit *out, int64_t until, bool blocks) {
  GrMsg none = GR_MSG_EMPTY;
  if (ended(p->watch, out)) return GR_OK;
  int r = gr_poll_hold(1);
  if (r != GR_OK) return r;
  r = gr_chan_recv_as(g, p->watch->done, &none, until, blocks, &ending);
  if (r != GR_PARK) gr_poll_hold(-1);
  if (r != GR_CLOSED) return r;
  ended(p->watch, out);
  return GR_OK;
}

int gr_process_awake(GrProcess *p, G *g, GrCause *cause) {
  (void)p;
  GrMsg none = GR_MSG_EMPTY;
  int r = gr_chan_recv_finish(g, &none, cause);
  gr_poll_hold(-1);
  return r == GR_CLOSED ? GR_OK : r;
}

int gr_process_kill(GrProcess *p, int sig) {
  Watch *w = p->watch;
  gr_lock(&w->lock);
  int err = w->reaped ? ESRCH : gr_child_signal(&w->child, sig);
  w->doomed = w->doomed || (sig == SIGKILL && err == 0);
  gr_unlock(&w->lock);
  return gr_sys_result(-err);
}

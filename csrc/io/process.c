/* SPDX-License-Identifier: MIT */
/* process.c - children for which programs have a handle.
 *
 * Two objects. The handle (GrProcess), with the pipes, lives as long as anybody in Lua has it. The
 * Watch lives until the child has been reaped, and at least as long as the handle. libuv's loop
 * watches the child's descriptor (child.h) and reaps the child at once, whether a goroutine waits
 * for it or not. So there are no zombies. A waiting goroutine waits at a channel that is closed at
 * the child's end. So any number of goroutines may wait, with limits, as at every channel.
 *
 * A timer of the loop looks at a child that has no such descriptor (child.h), or has a group of its
 * own. A child in its own group that the terminal has stopped is killed. A child that was stopped
 * by anything else is left alone: its owner may have stopped it, and may let it go on (kill
 * "CONT"). childrun.c kills both kinds, since nobody could let that child go on.
 *
 * Signals are sent under the lock that the reaping takes. So a number that the system may have
 * given to another process is never used.
 *
 * When the loop cannot be had (no descriptors are left when the first child is started), nobody
 * would see the child's end: the child is killed. When the pool ends, children go on, except those
 * that were told to die; these are reaped first. */
#include "io/process.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/lock.h"
#include "io/loop.h"
#include "sync/chan.h"

typedef struct Watch {
  uv_close_cb closed; /* first: what loop.h wants */
  GrShare share;      /* references: one of the handle's, one of the loop's */
  GrLoopReq req;
  uv_poll_t poll;
  uv_timer_t timer; /* for a child that must be looked at (child.h) */
  int handles;      /* how many of the two handles the loop has */
  uint32_t looks;
  GrChan *done; /* closed when the child has ended or was stopped; NULL: it was adopted */
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

/* Reaps the child if it has ended; `kills`: kills it first. True: it has been reaped, now or
 * before. */
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

/* Has the terminal stopped the child? Other stops are the owner's business. */
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

/* A handle's `data` is not NULL once the loop has the handle. */
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

/* Makes streams of the descriptors, and sets those that a stream owns to -1. */
static int make_streams(GrProcess *p, int ours[3], const GrShareType *conn) {
  for (int i = 0; i < 3; i++) {
    if (ours[i] < 0) continue;
    int r = gr_stream_new(ours[i], GR_STREAM_PIPE, conn, &p->streams[i]);
    if (r != GR_OK) return r;
    ours[i] = -1;
  }
  return GR_OK;
}

/* Makes everything that could fail, before the child exists. */
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

/* Has the child ended? Or was it stopped, and this process may not kill it (sudo)? */
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

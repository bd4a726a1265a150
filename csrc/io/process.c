/* SPDX-License-Identifier: MIT */
/* process.c - children that programs have handles of.
 *
 * Two objects: the handle, with the pipes, lives as long as anybody in Lua has it; the Watch lives
 * until the child has been reaped, too. libuv's loop watches the child's descriptor (child.h) and
 * reaps the child at once, whether anybody waits for it or not: so there are no zombies. Who waits
 * does so at a channel that is closed then: any number of goroutines, with limits, like all who
 * wait for a channel.
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
  GrChan *done; /* closed when it has been reaped; NULL: it was adopted */
  pid_t pid;
  int end;
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
  if (!w->reaped)
    w->reaped =
        kills ? gr_child_kill(w->pid, false, &w->exit) : gr_child_ended(w->pid, false, &w->exit);
  bool reaped = w->reaped;
  gr_unlock(&w->lock);
  if (reaped && w->done != NULL) gr_chan_close(w->done);
  return reaped;
}

static void let_go(Watch *w) {
  close(w->end);
  gr_share_unref(&w->share);
}

static void on_closed(uv_handle_t *h) {
  Watch *w = gr_container_of((uv_close_cb *)h->data, Watch, closed);
  gr_lock(&w->lock);
  bool doomed = w->doomed;
  gr_unlock(&w->lock);
  reap(w, doomed);
  let_go(w);
}

static void on_end(uv_poll_t *poll, int status, int events) {
  (void)status, (void)events;
  Watch *w = gr_container_of((uv_close_cb *)poll->data, Watch, closed);
  if (reap(w, false)) uv_close((uv_handle_t *)poll, on_closed);
}

static void begin(GrLoopReq *req, uv_loop_t *loop, int error) {
  Watch *w = gr_container_of(req, Watch, req);
  if (loop != NULL && (error = uv_poll_init(loop, &w->poll, w->end)) == 0) {
    w->poll.data = &w->closed;
    uv_poll_start(&w->poll, UV_READABLE, on_end);
    return;
  }
  reap(w, error != UV_ECANCELED);
  let_go(w);
}

/* Takes pid and end. NULL without memory: then it takes neither. */
static Watch *watch(pid_t pid, int end, GrChan *done) {
  Watch *w = gr_zalloc(sizeof *w);
  if (w == NULL) return NULL;
  w->closed = on_closed;
  gr_share_init(&w->share, &watch_type);
  gr_lock_init(&w->lock, GR_RANK_LEAF);
  w->req.run = begin;
  w->done = done;
  w->pid = pid;
  w->end = end;
  return w;
}

void gr_process_adopt(pid_t pid, int end) {
  Watch *w = watch(pid, end, NULL);
  if (w != NULL) gr_loop_post(&w->req);
  else close(end);
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
pid_t gr_process_pid(const GrProcess *p) { return p->watch->pid; }
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
  Watch *w = done != NULL ? watch(0, -1, done) : NULL;
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
  int r = gr_child_start(cmd, g, &w->pid, &w->end, ours, of_cwd);
  if (r == GR_OK && (r = make_streams(p, ours, conn)) != GR_OK) {
    gr_child_kill(w->pid, cmd->group, &w->exit);
    close(w->end);
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

static bool ended(Watch *w, GrExit *out) {
  gr_lock(&w->lock);
  bool reaped = w->reaped;
  *out = w->exit;
  gr_unlock(&w->lock);
  return reaped;
}

int gr_process_wait(GrProcess *p, G *g, GrExit *out, int64_t until, bool blocks) {
  GrMsg none = GR_MSG_EMPTY;
  if (ended(p->watch, out)) return GR_OK;
  int r = gr_poll_hold(1);
  if (r != GR_OK) return r;
  r = gr_chan_recv_as(g, p->watch->done, &none, until, blocks, GR_WAIT_PROCESS);
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
  int r = w->reaped ? GR_ERRNO(ESRCH) : kill(w->pid, sig) == 0 ? GR_OK : GR_ERRNO(errno);
  w->doomed = w->doomed || (sig == SIGKILL && r == GR_OK);
  gr_unlock(&w->lock);
  return r;
}

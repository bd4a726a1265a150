/* SPDX-License-Identifier: MIT */
/* context.c - the tree of contexts; see context.h.
 *
 *   context         its parent      its canceler
 *
 *   background      NULL            NULL
 *      ^
 *   Canceler A      background      A                 A.children: B
 *      ^
 *   Value v         A               A
 *      ^
 *   Canceler B      v               B                 B.up: A
 *
 * Only a Canceler has a state: it has ended or not. `canceler` is the context itself, or the
 * nearest Canceler above it, found without a walk. NULL: the context never ends.
 *
 * `err` of a Canceler goes from LIVE to its final value once, under the Canceler's lock. So does
 * `culprit`, the Canceler that holds the cause: the Canceler itself, or one above it. The
 * references to the parents keep the culprit alive. So a cause is stored once, however many
 * contexts it ends.
 *
 * Cancelling goes down the tree depth first, without recursion and without memory. It takes the
 * next child out of its Canceler's list and goes to that child; it comes back up by the child's
 * own pointer `up`. The canceller holds a reference to each context on the way, and one lock at
 * a time. Three things may happen meanwhile:
 *   - A child is added. The new child is linked, and the parent's `err` is read, under the parent's
 *     lock. So either the canceller finds the child in the list, or the child is born cancelled.
 *   - A child dies. Its memory is freed only after it has taken itself out of the list, under the
 *     parent's lock. So whatever the list holds is memory of a child, and gr_share_tryref tells
 *     whether that child is still alive.
 *   - Another thread cancels a child. That thread sets `reached` of the child when all contexts
 *     below the child have ended, and this canceller waits for that. So does a second cancel of
 *     the same context. Such waits go down the tree only, so no threads wait for each other in a
 *     ring. (Go holds the parent's lock meanwhile.)
 *
 * The timer of a deadline must not keep its context alive, but it may be about to fire when the
 * context goes. So the timer lies in a Deadline, a block of its own. The pending timer and the
 * context share the Deadline. Its lock decides which comes first: the timer that looks for its
 * context, or the context that says it is gone. */
#include "sync/context.h"

#include <sched.h>
#include <string.h>

typedef struct Canceler Canceler;

struct GrContext {
  GrShare share;
  GrContext *parent;  /* a reference; NULL: this is the background */
  Canceler *canceler; /* itself or the nearest one above; NULL: the context never ends */
};

typedef struct Deadline {
  GrTimer timer;
  atomic_int refs; /* one of the pending timer, one of the context */
  GrLock lock;
  Canceler *context; /* no reference; NULL: the context is gone */
} Deadline;

struct Canceler {
  GrContext base; /* first */
  Canceler *up;   /* the nearest Canceler above, or NULL */
  GrLock lock;    /* guards children, err until it is final, done */
  GrList children;
  GrList sibling; /* in up->children, under the lock of up */
  _Atomic uint32_t err;
  atomic_bool reached; /* all contexts below have ended, too */
  Canceler *culprit;
  GrMsg cause;
  GrChan *done;       /* no reference: the channel takes itself away (lost_done) */
  GrFeed feed;        /* the feed of `done` */
  int64_t until;      /* the earliest of its limit and the limits above */
  double wall;        /* the same in seconds since 1970 */
  Deadline *deadline; /* or NULL: the limit is that of a context above, or there is none */
};

typedef struct Value {
  GrContext base; /* first */
  GrMsg value;
  size_t len;
  char kind, key[];
} Value;

static Canceler background;
static const GrShareType *chan_type;

GrShare *gr_context_share(GrContext *c) { return &c->share; }
GrContext *gr_context_of(GrShare *s) { return gr_container_of(s, GrContext, share); }
GrContext *gr_context_background(void) { return &background.base; }

bool gr_context_can_cancel(const GrContext *c) {
  return c->canceler != NULL && c == &c->canceler->base;
}

static void lost_done(GrFeed *feed, GrChan *chan) {
  Canceler *c = gr_container_of(feed, Canceler, feed);
  gr_lock(&c->lock);
  if (c->done == chan) c->done = NULL;
  gr_unlock(&c->lock);
  gr_share_unref(&c->base.share);
}

static void init(Canceler *c, GrContext *parent, const GrShareType *type) {
  gr_share_init(&c->base.share, type);
  gr_lock_init(&c->lock, GR_RANK_CONTEXT);
  gr_list_init(&c->children);
  gr_list_init(&c->sibling);
  c->feed.lost = lost_done;
  c->until = GR_FOREVER;
  if (parent == NULL) return;
  if (parent != &background.base) gr_share_ref(&parent->share);
  c->base.parent = parent;
  c->base.canceler = c;
  c->up = parent->canceler;
}

void gr_context_init(const GrShareType *context, const GrShareType *chan) {
  init(&background, NULL, context);
  chan_type = chan;
}

/* ---- what is asked ---- */

static GrContextErr err_of(const Canceler *c) {
  return (GrContextErr)atomic_load_explicit(&c->err, memory_order_acquire);
}

GrContextErr gr_context_err(const GrContext *c) {
  return c->canceler == NULL ? GR_CTX_LIVE : err_of(c->canceler);
}

const char *gr_context_err_text(GrContextErr err) {
  static const char *const texts[] = {[GR_CTX_LIVE] = NULL,
                                      [GR_CTX_CANCELED] = "canceled",
                                      [GR_CTX_DEADLINE] = "deadline exceeded"};
  return texts[err];
}

const GrMsg *gr_context_cause(const GrContext *c) {
  if (gr_context_err(c) == GR_CTX_LIVE) return NULL;
  const GrMsg *cause = &c->canceler->culprit->cause;
  return cause->kind != 0 ? cause : NULL;
}

bool gr_context_deadline(const GrContext *c, double *wall) {
  if (c->canceler == NULL || c->canceler->until == GR_FOREVER) return false;
  *wall = c->canceler->wall;
  return true;
}

/* The background has no canceler and no parent. */
static bool has_value(const GrContext *c) {
  return c->canceler == NULL ? c->parent != NULL : c != &c->canceler->base;
}

const GrMsg *gr_context_value(const GrContext *c, char kind, const void *key, size_t len) {
  for (; c != NULL; c = c->parent) {
    if (!has_value(c)) continue;
    const Value *v = (const Value *)c;
    if (v->kind == kind && v->len == len && memcmp(v->key, key, len) == 0) return &v->value;
  }
  return NULL;
}

/* A reference to the done channel, or NULL when there is none that lives. */
static GrChan *done_locked(Canceler *c) {
  return c->done != NULL && gr_share_tryref(gr_chan_share(c->done)) ? c->done : NULL;
}

int gr_context_done(GrContext *context, GrChan **out) {
  Canceler *c = context->canceler != NULL ? context->canceler : &background;
  gr_lock(&c->lock);
  *out = done_locked(c);
  gr_unlock(&c->lock);
  if (*out != NULL) return GR_OK;
  GrChan *fresh = gr_chan_new(0, chan_type);
  if (fresh == NULL) return GR_NOMEM;
  gr_chan_set_feed(fresh, &c->feed);
  gr_share_ref(&c->base.share);
  gr_lock(&c->lock);
  if ((*out = done_locked(c)) == NULL) {
    if (err_of(c) != GR_CTX_LIVE) gr_chan_close(fresh); /* nobody waits there yet */
    *out = c->done = fresh;
  }
  gr_unlock(&c->lock);
  if (*out != fresh) gr_share_unref(gr_chan_share(fresh)); /* another thread was first */
  return GR_OK;
}

/* ---- the deadline's timer ---- */

static void deadline_unref(void *arg) {
  Deadline *d = arg;
  if (atomic_fetch_sub(&d->refs, 1) == 1) gr_free(d);
}

static void cancel_from(Canceler *root, GrContextErr err, GrMsg *cause);

static void deadline_fired(void *arg, uint64_t seq) {
  (void)seq;
  Deadline *d = arg;
  GrMsg none = GR_MSG_EMPTY;
  gr_lock(&d->lock);
  Canceler *c = d->context != NULL && gr_share_tryref(&d->context->base.share) ? d->context : NULL;
  gr_unlock(&d->lock);
  deadline_unref(d);
  if (c == NULL) return;
  cancel_from(c, GR_CTX_DEADLINE, &none);
  gr_share_unref(&c->base.share);
}

static int deadline_start(Canceler *c) {
  Deadline *d = gr_zalloc(sizeof *d);
  if (d == NULL) return GR_NOMEM;
  gr_lock_init(&d->lock, GR_RANK_SYNC);
  atomic_init(&d->refs, 2);
  d->context = c;
  d->timer.fire = deadline_fired;
  d->timer.drop = deadline_unref;
  d->timer.arg = d;
  c->deadline = d; /* set before the timer can fire */
  int r = gr_timer_start(&d->timer, c->until);
  if (r == GR_OK) return GR_OK;
  c->deadline = NULL;
  gr_free(d);
  return r;
}

/* May be called several times: gr_timer_stop returns true only once. */
static void deadline_stop(Canceler *c) {
  if (c->deadline != NULL && gr_timer_stop(&c->deadline->timer)) deadline_unref(c->deadline);
}

static void deadline_leave(Canceler *c) {
  if (c->deadline == NULL) return;
  deadline_stop(c);
  gr_lock(&c->deadline->lock);
  c->deadline->context = NULL;
  gr_unlock(&c->deadline->lock);
  deadline_unref(c->deadline);
}

/* ---- cancelling ---- */

/* Ends c alone. False: c had ended already. */
static bool end_one(Canceler *c, GrContextErr err, Canceler *culprit, GrMsg *cause) {
  gr_lock(&c->lock);
  bool first = err_of(c) == GR_CTX_LIVE;
  GrChan *done = NULL;
  if (first) {
    if (cause != NULL) {
      c->cause = *cause;
      *cause = GR_MSG_EMPTY;
    }
    c->culprit = culprit;
    atomic_store_explicit(&c->err, err, memory_order_release);
    done = done_locked(c);
  }
  gr_unlock(&c->lock);
  if (!first) return false;
  deadline_stop(c);
  if (done == NULL) return true;
  gr_chan_close(done);
  gr_share_unref(gr_chan_share(done));
  return true;
}

/* Takes the next living child out of the list of c, and returns a reference to it. NULL: the
 * list is empty. When c has ended, no child will be added any more. */
static Canceler *take_child(Canceler *c) {
  Canceler *child = NULL;
  gr_lock(&c->lock);
  for (GrList *l; child == NULL && (l = gr_list_pop_front(&c->children)) != NULL;) {
    child = gr_container_of(l, Canceler, sibling);
    if (!gr_share_tryref(&child->base.share)) child = NULL;
  }
  gr_unlock(&c->lock);
  return child;
}

static void await_reached(Canceler *c) {
  while (!atomic_load_explicit(&c->reached, memory_order_acquire)) sched_yield();
}

static void leave_parent(Canceler *c) {
  if (c->up == NULL) return;
  gr_lock(&c->up->lock);
  gr_list_remove(&c->sibling);
  gr_unlock(&c->up->lock);
}

static void reach_all_below(Canceler *root, GrContextErr err, Canceler *culprit) {
  for (Canceler *c = root;;) {
    Canceler *child = take_child(c);
    if (child != NULL && end_one(child, err, culprit, NULL)) {
      c = child;
    } else if (child != NULL) {
      await_reached(child);
      gr_share_unref(&child->base.share);
    } else {
      atomic_store_explicit(&c->reached, true, memory_order_release);
      if (c == root) return;
      Canceler *up = c->up;
      gr_share_unref(&c->base.share);
      c = up;
    }
  }
}

static void cancel_from(Canceler *root, GrContextErr err, GrMsg *cause) {
  if (end_one(root, err, root, cause)) {
    reach_all_below(root, err, root);
    leave_parent(root);
  } else {
    gr_msg_drop(cause);
    await_reached(root);
  }
}

void gr_context_cancel(GrContext *c, GrMsg *cause) {
  cancel_from(c->canceler, GR_CTX_CANCELED, cause);
}

/* ---- beginning and end ---- */

/* Puts c into the list of the Canceler above. If that one has ended, c ends as well. */
static void join_parent(Canceler *c) {
  if (c->up == NULL) return;
  gr_lock(&c->up->lock);
  GrContextErr err = err_of(c->up);
  if (err == GR_CTX_LIVE) gr_list_push_back(&c->up->children, &c->sibling);
  gr_unlock(&c->up->lock);
  if (err != GR_CTX_LIVE && end_one(c, err, c->up->culprit, NULL))
    atomic_store_explicit(&c->reached, true, memory_order_release);
}

int gr_context_new(GrContext *parent, int64_t until, double wall, GrContext **out) {
  Canceler *c = gr_zalloc(sizeof *c);
  if (c == NULL) return GR_NOMEM;
  init(c, parent, background.base.share.type);
  *out = &c->base;
  bool sooner = c->up == NULL || until < c->up->until;
  c->until = sooner ? until : c->up->until;
  c->wall = sooner ? wall : c->up->wall;
  bool past = until != GR_FOREVER && until <= gr_now_ns();
  int r = sooner && until != GR_FOREVER && !past ? deadline_start(c) : GR_OK;
  if (r != GR_OK) {
    gr_share_unref(&c->base.share);
    return r;
  }
  join_parent(c);
  GrMsg none = GR_MSG_EMPTY;
  if (past) cancel_from(c, GR_CTX_DEADLINE, &none);
  if (err_of(c) != GR_CTX_LIVE)
    leave_parent(c); /* the timer may have fired before c was in the list */
  return GR_OK;
}

GrContext *gr_context_with_value(GrContext *parent, char kind, const void *key, size_t len,
                                 GrMsg *value) {
  Value *v = gr_malloc(sizeof *v + len);
  if (v == NULL) return NULL;
  gr_share_init(&v->base.share, background.base.share.type);
  if (parent != &background.base) gr_share_ref(&parent->share);
  v->base.parent = parent;
  v->base.canceler = parent->canceler;
  v->value = *value;
  *value = GR_MSG_EMPTY;
  v->kind = kind;
  v->len = len;
  memcpy(v->key, key, len);
  return &v->base;
}

static void destroy_canceler(Canceler *c) {
  deadline_leave(c);
  leave_parent(c);
  gr_msg_drop(&c->cause);
}

void gr_context_destroy(GrShare *s) {
  GrContext *c = gr_context_of(s);
  GrContext *parent = c->parent;
  if (gr_context_can_cancel(c)) destroy_canceler(c->canceler);
  else gr_msg_drop(&((Value *)c)->value);
  gr_free(c);
  if (parent != &background.base) gr_share_unref(&parent->share);
}

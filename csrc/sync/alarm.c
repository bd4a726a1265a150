/* SPDX-License-Identifier: MIT */
/* alarm.c - timers that are stopped, set again and forgotten while they fire; see alarm.h.
 *
 * Each set and each stop gives the alarm a new number, `seq`. A timer carries the number that it
 * was armed with. When it fires with an old number, the fire does nothing. So a stop need not
 * wait for a fire that has begun: the alarm's lock decides which of the two was first.
 *
 * The message is sent under the alarm's lock, too. So a stop drops a message that is in the
 * channel and stops the alarm in one step, and after the stop the channel is empty (as in Go
 * since 1.23).
 *
 * References to the alarm:
 *
 *   owner  -------------> +-------+ <-------------  timer, while it is in a heap
 *                         | alarm |
 *   channel, its feed --> +-------+ . . . . . . . > channel: a pointer, no reference
 *
 * The timer's reference passes to the fire, or to the drop at the pool's end, or to the thread
 * that stops the timer in time. A timer that repeats keeps its reference, and each fire gets one
 * of its own.
 *
 * The alarm has no reference to its channel. When the last reference to the channel goes, the
 * channel tells the alarm. Under its lock the alarm forgets the channel and stops. So goro neither
 * keeps an alarm whose messages nobody can receive, nor waits for its timer.
 *
 * Lock order: an alarm (GR_RANK_SYNC), its channel, the heaps of timers. */
#include "sync/alarm.h"

#include "sync/chan_inside.h"

struct GrAlarm {
  GrShare share;
  GrTimer timer;
  GrFeed feed; /* the channel's */
  void (*make)(GrMsg *m);
  const GrJobOps *ops;
  GrLock lock; /* guards all fields below */
  bool set;    /* the alarm will fire */
  uint64_t seq;
  GrChan *chan; /* no reference; NULL: the channel is gone, or there never was one */
  void *job;
  int64_t period; /* 0: once. Never changes while the timer is in a heap, for the heap's thread
                     reads it too */
};

static void destroy(GrShare *s) {
  GrAlarm *a = gr_container_of(s, GrAlarm, share);
  if (a->job != NULL) a->ops->forget(a->job);
  gr_free(a);
}

static const GrShareType alarm_type = {"goro.alarm", destroy, false};

void gr_alarm_unref(GrAlarm *a) { gr_share_unref(&a->share); }

/* ---- firing ---- */

static void drop(void *arg) { gr_alarm_unref(arg); }

/* When the timer repeats: the next tick after `now`. Ticks that were missed are left out. */
static int64_t again(void *arg, int64_t now) {
  GrAlarm *a = arg;
  gr_share_ref(&a->share);
  return a->timer.when + a->period * (1 + (now - a->timer.when) / a->period);
}

/* Sends a message to the channel. Returns a reference to the channel, or NULL when it is gone.
 * *wake is the receiver that got the message, if one waited. */
static GrChan *send_locked(GrAlarm *a, G **wake) {
  GrChan *c = a->chan != NULL && gr_share_tryref(&a->chan->share) ? a->chan : NULL;
  if (c == NULL) return NULL;
  GrMsg m = GR_MSG_EMPTY;
  a->make(&m);
  gr_lock(&c->lock);
  if (gr_chan_send_locked(c, &m, wake) != GR_OK)
    gr_msg_drop(&m); /* the channel is closed, or the tick before is still in it */
  gr_unlock(&c->lock);
  return c;
}

static void fire(void *arg, uint64_t seq) {
  GrAlarm *a = arg;
  GrChan *c = NULL;
  G *wake = NULL;
  void *job = NULL;
  gr_lock(&a->lock);
  if (a->set && a->seq == seq) {
    a->set = a->period > 0;
    c = send_locked(a, &wake);
    job = a->job;
    a->job = NULL;
  }
  gr_unlock(&a->lock);
  if (wake != NULL) gr_ready(wake);
  if (job != NULL) a->ops->start(job);
  if (c != NULL) gr_share_unref(&c->share);
  gr_alarm_unref(a);
}

/* ---- stopping, setting ---- */

/* What stop_locked takes out of the alarm. let_go frees it, without the lock. */
typedef struct Stopped {
  bool was, timer;
  void *job;
  GrMsg msg;
} Stopped;

static Stopped stop_locked(GrAlarm *a) {
  Stopped s = {.was = a->set, .job = a->job, .msg = GR_MSG_EMPTY};
  a->seq++;
  a->set = false;
  a->job = NULL;
  s.timer = gr_timer_stop(&a->timer);
  if (a->chan == NULL) return s;
  gr_lock(&a->chan->lock);
  if (a->chan->len > 0) {
    s.msg = gr_ring_get(a->chan);
    s.was = true;
  }
  gr_unlock(&a->chan->lock);
  return s;
}

static void let_go(GrAlarm *a, Stopped *s) {
  if (s->timer) gr_alarm_unref(a);
  if (s->job != NULL) a->ops->forget(s->job);
  gr_msg_drop(&s->msg);
}

static int start_locked(GrAlarm *a, int64_t until, int64_t period) {
  a->set = true;
  if (until == GR_FOREVER) return GR_OK;
  a->period = period;
  a->timer.again = period > 0 ? again : NULL;
  a->timer.seq = a->seq;
  gr_share_ref(&a->share);
  int r = gr_timer_start(&a->timer, until == GR_POLL ? gr_now_ns() : until);
  if (r != GR_OK) a->set = false;
  return r;
}

int gr_alarm_set(GrAlarm *a, int64_t until, int64_t period, void *job, bool *was) {
  gr_lock(&a->lock);
  Stopped s = stop_locked(a);
  int r = start_locked(a, until, period);
  if (r == GR_OK) {
    a->job = job;
    job = NULL;
  }
  gr_unlock(&a->lock);
  if (r != GR_OK) gr_alarm_unref(a); /* the timer's reference: the timer is in no heap */
  if (job != NULL) a->ops->forget(job);
  *was = s.was;
  let_go(a, &s);
  return r;
}

bool gr_alarm_stop(GrAlarm *a) {
  gr_lock(&a->lock);
  Stopped s = stop_locked(a);
  gr_unlock(&a->lock);
  let_go(a, &s);
  return s.was;
}

/* ---- beginning ---- */

static void lost_chan(GrFeed *feed, GrChan *c) {
  (void)c;
  GrAlarm *a = gr_container_of(feed, GrAlarm, feed);
  gr_lock(&a->lock);
  a->chan = NULL;
  Stopped s = stop_locked(a);
  gr_unlock(&a->lock);
  let_go(a, &s);
  gr_alarm_unref(a);
}

static GrAlarm *new_alarm(void) {
  GrAlarm *a = gr_zalloc(sizeof *a);
  if (a == NULL) return NULL;
  gr_share_init(&a->share, &alarm_type);
  gr_lock_init(&a->lock, GR_RANK_SYNC);
  a->timer.fire = fire;
  a->timer.drop = drop;
  a->timer.arg = a;
  a->feed.lost = lost_chan;
  return a;
}

GrAlarm *gr_alarm_for_chan(GrChan *c, void (*make)(GrMsg *m)) {
  GrAlarm *a = new_alarm();
  if (a == NULL) return NULL;
  a->make = make;
  a->chan = c;
  gr_share_ref(&a->share);
  c->feed = &a->feed;
  return a;
}

GrAlarm *gr_alarm_for_jobs(const GrJobOps *ops, GrHost *host) {
  GrAlarm *a = new_alarm();
  if (a == NULL) return NULL;
  a->ops = ops;
  a->timer.host = host;
  return a;
}

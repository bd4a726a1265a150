/* SPDX-License-Identifier: MIT */
/* helpers.c - threads that run jobs: see helpers.h.
 *
 *        gr_helpers_do --+--> an idle helper         the last one to become idle first
 *                        +--> a new helper           below the limit; the job is queued for it
 *                        +--> the queue              a helper that has done its job looks there
 *
 * Helpers that are not needed stay idle, since the last one to become idle gets the next job, and
 * end after IDLE_S. While a job is queued, each helper is busy and will look into the queue.
 *
 * The note of an idle helper lies on its stack. A waker wakes it under the lock, and the helper
 * takes the lock before it goes on. So no waker touches a helper that has ended.
 *
 * (Rejected: the pool's own threads in a blocking region, as for calls on files. Each caller
 * would hold one, so three hundred look-ups would be three hundred threads.) */
#include "sched/helpers.h"

#include <pthread.h>

#include "sched/pool.h"

enum { IDLE_S = 5 };

typedef struct GrHelper Helper;
struct GrHelper {
  Helper *next; /* in the idle list */
  GrJob *job;   /* given by the waker */
  GrNote note;
};

/* ---- the queue ---- */

static void put_locked(GrHelpers *h, GrJob *job) {
  job->next = NULL;
  if (h->first == NULL) h->first = job;
  else h->last->next = job;
  h->last = job;
}

static GrJob *get_locked(GrHelpers *h) {
  GrJob *job = h->first;
  if (job != NULL) h->first = job->next;
  return job;
}

static bool remove_locked(GrHelpers *h, const GrJob *job) {
  GrJob *before = NULL;
  for (GrJob *at = h->first; at != NULL; before = at, at = at->next) {
    if (at != job) continue;
    if (before != NULL) before->next = at->next;
    else h->first = at->next;
    if (h->last == at) h->last = before;
    return true;
  }
  return false;
}

/* ---- a thread ---- */

static void leave_idle_locked(GrHelpers *h, Helper *self) {
  for (Helper **at = &h->idle; *at != NULL; at = &(*at)->next) {
    if (*at != self) continue;
    *at = self->next;
    return;
  }
}

/* The next job. NULL: there has been none for IDLE_S, and the helper is no longer counted. */
static GrJob *next_job(GrHelpers *h, Helper *self) {
  gr_lock(&h->lock);
  GrJob *job = self->job = get_locked(h);
  if (job == NULL) {
    gr_note_clear(&self->note);
    self->next = h->idle;
    h->idle = self;
  }
  gr_unlock(&h->lock);
  if (job != NULL) return job;
  gr_note_sleep(&self->note, gr_now_ns() + IDLE_S * INT64_C(1000000000));
  gr_lock(&h->lock);
  job = self->job;
  if (job == NULL) {
    leave_idle_locked(h, self);
    h->threads--;
  }
  gr_unlock(&h->lock);
  return job;
}

static void *helper_main(void *arg) {
  GrHelpers *h = arg;
  Helper self = {0};
  pthread_setname_np(pthread_self(), h->name);
  for (GrJob *job; (job = next_job(h, &self)) != NULL;) job->run(job);
  return NULL;
}

/* ---- what others call ---- */

static int32_t limit_of(const GrHelpers *h) {
  int32_t most = gr_sched.max_threads;
  return most > 0 && most < h->limit ? most : h->limit;
}

static bool give_locked(GrHelpers *h, GrJob *job) {
  Helper *helper = h->idle;
  if (helper == NULL) return false;
  h->idle = helper->next;
  helper->job = job;
  gr_note_wake(&helper->note);
  return true;
}

static int do_locked(GrHelpers *h, GrJob *job) {
  if (give_locked(h, job)) return GR_OK;
  if (h->threads < limit_of(h) && gr_thread_start(helper_main, h) == 0) h->threads++;
  if (h->threads == 0) return GR_NOTHREAD;
  put_locked(h, job);
  return GR_OK;
}

int gr_helpers_do(GrHelpers *h, GrJob *job) {
  if (atomic_load(&gr_forked)) return GR_NOTHREAD;
  gr_lock(&h->lock);
  int r = do_locked(h, job);
  gr_unlock(&h->lock);
  return r;
}

bool gr_helpers_take_back(GrHelpers *h, GrJob *job) {
  gr_lock(&h->lock);
  bool queued = remove_locked(h, job);
  gr_unlock(&h->lock);
  return queued;
}

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

typedef struct Helper {
  GrList link; /* in the list of idle helpers */
  GrJob *job;  /* given by the waker */
  GrNote note;
} Helper;

/* ---- a thread ---- */

static GrJob *get_locked(GrHelpers *h) {
  GrList *first = gr_list_pop_front(&h->jobs);
  return first != NULL ? gr_container_of(first, GrJob, link) : NULL;
}

/* The next job. NULL: there has been none for IDLE_S, and the helper is no longer counted. */
static GrJob *next_job(GrHelpers *h, Helper *self) {
  gr_lock(&h->lock);
  GrJob *job = self->job = get_locked(h);
  if (job == NULL) {
    gr_note_clear(&self->note);
    gr_list_push_front(&h->idle, &self->link);
  }
  gr_unlock(&h->lock);
  if (job != NULL) return job;
  gr_note_sleep(&self->note, gr_now_ns() + IDLE_S * INT64_C(1000000000));
  gr_lock(&h->lock);
  job = self->job;
  if (job == NULL) {
    gr_list_remove(&self->link);
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
  GrList *idle = gr_list_pop_front(&h->idle);
  if (idle == NULL) return false;
  Helper *helper = gr_container_of(idle, Helper, link);
  helper->job = job;
  gr_note_wake(&helper->note);
  return true;
}

static int do_locked(GrHelpers *h, GrJob *job) {
  if (give_locked(h, job)) return GR_OK;
  if (h->threads < limit_of(h) && gr_thread_start(helper_main, h) == 0) h->threads++;
  if (h->threads == 0) return GR_NOTHREAD;
  gr_list_push_back(&h->jobs, &job->link);
  return GR_OK;
}

int gr_helpers_do(GrHelpers *h, GrJob *job) {
  if (atomic_load(&gr_forked)) return GR_NOTHREAD;
  gr_list_init(&job->link);
  gr_lock(&h->lock);
  int r = do_locked(h, job);
  gr_unlock(&h->lock);
  return r;
}

bool gr_helpers_take_back(GrHelpers *h, GrJob *job) {
  gr_lock(&h->lock);
  bool queued = !gr_list_empty(&job->link);
  gr_list_remove(&job->link);
  gr_unlock(&h->lock);
  return queued;
}

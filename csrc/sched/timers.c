/* SPDX-License-Identifier: MIT */
/* timers.c - four-ary heaps of timers; see timers.h. */
#include "sched/pool.h"

void gr_timers_init(GrTimers *h) {
  gr_lock_init(&h->lock, GR_RANK_TIMERS);
  h->heap = NULL;
  h->n = h->cap = 0;
  atomic_init(&h->first, INT64_MAX);
}

static void place(GrTimers *h, GrTimer *t, uint32_t at) {
  h->heap[at] = t;
  t->at = at;
}

static void sift_up(GrTimers *h, GrTimer *t, uint32_t at) {
  while (at > 0) {
    uint32_t parent = (at - 1) / 4;
    if (h->heap[parent]->when <= t->when) break;
    place(h, h->heap[parent], at);
    at = parent;
  }
  place(h, t, at);
}

static void sift_down(GrTimers *h, GrTimer *t, uint32_t at) {
  for (;;) {
    uint32_t child = at * 4 + 1, best = child;
    if (child >= h->n) break;
    for (uint32_t c = child + 1; c < child + 4 && c < h->n; c++)
      if (h->heap[c]->when < h->heap[best]->when) best = c;
    if (t->when <= h->heap[best]->when) break;
    place(h, h->heap[best], at);
    at = best;
  }
  place(h, t, at);
}

static void publish(GrTimers *h) {
  atomic_store(&h->first, h->n > 0 ? h->heap[0]->when : INT64_MAX);
}

static int add_locked(GrTimers *h, GrTimer *t) {
  if (h->n == h->cap) {
    uint32_t cap = h->cap > 0 ? h->cap * 2 : 16;
    GrTimer **heap = gr_realloc(h->heap, cap * sizeof *heap);
    if (heap == NULL) return GR_NOMEM;
    h->heap = heap;
    h->cap = cap;
  }
  atomic_store_explicit(&t->heap, h, memory_order_relaxed);
  sift_up(h, t, h->n++);
  publish(h);
  return GR_OK;
}

static void remove_locked(GrTimers *h, GrTimer *t) {
  uint32_t at = t->at;
  GrTimer *last = h->heap[--h->n];
  if (last != t) {
    sift_down(h, last, at);
    sift_up(h, last, last->at);
  }
  atomic_store_explicit(&t->heap, NULL, memory_order_release);
  publish(h);
}

/* t is the first timer of the heap. */
static void repeat_locked(GrTimers *h, GrTimer *t, int64_t now) {
  t->when = t->again(t->arg, now);
  sift_down(h, t, 0);
  publish(h);
}

static int add(GrTimers *h, GrTimer *t) {
  gr_lock(&h->lock);
  int r = add_locked(h, t);
  gr_unlock(&h->lock);
  return r;
}

bool gr_timer_stop(GrTimer *t) {
  GrTimers *h;
  while ((h = atomic_load_explicit(&t->heap, memory_order_acquire)) != NULL) {
    gr_lock(&h->lock);
    bool there = atomic_load_explicit(&t->heap, memory_order_relaxed) == h;
    if (there) remove_locked(h, t);
    gr_unlock(&h->lock);
    if (there) return true;
  }
  return false;
}

bool gr_timers_run_due(GrTimers *h) {
  bool ran = false;
  int64_t now = gr_now_ns();
  while (gr_timers_first(h) <= now) {
    gr_lock(&h->lock);
    GrTimer *t = h->n > 0 && h->heap[0]->when <= now ? h->heap[0] : NULL;
    if (t == NULL) {
      gr_unlock(&h->lock);
      break;
    }
    void (*fire)(void *, uint64_t) = t->fire;
    void *arg = t->arg;
    uint64_t seq = t->seq;
    if (t->again != NULL) repeat_locked(h, t, now);
    else remove_locked(h, t);
    gr_unlock(&h->lock); /* from here on the owner may free t */
    fire(arg, seq);
    ran = true;
  }
  return ran;
}

static GrTimer *first_of_locked(GrTimers *h, const GrHost *host) {
  for (uint32_t i = 0; i < h->n; i++)
    if (h->heap[i]->host == host) return h->heap[i];
  return NULL;
}

void gr_timers_drop_of(GrTimers *h, const GrHost *host) {
  for (;;) {
    gr_lock(&h->lock);
    GrTimer *t = first_of_locked(h, host);
    void (*drop)(void *) = t != NULL ? t->drop : NULL;
    void *arg = t != NULL ? t->arg : NULL;
    if (t != NULL) remove_locked(h, t);
    gr_unlock(&h->lock);
    if (t == NULL) return;
    if (drop != NULL) drop(arg);
  }
}

void gr_timers_drop(GrTimers *h) {
  for (;;) {
    gr_lock(&h->lock);
    GrTimer *t = h->n > 0 ? h->heap[0] : NULL;
    if (t == NULL) break;
    void (*drop)(void *) = t->drop;
    void *arg = t->arg;
    remove_locked(h, t);
    gr_unlock(&h->lock);
    if (drop != NULL) drop(arg);
  }
  gr_free(h->heap);
  h->heap = NULL;
  h->cap = 0;
  gr_unlock(&h->lock);
}

int gr_timer_start(GrTimer *t, int64_t when) {
  M *m = gr_m;
  Sched *s = &gr_sched;
  if (gr_over() || !gr_pool_enter(m)) return GR_ABORTED;
  int r = gr_pool_need_thread(s);
  if (r == GR_OK) {
    t->when = when;
    r = add(m != NULL && m->p != NULL ? &m->p->timers : &s->timers, t);
  }
  if (r == GR_OK) gr_timer_added(s, when);
  gr_pool_leave(m);
  return r;
}

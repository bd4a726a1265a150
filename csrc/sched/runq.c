/* SPDX-License-Identifier: MIT */
/* runq.c - run queues: a ring for each P, and two lists for all.
 *
 *             head: thieves and the owner take     tail: the owner puts
 *                        v                             v
 *     ring    [ .  .  .  G  G  G  G  G  G  G  G  G  G  .  .  . ]    256 places, used as a circle
 *     runnext [ G ]    the owner puts and takes; a thief takes as its last resort
 *
 * The ring has one producer, the M of its P, and many consumers. Whoever takes moves `head` by
 * CAS; the owner alone moves `tail`, by a release store: Go's runqput, runqget and runqgrab
 * (proc.go). The entries are atomics, because a thief reads them before its CAS tells it whether
 * they were still there. When the ring is full, half of it moves to the global queue, which is a
 * list through the Gs themselves. So a G can always be queued, and no memory is asked for.
 *
 * The second list, `yielded`, has the Gs that have had their turn: they yielded, or used up a
 * slice. They are never in a ring. So a G in a ring, woken or new, never waits behind them for
 * longer than proc.c says. */
#include "sched/pool.h"

enum { STREAK_MAX = 64 };

/* When the pool ends, nothing is queued and nothing is taken any more: from then on a RUNNABLE G,
 * and its link, belong to its own thread or to the sweep (pool.c). */
static void append_locked(Sched *s, GrQueue *q, G *first, G *last, int32_t n) {
  if (atomic_load(&s->stopping)) return;
  last->link = NULL;
  if (q->last != NULL) q->last->link = first;
  else q->first = first;
  q->last = last;
  atomic_fetch_add(&q->n, n);
}

static void prepend_locked(Sched *s, GrQueue *q, G *g) {
  if (atomic_load(&s->stopping)) return;
  g->link = q->first;
  if (q->last == NULL) q->last = g;
  q->first = g;
  atomic_fetch_add(&q->n, 1);
}

void gr_globq_put_locked(Sched *s, G *g) { append_locked(s, &s->globq, g, g, 1); }

void gr_line_up_locked(Sched *s, G *g, GrLine line) {
  if (line == GR_LINE_INTERRUPT) prepend_locked(s, &s->yielded, g);
  else append_locked(s, line == GR_LINE_WOKEN ? &s->globq : &s->yielded, g, g, 1);
}

/* The first n Gs of q are gone; `rest` is the next one. */
static void shorten_locked(GrQueue *q, G *rest, int32_t n) {
  q->first = rest;
  if (rest == NULL) q->last = NULL;
  atomic_fetch_sub(&q->n, n);
}

void gr_queue_clear_locked(GrQueue *q) {
  q->first = q->last = NULL;
  atomic_store(&q->n, 0);
}

G *gr_yielded_get_locked(Sched *s) {
  G *g = s->yielded.first;
  if (g == NULL || atomic_load(&s->stopping)) return NULL;
  shorten_locked(&s->yielded, g->link, 1);
  return g;
}

static G *bound_of_locked(GrQueue *q) {
  for (G **at = &q->first, *before = NULL, *g; (g = *at) != NULL; before = g, at = &g->link) {
    if (!atomic_load(&g->blocks)) continue;
    *at = g->link;
    if (q->last == g) q->last = before;
    atomic_fetch_sub(&q->n, 1);
    return g;
  }
  return NULL;
}

G *gr_bound_get_locked(Sched *s) {
  if (s->nlocked == 0 || atomic_load(&s->stopping)) return NULL;
  G *g = bound_of_locked(&s->globq);
  return g != NULL ? g : bound_of_locked(&s->yielded);
}

/* Returns one G to run; moves up to max - 1 more into p's ring: a fair share of the queue, at
 * most half of a ring. */
G *gr_globq_get_locked(Sched *s, P *p, int32_t max) {
  int32_t size = atomic_load_explicit(&s->globq.n, memory_order_relaxed);
  if (size == 0 || atomic_load(&s->stopping)) return NULL;
  int32_t n = size / atomic_load_explicit(&s->maxprocs, memory_order_relaxed) + 1;
  if (n > max) n = max;
  if (n > size) n = size;
  if (n > GR_RUNQ / 2) n = GR_RUNQ / 2;
  G *first = s->globq.first, *rest = first->link;
  for (int32_t i = 1; i < n; i++) {
    G *g = rest;
    rest = g->link; /* read before g is in the ring, where a thief may take it at once */
    uint32_t tail = atomic_load_explicit(&p->tail, memory_order_relaxed);
    atomic_store_explicit(&p->runq[tail % GR_RUNQ], g, memory_order_relaxed);
    atomic_store_explicit(&p->tail, tail + 1, memory_order_release);
  }
  shorten_locked(&s->globq, rest, n);
  return first;
}

/* The ring is full: half of it and g move to the global queue. False: thieves have made room
 * meanwhile. */
static bool put_half(Sched *s, P *p, G *g, uint32_t head) {
  G *batch[GR_RUNQ / 2 + 1];
  uint32_t n = GR_RUNQ / 2;
  for (uint32_t i = 0; i < n; i++)
    batch[i] = atomic_load_explicit(&p->runq[(head + i) % GR_RUNQ], memory_order_relaxed);
  if (!atomic_compare_exchange_strong_explicit(&p->head, &head, head + n, memory_order_acq_rel,
                                               memory_order_relaxed))
    return false;
  batch[n] = g;
  gr_lock(&s->lock);
  for (uint32_t i = 0; i < n && !atomic_load(&s->stopping); i++) batch[i]->link = batch[i + 1];
  append_locked(s, &s->globq, batch[0], g, (int32_t)n + 1);
  gr_unlock(&s->lock);
  return true;
}

void gr_runq_put(Sched *s, P *p, G *g, bool next) {
  if (next) {
    g = atomic_exchange_explicit(&p->runnext, g, memory_order_acq_rel);
    if (g == NULL) return;
  }
  for (;;) {
    uint32_t head = atomic_load_explicit(&p->head, memory_order_acquire);
    uint32_t tail = atomic_load_explicit(&p->tail, memory_order_relaxed);
    if (tail - head < GR_RUNQ) {
      atomic_store_explicit(&p->runq[tail % GR_RUNQ], g, memory_order_relaxed);
      atomic_store(&p->tail, tail + 1);
      return;
    }
    if (put_half(s, p, g, head)) return;
  }
}

static G *take_next(P *p) {
  G *next = atomic_load_explicit(&p->runnext, memory_order_relaxed);
  if (next != NULL && atomic_compare_exchange_strong_explicit(
                          &p->runnext, &next, NULL, memory_order_acq_rel, memory_order_relaxed))
    return next;
  return NULL;
}

static G *take_head(P *p) {
  uint32_t head = atomic_load_explicit(&p->head, memory_order_acquire);
  while (head != atomic_load_explicit(&p->tail, memory_order_relaxed)) {
    G *g = atomic_load_explicit(&p->runq[head % GR_RUNQ], memory_order_relaxed);
    if (atomic_compare_exchange_weak_explicit(&p->head, &head, head + 1, memory_order_acq_rel,
                                              memory_order_acquire))
      return g;
  }
  return NULL;
}

/* runnext first. But two Gs that ready each other for ever must not keep the ring waiting: after
 * STREAK_MAX rounds the ring has its turn. */
G *gr_runq_get(P *p) {
  G *g = NULL;
  if (p->streak < STREAK_MAX && (g = take_next(p)) != NULL) {
    p->streak++;
    return g;
  }
  p->streak = 0;
  g = take_head(p);
  return g != NULL ? g : take_next(p);
}

bool gr_runq_empty(P *p) {
  return atomic_load(&p->head) == atomic_load(&p->tail) && atomic_load(&p->runnext) == NULL;
}

/* Takes half of from's ring: returns one G to run, and moves the others into to's ring, which is
 * empty. `next_too`: when the ring has nothing, takes runnext, which the M of that P may be about
 * to run. */
G *gr_runq_steal(P *to, P *from, bool next_too) {
  for (;;) {
    uint32_t head = atomic_load_explicit(&from->head, memory_order_acquire);
    uint32_t tail = atomic_load_explicit(&from->tail, memory_order_acquire);
    uint32_t n = tail - head;
    n -= n / 2;
    if (n == 0) return next_too ? take_next(from) : NULL;
    if (n > GR_RUNQ / 2) continue; /* head and tail were read at different moments */
    uint32_t at = atomic_load_explicit(&to->tail, memory_order_relaxed);
    for (uint32_t i = 0; i < n; i++) {
      G *g = atomic_load_explicit(&from->runq[(head + i) % GR_RUNQ], memory_order_relaxed);
      atomic_store_explicit(&to->runq[(at + i) % GR_RUNQ], g, memory_order_relaxed);
    }
    if (!atomic_compare_exchange_strong_explicit(&from->head, &head, head + n, memory_order_acq_rel,
                                                 memory_order_relaxed))
      continue;
    G *g = atomic_load_explicit(&to->runq[(at + n - 1) % GR_RUNQ], memory_order_relaxed);
    atomic_store_explicit(&to->tail, at + n - 1, memory_order_release);
    return g;
  }
}

/* p retires: all its Gs move to the global queue. */
void gr_runq_drain_locked(Sched *s, P *p) {
  G *g;
  while ((g = take_next(p)) != NULL || (g = take_head(p)) != NULL) gr_globq_put_locked(s, g);
}

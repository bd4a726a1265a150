/* SPDX-License-Identifier: MIT */
/* find.c - how an M finds the next goroutine, and what it does when there is none.
 *
 * An M that has a P looks in this order, and takes the first G that it finds:
 *   1. A G of `yielded`, when one has its turn (proc.c, fairness).
 *   2. Every 61st round: the global queue.
 *   3. runnext and the ring of its P.
 *   4. The global queue; a fair share of it moves to the ring.
 *   5. Events of the system, without waiting (poller.c).
 *   6. `yielded`, when it is nobody's turn but there is nothing else.
 *   7. It spins: for 20 us it steals from other Ps, runs their timers, and looks into the global
 *      queues.
 * When all of this finds nothing, the M gives up its P, looks through all queues once more, and
 * sleeps: in the poller if no other thread does, else on its note. After 5 s without work its
 * thread ends.
 *
 * When to wake a thread? Too late, and a core idles beside waiting work; too often, and the
 * machine spends itself on futexes (14 us for each wake-up). `nspinning` counts the Ms that look
 * for work, and these rules use it:
 *   - S1. Submit: whoever queues a G wakes an M only if a P is idle and nspinning is 0
 *     (gr_wakep). The woken M spins from its first instruction on.
 *   - S2. At most half as many Ms spin as Ps are busy.
 *   - S3. An M that stops spinning because it found a G wakes the next one if it sees more work
 *     (gr_find_runnable). So one wake-up leads to as many running Ms as there is work for.
 *   - S4. An M that stops spinning because it found nothing decrements nspinning first and looks
 *     through all queues after that (give_up_p).
 *
 * S1 and S4 make sure that no G is left behind. Its worst case is a G that is queued just when
 * the last spinner gives up:
 *     whoever queues:  write the queue;          then read nspinning    (0: wake an M)
 *     the spinner:     decrement nspinning;      then read all queues   (not empty: go on)
 * All four are sequentially consistent, so at least one of the two sees the other's write. For
 * timers the same question is answered in poller.c.
 *
 * After Go's runtime (proc.go: findRunnable, wakep, resetspinning, stealWork). What the Ms rely
 * on when threads cannot be had: due.c. Modelled in spec/model/look.pml. */
#include "sched/pool.h"

enum { GLOBAL_EVERY = 61, SPIN_NS = GR_STEADY ? 0 : 20000 };
#define IDLE_NS INT64_C(5000000000) /* a thread without work ends after that */

/* ---- idling ---- */

/* Sleeps until somebody gives m a P. m has none afterwards when the pool ends, or when there was
 * no work for IDLE_NS: then the thread of m ends, unless it is the last. */
static void stop_m(M *m) {
  Sched *s = &gr_sched;
  gr_note_clear(&m->note);
  gr_lock(&s->lock);
  if (atomic_load(&s->stopping)) {
    gr_unlock(&s->lock);
    return;
  }
  m->link = s->idle_ms;
  s->idle_ms = m;
  s->nidle++;
  bool wanted = atomic_load(&s->nidle_ps) > 0 &&
                (gr_due(s, gr_coarse_ns()) & (GR_DUE_WORK | GR_DUE_WATCH)) != 0;
  if (wanted) gr_idle_m_remove_locked(s, m);
  else gr_check_dead_locked(s);
  gr_unlock(&s->lock);
  if (wanted) return;
  if (gr_m_await_p(m, gr_now_ns() + IDLE_NS)) return;
  gr_lock(&s->lock);
  m->leaving = atomic_load(&s->nm) - s->nstarting - 1 > atomic_load(&s->nkept);
  if (m->leaving) atomic_fetch_sub(&s->nm, 1);
  gr_unlock(&s->lock);
}

/* ---- finding work ---- */

static void stop_spinning(M *m) {
  m->spinning = false;
  atomic_fetch_sub(&gr_sched.nspinning, 1);
}

static G *globq_get(M *m, int32_t max) {
  Sched *s = &gr_sched;
  if (atomic_load_explicit(&s->globq.n, memory_order_relaxed) == 0) return NULL;
  gr_lock(&s->lock);
  G *g = gr_globq_get_locked(s, m->p, max);
  gr_unlock(&s->lock);
  return g;
}

/* The first of the Gs that yielded; its class has had its turn here. */
static G *yielded_get(M *m) {
  Sched *s = &gr_sched;
  if (atomic_load_explicit(&s->yielded.n, memory_order_relaxed) == 0) return NULL;
  gr_lock(&s->lock);
  G *g = gr_yielded_get_locked(s);
  gr_unlock(&s->lock);
  if (g != NULL) m->p->turn_at = 0;
  return g;
}

/* Have the Gs that yielded waited for long enough on this P? */
static bool is_their_turn(Sched *s, P *p) {
  if (gr_likely(atomic_load_explicit(&s->yielded.n, memory_order_relaxed) == 0)) return false;
  int64_t now = gr_coarse_ns();
  if (p->turn_at == 0) p->turn_at = now + GR_TURN_NS;
  return now >= p->turn_at;
}

/* One pass over all Ps, from a random one on. Runs their timers, too. `last`: takes runnext as
 * well, which the M of that P is about to run. */
static G *steal(M *m, bool last) {
  Sched *s = &gr_sched;
  uint32_t n = (uint32_t)atomic_load(&s->nps), at = gr_rand_below(&m->rand, n);
  if (gr_timers_run(&s->timers)) return gr_runq_get(m->p);
  for (uint32_t i = 0; i < n; i++) {
    P *from = atomic_load(&s->ps[(at + i) % n]);
    if (from == m->p) continue;
    if (gr_timers_run(&from->timers)) {
      G *g = gr_runq_get(m->p);
      if (g != NULL) return g;
    }
    G *g = gr_runq_steal(m->p, from, last);
    if (g != NULL) {
      bump_own(m->steals);
      return g;
    }
  }
  return NULL;
}

/* Looks everywhere for SPIN_NS. runnext of a busy P is taken at the end only, when its M has had
 * time to run it. */
static G *spin(M *m) {
  Sched *s = &gr_sched;
  if (!m->spinning) {
    int32_t busy = atomic_load(&s->maxprocs) - atomic_load(&s->nidle_ps);
    if (2 * atomic_load(&s->nspinning) >= busy) return NULL;
    m->spinning = true;
    atomic_fetch_add(&s->nspinning, 1);
  }
  int64_t end = gr_now_ns() + SPIN_NS;
  for (int round = 0;; round++) {
    bool last = gr_now_ns() >= end || atomic_load(&s->stopping);
    G *g = steal(m, last);
    if (g == NULL) g = globq_get(m, INT32_MAX);
    if (g == NULL) g = yielded_get(m);
    if (g != NULL || last) return g;
    for (int i = 0; i < 40; i++) gr_relax();
  }
}

/* The P of m has nothing to do and goes idle; then m looks at everything once more. True: m has a
 * P again, and shall look again. */
static bool give_up_p(M *m) {
  Sched *s = &gr_sched;
  gr_lock(&s->lock);
  if (atomic_load(&s->globq.n) > 0 || atomic_load(&s->yielded.n) > 0 || atomic_load(&s->stopping)) {
    gr_unlock(&s->lock);
    return true;
  }
  P *p = m->p;
  m->p = NULL;
  gr_idle_p_put_locked(s, p);
  gr_unlock(&s->lock);
  if (m->spinning) stop_spinning(m);
  if (!gr_work_anywhere(s) || (p = gr_idle_p_get(s)) == NULL) return false;
  gr_m_take_p(m, p);
  return true;
}

/* The P of m is one too many since maxprocs was lowered. */
static void retire_p(M *m) {
  Sched *s = &gr_sched;
  P *p = m->p;
  m->p = NULL;
  gr_lock(&s->lock);
  gr_idle_p_put_locked(s, p);
  gr_unlock(&s->lock);
  /* m may sleep next, and a sleeping spinner would keep every M from being woken. */
  if (m->spinning) stop_spinning(m);
  gr_wakep(s);
}

/* Timers in heaps that no M looks after: the pool's, armed by threads without a P, and those of
 * Ps that are retired. */
static GR_INLINE void run_common_timers(Sched *s) {
  gr_timers_run(&s->timers);
  int32_t n = atomic_load_explicit(&s->nps, memory_order_relaxed);
  for (int32_t i = atomic_load_explicit(&s->maxprocs, memory_order_relaxed); i < n; i++)
    gr_timers_run(&atomic_load(&s->ps[i])->timers);
}

static GR_INLINE G *look_here(M *m) {
  P *p = m->p;
  G *g = NULL;
  gr_timers_run(&p->timers);
  run_common_timers(&gr_sched);
  uint32_t tick = atomic_load_explicit(&p->tick, memory_order_relaxed) + 1;
  atomic_store_explicit(&p->tick, tick, memory_order_relaxed);
  if (is_their_turn(&gr_sched, p)) g = yielded_get(m);
  if (g == NULL && tick % GLOBAL_EVERY == 0) g = globq_get(m, 1);
  if (g == NULL) g = gr_runq_get(p);
  if (g == NULL) g = globq_get(m, INT32_MAX);
  bool others = atomic_load_explicit(&gr_sched.yielded.n, memory_order_relaxed) > 0;
  if (g == NULL && gr_poller->waited_for() && !(others && gr_polled_now(&gr_sched)) &&
      gr_poll_now(&gr_sched))
    g = gr_runq_get(p);
  return g == NULL && others ? yielded_get(m) : g;
}

G *gr_find_here(M *m) { return look_here(m); }

static G *look_once(M *m) {
  G *g = look_here(m);
  return g != NULL ? g : spin(m);
}

G *gr_find_runnable(M *m) {
  Sched *s = &gr_sched;
  if (atomic_load(&gr_forked))
    gr_fatal("the goroutine of a forked child has ended, and others are not there: end such a "
             "child by os.exit, or exec");
  bool was_idle = false; /* if so, others have left to m what they added: Gs, timers */
  while (!atomic_load(&s->stopping) && !m->leaving) {
    if (m->p == NULL) {
      was_idle = true;
      P *p = gr_idle_p_get(s);
      if (p != NULL) gr_m_take_p(m, p);
      else stop_m(m);
      continue;
    }
    if (m->p->id >= (uint32_t)atomic_load_explicit(&s->maxprocs, memory_order_relaxed)) {
      retire_p(m);
      continue;
    }
    G *g = look_once(m);
    if (g != NULL) {
      was_idle = was_idle || m->spinning;
      if (m->spinning) stop_spinning(m);
      if (was_idle && (gr_due(s, gr_coarse_ns()) & (GR_DUE_WORK | GR_DUE_WATCH)) != 0) gr_wakep(s);
      return g;
    }
    /* m counted as spinning, and others left to it what they added meanwhile: timers, Gs. */
    was_idle = true;
    if (!give_up_p(m) && !gr_sleep_in_poll(m)) stop_m(m);
  }
  if (m->spinning) stop_spinning(m);
  return NULL;
}

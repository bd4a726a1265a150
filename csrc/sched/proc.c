/* SPDX-License-Identifier: MIT */
/* proc.c - the scheduler's loop: how an M finds a goroutine, when threads are woken, started and
 * put to sleep.
 *
 * After Go's runtime (proc.go: findRunnable, wakep, startm, handoffp, resetspinning). The question
 * that shapes it is when to wake a thread. Too late, and a core idles beside waiting work; too
 * often, and the machine spends itself on futexes (14 us a wake). So: an M without work looks for
 * some while it is counted in `nspinning`; whoever makes a G runnable wakes another M only if there
 * is an idle P and nobody spins; and an M that stops spinning because it found work wakes the next
 * one only if it sees more work.
 *
 * The race in it: a G is queued just when the last spinner gives up. The producer writes the queue,
 * then reads nspinning; the spinner decrements nspinning, then looks through all queues once more.
 * Both orders are sequentially consistent, so one sees the other. The same holds for timers: who
 * adds one publishes it in its heap, then reads poll_until; who is going to sleep in the poller
 * publishes poll_until = 0 ("tell me"), then looks at the heaps, then publishes the time.
 *
 * A bound G (it waits where Lua cannot yield, so its C stack must stay) is queued like any other;
 * the M that picks it hands its own P to the G's M, as Go's startlockedm does. So a wake-up costs a
 * thread switch there, but the number of Ms that run Lua stays at maxprocs.
 *
 * Who sees to what, whoever holds the places, and when no thread can be had: due.c.
 *
 * Fairness. Runnable Gs are of two classes: those that were woken, or are new, and those that have
 * yielded or used up a slice of CPU time (in the pool's list `yielded`, never in a ring). The first
 * come first, so that a goroutine that waits for a time or an event does not stand behind a hundred
 * loops. They cannot keep the second from running: on each P, after 10 ms of the first class one of
 * the second has its turn, and after that turn the first class has 10 ms again. Within a class it
 * is first come, first served, with three exceptions. runnext may go before its ring, but not more
 * than 64 times in a row. Each 61st round looks into the global queue before the ring. And a G that
 * was interrupted for a timer goes to the front of its class, until it has used up what is left of
 * its slice: then it goes to the end, so nobody stays in front for longer than a slice. That slices
 * are CPU time and not time of the day keeps one whose thread the system did not run from being
 * taken for a loop.
 *
 * Rejected: one queue for all (the lock is the bottleneck from four cores on); waking for each
 * readied G (ping-pong would pay a futex a message). */
#include "sched/pool.h"

#include "base/chunk.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

enum { GLOBAL_EVERY = 61, SPIN_NS = GR_STEADY ? 0 : 20000, TURN_NS = 10000000, UNDER_MAX = 3 };
#define IDLE_NS INT64_C(5000000000) /* a thread without work ends after that */

/* ---- queueing ---- */

/* What the running G readies goes into runnext. Is another M to be woken for it? Not when the G is
 * about to wait, as in a ping-pong: the place will be free sooner than a thread awake. So each G is
 * judged by what it did last time: whether it ran on for LONG after it had readied one. Sysmon sees
 * to a G that changes its ways. An M that has polled runs a single G that it found itself. */
enum { LONG_TICKS = 50000 };

static void judge(M *m) {
  if (m->readied_at == 0) return;
  atomic_load_explicit(&m->cur, memory_order_relaxed)->runs_on =
      gr_ticks() - m->readied_at > LONG_TICKS;
  m->readied_at = 0;
}

void gr_put_runnable(Sched *s, G *g) {
  M *m = gr_m;
  if (!gr_pool_enter(m)) return; /* the pool has ended: g is swept, or is its thread's */
  P *p = m != NULL ? m->p : NULL;
  bool wake = true;
  if (p != NULL) {
    gr_runq_put(s, p, g, true);
    if (atomic_load_explicit(&m->in_lua, memory_order_relaxed)) {
      judge(m);
      m->readied_at = gr_ticks();
      wake = atomic_load_explicit(&m->cur, memory_order_relaxed)->runs_on ||
             atomic_load(&p->head) != atomic_load_explicit(&p->tail, memory_order_relaxed);
    } else if (m->delivers) {
      wake = atomic_load(&p->head) != atomic_load_explicit(&p->tail, memory_order_relaxed);
    }
  } else {
    gr_lock(&s->lock);
    gr_globq_put_locked(s, g);
    gr_unlock(&s->lock);
  }
  if (wake) gr_wakep(s);
  gr_pool_leave(m);
}

G *gr_g_new(const GOps *ops, void *data, GrHost *host, int *err) {
  *err = GR_ABORTED;
  if (gr_over() || gr_host_ends(host) || !gr_pool_enter(gr_m)) return NULL;
  *err = gr_pool_need_thread(&gr_sched);
  gr_pool_leave(gr_m);
  if (*err != GR_OK) return NULL;
  G *g = gr_g_alloc(gr_m);
  *err = GR_NOMEM;
  if (g == NULL) return NULL;
  g->ops = ops;
  g->data = data;
  atomic_store_explicit(&g->host, host, memory_order_relaxed);
  gr_host_ref(host);
  return g;
}

void gr_g_discard(G *g) {
  gr_host_unref(g->host);
  gr_g_free(gr_m, g);
}

void gr_spawn(G *g) {
  if (gr_m != NULL) bump_own(gr_m->spawned);
  else bump(gr_past.spawned);
  atomic_store_explicit(&g->status, G_RUNNABLE, memory_order_release);
  gr_put_runnable(&gr_sched, g);
}

/* ---- idling ---- */

/* Sleeps until somebody gives it a P. Without one when the pool ends, or when there was nothing to
 * do for long: then its thread ends, unless it is the last. */
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
  m->leaving = atomic_fetch_sub(&s->nm, 1) - 1 > atomic_load(&s->nkept); /* as may_keep_thread */
  if (!m->leaving) atomic_fetch_add(&s->nm, 1);
  gr_unlock(&s->lock);
}

/* The M without a P that holds the poll token sleeps until the first timer or an event. False:
 * there is nothing to wait for. */
static bool sleep_in_poll(M *m) {
  Sched *s = &gr_sched;
  bool timers = gr_first_timer(s) != INT64_MAX, waited_for = gr_poller->waited_for();
  if (!timers && !waited_for && !gr_poller->wanted()) return false;
  if (atomic_exchange(&s->polling, true)) return false;
  atomic_store(&s->poll_until, INT64_MAX); /* each new timer wakes us, until we have told when */
  int64_t until = gr_first_timer(s);
  atomic_store(&s->poll_until, until);
  atomic_store(&s->asleep_in_poll, 1);
  if (!timers && !waited_for) gr_check_dead(s);
  bool owed = atomic_load(&s->nidle_ps) > 0 && gr_work_anywhere(s);
  bool happened =
      gr_first_timer(s) >= until && !owed && !atomic_load(&s->stopping) && gr_poller->wait(until);
  atomic_store(&s->asleep_in_poll, 0);
  atomic_store_explicit(&s->polled_at, gr_coarse_ns(), memory_order_relaxed);
  if (happened) { /* it goes on with what it found itself, and so needs a P first: without one all
                     would go to the global queue, and another M be woken for it */
    P *p = gr_idle_p_get(s);
    if (p != NULL) gr_m_take_p(m, p);
    gr_deliver(m);
  }
  atomic_store(&s->polling, false);
  return true;
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

/* One that yielded has its turn. */
static G *yielded_get(M *m) {
  Sched *s = &gr_sched;
  if (atomic_load_explicit(&s->yielded.n, memory_order_relaxed) == 0) return NULL;
  gr_lock(&s->lock);
  G *g = gr_yielded_get_locked(s);
  gr_unlock(&s->lock);
  if (g != NULL) m->p->turn_at = 0;
  return g;
}

/* Have those that yielded waited here for long enough? */
static bool is_their_turn(Sched *s, P *p) {
  if (gr_likely(atomic_load_explicit(&s->yielded.n, memory_order_relaxed) == 0)) return false;
  int64_t now = gr_coarse_ns();
  if (p->turn_at == 0) p->turn_at = now + TURN_NS;
  return now >= p->turn_at;
}

/* Did somebody look for events just now? */
static bool polled_now(Sched *s) {
  return gr_coarse_ns() <= atomic_load_explicit(&s->polled_at, memory_order_relaxed);
}

/* One pass over all Ps from a random one on, with their timers. */
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

/* Looks everywhere for a while. runnext of a busy P is taken only after it had time to run it
 * itself. */
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

/* The P has nothing to do and goes idle; then everything is looked at once more. True: m has a P
 * again, and looks again. */
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

/* This P is one too many since maxprocs was lowered. */
static void retire_p(M *m) {
  Sched *s = &gr_sched;
  P *p = m->p;
  m->p = NULL;
  gr_lock(&s->lock);
  gr_idle_p_put_locked(s, p);
  gr_unlock(&s->lock);
  if (m->spinning)
    stop_spinning(
        m); /* it may sleep next, and a sleeping spinner would keep everybody from being woken */
  gr_wakep(s);
}

/* Timers that have no M of their own: those of threads without a P, and of Ps that are too many
 * since maxprocs was lowered. */
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
  if (g == NULL && gr_poller->waited_for() && !(others && polled_now(&gr_sched)) &&
      gr_poll_now(&gr_sched))
    g = gr_runq_get(p);
  return g == NULL && others ? yielded_get(m) : g;
}

static G *look_once(M *m) {
  G *g = look_here(m);
  return g != NULL ? g : spin(m);
}

/* The next G for m, which then has a P; NULL when the pool ends. */
static G *find_runnable(M *m) {
  Sched *s = &gr_sched;
  if (atomic_load(&gr_forked))
    gr_fatal("the goroutine of a forked child has ended, and others are not there: end such a "
             "child by os.exit, or exec");
  bool was_idle = false; /* others may rely on what this M did while it was: looking for work,
                            sleeping for timers */
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
    was_idle = true; /* it counted as spinning until then, and others left to it what they added
                        meanwhile: timers, more Gs than one */
    if (!give_up_p(m) && !sleep_in_poll(m)) stop_m(m);
  }
  return NULL;
}

/* ---- running ---- */

static void g_ended(M *m, G *g) {
  atomic_store_explicit(&g->status, G_DEAD, memory_order_release);
  gr_host_unref(g->host);
  bump_own(m->ended);
  gr_g_free(m, g);
}

/* Into a global queue. */
static void put_global(Sched *s, G *g, GrLine line) {
  gr_lock(&s->lock);
  atomic_store_explicit(&g->status, G_RUNNABLE, memory_order_release);
  gr_line_up_locked(s, g, line);
  gr_unlock(&s->lock);
}

static GrLine line_of(M *m, G *g) {
  return gr_slice_left(m, g) ? GR_LINE_INTERRUPT : GR_LINE_YIELDED;
}

/* False: it was readied before it had parked, and m still has its P: run it on. */
static bool parked(M *m, G *g) {
  uint32_t parking = G_PARKING;
  if (atomic_compare_exchange_strong(&g->status, &parking, G_WAITING)) return true;
  if (m->p != NULL) return false;
  put_global(&gr_sched, g, GR_LINE_WOKEN);
  return true;
}

/* The pool ended while m was abroad. Its goroutine, unless that has ended, goes with it. */
static void end_over(M *m, G *g, GrRun r) {
  enum { CLOSE_NS = 100000000 };
  if (r == GR_RUN_PARK) {
    if (!gr_wait_win(g, gr_wait_seq(g), GR_CAUSE_SHUTDOWN, NULL)) gr_wait_await_ready(g);
    gr_timer_stop(&g->limit);
  }
  if (r != GR_RUN_DONE) {
    gr_g_runs(g);
    g->ops->destroy(g, gr_now_ns() + CLOSE_NS);
  }
  atomic_store(&m->in_lua, false); /* only now: what ran until here must find no pool */
  g_ended(m, g);
}

static GR_INLINE void execute(M *m, G *g) {
  if (atomic_load(&g->blocks)) {
    gr_hand_p_over(m, g);
    return;
  }
  if (!gr_g_claim(g)) return;
  g->m = m;
  for (;;) {
    atomic_store_explicit(&m->cur, g, memory_order_relaxed);
    gr_m_go_abroad(m);
    GrRun r = g->ops->run(g);
    if (gr_unlikely(gr_exit_letting_go())) gr_exit_hold();
    if (!gr_m_come_home(m)) {
      end_over(m, g, r);
      return;
    }
    judge(m);
    if (gr_unlikely(g->keeps)) {
      g->keeps = false;
      atomic_fetch_sub(&gr_sched.nkept, 1);
    }
    if (r == GR_RUN_YIELD) {
      put_global(&gr_sched, g, line_of(m, g));
      return;
    }
    g->used = 0;
    if (r == GR_RUN_DONE) g_ended(m, g);
    else if (!parked(m, g)) {
      gr_g_runs(g);
      continue;
    }
    return;
  }
}

/* It may serve a new thread at once. */
static void m_leave(M *m) {
  Sched *s = &gr_sched;
  if (m->spinning) stop_spinning(m);
  P *p = m->p;
  m->p = NULL;
  while (m->free != NULL) {
    G *g = m->free;
    m->free = g->link;
    gr_g_free(NULL, g);
  }
  m->nfree = 0;
  gr_chunk_flush();
  gr_m = NULL;
  gr_lock(&s->lock);
  if (p != NULL) gr_idle_p_put_locked(s, p);
  m->link = s->dead_ms;
  s->dead_ms = m;
  atomic_store(&m->at, M_GONE);
  gr_unlock(&s->lock);
  gr_note_wake(&s->left);
}

void *gr_m_main(void *arg) {
  M *m = arg;
  clockid_t clock;
  pthread_setname_np(pthread_self(), "goro"); /* else it would have its maker's */
  gr_m = m;
  atomic_store(&m->tid, (int32_t)gettid());
  atomic_store(&m->clock,
               pthread_getcpuclockid(pthread_self(), &clock) == 0 ? clock : CLOCK_MONOTONIC);
  if (m->nextp != NULL) gr_m_take_p(m, m->nextp);
  m->nextp = NULL;
  for (G *g; (g = find_runnable(m)) != NULL;) execute(m, g);
  m_leave(m);
  return NULL;
}

/* ---- what goroutines call ---- */

/* Whoever comes by does what is due, also one that cannot give its place away. */
static void see_to_what_is_due(M *m) {
  Sched *s = &gr_sched;
  if (m->p == NULL) return;
  gr_fire_due(s);
  if (gr_poller->waited_for() && !polled_now(s)) gr_poll_now(s);
}

/* g cannot yield, and no other thread can be had: so others run on top of it, on this stack, a
 * round each. None of them may then wait with this thread (gr_may_keep_thread), but one may loop
 * where it cannot yield, and g waits until that has ended; such a one does the same in its turn, up
 * to UNDER_MAX, for stacks may be small. The caller has entered the pool, and still has when it
 * comes back; unless the pool's life ended meanwhile (false). */
static __attribute__((noinline)) bool run_on_top(M *m, G *g) {
  int64_t until = gr_now_ns() + TURN_NS;
  judge(m);
  atomic_store(&m->at, M_HOME);
  atomic_store_explicit(&m->in_lua, false, memory_order_relaxed);
  g->since = gr_coarse_ns();
  atomic_store_explicit(&g->status, G_BLOCKED, memory_order_release);
  m->under++;
  for (G *next; m->p != NULL && !gr_over() && gr_now_ns() < until && (next = look_here(m)) != NULL;)
    execute(m, next);
  m->under--;
  gr_g_runs(g);
  bool over = atomic_load(&m->at) == M_OVER;
  if (m->p == NULL && !over) gr_acquire_p(m, g, GR_LINE_WOKEN);
  atomic_store_explicit(&m->cur, g, memory_order_relaxed);
  m->depth = over ? 0 : 1;
  atomic_store_explicit(&m->in_lua, true, memory_order_release);
  return !over;
}

void gr_yield_blocking(G *g) {
  M *m = gr_m;
  if (g->is_host || m == NULL || atomic_load(&gr_forked) || !gr_pool_enter(m)) {
    sched_yield();
    return;
  }
  Sched *s = &gr_sched;
  GrLine line = line_of(m, g);
  see_to_what_is_due(m);
  bool alone =
      m->p != NULL && m->p->id < (uint32_t)atomic_load(&s->maxprocs) && !gr_work_anywhere(s);
  if (alone) {
    gr_pool_leave(m);
    sched_yield();
  } else if (m->p != NULL && m->under < UNDER_MAX && gr_nobody_takes_p(s)) {
    if (run_on_top(m, g)) gr_pool_leave(m);
  } else {
    gr_release_p(m);
    gr_acquire_p(m, g, line);
    gr_pool_leave(m);
  }
}

void gr_preempted(void) {
  if (gr_m == NULL) return;
  gr_m->preempted = true;
  bump_own(gr_m->preemptions);
}

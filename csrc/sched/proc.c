/* SPDX-License-Identifier: MIT */
/* proc.c - how an M runs goroutines: queueing, running, yielding.
 *
 * Three letters, as in Go:
 *     G  a goroutine. It is queued; or it runs on one M; or it waits, and no queue here has it.
 *     M  a thread. It runs one G at a time; without work it sleeps.
 *     P  a place to run. There are `maxprocs` of them. An M needs one to take a G from a queue. So
 *        at most `maxprocs` Gs run Lua at once, besides code that has lost its P (sysmon.c).
 *
 * The loop of an M (gr_m_main) has these steps:
 *   1. gr_find_runnable (find.c): the M gets a P and a G, or sleeps until it does.
 *   2. execute: the G becomes RUNNING, and GOps.run runs it until it ends, waits or yields.
 *   3. What the G did decides where it goes. It ended: its memory is free. It waits: it is
 *      WAITING, and whoever ends the wait queues it (gr_ready). It yielded: it goes to the list
 *      `yielded`.
 *
 *     gr_spawn, gr_ready --> runnext --> ring of the P --(full)--> global queue    woken or new
 *     a G that yields   ------------------------------------> list `yielded`       had its turn
 *
 * A bound G waits where Lua cannot yield, so its C stack must stay, and with it its thread. When
 * it can go on it is queued like any other G. The M that picks it hands its own P to the thread
 * of the G, as startlockedm does in Go. Such a wake-up costs a switch of threads, but the number
 * of Ms that run Lua stays at maxprocs.
 *
 * Fairness. There are two classes of runnable Gs: Gs that were woken or are new, in rings and the
 * global queue; and Gs that yielded or used up a slice of CPU time, in `yielded`. The first class
 * comes first, so that a goroutine that waited for a time or an event does not stand behind a
 * hundred loops. It cannot starve the second class: on each P, after 10 ms of the first class one
 * G of the second has its turn, and then the first class has 10 ms again. Inside a class the
 * order is first come, first served, with three exceptions:
 *   - runnext goes before the ring, but at most 64 times in a row.
 *   - Every 61st round looks into the global queue before the ring.
 *   - A G that was interrupted for a timer goes to the front of `yielded` until the rest of its
 *     slice is used up. Then it goes to the end, so no G stays in front for longer than a slice.
 * A slice is CPU time, not time of the day: a goroutine whose thread got no CPU from the system
 * has not looped.
 *
 * Rejected, each measured by bench/run's programs on two busy cores (the least of nine runs):
 *   - One queue for all Ps instead of rings: a message through a buffered channel costs 1.15
 *     times as much (oneway), and each further core would wait for the same lock.
 *   - Waking an M for each readied G: a round trip between two goroutines takes 1.4 times as long
 *     (pingpong), since the woken M carries one of the two to another core.
 *   - An M that sleeps at once instead of spinning: 20,000 short goroutines (spawn) take 1.2
 *     times as long and wake a thread ten times as often, 2,000 to 2,700 times instead of 150 to
 *     280. Two goroutines that only talk to each other would gain (oneway: 0.6 of the time).
 *
 * After Go's runtime (proc.go: schedule, execute, goready, startlockedm). */
#include "sched/pool.h"

#include "base/chunk.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

enum { UNDER_MAX = 3 };

/* ---- queueing ---- */

/* The G that the running G readies goes into runnext. Should another M be woken to take it? Not
 * when the running G is about to wait, as in a ping-pong: its place is free before a thread is
 * awake. So each G is judged by its last time: did it run on for LONG_TICKS after it had readied
 * another G? When a G behaves differently this time, sysmon sees the queued G and wakes an M.
 *
 * Events are delivered by an M that is about to look for work. When it finds a single G, it runs
 * that G itself and wakes nobody. */
enum { LONG_TICKS = 50000 };

static void judge(M *m) {
  if (m->readied_at == 0) return;
  atomic_load_explicit(&m->cur, memory_order_relaxed)->runs_on =
      gr_ticks() - m->readied_at > LONG_TICKS;
  m->readied_at = 0;
}

void gr_put_runnable(Sched *s, G *g) {
  M *m = gr_m;
  if (!gr_pool_enter(m)) return; /* the pool has ended: g is the sweep's or its own thread's */
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

/* ---- running ---- */

static void g_ended(M *m, G *g) {
  atomic_store_explicit(&g->status, G_DEAD, memory_order_release);
  gr_host_unref(g->host);
  bump_own(m->ended);
  gr_g_free(m, g);
}

/* g becomes runnable, in a queue of the pool. */
static void put_global(Sched *s, G *g, GrLine line) {
  gr_lock(&s->lock);
  atomic_store_explicit(&g->status, G_RUNNABLE, memory_order_release);
  gr_line_up_locked(s, g, line);
  gr_unlock(&s->lock);
}

static GrLine line_of(M *m, G *g) {
  return gr_slice_left(m, g) ? GR_LINE_INTERRUPT : GR_LINE_YIELDED;
}

/* g has prepared a wait and left Lua. True: it waits now, and the M is done with it. False: it
 * was readied before that, and m still has its P, so m runs it on. */
static bool parked(M *m, G *g) {
  uint32_t parking = G_PARKING;
  if (atomic_compare_exchange_strong(&g->status, &parking, G_WAITING)) return true;
  if (m->p != NULL) return false;
  put_global(&gr_sched, g, GR_LINE_WOKEN);
  return true;
}

/* The pool ended while m was abroad. m's goroutine, unless it has ended, is destroyed here. */
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
  atomic_store(&m->in_lua, false); /* only now: until here the goroutine's code must find no pool */
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

/* The thread of m ends. From the unlock on, m may serve a new thread. */
static void m_leave(M *m) {
  Sched *s = &gr_sched;
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
  pthread_setname_np(pthread_self(), "goro"); /* not its starter's name */
  gr_m = m;
  atomic_store(&m->tid, (int32_t)gettid());
  atomic_store(&m->clock,
               pthread_getcpuclockid(pthread_self(), &clock) == 0 ? clock : CLOCK_MONOTONIC);
  if (m->nextp != NULL) gr_m_take_p(m, m->nextp);
  m->nextp = NULL;
  for (G *g; (g = gr_find_runnable(m)) != NULL;) execute(m, g);
  m_leave(m);
  return NULL;
}

/* ---- what goroutines call ---- */

/* An M whose G cannot yield fires due timers and polls all the same. */
static void see_to_what_is_due(M *m) {
  Sched *s = &gr_sched;
  if (m->p == NULL) return;
  gr_fire_due(s);
  if (gr_poller->waited_for() && !gr_polled_now(s)) gr_poll_now(s);
}

/* g cannot yield, and no other thread can be had. So other goroutines run on top of g, on this
 * stack, a round each, for GR_TURN_NS. None of them may wait with this thread (gr_may_keep_thread
 * refuses). But one of them may loop where it cannot yield. Then g waits until that one has
 * ended; meanwhile others run on top of it in the same way, up to UNDER_MAX, since stacks may be
 * small.
 *
 * The caller has entered the pool. True: it is inside still. False: the life of the pool ended
 * meanwhile. */
static __attribute__((noinline)) bool run_on_top(M *m, G *g) {
  int64_t until = gr_now_ns() + GR_TURN_NS;
  judge(m);
  atomic_store(&m->at, M_HOME);
  atomic_store_explicit(&m->in_lua, false, memory_order_relaxed);
  g->since = gr_coarse_ns();
  atomic_store_explicit(&g->status, G_BLOCKED, memory_order_release);
  m->under++;
  for (G *next;
       m->p != NULL && !gr_over() && gr_now_ns() < until && (next = gr_find_here(m)) != NULL;)
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

/* SPDX-License-Identifier: MIT */
/* m.c - threads and places: which M holds which P, when a thread is woken, started, or gives its
 * P away.
 *
 * An M that needs its P no more (its G blocks, or there is no work) gives it to an M that has a
 * use for it (gr_release_p). So a P with work never stays without an M. An M that needs a P again
 * takes an idle one; when there is none, it queues its G as a bound one and sleeps until another
 * M hands it a P (gr_acquire_p). A thread is started when a P has work and no M is idle, up to
 * GOROMAXTHREADS. */
#include "sched/pool.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { STACK_LEAST = 1 << 20, STACK_MOST = 8 << 20, STACK_SHARE = 256 };

GR_TLS M *gr_m;

bool gr_sched_own_thread(void) { return gr_m != NULL; }

/* ---- the P's status word ---- */

static void p_set(P *p, uint64_t state) {
  uint64_t tick = atomic_load_explicit(&p->status, memory_order_relaxed) >> 8;
  atomic_store_explicit(&p->status, tick << 8 | state, memory_order_release);
}

/* False: the P is not m's any more, and m is P-less. */
static bool p_enter(M *m) {
  uint64_t expected = m->in_word, entered = (expected & ~(uint64_t)0xff) | P_RUNNING;
  if (!atomic_compare_exchange_strong_explicit(&m->p->status, &expected, entered,
                                               memory_order_acquire, memory_order_relaxed)) {
    m->p = NULL;
    return false;
  }
  m->in_word = entered;
  return true;
}

static void p_leave(M *m) {
  uint64_t tick = (atomic_load_explicit(&m->p->status, memory_order_relaxed) >> 8) + 1;
  m->in_word = tick << 8 | P_IN_LUA;
  atomic_store_explicit(&m->p->status, m->in_word, memory_order_release);
}

/* ---- into the pool and out of it ---- */

/* For threads that are no Ms. The door counts them, unless it is closed. */
static bool door_enter(void) {
  uint32_t door = atomic_load(&gr_sched.door);
  do {
    if (door & GR_DOOR_CLOSED) return false;
  } while (!atomic_compare_exchange_weak(&gr_sched.door, &door, door + GR_DOOR_ONE));
  return true;
}

static void door_leave(void) {
  if (atomic_fetch_sub(&gr_sched.door, GR_DOOR_ONE) == (GR_DOOR_ONE | GR_DOOR_CLOSED))
    gr_note_wake(&gr_sched.left);
}

/* m is at home from now on. False: the pool is over for m. */
static bool m_enter(M *m) {
  if (m->p != NULL && p_enter(m)) return true;
  uint32_t abroad = M_ABROAD;
  return atomic_compare_exchange_strong(&m->at, &abroad, M_HOME);
}

bool gr_pool_enter(M *m) {
  if (m == NULL) return door_enter();
  if (!m->in_lua) return true;
  if (m->depth == 0 && !m_enter(m)) return false;
  m->depth++;
  return true;
}

void gr_pool_leave(M *m) {
  if (m == NULL) {
    door_leave();
  } else if (m->in_lua && --m->depth == 0) {
    if (atomic_load_explicit(&m->at, memory_order_relaxed) != M_ABROAD)
      atomic_store(&m->at, M_ABROAD);
    if (m->p != NULL) p_leave(m);
  }
}

void gr_m_go_abroad(M *m) {
  atomic_store_explicit(&m->in_lua, true, memory_order_release);
  m->depth = 1;
  gr_pool_leave(m);
}

bool gr_m_come_home(M *m) {
  m->depth = 0; /* an error may have jumped over a gr_pool_leave */
  if (!m_enter(m)) {
    m->leaving = true;
    return false;
  }
  atomic_store_explicit(&m->at, M_HOME,
                        memory_order_relaxed); /* the word of the P says so already */
  atomic_store_explicit(&m->in_lua, false, memory_order_relaxed);
  return true;
}

bool gr_over(void) {
  return atomic_load(&gr_sched.stopping) || (gr_m != NULL && atomic_load(&gr_m->at) == M_OVER);
}

void gr_m_take_p(M *m, P *p) {
  atomic_store_explicit(&p->m, m, memory_order_relaxed);
  p_set(p, P_RUNNING);
  m->p = p;
  atomic_store_explicit(&m->retaken, false, memory_order_relaxed);
  m->in_word = atomic_load_explicit(&p->status, memory_order_relaxed);
}

/* ---- idle Ps; the pool's lock ---- */

static P *gr_idle_p_get_locked(Sched *s) {
  P *p = s->idle_ps;
  if (p == NULL || atomic_load(&s->stopping)) return NULL;
  s->idle_ps = p->link;
  atomic_fetch_sub(&s->nidle_ps, 1);
  p_set(p, P_RUNNING);
  if (gr_unlikely(atomic_load_explicit(&s->sysmon_sleeps, memory_order_relaxed)))
    gr_note_wake(&s->sysmon_note);
  return p;
}

void gr_idle_p_put_locked(Sched *s, P *p) {
  if (p->id >= (uint32_t)atomic_load(&s->maxprocs)) {
    gr_runq_drain_locked(s, p);
    p_set(p, P_RETIRED);
    return;
  }
  p_set(p, P_IDLE);
  p->link = s->idle_ps;
  s->idle_ps = p;
  atomic_fetch_add(&s->nidle_ps, 1);
}

P *gr_idle_p_get(Sched *s) {
  if (atomic_load(&s->nidle_ps) == 0) return NULL;
  gr_lock(&s->lock);
  P *p = gr_idle_p_get_locked(s);
  gr_unlock(&s->lock);
  return p;
}

/* ---- threads ---- */

/* A goroutine's thread has a stack as large as the program's main stack, so that C modules that
 * recurse deeply (LPeg's patterns) work in it as well. A stack is address space only, until it is
 * used. Where address space is limited, a thread must not take much of it. */
static size_t stack_bytes(void) {
  struct rlimit main_stack, space; /* RLIM_INFINITY is the greatest number */
  rlim_t bytes = STACK_MOST;
  if (getrlimit(RLIMIT_STACK, &main_stack) == 0 && main_stack.rlim_cur < bytes)
    bytes = main_stack.rlim_cur;
  if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur / STACK_SHARE < bytes)
    bytes = space.rlim_cur / STACK_SHARE;
  if (bytes < STACK_LEAST) bytes = STACK_LEAST;
  return (size_t)bytes & ~(size_t)(STACK_LEAST / 16 - 1); /* whole pages, whatever their size */
}

/* goro's threads block every signal from their first instruction on, except the ones that report
 * a fault of the thread itself and the one that pre-empts. The program's handlers (lua.c's for
 * SIGINT) run on the program's threads. */
int gr_thread_start(void *(*start)(void *), void *arg) {
  sigset_t all, old;
  sigfillset(&all);
  static const int kept[] = {SIGURG, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) sigdelset(&all, kept[i]);
  pthread_attr_t attr;
  pthread_t thread;
  int err = pthread_attr_init(&attr);
  if (err != 0) return err;
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  size_t stack = stack_bytes();
  pthread_attr_setstacksize(&attr, stack);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  err = pthread_create(&thread, &attr, start, arg);
  if (err != 0 && stack > STACK_LEAST) {
    pthread_attr_setstacksize(&attr, STACK_LEAST);
    err = pthread_create(&thread, &attr, start, arg);
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pthread_attr_destroy(&attr);
  return err;
}

/* An M without a thread: one whose thread has ended, or a new one. NULL: *err says why: there is
 * no memory; or the limit of threads is reached or the pool ends (GR_NOTHREAD). */
static M *get_m(Sched *s, int *err) {
  gr_lock(&s->lock);
  *err = GR_NOTHREAD;
  M *m = NULL;
  if (atomic_load(&s->nm) < s->max_threads && !atomic_load(&s->stopping)) {
    *err = GR_NOMEM;
    if ((m = s->dead_ms) != NULL) {
      s->dead_ms = m->link;
    } else if ((m = gr_zalloc(sizeof *m)) != NULL) {
      m->rand = gr_rand_seed();
      m->all = atomic_load(&s->all_ms);
      atomic_store(&s->all_ms, m);
    }
    if (m != NULL) {
      atomic_fetch_add(&s->nm, 1);
      s->nstarting++;
      atomic_store(&m->at, M_HOME);
    }
  }
  gr_unlock(&s->lock);
  return m;
}

static void say_short_of_threads(Sched *s, int err) {
  static atomic_flag said = ATOMIC_FLAG_INIT;
  if (atomic_flag_test_and_set(&said)) return;
  fprintf(stderr,
          "goro: no more threads (%s): going on with %d; raise `ulimit -u`, or block in fewer "
          "goroutines at a time\n",
          strerror(err), (int)atomic_load(&s->nm));
}

/* Starts a thread with P p; without one (NULL) the thread looks for work and goes idle. On
 * failure p remains the caller's. */
static int new_m(Sched *s, P *p, bool spinning) {
  int r;
  M *m = get_m(s, &r);
  if (m == NULL) return r;
  m->nextp = p;
  m->spinning = spinning;
  m->leaving = false;
  int err = gr_thread_start(gr_m_main, m);
  atomic_store(&s->threads_short, err != 0);
  gr_lock(&s->lock);
  s->nstarting--;
  if (err != 0) {
    m->link = s->dead_ms;
    s->dead_ms = m;
    atomic_store(&m->at, M_GONE);
    atomic_fetch_sub(&s->nm, 1);
  }
  gr_unlock(&s->lock);
  if (err == 0) return GR_OK;
  say_short_of_threads(s, err);
  return GR_NOTHREAD;
}

/* An idle M, which has p from here on; the caller wakes it. Or NULL. */
static M *idle_m_get_locked(Sched *s, P *p, bool spinning) {
  M *m = s->idle_ms;
  if (m == NULL) return NULL;
  s->idle_ms = m->link;
  s->nidle--;
  m->spinning = spinning;
  m->nextp = p;
  return m;
}

/* The M of g, a bound G that was queued. It has p from here on; the caller wakes it. */
static M *bound_m_get_locked(Sched *s, P *p, G *g) {
  M *m = g->m;
  s->nlocked--;
  m->nextp = p;
  return m;
}

/* No thread can be had for p, although there is work for it. These Ms may have a use for p:
 * first, a thread that waits for a P with its own G, since it need not be started; second, an M
 * that has gone idle since; third, an M that sleeps in the poller: it looked for work before p
 * came back, and now it looks again. Otherwise all threads are in use. The next one that comes
 * back finds what is queued, and sysmon asks for a thread again (due.c). */
static void owe(Sched *s, P *p) {
  gr_lock(&s->lock);
  gr_runq_drain_locked(s, p);
  G *bound = gr_bound_get_locked(s);
  M *m = bound != NULL ? bound_m_get_locked(s, p, bound) : idle_m_get_locked(s, p, false);
  if (m == NULL) gr_idle_p_put_locked(s, p);
  gr_unlock(&s->lock);
  if (m != NULL) gr_note_wake(&m->note);
  else if (atomic_load(&s->polling)) gr_poller->wake();
}

/* An idle M gets p (which is not in the idle list), or a new thread does. `spinning`: nspinning
 * counts that M already. */
static int start_m(Sched *s, P *p, bool spinning) {
  gr_lock(&s->lock);
  M *m = idle_m_get_locked(s, p, spinning);
  gr_unlock(&s->lock);
  int r = GR_OK;
  if (m != NULL) {
    gr_note_wake(&m->note);
  } else if ((r = new_m(s, p, spinning)) != GR_OK) {
    if (spinning) atomic_fetch_sub(&s->nspinning, 1);
    owe(s, p);
  }
  if (gr_unlikely(!atomic_load_explicit(&s->sysmon_started, memory_order_relaxed)))
    gr_sysmon_start(s);
  return r;
}

bool gr_nobody_takes_p(Sched *s) {
  gr_lock(&s->lock);
  bool none =
      s->nidle == 0 && (atomic_load(&s->threads_short) || atomic_load(&s->nm) >= s->max_threads);
  gr_unlock(&s->lock);
  return none;
}

/* At least one M must not wait with its G, so that it comes back to look for work. GR_OK: this one
 * may wait, and is counted. GR_CROWDED: it would be the last. GR_AGAIN: that depends on a thread
 * that is being started, and may yet fail to. */
static int count_kept(Sched *s) {
  gr_lock(&s->lock);
  int32_t free = atomic_load(&s->nm) - (atomic_load(&s->nkept) + 1), starting = s->nstarting;
  if (free > starting) atomic_fetch_add(&s->nkept, 1);
  gr_unlock(&s->lock);
  return free > starting ? GR_OK : free > 0 ? GR_AGAIN : GR_CROWDED;
}

bool gr_may_keep_thread(M *m) {
  Sched *s = &gr_sched;
  if (m->under > 0) return false; /* the G that would wake it may lie below it on this stack */
  for (int r; (r = count_kept(s)) != GR_OK;) {
    if (r == GR_CROWDED && new_m(s, NULL, false) != GR_OK) return false;
    if (r == GR_AGAIN) sched_yield();
  }
  return true;
}

/* When another thread has taken the idle P meanwhile, the caller looks again: while nspinning
 * counted the caller, other threads left to it what they queued. */
void gr_wakep(Sched *s) {
  do {
    if (atomic_load(&s->nidle_ps) == 0 || atomic_load(&s->nspinning) != 0) return;
    int32_t none = 0;
    if (!atomic_compare_exchange_strong(&s->nspinning, &none, 1)) return;
    P *p = gr_idle_p_get(s);
    if (p != NULL) {
      start_m(s, p, true);
      return;
    }
    atomic_fetch_sub(&s->nspinning, 1);
  } while (gr_work_anywhere(s) && !atomic_load(&s->stopping));
}

int gr_pool_need_thread(Sched *s) {
  if (atomic_load(&s->nm) > 0) return GR_OK;
  P *p = gr_idle_p_get(s);
  if (p == NULL) return GR_OK;
  atomic_fetch_add(&s->nspinning, 1);
  return start_m(s, p, true);
}

void gr_idle_m_remove_locked(Sched *s, M *m) {
  for (M **at = &s->idle_ms; *at != NULL; at = &(*at)->link) {
    if (*at != m) continue;
    *at = m->link;
    s->nidle--;
    return;
  }
}

bool gr_m_await_p(M *m, int64_t until) {
  Sched *s = &gr_sched;
  gr_note_sleep(&m->note, until);
  gr_lock(&s->lock);
  P *p = m->nextp;
  m->nextp = NULL;
  if (p == NULL)
    gr_idle_m_remove_locked(s, m); /* else another thread would give a P to an M that has left */
  gr_unlock(&s->lock);
  if (p != NULL) gr_m_take_p(m, p);
  return p != NULL;
}

/* ---- losing and getting a P ---- */

bool gr_work_anywhere(Sched *s) {
  if (atomic_load(&s->globq.n) > 0 || atomic_load(&s->yielded.n) > 0) return true;
  int32_t n = atomic_load(&s->nps);
  for (int32_t i = 0; i < n; i++) {
    P *p = atomic_load(&s->ps[i]);
    if (!gr_runq_empty(p)) return true;
  }
  return false;
}

void gr_hand_on(Sched *s, P *p) {
  if (!atomic_load(&s->stopping)) {
    if (!gr_runq_empty(p) || atomic_load(&s->globq.n) > 0 || atomic_load(&s->yielded.n) > 0) {
      start_m(s, p, false);
      return;
    }
    int32_t none = 0;
    if (atomic_load(&s->nspinning) + atomic_load(&s->nidle_ps) == 0 &&
        atomic_compare_exchange_strong(&s->nspinning, &none, 1)) {
      start_m(s, p, true);
      return;
    }
  }
  gr_lock(&s->lock);
  gr_idle_p_put_locked(s, p);
  gr_unlock(&s->lock);
  if (gr_due(s, gr_coarse_ns()) != 0) gr_wakep(s);
  int64_t first = gr_first_timer(s);
  if (first != INT64_MAX) gr_timer_added(s, first);
}

/* m is going to wait. If its P was taken, m does not run Lua without one any more, and sysmon
 * need not look after it. */
static void not_lost(M *m) {
  gr_lock(&gr_sched.lock); /* sysmon takes the P and marks the M under this lock */
  atomic_store(&m->retaken, false);
  gr_unlock(&gr_sched.lock);
}

void gr_release_p(M *m) {
  P *p = m->p;
  if (p == NULL) {
    not_lost(m);
    return;
  }
  atomic_store(&m->at, M_HOME); /* the word of the P has said so until now */
  m->p = NULL;
  bump_own(m->handoffs);
  gr_hand_on(&gr_sched, p);
}

void gr_acquire_p(M *m, G *g, GrLine line) {
  Sched *s = &gr_sched;
  P *p = gr_idle_p_get(s);
  if (p == NULL && !atomic_load(&s->stopping)) {
    g->m = m;
    g->blocks = true;
    gr_note_clear(&m->note);
    gr_lock(&s->lock);
    bool queued = !atomic_load(&s->stopping);
    if (queued) {
      atomic_store_explicit(&g->status, G_RUNNABLE, memory_order_release);
      gr_line_up_locked(s, g, line);
      s->nlocked++;
    }
    gr_unlock(&s->lock);
    if (queued) {
      gr_wakep(s);
      gr_m_await_p(m, GR_FOREVER);
    }
    gr_g_runs(g);
    atomic_store(&g->blocks, false);
  } else if (p != NULL) {
    gr_m_take_p(m, p);
  }
}

void gr_hand_p_over(M *m, G *g) {
  Sched *s = &gr_sched;
  P *p = m->p;
  M *other = g->m;
  gr_lock(&s->lock);
  if (atomic_load(&s->stopping)) { /* g's thread is awake, and takes g by itself */
    gr_unlock(&s->lock);
    return;
  }
  m->p = NULL;
  bound_m_get_locked(s, p, g);
  gr_unlock(&s->lock);
  gr_note_wake(&other->note);
}

/* ---- blocking regions ---- */

static bool has_status(G *g, GStatus status) {
  return (atomic_load(&g->status) & ~(uint32_t)G_SCAN) == status;
}

/* May the caller, whose G this is, give its place away? A host has none. A finalizer that the end
 * of the pool runs has none either: its G is DEAD. In a region the place is given away already. */
static bool has_place(G *g) {
  return g != NULL && !g->is_host && gr_m != NULL && !atomic_load(&gr_forked) &&
         has_status(g, G_RUNNING);
}

void gr_block_begin(G *g) {
  if (!has_place(g)) return;
  g->since = gr_coarse_ns();
  bool inside = gr_pool_enter(gr_m);
  if (inside) gr_release_p(gr_m);
  atomic_store_explicit(&g->status, G_BLOCKED, memory_order_release);
  if (inside) gr_pool_leave(gr_m);
}

void gr_block_end(G *g) {
  if (g == NULL || !has_status(g, G_BLOCKED) || atomic_load(&gr_forked)) return;
  gr_g_runs(g);
  if (!gr_pool_enter(gr_m)) return;
  gr_acquire_p(gr_m, g, GR_LINE_WOKEN);
  gr_pool_leave(gr_m);
}

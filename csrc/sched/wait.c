/* SPDX-License-Identifier: MIT */
/* wait.c - parking and readying: the steps of sched.h.
 *
 * Why no wake-up is lost. The status is the meeting point. The G that parks moves PARKING ->
 * WAITING; gr_ready moves PARKING -> READY_EARLY or WAITING -> RUNNABLE. Each move is a CAS, so
 * both threads see one order:
 *     the M first:    PARKING -> WAITING -> RUNNABLE     the G is queued
 *     gr_ready first: PARKING -> READY_EARLY             the M's CAS fails, and it runs the G on
 * The winner of a wait alone calls gr_ready, and once, so a G is queued once. When gr_ready finds
 * any other status, the pool has ended and has destroyed the G.
 *
 * For a host's inbox the same question comes one step earlier: a post that comes after the host's
 * look at its inbox and before gr_wait_prepare finds no wait to win. So both sides write first
 * and read second. The poster adds the post, then reads the wait word. The host writes the wait
 * word, then looks into its inbox again (gr_wait_block). The end of the pool is met in the same
 * way. */
#include "sched/pool.h"

#include <sched.h>

#define set_status(g, s) atomic_store_explicit(&(g)->status, (s), memory_order_release)

static bool move_status(G *g, uint32_t from, uint32_t to) {
  return atomic_compare_exchange_strong(&g->status, &from, to);
}

static void limit_fired(void *arg, uint64_t seq) {
  G *g = arg;
  if (gr_wait_win(g, seq, GR_CAUSE_TIMEOUT, NULL)) gr_ready(g);
}

void gr_wait_prepare(G *g, const GrWaitType *type, bool blocks) {
  g->waits = type;
  atomic_store_explicit(&g->blocks, blocks,
                        memory_order_relaxed); /* the status, a release store, publishes it */
  g->since = gr_coarse_ns();
  g->winner = NULL;
  set_status(g, G_PARKING);
  atomic_store(&g->wait, (gr_wait_seq(g) + 1) << 1);
}

/* May g wait with its thread? It stays counted until its round ends. A later wait of the same
 * round must not be refused half-way: a wait that goes on, or the lock that a condition's wait
 * takes again. */
static bool keeps_thread(G *g) {
  if (g->is_host || g->keeps || gr_m == NULL || gr_over() || !gr_pool_enter(gr_m)) return true;
  g->keeps = gr_may_keep_thread(gr_m);
  gr_pool_leave(gr_m);
  return g->keeps;
}

static __attribute__((noinline)) int arm_limit(G *g, int64_t until) {
  if (atomic_load_explicit(&g->blocks, memory_order_relaxed) && !keeps_thread(g)) return GR_CROWDED;
  if (until == GR_FOREVER) return GR_OK;
  g->limit.fire = limit_fired;
  g->limit.drop = NULL;
  g->limit.again = NULL;
  g->limit.host = NULL;
  g->limit.arg = g;
  g->limit.seq = gr_wait_seq(g);
  return gr_timer_start(&g->limit, until);
}

int gr_wait_limit(G *g, int64_t until) {
  bool nothing = until == GR_FOREVER && !atomic_load_explicit(&g->blocks, memory_order_relaxed);
  return gr_likely(nothing) ? GR_OK : arm_limit(g, until);
}

bool gr_wait_win(G *g, uint64_t seq, GrCause cause, GSudog *sg) {
  uint64_t open = seq << 1;
  if (!atomic_compare_exchange_strong(&g->wait, &open, open | 1)) return false;
  g->cause = (uint8_t)cause;
  g->winner = sg;
  return true;
}

/* A reader may hold g by its scan bit; then this waits. */
void gr_g_runs(G *g) {
  for (;;) {
    uint32_t status = atomic_load_explicit(&g->status, memory_order_acquire);
    if (status & G_SCAN) sched_yield();
    else if (move_status(g, status, G_RUNNING)) return;
  }
}

bool gr_g_claim(G *g) {
  for (;;) {
    uint32_t status = atomic_load_explicit(&g->status, memory_order_acquire);
    if (status == (G_RUNNABLE | G_SCAN)) sched_yield();
    else if (status != G_RUNNABLE) return false;
    else if (move_status(g, G_RUNNABLE, G_RUNNING)) return true;
  }
}

/* RUNNING first: an M that sees RUNNABLE and not `blocks` would take g. */
void gr_wait_taken(G *g) {
  gr_g_runs(g);
  atomic_store(&g->blocks, g->is_host);
}

void gr_wait_await_ready(G *g) {
  for (uint32_t status;
       (status = atomic_load_explicit(&g->status, memory_order_acquire)) != G_READY_EARLY &&
       status != G_RUNNABLE;)
    sched_yield();
}

void gr_wait_unprepare(G *g) {
  gr_timer_stop(&g->limit);
  if (!gr_wait_win(g, gr_wait_seq(g), GR_CAUSE_SIGNAL, NULL)) gr_wait_await_ready(g);
  g->waits = NULL;
  gr_wait_taken(g);
}

/* From here on g->one belongs to no wait, and the object that g waited for may go:
 * gr_wait_abandon finds no type, and does not look there. */
GrCause gr_wait_finish(G *g) {
  g->waits = NULL;
  if (g->cause != GR_CAUSE_TIMEOUT) gr_timer_stop(&g->limit);
  return (GrCause)g->cause;
}

void gr_wait_abandon(G *g) {
  if (g->waits != NULL && g->waits->abandon != NULL) g->waits->abandon(g);
}

void gr_ready(G *g) {
  for (;;) {
    uint32_t status = atomic_load_explicit(&g->status, memory_order_acquire);
    if (status == G_PARKING) {
      if (move_status(g, G_PARKING, G_READY_EARLY)) return;
    } else if (status == G_WAITING) {
      if (!move_status(g, G_WAITING, G_RUNNABLE)) continue;
      if (g->is_host) gr_note_wake(&g->note);
      else gr_put_runnable(&gr_sched, g);
      return;
    } else if (status & G_SCAN) {
      gr_relax();
    } else {
      return; /* the end of the pool took g */
    }
  }
}

/* Must the wait of g end because the pool ends or something was posted? *cause says which. */
static bool must_abort(G *g, GrCause *cause) {
  /* While a host waits, the pool ends only because the process exits. The script shall not notice.
   */
  if (g->is_host && g->host != NULL) {
    *cause = GR_CAUSE_INBOX;
    return gr_host_hears_post(g->host);
  }
  *cause = GR_CAUSE_SHUTDOWN;
  return gr_over();
}

/* A host whose waits have been short spins a little before it sleeps: a wake-up by futex costs 40
 * us. */
static bool host_spin(G *g) {
  enum { SPIN_NS = GR_STEADY ? 0 : 30000 };
  int64_t end = gr_now_ns() + SPIN_NS;
  do {
    for (int i = 0; i < 32; i++) {
      if (atomic_load_explicit(&g->status, memory_order_acquire) == G_READY_EARLY) return true;
      gr_relax();
    }
  } while (gr_now_ns() < end);
  return false;
}

static bool host_block(G *g, int64_t until) {
  uint32_t status = atomic_load(&g->status);
  if (status == G_PARKING) {
    if (g->host_spins > 0 && !host_spin(g)) g->host_spins--;
    gr_note_clear(&g->note);
    if (!move_status(g, G_PARKING, G_WAITING)) return true; /* READY_EARLY */
  } else if (status == G_READY_EARLY) {
    return true;
  }
  if (g->host != NULL && gr_pool_enter(NULL)) {
    gr_check_dead(&gr_sched);
    if (gr_unlikely(!atomic_load_explicit(&gr_sched.sysmon_started, memory_order_relaxed)))
      gr_sysmon_stand_in(&gr_sched);
    gr_pool_leave(NULL);
  }
  int64_t before = gr_now_ns();
  bool woken = gr_note_sleep(&g->note, until);
  if (woken && gr_now_ns() - before < 200000 && g->host_spins < 8) g->host_spins += 2;
  return woken;
}

/* A goroutine's own thread sleeps: its P goes to another M, and gr_ready brings one back. False:
 * the pool ends. */
static bool thread_block(G *g) {
  M *m = gr_m;
  gr_release_p(m);
  gr_note_clear(&m->note);
  if (!move_status(g, G_PARKING, G_WAITING)) {
    gr_acquire_p(m, g, GR_LINE_WOKEN);
    return true;
  }
  Sched *s = &gr_sched;
  gr_lock(&s->lock);
  bool waits = !atomic_load(&s->stopping);
  if (waits) {
    s->nlocked++;
    gr_check_dead_locked(s);
  }
  gr_unlock(&s->lock);
  return waits && gr_m_await_p(m, GR_FOREVER); /* false: the pool ends */
}

bool gr_wait_block(G *g, int64_t until) {
  GrCause cause;
  if (must_abort(g, &cause) && gr_wait_win(g, gr_wait_seq(g), cause, NULL)) {
    gr_wait_taken(g);
    return true;
  }
  bool woken;
  if (g->is_host) {
    woken = host_block(g, until);
    if (!woken) return false;
  } else if (gr_m != NULL && gr_pool_enter(gr_m)) {
    woken = thread_block(g);
    if (!woken && gr_wait_win(g, gr_wait_seq(g), GR_CAUSE_SHUTDOWN, NULL)) woken = true;
    if (!woken) gr_wait_await_ready(g);
    gr_pool_leave(gr_m);
  } else {
    gr_wait_await_ready(g); /* the pool is over, and another thread won the wait above */
  }
  gr_wait_taken(g);
  return true;
}

int gr_sleep(G *g, int64_t until, bool blocks) {
  static const GrWaitType sleep = {"sleep", NULL};
  if (until == GR_POLL || (until != GR_FOREVER && gr_now_ns() >= until)) return GR_OK;
  gr_wait_prepare(g, &sleep, blocks);
  int r = gr_wait_limit(g, until);
  if (r == GR_OK) return GR_PARK;
  gr_wait_unprepare(g);
  return r;
}

typedef struct Each {
  bool (*visit)(G *g, GStatus status, void *arg);
  void *arg;
} Each;

bool gr_sched_hold(G *g, GStatus *status) {
  uint32_t now = atomic_load_explicit(&g->status, memory_order_acquire);
  while (gr_status_rests(now))
    if (atomic_compare_exchange_strong(&g->status, &now, now | G_SCAN)) {
      *status = (GStatus)now;
      return true;
    }
  *status = (GStatus)now;
  return false;
}

void gr_sched_unhold(G *g, GStatus status) { set_status(g, status); }

static bool visit_held(G *g, void *arg) {
  Each *each = arg;
  GStatus status;
  bool held = gr_sched_hold(g, &status);
  if (!held && (status == G_FREE || status == G_DEAD || status & G_SCAN)) return true;
  bool more = each->visit(g, status, each->arg);
  if (held) gr_sched_unhold(g, status);
  return more;
}

void gr_sched_each(bool (*visit)(G *g, GStatus status, void *arg), void *arg) {
  Each each = {visit, arg};
  gr_g_each(visit_held, &each);
}

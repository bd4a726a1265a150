/* SPDX-License-Identifier: MIT */
/* pool.c - the lives of the pool: beginning, size, end, counts.
 *
 * The pool is one static object. It lives from the opening of the first host to the close of the
 * last one, and lives again with the next first host. Its Ps and Ms are kept: a pointer to one
 * stays valid for ever.
 *
 * The end (gr_pool_end) has these steps:
 *   1. Halt. The stop flag is set and the door is closed: no goroutine is started or queued any
 *      more. All sleeping Ms are woken, and leave; an M that waits with its G raises "shutting
 *      down" in it. An M that runs Lua is pre-empted again and again. All this has a limited
 *      time.
 *   2. Take. The Ps of Ms that run Lua or sit in foreign C are taken, and these Ms become M_OVER.
 *      Such an M finds that out at its next gr_pool_enter, ends its own G, and touches nothing of
 *      the pool. An M that is at home is waited for without limit, since it runs the scheduler's
 *      own code only.
 *   3. Empty the door. Threads of the program's own that wait in a channel's send are woken. All
 *      other threads inside run goro's code and leave soon. From here on the caller is alone in
 *      the pool.
 *   4. Drain. The queues are emptied. Now only the sudog or the timer of a wait can lead to a G;
 *      a sequence number protects these, so the memory of a G may serve another goroutine.
 *   5. Sweep. Each G that waits or is runnable is destroyed.
 *   6. Close. The poller closes what is open, timers are dropped, signal handlers are given back.
 * Modelled in spec/model/end.pml. */
#include "sched/pool.h"

#include "base/chunk.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

Sched gr_sched = {.lock = GR_LOCK_INIT(GR_RANK_SCHED), .stopping = true, .door = GR_DOOR_CLOSED};
atomic_bool gr_forked;
struct GrPast gr_past;

/* ---- the pool's beginning and end ---- */

static int64_t usual_maxprocs(void) {
  int cpus = gr_num_cpu(), quota = gr_cpu_quota("");
  return cpus < quota ? cpus : quota;
}

/* As in Go, a value that is no number from 1 on counts as none. */
static int64_t env_number(const char *name, int64_t otherwise) {
  const char *text = getenv(name);
  if (text == NULL || *text == '\0') return otherwise;
  char *end;
  errno = 0;
  long long n = strtoll(text, &end, 10);
  return errno == 0 && *end == '\0' && n >= 1 ? n : otherwise;
}

static bool add_p(Sched *s) {
  P *p = gr_zalloc(sizeof *p);
  if (p == NULL) return false;
  p->id = (uint32_t)atomic_load(&s->nps);
  gr_timers_init(&p->timers);
  atomic_init(&p->status, P_RETIRED);
  atomic_store(&s->ps[p->id], p);
  atomic_fetch_add(&s->nps, 1);
  return true;
}

/* Makes n Ps, or as many as memory allows, and the idle list anew. */
static void set_maxprocs_locked(Sched *s, int32_t n) {
  while (atomic_load(&s->nps) < n && add_p(s)) {}
  if (n > atomic_load(&s->nps)) n = atomic_load(&s->nps);
  atomic_store(&s->maxprocs, n);
  P *idle = s->idle_ps;
  s->idle_ps = NULL;
  atomic_store(&s->nidle_ps, 0);
  for (P *next; idle != NULL; idle = next) {
    next = idle->link;
    gr_idle_p_put_locked(s, idle);
  }
  for (int32_t i = 0; i < n; i++) {
    P *p = atomic_load(&s->ps[i]);
    if ((atomic_load(&p->status) & 0xff) == P_RETIRED) gr_idle_p_put_locked(s, p);
  }
}

int gr_maxprocs_set(int64_t n) {
  Sched *s = &gr_sched;
  if (!gr_pool_enter(gr_m)) return atomic_load(&s->maxprocs);
  if (n > GR_MAXPROCS_MAX) n = GR_MAXPROCS_MAX;
  gr_lock(&s->lock);
  int32_t before = atomic_load(&s->maxprocs);
  if (n >= 1) set_maxprocs_locked(s, (int32_t)n);
  gr_unlock(&s->lock);
  if (n > before)
    for (int64_t i = before; i < n && gr_work_anywhere(s); i++) gr_wakep(s);
  gr_pool_leave(gr_m);
  return before;
}

static void in_child(void) { atomic_store(&gr_forked, true); }

/* The last life has left nothing but the memory of Ps and Ms. */
static void clear(Sched *s) {
  for (int32_t i = 0; i < atomic_load(&s->nps); i++)
    atomic_store(&atomic_load(&s->ps[i])->status,
                 (atomic_load(&atomic_load(&s->ps[i])->status) & ~(uint64_t)0xff) | P_RETIRED);
  s->idle_ps = NULL;
  s->idle_ms = NULL;
  s->nidle = s->nlocked = 0;
  atomic_store(&s->sysmon_started, false);
  atomic_store(&s->sysmon_tried_at, 0);
  atomic_store(&s->nkept, 0);
  atomic_store(&s->nm, 0);
  s->nstarting = 0;
  atomic_store(&s->nidle_ps, 0);
  atomic_store(&s->nspinning, 0);
  atomic_store(&s->maxprocs, 0);
  atomic_store(&s->polling, false);
  atomic_store(&s->asleep_in_poll, 0);
  atomic_store(&s->threads_short, false);
}

int gr_pool_start(void) {
  static atomic_flag watching = ATOMIC_FLAG_INIT;
  Sched *s = &gr_sched;
  if (!atomic_flag_test_and_set(&watching)) {
    pthread_atfork(NULL, NULL, in_child);
    gr_timers_init(&s->timers);
  }
  int64_t threads = env_number("GOROMAXTHREADS", 10000),
          procs = env_number("GOROMAXPROCS", usual_maxprocs());
  gr_exit_forget();
  gr_lock(&s->lock);
  clear(s);
  s->max_threads = threads < INT32_MAX ? (int32_t)threads : INT32_MAX;
  set_maxprocs_locked(s, procs < GR_MAXPROCS_MAX ? (int32_t)procs : GR_MAXPROCS_MAX);
  bool any = atomic_load(&s->maxprocs) > 0;
  if (any) {
    atomic_fetch_add(&s->life, 1);
    atomic_store(&s->stopping, false);
    atomic_store(&s->door, 0);
  }
  gr_unlock(&s->lock);
  return any ? GR_OK : GR_NOMEM;
}

/* ---- the end ---- */

/* Ends the wait of a thread of the program's own. */
static bool turn_away(G *g, void *arg) {
  (void)arg;
  if (g->is_host && g->host == NULL && atomic_load(&g->status) != G_FREE &&
      gr_wait_win(g, gr_wait_seq(g), GR_CAUSE_SHUTDOWN, NULL))
    gr_ready(g);
  return true;
}

static bool is_inside(const M *m, bool abroad_too) {
  uint32_t at = atomic_load(&m->at);
  return m != gr_m && (at == M_HOME || (at == M_ABROAD && abroad_too));
}

static bool somebody_inside(Sched *s, bool abroad_too) {
  if (atomic_load(&s->door) != GR_DOOR_CLOSED) return true;
  for (M *m = atomic_load(&s->all_ms); m != NULL; m = m->all)
    if (is_inside(m, abroad_too)) return true;
  return false;
}

/* Sleeps until the next thread leaves, or for a millisecond. */
static void await_leave(Sched *s, bool abroad_too) {
  enum { LOOK_NS = 1000000 };
  gr_note_clear(&s->left);
  if (somebody_inside(s, abroad_too)) gr_note_sleep(&s->left, gr_now_ns() + LOOK_NS);
}

/* Step 1. A thread in C code answers only when it is back; but the signal ends many a long system
 * call (sleep, poll). */
void gr_pool_halt(int64_t grace_ns) {
  Sched *s = &gr_sched;
  gr_lock(&s->lock);
  atomic_store(&s->stopping, true);
  atomic_fetch_or(&s->door, GR_DOOR_CLOSED);
  for (M *m = atomic_load(&s->all_ms); m != NULL; m = m->all) gr_note_wake(&m->note);
  gr_unlock(&s->lock);
  gr_note_wake(&s->sysmon_note);
  gr_poller->wake();
  int64_t until = gr_now_ns() + grace_ns;
  while (somebody_inside(s, true) && gr_now_ns() < until) {
    gr_g_each(turn_away, NULL);
    for (M *m = atomic_load(&s->all_ms); m != NULL; m = m->all)
      if (is_inside(m, true)) gr_ask(m);
    await_leave(s, true);
  }
}

/* Step 2 for one P. It is idle or retired afterwards, and stays so. */
static void take_p(Sched *s, P *p) {
  for (;;) {
    uint64_t word = atomic_load(&p->status);
    if ((word & 0xff) == P_IDLE || (word & 0xff) == P_RETIRED) return;
    if ((word & 0xff) == P_RUNNING) {
      await_leave(s, false);
    } else if (atomic_compare_exchange_strong(&p->status, &word,
                                              (word & ~(uint64_t)0xff) | P_RETIRED)) {
      atomic_store(&atomic_load(&p->m)->retaken,
                   true); /* the sysmon of the next life asks it, too */
      return;
    }
  }
}

/* Step 2. An M that comes home meanwhile goes abroad again, or leaves. */
static void take_all(Sched *s) {
  for (int32_t i = 0; i < atomic_load(&s->nps); i++) take_p(s, atomic_load(&s->ps[i]));
  for (M *m = atomic_load(&s->all_ms); m != NULL; m = m->all) {
    uint32_t abroad = M_ABROAD;
    while (!atomic_compare_exchange_strong(&m->at, &abroad, M_OVER) && abroad == M_HOME) {
      await_leave(s, false);
      abroad = M_ABROAD;
    }
  }
}

/* Step 3. */
static void empty_door(Sched *s) {
  while (somebody_inside(s, false)) {
    gr_g_each(turn_away, NULL);
    await_leave(s, false);
  }
}

/* Step 4. */
static void drain(Sched *s) {
  gr_queue_clear_locked(&s->globq);
  gr_queue_clear_locked(&s->yielded);
  for (int32_t i = 0; i < atomic_load(&s->nps); i++) {
    P *p = atomic_load(&s->ps[i]);
    atomic_store(&p->runnext, NULL);
    atomic_store(&p->head, atomic_load(&p->tail));
  }
}

bool gr_sched_stopping(void) { return gr_over() || atomic_load(&gr_forked); }

/* ---- destroying what is left ----
 *
 * Destroying a G may run finalizers. A finalizer may loop for ever or sleep in C, and nothing can
 * stop it there. So a thread of its own does this work (the sweeper), and the closing host can
 * leave it behind. The sweeper holds the baton while it touches a G:
 *
 *        NOBODY <------> SWEEPER         around each G
 *        NOBODY, SWEEPER --> GIVEN_UP    the host has waited for long enough, for good
 *
 * So the host leaves behind at most the one G that the sweeper is stuck in. */

typedef enum Baton { NOBODY, SWEEPER, GIVEN_UP } Baton;

typedef struct Sweep {
  M m; /* the sweeper's M, and over: what a finalizer calls finds a pool that has ended */
  int64_t until;
  bool rest_too; /* destroy Gs even after that */
  _Atomic uint32_t baton;
  _Atomic uint32_t progress;
  atomic_bool done;
  GrNote note;     /* the host's */
  atomic_int refs; /* the host's, the sweeper's */
} Sweep;

static bool is_left(G *g, uint32_t status) {
  return !g->is_host && (status == G_WAITING || status == G_RUNNABLE);
}

/* The wait is won first, so that no thread can end it later, in the next life of the pool. */
static bool destroy_one(G *g, void *arg) {
  Sweep *sweep = arg;
  uint64_t seq = gr_wait_seq(g);
  uint32_t status = atomic_load(&g->status);
  if (!is_left(g, status)) return true;
  uint32_t nobody = NOBODY;
  if (!atomic_compare_exchange_strong(&sweep->baton, &nobody, SWEEPER)) return false;
  if ((status == G_RUNNABLE || gr_wait_win(g, seq, GR_CAUSE_SHUTDOWN, NULL)) &&
      atomic_compare_exchange_strong(&g->status, &status, G_DEAD)) {
    gr_timer_stop(&g->limit);
    g->m = NULL;
    bool destroyed = sweep->rest_too || gr_now_ns() < sweep->until;
    if (destroyed) g->ops->destroy(g, sweep->until);
    gr_host_unref(g->host);
    atomic_fetch_add(&gr_past.ended, 1);
    if (destroyed)
      gr_g_free(NULL, g); /* else its sudogs may still be linked somewhere, and its memory must not
                             serve another G */
  }
  atomic_fetch_add(&sweep->progress, 1);
  uint32_t mine = SWEEPER;
  return atomic_compare_exchange_strong(&sweep->baton, &mine, NOBODY);
}

static void sweep_unref(Sweep *sweep) {
  if (atomic_fetch_sub(&sweep->refs, 1) == 1) gr_free(sweep);
}

static void *sweep_main(void *arg) {
  Sweep *sweep = arg;
  gr_m = &sweep->m;
  gr_g_each(destroy_one, sweep);
  gr_chunk_flush();
  gr_m = NULL;
  atomic_store(&sweep->done, true);
  gr_note_wake(&sweep->note);
  sweep_unref(sweep);
  return NULL;
}

static bool look_for_left(G *g, void *any) {
  *(bool *)any = is_left(g, atomic_load(&g->status));
  return !*(bool *)any;
}

/* Waits for the sweeper until the time is over or, with rest_too, until the sweeper is stuck. */
static void await_sweep(Sweep *sweep) {
  enum { STUCK_NS = 500000000, LOOK_NS = 10000000 };
  uint32_t seen = 0;
  int64_t moved = gr_now_ns();
  while (!atomic_load(&sweep->done)) {
    int64_t now = gr_now_ns();
    uint32_t progress = atomic_load(&sweep->progress);
    if (progress != seen) moved = now;
    seen = progress;
    if (now >= sweep->until && (!sweep->rest_too || now - moved > STUCK_NS)) break;
    gr_note_sleep(&sweep->note, now + LOOK_NS);
  }
  if (!atomic_load(&sweep->done)) atomic_store(&sweep->baton, GIVEN_UP);
}

/* Step 5. */
static void sweep_all(int64_t budget_ns, bool rest_too) {
  bool any = false;
  gr_g_each(look_for_left, &any);
  if (!any) return;
  Sweep *sweep = gr_zalloc(sizeof *sweep);
  if (sweep == NULL) return;
  atomic_init(&sweep->m.in_lua, true);
  atomic_init(&sweep->m.at, M_OVER);
  atomic_init(&sweep->refs, 2);
  sweep->until = gr_now_ns() + budget_ns;
  sweep->rest_too = rest_too;
  if (gr_thread_start(sweep_main, sweep) != 0) sweep_main(sweep);
  await_sweep(sweep);
  sweep_unref(sweep);
}

void gr_pool_end(int64_t grace_ns, int64_t budget_ns, bool rest_too) {
  Sched *s = &gr_sched;
  gr_pool_halt(grace_ns);
  take_all(s);
  empty_door(s);
  drain(s);
  sweep_all(budget_ns, rest_too);
  gr_poller->end();
  gr_timers_drop(&s->timers);
  for (int32_t i = 0; i < atomic_load(&s->nps); i++)
    gr_timers_drop(&atomic_load(&s->ps[i])->timers);
  gr_sysmon_end();
}

/* ---- counting ---- */

void gr_sched_stats(GrStats *out) {
  *out = (GrStats){0};
  Sched *s = &gr_sched;
  int64_t ended = atomic_load(&gr_past.ended);
  out->spawned = atomic_load(&gr_past.spawned);
  out->steals = atomic_load(&gr_past.steals);
  out->handoffs = atomic_load(&gr_past.handoffs);
  out->preemptions = atomic_load(&gr_past.preemptions);
  gr_lock(&s->lock);
  for (M *m = atomic_load(&s->all_ms); m != NULL; m = m->all) {
    ended += atomic_load(&m->ended);
    out->spawned += atomic_load(&m->spawned);
    out->steals += atomic_load(&m->steals);
    out->handoffs += atomic_load(&m->handoffs);
    out->preemptions += atomic_load(&m->preemptions);
  }
  gr_unlock(&s->lock);
  out->goroutines = out->spawned - ended + gr_host_count();
  out->threads = atomic_load(&s->nm);
  for (int32_t i = 0; i < atomic_load(&s->nps); i++) {
    uint64_t state = atomic_load(&atomic_load(&s->ps[i])->status) & 0xff;
    out->running += state == P_IN_LUA || state == P_RUNNING;
  }
}

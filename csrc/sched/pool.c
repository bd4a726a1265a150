/* SPDX-License-Identifier: MIT */
/* pool.c - the pool's beginning, size, end and counts.
 *
 * The end, in steps: the stop flag; all sleeping Ms are woken and leave, those that wait with their
 * G raise "shutting down" in it; a bounded wait for those that run, which are pre-empted again and
 * again; then each parked G is destroyed. Threads that have not come back by then (they sit in
 * foreign code) are left behind, and with them the pool's memory: a late return finds its own,
 * stopped pool and leaves. Modelled in spec/model/end.pml. */
#include "sched/pool.h"

#include "base/chunk.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

Sched *_Atomic gr_pool;
atomic_bool gr_forked;
struct GrPast gr_past;
GrNote gr_all_left;

/* ---- the default poller: a note ---- */

static GrNote poll_note;

static bool note_wait(int64_t until) {
  if (until == GR_POLL) return false;
  gr_note_sleep(&poll_note, until);
  gr_note_clear(&poll_note);
  return false;
}
static void nothing(void) {}
static void note_wake(void) { gr_note_wake(&poll_note); }
static bool never(void) { return false; }

static const GrPoller note_poller = {note_wait, nothing, note_wake, never, never, nothing};
const GrPoller *gr_poller = &note_poller;

void gr_sched_set_poller(const GrPoller *poller) { gr_poller = poller; }

/* ---- the pool's beginning and end ---- */

int gr_num_cpu(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* Anything but a number from 1 on is not heeded, as in Go. */
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

/* As many Ps as memory allows; the idle list is made anew. */
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
  Sched *s = gr_my_pool();
  if (n > GR_MAXPROCS_MAX) n = GR_MAXPROCS_MAX;
  gr_lock(&s->lock);
  int32_t before = atomic_load(&s->maxprocs);
  if (n >= 1) set_maxprocs_locked(s, (int32_t)n);
  gr_unlock(&s->lock);
  if (n > before)
    for (int64_t i = before; i < n && gr_work_anywhere(s); i++) gr_wakep(s);
  return before;
}

static void pool_free(Sched *s) {
  gr_timers_fini(&s->timers);
  for (int32_t i = 0; i < atomic_load(&s->nps); i++) {
    P *p = atomic_load(&s->ps[i]);
    gr_timers_fini(&p->timers);
    gr_free(p);
  }
  for (M *m = atomic_load(&s->all_ms), *next; m != NULL; m = next) {
    next = m->all;
    atomic_fetch_add(&gr_past.spawned, atomic_load(&m->spawned));
    atomic_fetch_add(&gr_past.ended, atomic_load(&m->ended));
    atomic_fetch_add(&gr_past.steals, atomic_load(&m->steals));
    atomic_fetch_add(&gr_past.handoffs, atomic_load(&m->handoffs));
    atomic_fetch_add(&gr_past.preemptions, atomic_load(&m->preemptions));
    gr_free(m);
  }
  gr_free(s);
}

static void in_child(void) { atomic_store(&gr_forked, true); }

int gr_pool_start(void) {
  static atomic_flag watching = ATOMIC_FLAG_INIT;
  if (!atomic_flag_test_and_set(&watching)) pthread_atfork(NULL, NULL, in_child);
  Sched *s = gr_zalloc(sizeof *s);
  if (s == NULL) return GR_NOMEM;
  gr_lock_init(&s->lock, GR_RANK_SCHED);
  gr_timers_init(&s->timers);
  int64_t threads = env_number("GOROMAXTHREADS", 10000),
          procs = env_number("GOROMAXPROCS", gr_num_cpu());
  s->max_threads = threads < INT32_MAX ? (int32_t)threads : INT32_MAX;
  gr_lock(&s->lock);
  set_maxprocs_locked(s, procs < GR_MAXPROCS_MAX ? (int32_t)procs : GR_MAXPROCS_MAX);
  gr_unlock(&s->lock);
  if (atomic_load(&s->maxprocs) == 0) {
    pool_free(s);
    return GR_NOMEM;
  }
  atomic_store(&gr_pool, s);
  return GR_OK;
}

/* Ms leave at their next scheduling point; those that wait with their G are woken, and see that the
 * pool ends; those that run are asked, again and again, since one that is in C code is reached only
 * when it is back. The signal also ends many a system call that would last (sleep, poll). */
static bool halt(Sched *s, int64_t grace_ns) {
  enum { ASK_EVERY_NS = 1000000 };
  gr_lock(&s->lock);
  atomic_store(&s->stopping, true);
  for (M *m = atomic_load(&s->all_ms); m != NULL; m = m->all) gr_note_wake(&m->note);
  gr_unlock(&s->lock);
  gr_note_wake(&s->sysmon_note);
  gr_poller->wake();
  int64_t until = gr_now_ns() + grace_ns;
  int32_t self = gr_m != NULL ? 1 : 0;
  while (atomic_load(&s->alive) > self && gr_now_ns() < until) {
    for (M *m = atomic_load(&s->all_ms); m != NULL; m = m->all)
      if (m != gr_m) gr_ask(m);
    gr_note_clear(&gr_all_left);
    if (atomic_load(&s->alive) > self) gr_note_sleep(&gr_all_left, gr_now_ns() + ASK_EVERY_NS);
  }
  return atomic_load(&s->alive) == 0;
}

bool gr_sched_stopping(void) {
  Sched *s = gr_my_pool();
  return s == NULL || atomic_load(&s->stopping) || atomic_load(&gr_forked);
}

static atomic_bool exiting;
static GR_TLS bool exits_here;

void gr_sched_await_exit(void) {
  while (atomic_load(&exiting) && !exits_here) pause();
}

void gr_sched_halt(int64_t grace_ns) {
  exits_here = true;
  atomic_store(&exiting, true);
  Sched *s = atomic_load(&gr_pool);
  if (s != NULL && !atomic_load(&gr_forked)) halt(s, grace_ns);
}

/* ---- destroying what is left ----
 *
 * A finalizer may loop for ever or sleep in C, and nothing can stop it there: so this is a thread's
 * work that the closing host can leave behind. It touches one G at a time, with the baton in hand;
 * the host that takes the baton for good leaves it at most the G that it is stuck in. */

typedef enum Baton { NOBODY, SWEEPER, GIVEN_UP } Baton;

typedef struct Sweep {
  M m; /* its thread's: whatever a finalizer calls finds a pool that ends */
  int64_t until;
  bool rest_too; /* Gs are destroyed even after that */
  _Atomic uint32_t baton;
  _Atomic uint32_t progress;
  atomic_bool done;
  GrNote note;     /* the host's */
  atomic_int refs; /* the host's, the sweeper's */
} Sweep;

/* Nobody runs it, and nobody's thread waits with it. */
static bool is_left(G *g, uint32_t status) {
  return !g->is_host && !atomic_load(&g->blocks) && (status == G_WAITING || status == G_RUNNABLE);
}

/* The wait is won first and the status moved by CAS, so that a thread left behind cannot make it
 * runnable any more. One that waits with its thread is that thread's, wherever it is. Read in this
 * order, all three belong to one wait. */
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
      gr_g_bury(sweep->m.pool, g); /* else its sudogs may still be linked somewhere, so its memory
                                      must not serve another */
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

/* Waits for the sweeper until the time is over or, with rest_too, until it is stuck. */
static bool await_sweep(Sweep *sweep) {
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
  if (atomic_load(&sweep->done)) return true;
  atomic_store(&sweep->baton, GIVEN_UP);
  return false;
}

/* False: something had to be left alone. */
static bool sweep_all(Sched *s, int64_t budget_ns, bool rest_too) {
  bool any = false;
  gr_g_each(look_for_left, &any);
  if (!any) return true;
  Sweep *sweep = gr_zalloc(sizeof *sweep);
  if (sweep == NULL) return false;
  sweep->m.pool = s;
  atomic_init(&sweep->refs, 2);
  sweep->until = gr_now_ns() + budget_ns;
  sweep->rest_too = rest_too;
  if (gr_thread_start(sweep_main, sweep) != 0) sweep_main(sweep);
  bool all = await_sweep(sweep);
  sweep_unref(sweep);
  return all;
}

/* Threads that are none of ours wait no longer. */
static bool turn_away(G *g, void *arg) {
  (void)arg;
  if (g->is_host && g->host == NULL && atomic_load(&g->status) != G_FREE &&
      gr_wait_win(g, gr_wait_seq(g), GR_CAUSE_SHUTDOWN, NULL))
    gr_ready(g);
  return true;
}

static atomic_bool somebody_left_behind; /* by any pool so far */

void gr_pool_end(int64_t grace_ns, int64_t budget_ns, bool rest_too) {
  Sched *s = atomic_load(&gr_pool);
  bool all_left = halt(s, grace_ns);
  gr_g_each(turn_away, NULL);
  bool all_swept = sweep_all(s, budget_ns, rest_too);
  gr_poller->end();
  atomic_store(&gr_pool, NULL);
  gr_sysmon_end();
  if (!all_left || !all_swept) { /* left to those who may still come back to it */
    atomic_store(&somebody_left_behind, true);
    return;
  }
  if (!atomic_load(&somebody_left_behind))
    gr_g_unbury(s); /* the sweep may also have met Gs of an older pool */
  pool_free(s);
}

/* ---- counting ---- */

void gr_sched_stats(GrStats *out) {
  *out = (GrStats){0};
  Sched *s = gr_my_pool();
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

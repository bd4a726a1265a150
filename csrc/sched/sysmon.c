/* SPDX-License-Identifier: MIT */
/* sysmon.c - a thread that sees to it that no goroutine keeps its place from others: pre-emption,
 * and hand-off from foreign C code.
 *
 * It needs no P and looks at each P a few hundred to two thousand times a second, or not at all
 * while none is in use. Of a P whose status word says IN_LUA it wants to know three things, and
 * asks for them in this order, since the later ones cost more:
 *   - Does the thread's CPU clock stand still (340 ns)? And does /proc say that it is not running
 * (some us)? Then it sits in the kernel, in code that we do not know: its P is taken at once,
 * without a signal, which might disturb a system call. The second question is for threads that the
 * system has merely descheduled: their clock stands still too.
 *   - Has the same scheduling round lasted for 10 ms while somebody waits for a P? Then the thread
 * is asked to let others run, by SIGURG: its handler calls GOps.preempt. For a timer that is due 2
 * ms are enough: who waits for a time waits for a precise one.
 *   - Has the thread computed for another millisecond and still not answered? It is in long C code.
 * Its P is taken. A thread whose P was taken goes on without one as soon as it is back, since its
 * Lua state is its own; but not for long: it is asked every 10 ms until it has got a P by the
 * ordinary way (an idle one, or by queueing up). Nothing is taken but by the CAS of pool.h, and by
 * that only what was looked at.
 *
 * The signal. SIGURG, as in Go: its default is to be ignored, and nearly nobody uses it. The
 * handler runs on the thread that is meant and touches only that thread's own M and G. A SIGURG
 * that we did not send goes to whatever handler the program had before. Both that and SIGQUIT's are
 * given back at the pool's end.
 *
 * Rejected: a timer signal for each thread (setitimer counts the process, timer_create costs a
 * kernel timer a thread); a flag that Lua code polls, for there is no place for it in stock Lua but
 * a standing hook, which costs 18 % to 100 %.
 *
 * After Go's runtime (proc.go: sysmon, retake, preemptone). */
#include "sched/pool.h"

#include "base/chunk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef GORO_HOSTILE /* everybody is pre-empted all the time, and Ps are taken at random */
enum {
  TICK_NS = 20000,
  TICK_MAX_NS = 20000,
  SLICE_NS = 50000,
  TIMER_SLICE_NS = 50000,
  HOSTILE = 1
};
#else
enum {
  TICK_NS = 500000,
  TICK_MAX_NS = 5000000,
  SLICE_NS = 10000000,
  TIMER_SLICE_NS = 2000000,
  HOSTILE = 0
};
#endif
enum {
  STILL_NS = 400000,        /* a clock that has not moved for this long stands still */
  STILL_CALM_NS = 10000000, /* the same when nobody waits */
  ANSWER_NS = 1000000,      /* CPU time in which Lua code would have answered */
  MOVED_NS = 20000,         /* less than that is a thread that was woken and sleeps again */
  OVERDUE_NS = 10000000,    /* a timer that nobody has come by to fire is fired from here */
  LOST_NS = 10000000,       /* how often threads without a P are asked */
  RETRY_NS = 10000000,      /* how often a thread is asked of a system that refused one */
  WATCH_NS = 50000,         /* when it looks for timers itself, it is not more precise than that */
};

/* ---- signals ---- */

static struct sigaction old_urg, old_quit;
static bool urg_installed, quit_installed;
static void (*quit_here)(void), (*quit_report)(void);
static atomic_bool quit_wanted;

static void chain(const struct sigaction *old, int sig, siginfo_t *info, void *context) {
  if (old->sa_flags & SA_SIGINFO) old->sa_sigaction(sig, info, context);
  else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) old->sa_handler(sig);
}

static void on_urg(int sig, siginfo_t *info, void *context) {
  int err = errno;
  M *m = gr_m;
  if (m == NULL || !atomic_exchange(&m->asked, false)) {
    chain(&old_urg, sig, info, context);
  } else if (atomic_load_explicit(&m->in_lua, memory_order_relaxed)) {
    G *g = atomic_load_explicit(&m->cur, memory_order_relaxed);
    g->ops->preempt(g);
  }
  errno = err;
}

static void on_quit(int sig) {
  (void)sig;
  int err = errno;
  quit_here();
  atomic_store(&quit_wanted, true);
  gr_note_wake(&gr_sched.sysmon_note);
  errno = err;
}

static bool install(int sig, struct sigaction *action, struct sigaction *old) {
  sigemptyset(&action->sa_mask);
  action->sa_flags |= SA_RESTART | SA_ONSTACK;
  return sigaction(sig, action, old) == 0;
}

static void install_handlers(void) {
  struct sigaction urg = {.sa_flags = SA_SIGINFO}, quit = {.sa_flags = 0};
  urg.sa_sigaction = on_urg;
  quit.sa_handler = on_quit;
  if (!urg_installed) urg_installed = install(SIGURG, &urg, &old_urg);
  if (!quit_installed && quit_report != NULL) quit_installed = install(SIGQUIT, &quit, &old_quit);
}

/* Not when the program has put its own there meanwhile. */
static void uninstall(int sig, void *ours, const struct sigaction *old) {
  struct sigaction now;
  if (sigaction(sig, NULL, &now) != 0) return;
  void *there = now.sa_flags & SA_SIGINFO ? *(void **)&now.sa_sigaction : *(void **)&now.sa_handler;
  if (there == ours) sigaction(sig, old, NULL);
}

void gr_sysmon_end(void) {
  void (*urg)(int, siginfo_t *, void *) = on_urg;
  void (*quit)(int) = on_quit;
  if (urg_installed) uninstall(SIGURG, *(void **)&urg, &old_urg);
  if (quit_installed) uninstall(SIGQUIT, *(void **)&quit, &old_quit);
  urg_installed = quit_installed = false;
}

void gr_sched_on_quit(void (*here)(void), void (*report)(void)) {
  quit_here = here;
  quit_report = report;
}

/* Sysmon has told how long g had run. For a goroutine that runs without a P it says for a whole
 * slice. */
bool gr_slice_left(M *m, G *g) {
  if (m->preempted) g->used += (uint32_t)atomic_load_explicit(&m->round_cpu, memory_order_relaxed);
  if (!m->preempted || g->used >= SLICE_NS) g->used = 0;
  m->preempted = false;
  return g->used > 0;
}

/* A thread that has just ended may be meant: then the number is nobody's, or that of another thread
 * of this process, which ignores the signal. */
void gr_ask(M *m) {
  if (atomic_load(&m->at) == M_GONE || !atomic_load(&m->in_lua)) return;
  atomic_store(&m->asked, true);
  syscall(SYS_tgkill, getpid(), atomic_load(&m->tid), SIGURG);
}

void gr_sched_ask(G *g) {
  for (M *m = atomic_load(&gr_sched.all_ms); m != NULL; m = m->all)
    if (atomic_load(&m->cur) == g) gr_ask(m);
}

/* ---- what a thread does ---- */

static int64_t cpu_ns(const M *m) {
  struct timespec t;
  return clock_gettime(atomic_load_explicit(&m->clock, memory_order_relaxed), &t) == 0
             ? (int64_t)t.tv_sec * 1000000000 + t.tv_nsec
             : 0;
}

/* Does it run, or would it if it had a CPU? When in doubt, it does. */
static bool runs(const M *m) {
  char text[200], name[64];
  snprintf(name, sizeof name, "/proc/self/task/%d/stat", (int)atomic_load(&m->tid));
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  text[n > 0 ? n : 0] = '\0';
  const char *name_end = strrchr(text, ')'); /* the thread's name may hold anything */
  return name_end == NULL || name_end[1] != ' ' || (name_end[2] != 'S' && name_end[2] != 'D');
}

/* ---- looking after a P ---- */

/* False: its M was quicker. */
static bool retake(Sched *s, P *p, M *m, uint64_t word) {
  gr_lock(&s->lock);
  bool taken =
      atomic_compare_exchange_strong(&p->status, &word, (word & ~(uint64_t)0xff) | P_RUNNING);
  if (taken) atomic_store(&m->retaken, true);
  gr_unlock(&s->lock);
  if (!taken) return false;
  m->lost_cpu = cpu_ns(m);
  bump(gr_past.handoffs);
  gr_hand_on(s, p);
  return true;
}

typedef struct Look {
  int64_t now;
  int64_t slice;   /* how much CPU time a round may use; INT64_MAX: nobody waits for its place */
  int64_t next_ns; /* when to look again */
  int64_t tried;   /* when a thread was last woken, or asked for */
  bool pressing;   /* what was woken from here is still queued, as far as is known */
  uint64_t rand;
} Look;

/* A slice is CPU time: a goroutine whose thread the system has kept waiting has not had it. Who is
 * in the way of a timer is asked after so much time of the day, but not before it has done
 * anything: it may itself have been woken by a timer. */
static bool has_had_its_turn(const GrWatch *w, const Look *look, int64_t cpu) {
  if (cpu - w->began >= look->slice) return true;
  return look->slice == TIMER_SLICE_NS && look->now - w->since >= TIMER_SLICE_NS &&
         cpu - w->began >= TIMER_SLICE_NS / 8;
}

static void look_at(Sched *s, P *p, Look *look) {
  GrWatch *w = &p->watch;
  uint64_t word = atomic_load_explicit(&p->status, memory_order_acquire);
  uint32_t round = atomic_load_explicit(&p->tick, memory_order_relaxed);
  if ((word & 0xff) != P_IN_LUA) return;
  M *m = atomic_load_explicit(&p->m, memory_order_relaxed);
  int64_t cpu = cpu_ns(m), now = look->now;
  if (round != w->round || m != w->m) {
    *w = (GrWatch){
        .m = m, .round = round, .since = now, .began = cpu, .word = word, .cpu = cpu, .still = now};
  } else if (word != w->word || cpu - w->cpu > MOVED_NS) {
    w->word = word;
    w->cpu = cpu;
    w->still = now;
  } else {
    look->next_ns = TICK_NS; /* it may be blocked: find out soon */
    if (now - w->still >= (look->slice != INT64_MAX ? STILL_NS : STILL_CALM_NS)) {
      if (!runs(m) && retake(s, p, m, word)) return;
      w->still = now;
    }
  }
  if (HOSTILE && gr_rand_below(&look->rand, 50) == 0 && retake(s, p, m, word)) return;
  if (!has_had_its_turn(w, look, cpu)) return;
  if (w->asked_cpu != 0 && w->asked_word == word && cpu - w->asked_cpu >= ANSWER_NS &&
      retake(s, p, m, word))
    return;
  if (w->asked_cpu == 0 || w->asked_word != word) {
    w->asked_cpu = cpu > 0 ? cpu : 1;
    w->asked_word = word;
  }
  atomic_store_explicit(&m->round_cpu, cpu - w->began, memory_order_relaxed);
  gr_ask(m);
}

/* Is it in Lua, or in foreign code, without a P, since that was taken? */
static bool is_lost(M *m) {
  return atomic_load(&m->retaken) && atomic_load(&m->in_lua) && atomic_load(&m->at) != M_GONE;
}

/* Threads that came back from foreign code without a P, and now run Lua all the same. */
static void look_after_lost(Sched *s) {
  for (M *m = atomic_load(&s->all_ms); m != NULL; m = m->all) {
    if (!is_lost(m)) continue;
    int64_t cpu = cpu_ns(m);
    atomic_store_explicit(&m->round_cpu, SLICE_NS, memory_order_relaxed);
    if (cpu - m->lost_cpu > MOVED_NS && (HOSTILE || runs(m))) gr_ask(m);
    m->lost_cpu = cpu;
  }
}

/* ---- the whole ---- */

/* One P too many runs since maxprocs was lowered. */
static bool too_many(Sched *s) {
  int32_t n = atomic_load(&s->nps);
  for (int32_t i = atomic_load(&s->maxprocs); i < n; i++)
    if ((atomic_load(&atomic_load(&s->ps[i])->status) & 0xff) == P_IN_LUA) return true;
  return false;
}

/* What nobody else has come by to do for so long is done here. */
static void see_to_what_is_overdue(Sched *s, unsigned due, int64_t now) {
  if ((due & GR_DUE_EVENTS) != 0) gr_poll_for_others(s);
  if ((due & GR_DUE_TIMER) != 0 && gr_first_timer(s) <= now - OVERDUE_NS) gr_fire_due(s);
}

static int64_t next_look(Sched *s, const Look *l, unsigned due) {
  if ((due & (GR_DUE_WORK | GR_DUE_TIMER)) != 0) return TICK_NS;
  int64_t ns = l->next_ns < TICK_MAX_NS / 2 ? l->next_ns * 2 : TICK_MAX_NS;
  if ((due & GR_DUE_WATCH) == 0) return ns;
  int64_t first = gr_first_timer(s); /* nobody sleeps for it but us */
  return first - l->now < WATCH_NS ? WATCH_NS : first - l->now < ns ? first - l->now : ns;
}

static void look(Sched *s, Look *l) {
  l->now = gr_now_ns();
  unsigned due = gr_due(s, l->now);
  if (HOSTILE || too_many(s)) due |= GR_DUE_WORK;
  if (atomic_load(&s->globq.n) == 0) l->pressing = false;
  l->slice = (due & GR_DUE_TIMER) != 0 || l->pressing ? TIMER_SLICE_NS
             : (due & GR_DUE_WORK) != 0               ? SLICE_NS
                                                      : INT64_MAX;
  l->next_ns = next_look(s, l, due);
  int32_t n = atomic_load(&s->nps);
  for (int32_t i = 0; i < n; i++) look_at(s, atomic_load(&s->ps[i]), l);
  bool queued = atomic_load(&s->globq.n) > 0;
  see_to_what_is_overdue(s, due, l->now);
  if (!queued && atomic_load(&s->globq.n) > 0) l->pressing = true;
  /* What others would have seen to soon, but have not; or a thread that could not be had. */
  if ((due & (GR_DUE_WORK | GR_DUE_WATCH)) != 0 &&
      (!atomic_load(&s->threads_short) || l->now - l->tried > RETRY_NS)) {
    l->tried = l->now;
    gr_wakep(s);
  }
}

/* Nothing to look at: every P is idle, nothing is due that no thread could be had for, and no
 * thread is abroad. */
static bool all_quiet_locked(Sched *s) {
  if (atomic_load(&s->nidle_ps) < atomic_load(&s->maxprocs) || too_many(s)) return false;
  if (gr_due(s, gr_now_ns()) != 0) return false;
  for (M *m = atomic_load(&s->all_ms); m != NULL; m = m->all)
    if (is_lost(m) && atomic_load(&m->at) != M_OVER) return false;
  return true;
}

static void nap(Sched *s, int64_t until) {
  gr_note_sleep(&s->sysmon_note, until);
  gr_note_clear(&s->sysmon_note);
}

/* It writes to stderr, which may last: outside of the pool, so that nobody waits for it. False: the
 * pool has ended meanwhile. */
static bool report_on_quit(uint32_t life) {
  if (!atomic_exchange(&quit_wanted, false) || quit_report == NULL) return true;
  gr_pool_leave(NULL);
  quit_report();
  if (!gr_pool_enter(NULL)) return false;
  if (atomic_load(&gr_sched.life) == life) return true;
  gr_pool_leave(NULL);
  return false;
}

/* Who starts it has counted it at the door. */
static void *sysmon_main(void *arg) {
  Sched *s = arg;
  uint32_t life = atomic_load(&s->life);
  Look l = {.next_ns = TICK_NS, .rand = gr_rand_seed()};
  int64_t lost_at = 0;
  pthread_setname_np(pthread_self(), "goro-sysmon");
  while (!atomic_load(&s->stopping)) {
    gr_lock(&s->lock);
    bool quiet = all_quiet_locked(s) && !atomic_load(&s->stopping);
    atomic_store(&s->sysmon_sleeps, quiet);
    gr_unlock(&s->lock);
    int64_t settle_at;
    if (gr_chunk_settle(l.now, &settle_at)) gr_g_settle();
    nap(s, quiet ? settle_at : gr_now_ns() + l.next_ns);
    atomic_store(&s->sysmon_sleeps, false);
    if (!report_on_quit(life)) return NULL;
    look(s, &l);
    if (l.now - lost_at < (HOSTILE ? SLICE_NS : LOST_NS)) continue;
    look_after_lost(s);
    lost_at = l.now;
  }
  gr_pool_leave(NULL);
  return NULL;
}

static int start_locked(Sched *s) {
  enum { ASK_AGAIN_NS = 10000000 };
  int64_t now = gr_now_ns();
  if (atomic_load(&s->sysmon_started) || atomic_load(&s->stopping) || atomic_load(&s->nm) == 0)
    return 0;
  if (now - atomic_load(&s->sysmon_tried_at) < ASK_AGAIN_NS) return 0;
  atomic_store(&s->sysmon_tried_at, now);
  if (!gr_pool_enter(NULL)) return 0; /* for the new thread */
  install_handlers();
  int err = GR_STEADY ? 0 : gr_thread_start(sysmon_main, s);
  if (err != 0 || GR_STEADY) gr_pool_leave(NULL);
  atomic_store(&s->sysmon_started, err == 0);
  return err;
}

void gr_sysmon_start(Sched *s) {
  static atomic_flag said = ATOMIC_FLAG_INIT;
  gr_lock(&s->lock);
  int err = start_locked(s);
  gr_unlock(&s->lock);
  if (err != 0 && !atomic_flag_test_and_set(&said))
    fprintf(stderr,
            "goro: no thread for pre-emption (%s): until there is one, a goroutine that loops "
            "keeps the others waiting; raise `ulimit -u`\n",
            strerror(err));
}

void gr_sysmon_stand_in(Sched *s) {
  gr_sysmon_start(s);
  if (atomic_load(&s->sysmon_started) || atomic_load(&s->stopping)) return;
  int64_t now = gr_now_ns();
  see_to_what_is_overdue(s, gr_due(s, now), now);
  if (gr_due(s, now) != 0) gr_wakep(s);
}

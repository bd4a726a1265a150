/* SPDX-License-Identifier: MIT */
/* sysmon.c - a thread that sees to it that no goroutine keeps its place from others: it pre-empts
 * goroutines, and takes Ps from threads that sit in foreign C code.
 *
 * Sysmon needs no P. It looks at each P two hundred to two thousand times a second, or not at all
 * while none is in use. When the status word of a P says IN_LUA, sysmon asks three questions, the
 * cheap one first:
 *   1. Does the CPU clock of the thread stand still (340 ns)? And does /proc say that the thread
 *      is not running (some us)? Then the thread sits in the kernel, in code that goro does not
 *      know. Its P is taken at once, without a signal, which might disturb a system call. /proc
 *      is asked because the clock also stands still when the system has merely descheduled the
 *      thread.
 *   2. Has the same scheduling round lasted for 10 ms while other goroutines wait for a P? Then
 *      the thread is asked to let them run, by SIGURG: its handler calls GOps.preempt. When a
 *      timer is due, 2 ms are enough: a goroutine that waits for a time shall wake up at that
 *      time.
 *   3. Has the thread computed for one more millisecond and still not answered? Then it is in
 *      long C code, and its P is taken.
 *
 * A thread whose P was taken goes on without one when it comes back, since its Lua state is its
 * own. It shall not do so for long: sysmon asks it every 10 ms until it has got a P in the
 * ordinary way (an idle one, or by queueing for one). A P is taken only by the CAS of pool.h, and
 * only if its word is still the one that was looked at.
 *
 * The signal. SIGURG, as in Go: its default is to be ignored, and hardly any program uses it. The
 * handler runs on the thread that is meant and touches only that thread's own M and G. A SIGURG
 * that goro did not send goes to the handler that the program had before. The handlers of SIGURG
 * and SIGQUIT are given back at the end of the pool.
 *
 * Rejected:
 *   - A timer signal for each thread: setitimer counts the time of the whole process, and
 *     timer_create costs a kernel timer for each thread.
 *   - A flag that Lua code polls: stock Lua has no place for it but a standing hook, which costs
 *     18 % to 100 %.
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
  STILL_NS = 400000,        /* a clock that has not moved for so long stands still */
  STILL_CALM_NS = 10000000, /* the same while no goroutine waits for a P */
  ANSWER_NS = 1000000,      /* Lua code answers the signal within so much CPU time */
  MOVED_NS = 20000,         /* a thread that used less was woken and sleeps again */
  OVERDUE_NS = 10000000,    /* sysmon fires a timer that is overdue by so much */
  LOST_NS = 10000000,       /* how often threads that run Lua without a P are asked to get one */
  RETRY_NS = 10000000,      /* how often sysmon asks for a thread after the system refused one */
  WATCH_NS = 50000,         /* how precise timers are that sysmon looks after */
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

/* Does nothing when the program has installed a handler of its own meanwhile. */
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

/* g has yielded or was pre-empted. For a pre-emption sysmon has noted how long g had run: for a
 * goroutine that runs without a P, a whole slice. */
bool gr_slice_left(M *m, G *g) {
  if (m->preempted) g->used += (uint32_t)atomic_load_explicit(&m->round_cpu, memory_order_relaxed);
  if (!m->preempted || g->used >= SLICE_NS) g->used = 0;
  m->preempted = false;
  return g->used > 0;
}

/* The thread may have just ended. Then its number is nobody's, or that of another thread of this
 * process, which ignores the signal. */
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

/* Does the thread run, or would it run if it had a CPU? True when in doubt. */
static bool runs(const M *m) {
  char text[200], name[64];
  snprintf(name, sizeof name, "/proc/self/task/%d/stat", (int)atomic_load(&m->tid));
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  text[n > 0 ? n : 0] = '\0';
  const char *name_end = strrchr(text, ')'); /* the name of a thread may have any characters */
  return name_end == NULL || name_end[1] != ' ' || (name_end[2] != 'S' && name_end[2] != 'D');
}

/* ---- looking after a P ---- */

/* Takes p, whose word was `word`, from m. False: m was quicker. */
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
  int64_t slice;   /* how much CPU time a round may use; INT64_MAX: no goroutine waits for a P */
  int64_t next_ns; /* when to look again */
  int64_t tried;   /* when a thread was last woken, or asked for */
  bool pressing;   /* Gs that sysmon made runnable are still queued, as far as it knows */
  uint64_t rand;
} Look;

/* A slice is CPU time: a goroutine whose thread got no CPU has not had it. A goroutine that is in
 * the way of a due timer is asked by time of the day, but not before it has run a little: it may
 * itself have been woken by that timer. */
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
    look->next_ns = TICK_NS; /* the thread may be blocked: look again soon */
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

/* Is m in Lua, or in foreign code, without the P that was taken from it? */
static bool is_lost(M *m) {
  return atomic_load(&m->retaken) && atomic_load(&m->in_lua) && atomic_load(&m->at) != M_GONE;
}

/* Asks the threads that run Lua without a P to get one. */
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

/* Does a P run that is one too many since maxprocs was lowered? */
static bool too_many(Sched *s) {
  int32_t n = atomic_load(&s->nps);
  for (int32_t i = atomic_load(&s->maxprocs); i < n; i++)
    if ((atomic_load(&atomic_load(&s->ps[i])->status) & 0xff) == P_IN_LUA) return true;
  return false;
}

/* Does what no other thread has done for too long. */
static void see_to_what_is_overdue(Sched *s, unsigned due, int64_t now) {
  if ((due & GR_DUE_EVENTS) != 0) gr_poll_for_others(s);
  if ((due & GR_DUE_TIMER) != 0 && gr_first_timer(s) <= now - OVERDUE_NS) gr_fire_due(s);
}

static int64_t next_look(Sched *s, const Look *l, unsigned due) {
  if ((due & (GR_DUE_WORK | GR_DUE_TIMER)) != 0) return TICK_NS;
  int64_t ns = l->next_ns < TICK_MAX_NS / 2 ? l->next_ns * 2 : TICK_MAX_NS;
  if ((due & GR_DUE_WATCH) == 0) return ns;
  int64_t first = gr_first_timer(s); /* no M sleeps in the poller for it */
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
  /* Work that an M should have taken by now; or a thread could not be had for it. */
  if ((due & (GR_DUE_WORK | GR_DUE_WATCH)) != 0 &&
      (!atomic_load(&s->threads_short) || l->now - l->tried > RETRY_NS)) {
    l->tried = l->now;
    gr_wakep(s);
  }
}

/* There is nothing to look at: every P is idle, nothing is due, and no thread runs Lua without a
 * P. */
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

/* Writing the report to stderr may take long, so sysmon leaves the pool for it, and nobody waits.
 * False: the life of the pool has ended meanwhile. */
static bool report_on_quit(uint32_t life) {
  if (!atomic_exchange(&quit_wanted, false) || quit_report == NULL) return true;
  gr_pool_leave(NULL);
  quit_report();
  if (!gr_pool_enter(NULL)) return false;
  if (atomic_load(&gr_sched.life) == life) return true;
  gr_pool_leave(NULL);
  return false;
}

/* The thread that starts sysmon has entered the pool for it. */
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

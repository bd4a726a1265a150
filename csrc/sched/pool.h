/* SPDX-License-Identifier: MIT */
/* pool.h - the inside of the scheduler: P, M, the pool. For the files of csrc/sched alone.
 *
 * There is one pool, gr_sched, a static object. It lives from the opening of the first host to the
 * close of the last one, and may live again; its memory is never freed:
 *
 *       gr_pool_start                    gr_pool_end
 *     none ----------> LIVES ----------> stopping ----------> none    `life` counts the starts
 *                        |                  |
 *                        | Gs run           | 1 halt    2 take   3 empty the door
 *                        |                  | 4 drain   5 sweep  6 close          (pool.c)
 *
 * A thread touches the pool only while it is inside:
 *   - An M is inside while it is at home, that is, in the scheduler. An M that runs Lua is abroad;
 *     it comes home by gr_pool_enter and goes abroad again by gr_pool_leave.
 *   - A thread that is no M (a host's, one of the program's own) comes in and leaves by the same
 *     two calls; the door counts such threads.
 * gr_pool_enter returns false when the life of the pool is over for the caller; then the caller
 * must touch nothing of the pool. So the thread that ends the pool can wait until it is alone.
 *
 * A P's status is one word, {tick, state}:
 *
 *                  gr_idle_p_get           gr_pool_leave (the tick grows)
 *       P_IDLE ------------------> P_RUNNING <----------------> P_IN_LUA
 *         ^                          |    ^     gr_pool_enter       |
 *         +--------------------------+    +-------------------------+
 *            gr_idle_p_put_locked           sysmon retakes it: CAS with the tick
 *
 * A P that is RUNNING belongs to its M alone. Only a P that is IN_LUA may be taken from its M, by a
 * CAS that names the tick; the tick tells a P that left Lua and came back from one that stayed.
 * P_RETIRED: the P is one too many since maxprocs was lowered.
 *
 * An M that finds its P gone is P-less. It goes on in its Lua state, which nobody else touches, but
 * it pushes to the global queue and arms timers of the pool. Threads of hosts never have a P and
 * take the same path. What the P's word says of an M with a P, M.at says of an M without one. */
#ifndef GR_POOL_H
#define GR_POOL_H

#include <pthread.h>

#include "sched/sched.h"
#include "sched/timers.h"

#ifdef GORO_STEADY /* for counting instructions: nothing depends on time */
enum { GR_STEADY = 1 };
#else
enum { GR_STEADY = 0 };
#endif

enum {
  GR_RUNQ = 256,
  GR_MAXPROCS_MAX = 1024,
  GR_POLL_EVERY_NS = 10000000, /* when no M polls, sysmon looks for events that often */
  GR_TURN_NS = 10000000,       /* how long Gs that were woken may keep Gs that yielded waiting */
};

enum { GR_DOOR_CLOSED = 1, GR_DOOR_ONE = 2 };

enum { P_IDLE, P_RUNNING, P_IN_LUA, P_RETIRED };

typedef struct Sched Sched;

/* A list of Gs through their `link`. The pool's lock guards it; `n` may be read without. */
typedef struct GrQueue {
  G *first, *last;
  _Atomic int32_t n;
} GrQueue;

/* Where an M is. While it has a P, the P's word is more exact than HOME or ABROAD. */
enum {
  M_GONE,   /* it has no thread, or its thread touches nothing of the pool any more */
  M_HOME,   /* in the scheduler */
  M_ABROAD, /* in GOps.run, but not in a function of the scheduler that was called from there */
  M_OVER,   /* the pool ended while the M was abroad: it never comes home again */
};

/* What sysmon saw when it last looked at a P. Only sysmon touches it. */
typedef struct GrWatch {
  M *m;              /* which M had the P */
  uint32_t round;    /* P.tick */
  int64_t since;     /* when sysmon first saw this round */
  int64_t began;     /* what the CPU clock of m's thread said then */
  uint64_t word;     /* the status word */
  int64_t cpu;       /* the CPU clock when it was last seen to have moved */
  int64_t still;     /* the time of day then */
  int64_t asked_cpu; /* the CPU clock when the thread was first asked to let others run, or 0 */
  uint64_t asked_word;
} GrWatch;

/* A place to run. An M needs one to schedule goroutines. */
typedef struct P {
  _Atomic uint64_t status; /* tick << 8 | state; the tick counts entries into Lua */
  M *_Atomic m;            /* the M that holds it, or held it last */
  _Atomic uint32_t head;   /* of the ring: the owner and thieves move it, by CAS */
  _Atomic uint32_t tail;   /* the owner alone moves it */
  G *_Atomic runq[GR_RUNQ];
  G *_Atomic runnext;    /* runs next: the G that the running G has just readied */
  _Atomic uint32_t tick; /* scheduling rounds; the owner writes */
  uint32_t streak;       /* rounds in a row that took runnext. The owner's */
  int64_t turn_at; /* when a G of Sched.yielded has its turn here (coarse clock), or 0: one has
                      it now. The owner's */
  uint32_t id;
  struct P *link; /* in the idle list; the pool's lock */
  GrWatch watch;
  GrTimers timers;
} P;

/* A thread of goro. Fields without a note are its own. */
struct M {
  P *p;                      /* or NULL: P-less */
  P *nextp;                  /* the P that the waker gave it; the pool's lock */
  atomic_bool in_lua;        /* inside GOps.run. Its signal handler reads this and cur */
  bool spinning;             /* counted in nspinning */
  bool delivers;             /* it delivers events that it found by polling */
  bool leaving;              /* it has been idle for long: its thread ends */
  uint8_t under;             /* how many Gs lie under cur on its stack: proc.c, run_on_top */
  bool preempted;            /* cur yields because it was asked to */
  _Atomic int64_t round_cpu; /* CPU time of cur's round when sysmon asked it to yield */
  G *_Atomic cur;            /* the G that it runs */
  uint64_t readied_at;       /* gr_ticks() when cur put another G into runnext; 0: it has not */
  uint64_t in_word;          /* the P's status word while in Lua */
  uint64_t rand;
  GrNote note; /* it sleeps here, without work or until somebody gives it a P */
  M *link;     /* in the list of idle or of dead Ms; the pool's lock */
  M *all;      /* next of all Ms */
  G *free;     /* dead Gs for reuse */
  uint32_t nfree;
  atomic_bool asked;     /* the next SIGURG is goro's. Anybody sets it */
  atomic_bool retaken;   /* its P was taken while it was in Lua. Set under the pool's lock */
  _Atomic uint32_t at;   /* M_GONE, …: itself moves ABROAD <-> HOME; the thread that ends the pool
                            moves ABROAD -> OVER; each by CAS */
  uint32_t depth;        /* of nested gr_pool_enter while in_lua */
  _Atomic int32_t tid;   /* of its thread */
  _Atomic int32_t clock; /* clockid_t of its thread's CPU time */
  atomic_bool held;      /* exit.c keeps its thread for ever */
  int64_t lost_cpu;      /* sysmon's: its CPU clock when sysmon last looked at it without a P */
  atomic_int_fast64_t spawned, ended, steals, handoffs, preemptions; /* it alone writes */
};

struct Sched {
  GrLock lock;
  /* read and written under the lock */
  GrQueue globq;   /* Gs that were woken or are new */
  GrQueue yielded; /* Gs that yielded or used up a slice: they come after the former, and
                      proc.c says how long they wait at most */
  P *idle_ps;
  M *idle_ms;
  M *dead_ms;             /* Ms whose threads have ended; they serve new threads */
  int32_t nidle, nlocked; /* Ms that are idle; Ms that wait together with their G */
  int32_t nstarting;      /* of the nm Ms, those whose thread may yet fail to start */
  int32_t max_threads;
  /* written under the lock, read without */
  _Atomic int32_t nm;        /* Ms that have a thread */
  M *_Atomic all_ms;         /* never shrinks, so it may be walked without the lock */
  atomic_bool sysmon_sleeps; /* until a P is taken into use */
  atomic_bool threads_short; /* the system refused the last thread that goro asked for */
  atomic_bool sysmon_started;
  _Atomic int64_t sysmon_tried_at;
  /* read and written without */
  _Atomic int32_t nkept; /* Gs in a round in which they have waited with their thread */
  _Atomic int32_t nidle_ps;
  _Atomic int32_t nspinning; /* Ms that look for work: find.c */
  _Atomic int32_t maxprocs;
  _Atomic int32_t nps; /* Ps made so far: ps[0 .. nps) */
  P *_Atomic ps[GR_MAXPROCS_MAX];
  atomic_bool stopping;           /* the pool ends, or has ended, or has never begun */
  _Atomic uint32_t door;          /* (threads inside that are no Ms) << 1 | closed */
  _Atomic uint32_t life;          /* how often the pool has begun */
  atomic_bool polling;            /* some thread holds the poll token: poller.c */
  _Atomic int32_t asleep_in_poll; /* 0 or 1: that thread is an M without a P and sleeps */
  _Atomic int64_t polled_at;      /* gr_coarse_ns() of the last look for events */
  _Atomic int64_t poll_until;     /* when the sleeper wakes up; INT64_MAX: it has not yet decided,
                                     so each new timer must wake it */
  GrTimers timers;                /* of threads without a P */
  GrNote sysmon_note;
  GrNote left; /* a thread that leaves the pool wakes the thread that ends the pool */
};

extern Sched gr_sched;
extern GR_TLS M *gr_m; /* of this thread, or NULL */
extern const GrPoller *gr_poller;

/* Counts by threads without an M. */
extern struct GrPast { atomic_int_fast64_t spawned, ended, steals, handoffs, preemptions; } gr_past;
#define bump(counter) atomic_fetch_add_explicit(&(counter), 1, memory_order_relaxed)
/* A counter that the caller alone writes. */
#define bump_own(counter) \
  atomic_store_explicit(&(counter), atomic_load_explicit(&(counter), memory_order_relaxed) + 1, \
                        memory_order_relaxed)

/* ---- pool.c: the pool's lives ---- */

int gr_pool_start(void); /* begins the next life; the caller holds the lock of host.c */
void gr_pool_end(int64_t grace_ns, int64_t budget_ns, bool rest_too); /* as gr_host_close */
void gr_pool_halt(int64_t grace_ns);                                  /* the first step of it */

/* ---- m.c: threads and places ---- */

/* Into the pool, from Lua or from anywhere outside. m is the calling thread's, or NULL. True: the
 * caller is inside, and m's P, if m still has one, is RUNNING. Calls nest; each true wants one
 * gr_pool_leave. */
bool gr_pool_enter(M *m);
void gr_pool_leave(M *m);
void gr_m_go_abroad(M *m); /* m, at home and with a P, enters GOps.run */
bool gr_m_come_home(M *m); /* m is back from GOps.run. False: the pool is over for m */
bool gr_over(void);        /* does the pool end, or has it ended, for the calling thread? */

P *gr_idle_p_get(Sched *s);                /* an idle P, now RUNNING, or NULL */
void gr_idle_p_put_locked(Sched *s, P *p); /* idle, or retired when p is one too many */
void gr_m_take_p(M *m, P *p);              /* m schedules with p, which is RUNNING and nobody's */
/* m, whose note was cleared before it told others that it would sleep, sleeps until somebody gives
 * it a P. False: `until` came, or the pool ends; then m is not in the list of idle Ms. */
bool gr_m_await_p(M *m, int64_t until);
void gr_idle_m_remove_locked(Sched *s, M *m); /* m may be in the list or not */
/* p, which no M has: to an M when there is work for it, else to the idle list. */
void gr_hand_on(Sched *s, P *p);
/* m, which is inside, gives up its P, if it has one: gr_hand_on. */
void gr_release_p(M *m);
/* m has picked a G whose own thread waits for a P: m's P goes to that thread. */
void gr_hand_p_over(M *m, G *g);
/* m gets a P. If none is idle, its G queues as a bound one, and m sleeps. Where the G queues: */
typedef enum GrLine {
  GR_LINE_WOKEN,     /* behind the Gs that were woken */
  GR_LINE_YIELDED,   /* behind the Gs that yielded */
  GR_LINE_INTERRUPT, /* before the Gs that yielded: its slice is not used up */
} GrLine;
void gr_acquire_p(M *m, G *g, GrLine line);

void gr_wakep(Sched *s); /* there is work: one more M looks for it, unless one looks already */
/* There is an M, or one is made. GR_OK; GR_NOTHREAD, GR_NOMEM: there is none, and none can be had.
 */
int gr_pool_need_thread(Sched *s);
bool gr_nobody_takes_p(Sched *s); /* no M is idle, and none can be made */
bool gr_may_keep_thread(M *m);    /* may one more G wait with its thread? Then nkept counts it */
bool gr_work_anywhere(Sched *s);  /* is a G queued? */

/* ---- proc.c: how an M runs goroutines ---- */

void *gr_m_main(void *m); /* what the thread of an M does */
void gr_put_runnable(Sched *s,
                     G *g); /* queues g, whose status is RUNNABLE, and wakes an M for it */

/* ---- find.c: how an M finds the next one ---- */

G *gr_find_runnable(M *m); /* m has a P afterwards. NULL: the thread of m is to end */
G *gr_find_here(M *m);     /* looks at m's P and the global queues only; NULL when they are empty */

/* ---- due.c: what there is to do ---- */

int64_t gr_first_timer(Sched *s); /* when the first timer of all heaps is due, or INT64_MAX */
typedef enum GrDue {
  GR_DUE_WORK = 1,   /* a G is queued */
  GR_DUE_TIMER = 2,  /* a timer is due */
  GR_DUE_EVENTS = 4, /* a goroutine waits for events, and nobody has looked for them for long */
  GR_DUE_WATCH = 8,  /* there are timers, or goroutines that wait for events, and nobody sleeps in
                        the poller for them */
} GrDue;
unsigned gr_due(Sched *s, int64_t now); /* a set of GrDue */
void gr_fire_due(Sched *s);             /* fires the due timers of all heaps */
/* Tells a host when nobody can ever run again. */
void gr_check_dead_locked(Sched *s);
void gr_check_dead(Sched *s);

/* ---- poller.c: who looks for events ---- */

/* Has somebody looked for events just now? */
static inline bool gr_polled_now(Sched *s) {
  return gr_coarse_ns() <= atomic_load_explicit(&s->polled_at, memory_order_relaxed);
}
bool gr_poll_now(Sched *s); /* looks, without waiting. False: another thread holds the token */
/* The same, by a thread that will not look for work next. So it wakes an M when one that wanted to
 * sleep in the poller may have found the token taken meanwhile. */
bool gr_poll_for_others(Sched *s);
/* m, which has no P, sleeps until the first timer or an event. False: m cannot or need not. */
bool gr_sleep_in_poll(M *m);
void gr_timer_added(Sched *s, int64_t when); /* wakes the sleeper if it would sleep too long */

/* ---- runq.c: queues of Gs. `p` is the caller's; overflow of its ring goes to the global queue
 * ---- */

void gr_globq_put_locked(Sched *s, G *g);
void gr_line_up_locked(Sched *s, G *g, GrLine line);
void gr_queue_clear_locked(GrQueue *q);
G *gr_yielded_get_locked(Sched *s);
G *gr_bound_get_locked(Sched *s); /* a queued G whose thread waits for a P, or NULL */
G *gr_globq_get_locked(Sched *s, P *p, int32_t max);
void gr_runq_put(Sched *s, P *p, G *g, bool next);
G *gr_runq_get(P *p);
G *gr_runq_steal(P *to, P *from, bool next_too);
bool gr_runq_empty(P *p); /* any P */
void gr_runq_drain_locked(Sched *s, P *p);

/* ---- g.c: the memory of Gs ---- */

G *gr_g_alloc(M *m);
void gr_g_free(M *m, G *g);
void gr_g_settle(void); /* after a burst: memory of free Gs goes back to the system */
void gr_g_each(bool (*visit)(G *g, void *arg), void *arg);

/* ---- wait.c ---- */

/* g, which belongs to the calling thread, becomes RUNNING, as soon as no reader holds it. */
void gr_g_runs(G *g);
/* RUNNABLE -> RUNNING. False: g was not RUNNABLE, which happens only when the pool ends. */
bool gr_g_claim(G *g);
/* Another thread has won the wait of g, the caller's. Returns when it has called gr_ready. */
void gr_wait_await_ready(G *g);

/* ---- sysmon.c ---- */

void gr_sysmon_start(Sched *s);    /* unless it runs already; installs its signal handlers */
void gr_sysmon_stand_in(Sched *s); /* what a host does in its place when it can have no thread */
void gr_sysmon_end(void);          /* gives the signals back */
void gr_ask(M *m);                 /* asks its thread, if it runs Lua, to let others run */
bool gr_slice_left(M *m, G *g);    /* g was pre-empted, for a timer: its slice is not used up */

/* ---- cpus.c is declared in sched.h; exit.c ---- */

extern atomic_int gr_exit_owner;
void gr_exit_forget(void); /* the process goes on after all: the pool lives again */
/* What a thread does. The greater, the more it matters to the end of the process. */
typedef enum GrSits {
  GR_SITS_ELSEWHERE, /* it sits in a system call that holds nobody up */
  GR_SITS_NOT,       /* it runs */
  GR_SITS_IN_CALL,   /* it sits in a read or a write, and may hold the lock of a FILE */
} GrSits;
GrSits gr_thread_sits(int32_t tid);
GrSits gr_exit_interrupt(int32_t tid); /* sends a signal, unless the thread sits elsewhere */

/* ---- host.c ---- */

void gr_host_hold_here(void);  /* the host of the calling thread runs no Lua any more */
void *gr_host_data_here(void); /* its data, or NULL */
/* Interrupts the threads of all other hosts that are not in a wait of goro. Returns the greatest of
 * what they do. */
GrSits gr_host_interrupt_others(void);
int64_t gr_host_count(void);
bool gr_host_ends(const GrHost *h); /* it closes, or has closed */
bool gr_foreign_held(void);         /* may a thread of the program's own make a goroutine run? */
/* When all hosts wait: the G of the host that has waited longest; else NULL. */
G *gr_host_all_waiting(void);

#endif

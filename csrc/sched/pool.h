/* SPDX-License-Identifier: MIT */
/* pool.h - the inside of the scheduler: M, P, the pool. For the files of csrc/sched alone.
 *
 * There is one pool, gr_sched, a static object. It lives from the first host's opening to the last
 * one's close, and may live again; its memory is never freed. Who may touch it:
 *   - an M that is at home: in the scheduler;
 *   - a thread that has come in by gr_pool_enter and has not left by gr_pool_leave. An M that runs
 * Lua comes home by that. A thread that is no M (a host's, the program's own) is counted at the
 * door. gr_pool_enter says false when the pool's life is over for the caller: then the caller
 * touches nothing of it. So the one who ends the pool can wait until it is alone there. See pool.c.
 *
 * A P's status is one word, {tick, state}. While its M runs Lua the state is IN_LUA, and then alone
 * may somebody else take the P away, by a CAS that names the tick (so that a P that left Lua and
 * came back in between is not mistaken). Scheduler functions called from Lua first move IN_LUA ->
 * RUNNING (gr_pool_enter) and leave by a release store (gr_pool_leave): a P that is RUNNING belongs
 * to its M. An M that finds its P gone is P-less: it goes on with its Lua state, which nobody else
 * touches, but pushes to the global queue and the global timers; host threads, which never have a
 * P, use the same path. What the word says of an M with a P, M.at says of an M without. */
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
  GR_POLL_EVERY_NS =
      10000000, /* who waits for an event of the system is not forgotten for longer */
};

enum { GR_DOOR_CLOSED = 1, GR_DOOR_ONE = 2 };

enum { P_IDLE, P_RUNNING, P_IN_LUA, P_RETIRED };

typedef struct Sched Sched;

/* A list of Gs through their `link`. Under the pool's lock, but for the count. */
typedef struct GrQueue {
  G *first, *last;
  _Atomic int32_t n;
} GrQueue;
/* Where an M is. While it has a P, the P's word tells more than HOME or ABROAD. */
enum {
  M_GONE,   /* it has no thread, or one that touches nothing any more */
  M_HOME,   /* in the scheduler */
  M_ABROAD, /* in GOps.run, but not in a function of the scheduler that was called from there */
  M_OVER,   /* the pool ended while it was abroad: it never comes home again */
};

/* What sysmon saw when it last looked at a P. Its own. */
typedef struct GrWatch {
  M *m;              /* who ran there */
  uint32_t round;    /* P.tick */
  int64_t since;     /* that round was first seen */
  int64_t began;     /* the thread's clock then */
  uint64_t word;     /* the status word */
  int64_t cpu;       /* the thread's clock, when it was last seen to have moved */
  int64_t still;     /* and the time then */
  int64_t asked_cpu; /* the thread's clock when it was first asked to let others run, or 0 */
  uint64_t asked_word;
} GrWatch;

typedef struct P {
  _Atomic uint64_t status; /* tick << 8 | state; the tick counts entries into Lua */
  M *_Atomic m;            /* who holds it, or held it last */
  _Atomic uint32_t head;   /* thieves and the owner: CAS */
  _Atomic uint32_t tail;   /* the owner alone */
  G *_Atomic runq[GR_RUNQ];
  G *_Atomic runnext;    /* runs next: what the running G has just readied */
  _Atomic uint32_t tick; /* scheduling rounds; the owner writes */
  uint32_t streak;       /* rounds in a row that took runnext */
  int64_t
      turn_at; /* when one of `yielded` has its turn here (coarse); 0: one has it. The owner's */
  uint32_t id;
  struct P *link; /* in the idle list; pool lock */
  GrWatch watch;
  GrTimers timers;
} P;

struct M {
  P *p;     /* or NULL: P-less. Its own */
  P *nextp; /* given by who wakes it; pool lock */
  atomic_bool
      in_lua;    /* inside GOps.run. Written by itself, read by its signal handler too, as is cur */
  bool spinning; /* counted in nspinning */
  bool delivers; /* what it readies now is what it found by polling */
  bool leaving;  /* has been idle for long: its thread ends */
  uint8_t under; /* how many Gs lie under cur on its stack: proc.c */
  bool preempted;            /* cur yields because it was asked to */
  _Atomic int64_t round_cpu; /* what cur had used of the CPU when sysmon asked it */
  G *_Atomic cur;            /* the G it runs */
  uint64_t readied_at;       /* gr_ticks() when cur put another into runnext; 0: it has not */
  uint64_t in_word;          /* the P's status word while in Lua */
  uint64_t rand;
  GrNote note; /* it sleeps here: idle, or for a P */
  M *link;     /* in the idle list; pool lock */
  M *all;      /* next of all Ms */
  G *free;     /* dead Gs for reuse */
  uint32_t nfree;
  atomic_bool asked;   /* the next SIGURG is ours */
  atomic_bool retaken; /* its P was taken while it was in Lua, and it goes on without; set under the
                          pool lock */
  _Atomic uint32_t at; /* M_GONE, ...: ABROAD <-> HOME by itself, ABROAD -> OVER by who ends the
                          pool, by CAS */
  uint32_t depth;      /* of gr_pool_enter while in_lua. Its own */
  _Atomic int32_t tid; /* of its thread */
  _Atomic int32_t clock; /* clockid_t of its thread's CPU time */
  atomic_bool held;      /* exit.c keeps its thread for ever */
  int64_t lost_cpu;      /* sysmon's: that clock when it was last looked at without a P */
  atomic_int_fast64_t spawned, ended, steals, handoffs, preemptions; /* one writer: itself */
};

struct Sched {
  GrLock lock;
  /* under the lock */
  GrQueue globq;   /* Gs that were woken, or spawned */
  GrQueue yielded; /* Gs that yielded, or have used up a slice: they come after all others, but
                      proc.c's essay says how long at most */
  P *idle_ps;
  M *idle_ms;
  M *dead_ms;             /* their threads have ended; to be used again */
  int32_t nidle, nlocked; /* Ms that are idle; that wait with their G */
  int32_t max_threads;
  /* written under the lock */
  _Atomic int32_t nm;        /* Ms that exist */
  M *_Atomic all_ms;         /* never shrinks, so it may be walked without the lock */
  atomic_bool sysmon_sleeps; /* until a P is taken into use */
  atomic_bool threads_short; /* the system refused the last thread that was asked of it */
  atomic_bool sysmon_started;
  _Atomic int64_t sysmon_tried_at;
  /* atomics: read without */
  _Atomic int32_t nkept; /* Gs in a round in which they have waited with their thread */
  _Atomic int32_t nidle_ps;
  _Atomic int32_t nspinning;
  _Atomic int32_t maxprocs;
  _Atomic int32_t nps; /* Ps made so far: ps[0 .. nps) */
  P *_Atomic ps[GR_MAXPROCS_MAX];
  atomic_bool stopping;           /* it ends, or has ended, or has never begun */
  _Atomic uint32_t door;          /* threads inside that are no Ms << 1 | closed */
  _Atomic uint32_t life;          /* how often it has begun */
  atomic_bool polling;            /* somebody holds the poll token */
  _Atomic int32_t asleep_in_poll; /* 0 or 1: that one has no P and sleeps */
  _Atomic int64_t polled_at;      /* gr_coarse_ns() of the last look for events */
  _Atomic int64_t
      poll_until;  /* when that one wakes up; INT64_MAX: not asleep yet or told to look again */
  GrTimers timers; /* of threads without a P */
  GrNote sysmon_note;
  GrNote left; /* who ends the pool is woken by each that leaves */
};

extern Sched gr_sched;
extern GR_TLS M *gr_m; /* of this thread, or NULL */
extern const GrPoller *gr_poller;

/* Counts by threads without an M. */
extern struct GrPast { atomic_int_fast64_t spawned, ended, steals, handoffs, preemptions; } gr_past;
#define bump(counter) atomic_fetch_add_explicit(&(counter), 1, memory_order_relaxed)
/* A counter with one writer, the caller. */
#define bump_own(counter) \
  atomic_store_explicit(&(counter), atomic_load_explicit(&(counter), memory_order_relaxed) + 1, \
                        memory_order_relaxed)

/* m.c */
/* m sleeps on its note (cleared before it told others that it would) until somebody gives it a P.
 * False: `until` came, or the pool ends; then it is in the idle list no more. */
bool gr_m_await_p(M *m, int64_t until);
void gr_idle_m_remove_locked(Sched *s, M *m); /* out of the list of idle Ms, if m is in it */
void gr_m_take_p(M *m, P *p);                 /* m schedules with p, which is not idle */
P *gr_idle_p_get(Sched *s);                   /* an idle P, RUNNING now, or NULL */
void gr_idle_p_put_locked(Sched *s, P *p);    /* idle, or retired when maxprocs has been lowered */
bool gr_work_anywhere(Sched *s);              /* is a G queued? */
void gr_hand_p_over(M *m, G *g);              /* to the M of a bound G that m has picked */
void gr_hand_on(Sched *s, P *p); /* p, which nobody runs any more, to an M if there is work for it,
                                    else to the idle list */
/* proc.c */
void *gr_m_main(void *m);
/* m.c, proc.c, pool.c */
int gr_pool_start(void); /* its next life; the host lock is held */
void gr_pool_end(int64_t grace_ns, int64_t budget_ns, bool rest_too); /* as gr_host_close */
void gr_pool_halt(int64_t grace_ns);                                  /* its first step */
/* From Lua, or from anywhere outside, into the pool; m, the thread's, may be NULL. True: m's P, if
 * it has one still, is RUNNING. May be nested; each true wants a gr_pool_leave. */
bool gr_pool_enter(M *m);
void gr_pool_leave(M *m);  /* back to Lua */
void gr_m_go_abroad(M *m); /* m, at home and with a P, enters GOps.run */
bool gr_m_come_home(M *m); /* m is back from it. False: it is over */
bool gr_over(void);        /* does the pool end, or has it ended, for this thread? */
int gr_pool_need_thread(
    Sched *s);           /* GR_OK; GR_NOTHREAD, GR_NOMEM: there is none and none can be had */
void gr_wakep(Sched *s); /* there is work: wakes one more M if none looks for it already */
void gr_put_runnable(Sched *s, G *g); /* status RUNNABLE already */
int64_t
gr_first_timer(Sched *s); /* when the earliest of all heaps is due; INT64_MAX: there is none */
/* What is to be seen to: the one question of all who could, or leave it to others. A set of: */
typedef enum GrDue {
  GR_DUE_WORK = 1,   /* a G is queued */
  GR_DUE_TIMER = 2,  /* a timer is due */
  GR_DUE_EVENTS = 4, /* events are waited for, and nobody has looked for long */
  GR_DUE_WATCH = 8,  /* there are timers, or events are waited for, and nobody sleeps for them */
} GrDue;
unsigned gr_due(Sched *s, int64_t now);
void gr_deliver(M *m);      /* after the poller's wait: what has happened; m may be NULL */
void gr_fire_due(Sched *s); /* fires the timers of all heaps that are due */
bool gr_poll_now(Sched *s); /* looks for events without waiting. False: somebody else is polling */
bool gr_poll_for_others(Sched *s); /* the same by who will not look for work next: an M that wanted
                                      to sleep there meanwhile is woken */
void gr_timer_added(Sched *s, int64_t when); /* somebody may have to wake up earlier */
void gr_release_p(M *m); /* m, which has entered, hands its P on: to who has work for it, or to
                            the idle list */
/* Gets a P, waiting for one as a bound G if need be. How that queues: */
typedef enum GrLine {
  GR_LINE_WOKEN,     /* with those that were woken */
  GR_LINE_YIELDED,   /* behind those that yielded */
  GR_LINE_INTERRUPT, /* before those: its slice is not used up */
} GrLine;
void gr_acquire_p(M *m, G *g, GrLine line);
bool gr_nobody_takes_p(Sched *s);    /* no M is idle, and none can be made */
bool gr_may_keep_thread(M *m);       /* may one more G wait with its thread? Then it is counted */
void gr_check_dead_locked(Sched *s); /* tells a host when nobody can ever run again */
void gr_check_dead(Sched *s);        /* the same */

/* runq.c: the owner's or a thief's side of P.runq; overflow goes to the global queue */
void gr_globq_put_locked(Sched *s, G *g);
void gr_line_up_locked(Sched *s, G *g, GrLine line);
void gr_queue_clear_locked(GrQueue *q);
G *gr_yielded_get_locked(Sched *s);
G *gr_bound_get_locked(Sched *s); /* one whose thread waits for a P, out of the global queues */
G *gr_globq_get_locked(Sched *s, P *p, int32_t max);
void gr_runq_put(Sched *s, P *p, G *g, bool next);
G *gr_runq_get(P *p);
G *gr_runq_steal(P *to, P *from, bool next_too);
bool gr_runq_empty(P *p);
void gr_runq_drain_locked(Sched *s, P *p);

/* g.c: the memory of Gs */
G *gr_g_alloc(M *m);
void gr_g_free(M *m, G *g);
void gr_g_settle(void); /* after a burst: what free Gs take goes back to the system */
void gr_g_each(bool (*visit)(G *g, void *arg), void *arg);

/* wait.c */
void gr_g_runs(G *g); /* g, which is the caller's thread's, becomes RUNNING; waits while somebody
                         looks at it */
void gr_wait_await_ready(G *g); /* somebody has won the wait of g, the caller's, and is about to
                                   call gr_ready, or has */
bool gr_g_claim(G *g); /* RUNNABLE -> RUNNING. False: it was not (any more), which happens only when
                          the pool ends */

/* sysmon.c */
void gr_sysmon_start(Sched *s);    /* unless it runs already; installs its signal handlers */
void gr_sysmon_stand_in(Sched *s); /* by a host that waits, when sysmon's thread cannot be had */
bool gr_slice_left(M *m, G *g);    /* g was pre-empted, but for a timer: its slice is not used up */
void gr_sysmon_end(void);          /* gives the signals back */
void gr_ask(M *m);                 /* its thread lets others run soon, if it runs Lua */

/* exit.c */
extern atomic_int gr_exit_owner;
void gr_exit_forget(void); /* the process goes on after all: the pool lives again */
/* What a thread sits in. Rising: what matters to who waits for it at the end of the process. */
typedef enum GrSits {
  GR_SITS_ELSEWHERE, /* in a system call that holds nobody up */
  GR_SITS_NOT,       /* it runs */
  GR_SITS_IN_CALL,   /* in a read or a write, perhaps with a FILE locked */
} GrSits;
GrSits gr_thread_sits(int32_t tid);
GrSits gr_exit_interrupt(int32_t tid); /* unless it sits elsewhere */

/* host.c */
void gr_host_hold_here(void);          /* the calling thread's host runs no Lua any more */
void *gr_host_data_here(void);         /* its data, or NULL */
GrSits gr_host_interrupt_others(void); /* all others' threads that are not in a wait of ours: the
                                          most that matters */
int64_t gr_host_count(void);
bool gr_host_ends(const GrHost *h); /* it closes, or has closed */
bool gr_foreign_held(void);         /* may a thread that is none of ours make somebody run? */
G *gr_host_all_waiting(
    void); /* the G of the host that has waited longest, when all hosts wait; else NULL */

#endif

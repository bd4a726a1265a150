/* SPDX-License-Identifier: MIT */
/* sched.h - goroutines on threads: G, M and P, and how one waits.
 *
 * G is a goroutine, M a thread, P a place to run: `maxprocs` of them exist, and an M needs one to
 * schedule. What a G does when it runs is known to its GOps alone; the scheduler never sees Lua.
 * After Go's runtime (proc.go), with two differences: a G may have to keep its thread while it
 * waits (Lua cannot yield everywhere), and a host program's own thread may wait like a goroutine.
 *
 * How a goroutine parks. A wait goes through these steps, all but the last two by the thread that
 * runs the G:
 *   1. gr_wait_prepare: status RUNNING -> PARKING, a new sequence number, `done` cleared.
 *   2. under the lock of what is waited for: a GSudog with (g, seq) goes into its queue;
 * gr_wait_limit arms the time limit; unlock.
 *   3. either the G's state yields out of Lua, and the M moves PARKING -> WAITING and runs another
 * G; or, where Lua cannot yield, gr_wait_block does the same move, hands its P on and sleeps on a
 * note.
 *   4. whoever ends the wait (a sender, a timer, a panic) first wins it: gr_wait_win, one CAS on
 * {seq, done}. Exactly one wins; all others find their sudog or timer stale and leave it. The
 * winner then calls gr_ready.
 *   5. gr_ready: WAITING -> RUNNABLE and into a run queue; or, when the G has not finished parking,
 * PARKING -> READY_EARLY: the M's move in step 3 fails, and it runs the G on at once.
 *   6. awake, the G calls gr_wait_finish: its time limit is disarmed, and it takes its remaining
 * sudogs out of their queues. Nobody touches the state of a G that runs, and a reader (a dump, the
 * deadlock report) of one that does not first takes its scan bit, which makes gr_ready, and who
 * would run it, wait. A G's memory is only ever reused for Gs and its sequence numbers never go
 * back, so a late look is harmless. Modelled in spec/model/park.pml.
 *
 * Nothing starves. A G that has run for 10 ms while others wait is asked by a signal to its thread
 * to let them run (GOps.preempt); one that sits in foreign C code loses its P to others, and goes
 * on without one: sysmon.c.
 *
 * Every function here may be called by any thread: one with a P, an M whose P was taken (it pushes
 * to the global queue), a host's. */
#ifndef GR_SCHED_H
#define GR_SCHED_H

#include "base/base.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/msg.h"

typedef struct G G;
typedef struct M M;
typedef struct GrHost GrHost;
typedef struct GrTimers GrTimers;
typedef struct GrReport GrReport;
typedef struct GrSlabOfGs GrSlabOfGs;

/* Who may touch what the G owns (its Lua state above all). */
typedef enum GStatus {
  G_FREE,        /* nobody: the memory waits for a next G */
  G_RUNNABLE,    /* nobody: it is in a run queue */
  G_RUNNING,     /* its M (a host: its thread) */
  G_PARKING,     /* its M; sudogs may be linked already, so gr_ready can come at any moment */
  G_READY_EARLY, /* its M: gr_ready came before the M had left it */
  G_WAITING,     /* nobody, or who holds the scan bit */
  G_BLOCKED,     /* nobody, or who holds the scan bit: its thread is in a blocking region */
  G_DEAD,        /* its M, which is freeing it */
} GStatus;
enum { G_SCAN = 0x80 };

/* Does nobody run it, so that it may be held by its scan bit? */
static inline bool gr_status_rests(uint32_t status) {
  return status == G_RUNNABLE || status == G_WAITING || status == G_BLOCKED;
}

/* A kind of waiting. Whoever waits has one, a static const in the file that defines the wait; the
 * scheduler knows none of them. */
typedef struct GrWaitType {
  const char *name;      /* what dumps and the deadlock report say of a G that waits so */
  void (*abandon)(G *g); /* or NULL: nothing to do. g will never run again (the pool ends): takes
                            its sudogs out of their queues, and drops what they hold */
} GrWaitType;

/* Why a wait ended: written by its winner. */
typedef enum GrCause {
  GR_CAUSE_SUDOG,    /* through g->winner: a message, a close */
  GR_CAUSE_TIMEOUT,  /* its time limit */
  GR_CAUSE_INBOX,    /* a host: something was posted to it (a panic) */
  GR_CAUSE_DEADLOCK, /* a host: nobody can ever run again */
  GR_CAUSE_SHUTDOWN, /* the pool ends, or the goroutine's host closes */
  GR_CAUSE_SIGNAL,   /* a host took its own wait back, to let a hook run */
} GrCause;

/* A waiter in a queue. Fields belong to the lock of the object that it waits for, until the wait is
 * won: then to the winner until gr_ready, after which to the G. */
typedef struct GSudog {
  GrList link; /* in the object's queue; empty when not linked */
  G *g;
  uint64_t seq; /* of the wait it belongs to */
  void *object; /* what it waits for */
  GrMsg msg;    /* a sender's: what it sends (emptied by who takes it); a receiver's: what it got */
  uint32_t index; /* a select's: which case */
  bool closed;    /* the object was closed, there is no message */
} GSudog;

/* A timer. Belongs to its owner while it is in no heap. When due it is taken out, its (arg, seq)
 * copied, the heap unlocked, and then fire(arg, seq) is called on some M, not under any lock: it
 * must be short and not block. A timer may be armed again or freed as soon as gr_timer_stop
 * returned true, or inside its own fire. One that repeats stays in its heap instead, so that it
 * needs no memory to go on; then it may be stopped, but not yet freed, while a fire of it is at
 * work: `again` takes what keeps it there for that. */
typedef struct GrTimer {
  int64_t when; /* gr_now_ns() */
  void (*fire)(void *arg, uint64_t seq);
  void (*drop)(void *arg); /* or NULL: called instead of fire when the pool ends first */
  GrHost *host;            /* or NULL: dropped when that one closes, too */
  int64_t (*again)(void *arg,
                   int64_t now); /* or NULL: it fires once. Else called before each fire, under the
                                    heap's lock: when it is due next, after `now` */
  void *arg;
  uint64_t seq;
  GrTimers *_Atomic heap; /* NULL: in none */
  uint32_t at;            /* its place there */
} GrTimer;

typedef enum GrRun {
  GR_RUN_DONE,  /* it has ended and what it owned is freed */
  GR_RUN_PARK,  /* it has prepared a wait and yielded */
  GR_RUN_YIELD, /* it lets others run */
} GrRun;

typedef struct GOps {
  GrRun (*run)(G *g);                   /* on an M: runs it until it ends or yields */
  void (*destroy)(G *g, int64_t until); /* frees what it owns, although it has not ended (the pool
                                           ends); the program's code in it ends by then */
  void (*preempt)(G *g); /* in a signal handler on the thread that runs g: g is to let others run
                            soon, or to answer gr_stopping */
  size_t (*where)(
      G *g, char *buf,
      size_t size); /* writes its source line, as snprintf; the caller owns g or its scan bit */
} GOps;

struct G {
  _Atomic uint32_t status; /* GStatus, and G_SCAN */
  atomic_bool is_host;     /* stands for a host's own thread; has no ops */
  bool runs_on; /* when it last readied another, it went on running for long: see gr_put_runnable */
  atomic_bool blocks; /* this wait keeps its thread (always so for hosts): only that thread may make
                         it RUNNING again */
  bool keeps; /* counted in Sched.nkept: it waits, or has waited, with its thread in this round */
  uint8_t cause;         /* GrCause of its end */
  uint8_t host_spins;    /* hosts: how often to spin before sleeping; grows when waits are short */
  _Atomic uint64_t wait; /* seq << 1 | done */
  G *link;               /* in a run queue or the free list */
  GrSlabOfGs *slab;      /* where its memory is */
  M *m;                  /* its thread while it runs or blocks there */
  const GOps *ops;
  const GrWaitType *waits; /* the wait that has begun and is not finished, or NULL */
  uint32_t used;           /* CPU time (ns) of its slice, so far as it was interrupted in it */
  void *data;              /* ops' own */
  GrHost *_Atomic host; /* the host state that it descends from: where its panic goes, and whose end
                           is its own. A reference */
  atomic_bool ends;     /* it has begun to end because its host closes */
  int64_t since;        /* gr_now_ns() when the wait began */
  GSudog *winner;       /* the sudog through which the wait was won */
  GrTimer limit;        /* time limit of the wait */
  GSudog one;           /* the sudog of a wait for one thing */
  GSudog *many;         /* a select's, gr_malloc'd, or NULL */
  uint32_t nmany;
  GrNote note;              /* hosts sleep on it */
  GrReport *_Atomic report; /* somebody wants to know what it does while it runs: vm's dump */
};

static inline uint64_t gr_wait_seq(G *g) {
  return atomic_load_explicit(&g->wait, memory_order_relaxed) >> 1;
}

/* ---- goroutines ---- */

/* A G that is not yet started, or NULL without memory. Starts the pool when there is none: then
 * GR_NOTHREAD is possible too and told through *err (GR_ABORTED: the pool ends). Takes a reference
 * of `host`. */
G *gr_g_new(const GOps *ops, void *data, GrHost *host, int *err);
/* Gives a G that was never started back. Does not call destroy. */
void gr_g_discard(G *g);
/* Makes it runnable. Takes g. Never fails, never blocks. */
void gr_spawn(G *g);

/* ---- waiting: see the steps above; g is the caller's own ---- */

/* Step 1. `blocks`: step 3 will be gr_wait_block. */
void gr_wait_prepare(G *g, const GrWaitType *type, bool blocks);
/* Arms the limit (absolute ns; GR_FOREVER: there is none). GR_OK; GR_NOMEM; GR_CROWDED: the wait
 * would keep its thread, and at the limit of threads nobody would be left to run the others (never
 * said to hosts, nor to a G that has waited with its thread in this round already). Takes SCHED
 * and TIMERS locks, so it may be called under a channel's. */
int gr_wait_limit(G *g, int64_t until);
/* Takes step 1 back, when step 2 failed and nothing is linked. */
void gr_wait_unprepare(G *g);
/* Step 3 for a G that cannot yield. True: the wait was won. False: `until` came first, and the wait
 * goes on: call again, or gr_wait_win it oneself (GR_CAUSE_SIGNAL) and, when that succeeds,
 * gr_wait_taken. */
bool gr_wait_block(G *g, int64_t until);
/* The caller has won its own wait: RUNNING again. */
void gr_wait_taken(G *g);
/* Step 6: disarms the limit, tells why the wait ended. */
GrCause gr_wait_finish(G *g);
/* The pool ends, and g will never run again: its wait's abandon, if it is in a wait. */
void gr_wait_abandon(G *g);

/* Step 4: true when this call ended the wait `seq` of g; then the caller must gr_ready(g). `sg` may
 * be NULL. */
bool gr_wait_win(G *g, uint64_t seq, GrCause cause, GSudog *sg);
/* Step 5. */
void gr_ready(G *g);

/* Sleeps until `until`: GR_PARK (then gr_wait_finish), GR_OK when that is past, GR_NOMEM. */
int gr_sleep(G *g, int64_t until, bool blocks);
/* For a G that cannot yield: lets others run while its thread waits, if anything is due; a thread
 * whose P was taken waits for one. */
void gr_yield_blocking(G *g);
/* The calling G is pre-empted: its next yield is not of its own will. */
void gr_preempted(void);

/* ---- blocking regions: Go's entersyscallblock ----
 * Between gr_block_begin and gr_block_end the calling thread may block in the system, while its P
 * runs other goroutines. g is the caller's own, or NULL. Where the caller has no place to give
 * away, both do nothing: in a host, in a child of fork, in a finalizer that the end of the pool
 * runs, and inside another region. Nothing in between may call goro. When an error jumps over the
 * end, the thread goes on without a P until the G waits or ends. */
void gr_block_begin(G *g);
void gr_block_end(G *g);

/* ---- timers ---- */

/* t must be in no heap; fire, drop, again, arg, seq are set by the caller. GR_OK or GR_NOMEM.
 * Starts the pool if need be (GR_NOTHREAD). */
int gr_timer_start(GrTimer *t, int64_t when);
/* True: it was waiting and is out now. False: it has fired, fires at this moment, or was never
 * started. */
bool gr_timer_stop(GrTimer *t);

/* ---- hosts: programs' own states ---- */

/* Something posted to a host: a panic. `drop` frees it unread. */
typedef struct GrPost GrPost;
struct GrPost {
  GrPost *next;
  void (*drop)(GrPost *post);
};

/* A new host with its G (status RUNNING, the calling thread's). NULL without memory. The caller's
 * reference. */
GrHost *gr_host_open(void *data);
G *gr_host_g(GrHost *h);
void gr_host_ref(GrHost *h);
void gr_host_unref(GrHost *h);
/* Its program has left goro. Takes the opener's reference; returns whether a post was never taken.
 * While others are open, the goroutines that descend from it are asked to end, as by goexit. What
 * they do while they end is cut short after `budget_ns`. Those that sit in the kernel after
 * `grace_ns`, or have not ended after twice the budget, are left behind, and told of on stderr;
 * they end when they are back. The last one to close ends the pool: Ms stop (those stuck in foreign
 * code are left behind after `grace_ns`), parked Gs are destroyed until `budget_ns` is over; from
 * then on, with `rest_too`, the rest of them too, but their finalizers are cut short. *last: it was
 * that one. */
bool gr_host_close(GrHost *h, int64_t grace_ns, int64_t budget_ns, bool rest_too, bool *last);
/* Gives it `post` (takes it) and wakes it if it waits. False: the host is closed, post remains the
 * caller's. */
bool gr_host_post(GrHost *h, GrPost *post);
/* The oldest post, the caller's now, or NULL. One load when there is none. */
GrPost *gr_host_take(GrHost *h);
/* Is anything posted? */
bool gr_host_has_post(GrHost *h);
/* Does a post end the next wait of the host? (Not when its thread is in a finalizer: what it raised
 * there would be lost.) Called by the host's thread, once it has prepared the wait. */
void gr_host_deafen(GrHost *h, bool deaf);
bool gr_host_hears_post(GrHost *h); /* the same, and something is posted */
/* The pool of this thread ends: waits fail, nothing is started any more. */
bool gr_sched_stopping(void);
/* Is g, which the caller runs, to end because its host closes? From gr_g_ends on only when the time
 * for that is over. */
bool gr_g_must_end(G *g);
/* It begins to end. True: it had begun already. */
bool gr_g_ends(G *g);

/* ---- threads that are none of ours ---- */

/* A G for one wait of the calling thread, which runs no Lua of goro's: it keeps its thread, as a
 * host does, but has no host. NULL without memory. */
G *gr_foreign_open(void);
void gr_foreign_close(G *g);
/* All that such a thread does to channels, it does between these two. False: no host is open, or
 * the last one closes. The last one's close waits for those inside; waits of theirs end with
 * GR_CAUSE_SHUTDOWN. */
bool gr_foreign_enter(void);
void gr_foreign_leave(void);
/* One of them may make somebody run again: no deadlock is reported from here on. Returns the pool's
 * life, for which that holds; called where a host or a goroutine runs. */
uint32_t gr_foreign_hold(void);
void gr_foreign_unhold(uint32_t life); /* it may no more */
uint32_t gr_sched_life(void);

/* ---- the end of the process ---- */

/* This process is a child of fork: none of goro's threads is here, and its locks may be anybody's.
 * Only what looks may be called. */
extern atomic_bool gr_forked;
/* The steps of exit.c. Does the calling thread end the process? The first that asks does. */
bool gr_exit_claim(void);
void gr_exit_unclaim(void);
/* While another thread ends the process, the caller has nothing more to do, and nobody shall hear
 * that goro has stopped: returns only if that one thinks better of it. */
void gr_exit_await(void);
/* Before exit(), or as its first act: goroutines are stopped, for at most grace_ns, and threads
 * that hold FILEs let go of them. The second call does nothing. */
void gr_exit_prepare(int64_t grace_ns);
/* The second half of it, where the pool has ended. */
void gr_exit_let_go(void);
/* Has that begun? Then a call that a signal interrupted is not begun anew, and where Lua would go
 * on the thread is held, for ever. */
bool gr_exit_letting_go(void);
GR_NORETURN void gr_exit_hold(void);
/* What holds a host: `host` is called in a signal handler on its thread, with gr_host_open's data;
 * soon after that the thread calls gr_exit_hold, if it runs Lua. */
void gr_sched_on_hold(void (*host)(void *data));

/* ---- looking ---- */

/* Places to run. gr_maxprocs_set returns the value before; n < 1 changes nothing. */
int gr_maxprocs_set(int64_t n);
int gr_num_cpu(void); /* CPUs that this process may run on */
/* How many CPUs' time its cgroup may use, rounded up; INT_MAX: no limit. `root` stands before the
 * names of the system's files: "", but for tests. */
int gr_cpu_quota(const char *root);

typedef struct GrStats {
  int64_t goroutines;                             /* that exist, hosts included */
  int64_t running;                                /* Ps that run one */
  int64_t threads;                                /* Ms that exist */
  int64_t spawned, steals, handoffs, preemptions; /* since the process began */
} GrStats;
void gr_sched_stats(GrStats *out);

/* Calls visit for each G that exists, hosts included; stops when it returns false. One that rests
 * is held by its scan bit meanwhile, so its state may be looked at. */
void gr_sched_each(bool (*visit)(G *g, GStatus status, void *arg), void *arg);
/* The thread that runs g is asked to call GOps.preempt, as for others' sake. */
void gr_sched_ask(G *g);
/* Holds g as gr_sched_each does: false when it runs. Tells its status, which unhold wants. */
bool gr_sched_hold(G *g, GStatus *status);
void gr_sched_unhold(G *g, GStatus status);
/* From the next pool's first thread on, SIGQUIT calls `here` in its handler and then `report` on a
 * thread of goro's. */
void gr_sched_on_quit(void (*here)(void), void (*report)(void));

/* ---- the poller: how an idle M waits, and how events of the system come in ----
 * Who polls holds a token, so these two are called by one thread at a time: an idle M, which sleeps
 * in `wait` (its wake-up time is published, so that an earlier timer calls `wake`); an M without
 * work, before it looks further; sysmon, when nobody else has for 10 ms. The default sleeps on a
 * note; csrc/io sets its own before the pool starts. */
typedef struct GrPoller {
  bool (*wait)(int64_t until); /* until gr_now_ns() reaches `until` (GR_POLL: not at all), or
                                  something happened: true, then deliver is called */
  void (*deliver)(void);       /* readies who waits for what has happened */
  void (*wake)(void);          /* makes a wait that sleeps, or is about to, return. Any thread */
  bool (*waited_for)(void); /* does anybody wait for an event? Puts the deadlock report off, and is
                               a reason to look for events */
  bool (*wanted)(void); /* may an event come at all? Then an M that is idle sleeps there, and not on
                           its note */
  void (*end)(void);    /* the pool has ended: what is open is closed */
} GrPoller;
void gr_sched_set_poller(const GrPoller *poller);
/* Somebody waits for an event from now on, who does not run on an M that will look for work: sees
 * to it that somebody polls. GR_OK, GR_NOMEM, GR_NOTHREAD, GR_ABORTED: the pool ends. */
int gr_sched_poll_wanted(void);
/* Is this one of goro's threads, which block all signals but a few? */
bool gr_sched_own_thread(void);
/* A detached thread with their signal mask. 0 or errno. */
int gr_thread_start(void *(*start)(void *), void *arg);
/* Polls without waiting, on this thread, unless somebody does: then that one is woken. No lock of
 * rank SCHED or above may be held. */
void gr_sched_poll(void);

#endif

/* SPDX-License-Identifier: MIT */
/* sched.h - goroutines on threads: G, M and P, and how a goroutine waits.
 *
 * A G is a goroutine, an M is a thread, a P is a place to run. There are `maxprocs` Ps, and an M
 * needs one to run goroutines. What a G does while it runs is known to its GOps alone: the
 * scheduler knows nothing of Lua. All this is after Go's runtime (proc.go), with two differences:
 * a G may have to keep its thread while it waits (Lua cannot yield everywhere), and a thread of
 * the host program may wait like a goroutine.
 *
 * The states of a G (GStatus):
 *
 *             gr_spawn             an M picks it             it ends
 *   FREE -------------> RUNNABLE ----------------> RUNNING ----------> DEAD ---> FREE
 *                        ^    ^                    | |  ^ ^
 *                        |    |     it yields      | |  | |  gr_block_begin, gr_block_end
 *                        |    +--------------------+ |  | +-------------------> BLOCKED
 *                        |                           |  |
 *               gr_ready |           gr_wait_prepare |  +------------------+
 *                        |                           v                     | its M runs it on
 *                        |     it has left Lua    PARKING --> READY_EARLY -+
 *                     WAITING <----------------------+     gr_ready
 *
 * How a goroutine parks. A wait takes these steps; the thread that runs the G takes steps 1 to 3:
 *   1. gr_wait_prepare: the status goes from RUNNING to PARKING. The wait gets a new sequence
 *      number, and its `done` bit is 0.
 *   2. The G locks the object that it waits for, puts a GSudog with (g, seq) into the object's
 *      queue, arms the time limit (gr_wait_limit), and unlocks.
 *   3. Where Lua can yield, the G yields out of Lua, and its M moves PARKING -> WAITING and runs
 *      another G. Where Lua cannot yield, gr_wait_block makes the same move, hands the P to
 *      another M, and sleeps on a note.
 *   4. A sender, a timer, a panic, whoever wants to end the wait, must first win it: gr_wait_win,
 *      one CAS on {seq, done}. Exactly one thread wins. All others see that their sudog or timer
 *      is stale, and leave the G alone. The winner calls gr_ready.
 *   5. gr_ready moves WAITING -> RUNNABLE and queues the G. Or, when the G has not finished step
 *      3, it moves PARKING -> READY_EARLY; then the M's move in step 3 fails, and the M runs the
 *      G on at once.
 *   6. The G runs again and calls gr_wait_finish. That disarms the time limit and tells why the
 *      wait ended. The G takes those of its sudogs that are still queued out of their queues.
 *
 * No thread touches what a running G owns. A reader (a dump, the deadlock report) first sets the
 * scan bit of a G that does not run; until the reader clears it, gr_ready and the M that would
 * run the G wait. The memory of a G is only ever reused for a G, and its sequence numbers only
 * grow, so a late look at it does no harm. Modelled in spec/model/park.pml.
 *
 * No goroutine starves another. When a G has run for 10 ms while others wait for a P, a signal to
 * its thread asks it to let them run (GOps.preempt). When a G sits in foreign C code, its P goes
 * to another M, and it goes on without one: sysmon.c.
 *
 * Any thread may call the functions here: an M with a P, an M whose P was taken, a thread of a
 * host. */
#ifndef GR_SCHED_H
#define GR_SCHED_H

#include "base/base.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/msg.h"
#include "base/slab.h"

typedef struct G G;
typedef struct M M;
typedef struct GrHost GrHost;
typedef struct GrTimers GrTimers;
typedef struct GrReport GrReport;

/* The state of a G, and who may touch what the G owns (its Lua state above all). */
typedef enum GStatus {
  G_FREE,        /* nobody: the memory waits for the next goroutine */
  G_RUNNABLE,    /* nobody: the G is in a run queue */
  G_RUNNING,     /* its M; a host's: its thread */
  G_PARKING,     /* its M. Its sudogs may be linked already, so gr_ready can come at any moment */
  G_READY_EARLY, /* its M. gr_ready came before the M had left the G */
  G_WAITING,     /* nobody, or the reader that set the scan bit */
  G_BLOCKED, /* nobody, or the reader that set the scan bit; its thread is in a blocking region */
  G_DEAD,    /* its M, which is freeing it */
} GStatus;
enum { G_SCAN = 0x80 };

/* Does no thread run a G of this status, so that a reader may set its scan bit? */
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

/* A waiter in a queue. Its fields belong to the lock of the object that it waits for until its
 * wait is won; then to the winner until gr_ready; after that to the G. */
typedef struct GSudog {
  GrList link; /* in the object's queue; empty when not linked */
  G *g;
  uint64_t seq; /* of its wait */
  void *object; /* what it waits for */
  GrMsg msg;    /* a sender's: what it sends, emptied by the receiver; a receiver's: what it got */
  uint32_t index; /* a select's: which case */
  bool closed;    /* the object was closed, there is no message */
} GSudog;

/* A timer. It belongs to its owner while it is in no heap. When it is due, an M takes it out,
 * copies (arg, seq), unlocks the heap, and calls fire(arg, seq). `fire` runs under no lock, must
 * be short and must not block. The owner may arm the timer again or free it as soon as
 * gr_timer_stop has returned true, or inside `fire`.
 *
 * A timer with `again` repeats. It stays in its heap, so that it needs no memory to go on. It may
 * be stopped at any time, but not freed while a `fire` of it is at work: `again` takes a
 * reference, or whatever keeps the timer alive for that. */
typedef struct GrTimer {
  int64_t when; /* gr_now_ns() */
  void (*fire)(void *arg, uint64_t seq);
  void (*drop)(void *arg); /* or NULL. Called instead of fire when the pool ends first */
  GrHost *host;            /* or NULL. The timer is dropped when this host closes, too */
  /* Or NULL: it fires once. Called before each fire, under the lock of the heap: returns when the
   * timer is due next, after `now`. */
  int64_t (*again)(void *arg, int64_t now);
  void *arg;
  uint64_t seq;
  GrTimers *_Atomic heap; /* NULL: in none */
  uint32_t at;            /* its place in the heap */
} GrTimer;

typedef enum GrRun {
  GR_RUN_DONE,  /* it has ended, and what it owned is freed */
  GR_RUN_PARK,  /* it has prepared a wait and yielded */
  GR_RUN_YIELD, /* it lets others run */
} GrRun;

typedef struct GOps {
  /* Called on an M: runs g until it ends or yields. */
  GrRun (*run)(G *g);
  /* The pool ends, and g has not ended: frees what g owns. Code of the program that runs for that
   * ends by `until`. */
  void (*destroy)(G *g, int64_t until);
  /* Called in a signal handler on the thread that runs g: g is to let others run soon, or to end
   * when gr_sched_stopping says so. */
  void (*preempt)(G *g);
  /* Writes the line of source where g is, as snprintf would. The caller owns g or its scan bit. */
  size_t (*where)(G *g, char *buf, size_t size);
} GOps;

struct G {
  GrSlabItem slab;         /* first: its memory is type-stable */
  _Atomic uint32_t status; /* GStatus, and G_SCAN */
  atomic_bool is_host; /* it stands for a thread of a host, or of the program's own; has no `run` */
  bool runs_on; /* when it last readied another G, it ran on for long: proc.c, gr_put_runnable */
  /* Its wait keeps its thread (a host's always does): only that thread makes it RUNNING again. */
  atomic_bool blocks;
  bool keeps;         /* counted in Sched.nkept: in this round it has waited with its thread */
  uint8_t cause;      /* GrCause of its end */
  uint8_t host_spins; /* a host's: spins before it sleeps if > 0; grows when its waits are short */
  _Atomic uint64_t wait; /* seq << 1 | done */
  G *link;               /* next in a run queue or in its M's list of free Gs */
  M *m;                  /* its M while it runs, or waits with its thread */
  const GOps *ops;
  const GrWaitType *waits; /* the wait that has begun and is not finished, or NULL */
  uint32_t used;           /* CPU time (ns) of its slice, up to where it was interrupted */
  void *data;              /* what the ops know it by */
  /* The host that it descends from: its panics go there, and it ends when the host closes. A
   * reference. */
  GrHost *_Atomic host;
  atomic_bool ends; /* it has begun to end because its host closes */
  int64_t since;    /* gr_now_ns() when the wait began */
  GSudog *winner;   /* the sudog through which the wait was won */
  GrTimer limit;    /* time limit of the wait */
  GSudog one;       /* the sudog of a wait for one object */
  GSudog *many;     /* the sudogs of a select, from gr_malloc, or NULL */
  uint32_t nmany;
  GrNote note;              /* a host sleeps on it */
  GrReport *_Atomic report; /* a dump asks what it does while it runs */
};

static inline uint64_t gr_wait_seq(G *g) {
  return atomic_load_explicit(&g->wait, memory_order_relaxed) >> 1;
}

/* ---- goroutines ---- */

/* A G that is not yet started; NULL: *err says why. It takes a reference of `host`. There is a
 * thread to run it afterwards, or one is made. *err is GR_NOMEM, GR_NOTHREAD, or GR_ABORTED: the
 * pool ends. */
G *gr_g_new(const GOps *ops, void *data, GrHost *host, int *err);
/* Gives back a G that was never started. Does not call destroy. */
void gr_g_discard(G *g);
/* Makes g runnable. Takes g. Never fails, never blocks. */
void gr_spawn(G *g);

/* ---- waiting: the steps at the head of this file; g is the caller's own ---- */

/* Step 1. `blocks`: step 3 will be gr_wait_block. */
void gr_wait_prepare(G *g, const GrWaitType *type, bool blocks);
/* Arms the time limit of the wait (absolute ns; GR_FOREVER: there is none). GR_OK, GR_NOMEM,
 * GR_NOTHREAD, or GR_ABORTED. GR_CROWDED: the wait would keep its thread, and at the limit of
 * threads none would be left to run other goroutines; a host never gets that, nor a G that has
 * already waited with its thread in this round. Takes locks of rank SCHED and TIMERS, so the
 * caller may hold a channel's. */
int gr_wait_limit(G *g, int64_t until);
/* Takes step 1 back when step 2 failed and no sudog is linked. */
void gr_wait_unprepare(G *g);
/* Step 3 for a G that cannot yield. True: the wait was won. False: `until` came first, and the
 * wait goes on. Then the caller calls this again, or tries gr_wait_win itself (GR_CAUSE_SIGNAL)
 * and, if it has won, gr_wait_taken. */
bool gr_wait_block(G *g, int64_t until);
/* The caller has won its own wait: g is RUNNING again. */
void gr_wait_taken(G *g);
/* Step 6: disarms the time limit, tells why the wait ended. */
GrCause gr_wait_finish(G *g);
/* The pool ends, and g will never run again: its wait's abandon, if it is in a wait. */
void gr_wait_abandon(G *g);

/* Step 4. True: this call has ended wait `seq` of g, and the caller must call gr_ready(g). sg is
 * the sudog of the wait, or NULL. */
bool gr_wait_win(G *g, uint64_t seq, GrCause cause, GSudog *sg);
/* Step 5. */
void gr_ready(G *g);

/* Prepares a sleep until `until`. GR_PARK: park, then gr_wait_finish. GR_OK: that time is past.
 * Or what gr_wait_limit returns. */
int gr_sleep(G *g, int64_t until, bool blocks);
/* For a G that cannot yield: lets other goroutines run, if there is work for them, while its
 * thread waits. A thread whose P was taken waits until it gets one. */
void gr_yield_blocking(G *g);
/* The next yield of the calling G is a pre-emption, not of its own will. */
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

/* t must be in no heap. The caller has set fire, drop, again, host, arg and seq. GR_OK, GR_NOMEM,
 * GR_NOTHREAD, GR_ABORTED. */
int gr_timer_start(GrTimer *t, int64_t when);
/* True: t was in a heap, and is out now. False: t has fired, or fires at this moment, or was
 * never started. */
bool gr_timer_stop(GrTimer *t);

/* ---- hosts: programs' own states ---- */

/* Something that is posted to a host: a panic. `drop` frees it unread. */
typedef struct GrPost GrPost;
struct GrPost {
  GrList link; /* the inbox's */
  void (*drop)(GrPost *post);
};

/* A new host with its G (RUNNING; the calling thread's). A reference of the caller's. NULL: no
 * memory, or no pool can begin. */
GrHost *gr_host_open(void *data);
G *gr_host_g(GrHost *h);
void gr_host_ref(GrHost *h);
void gr_host_unref(GrHost *h);
/* The program has left goro. Takes the opener's reference. Returns whether a post was never
 * taken.
 *
 * While other hosts are open, the goroutines that descend from this one are asked to end, as by
 * goexit. What they do to end is cut short after `budget_ns`. When for `grace_ns` all that are left
 * have been seen in the kernel at each look, or when twice the budget is over, they are left behind
 * and stderr tells of them; each ends when it comes back.
 *
 * The last host to close ends the pool (*last: it was this one). Ms stop; those that sit in
 * foreign code after `grace_ns` are left behind. Parked Gs are destroyed until `budget_ns` is
 * over. After that the others are destroyed only with `rest_too`, and their finalizers are cut
 * short. */
bool gr_host_close(GrHost *h, int64_t grace_ns, int64_t budget_ns, bool rest_too, bool *last);
/* Posts to h and wakes it if it waits. Takes post. False: h is closed, and post remains the
 * caller's. */
bool gr_host_post(GrHost *h, GrPost *post);
/* The oldest post, now the caller's, or NULL. Costs one load when there is none. */
GrPost *gr_host_take(GrHost *h);
/* Has anything been posted and not been taken? */
bool gr_host_has_post(GrHost *h);
/* A deaf host's waits are not ended by posts. So it is while its thread is in a finalizer: what a
 * post raised there would be lost. The thread of the host calls this after gr_wait_prepare. */
void gr_host_deafen(GrHost *h, bool deaf);
bool gr_host_hears_post(GrHost *h); /* it is not deaf, and something is posted */
/* The pool ends, for the calling thread: its waits fail, and it starts nothing any more. */
bool gr_sched_stopping(void);
/* Is g, which the caller runs, to end because its host closes? Once g has begun to end
 * (gr_g_ends): is the time for that over? */
bool gr_g_must_end(G *g);
/* g begins to end. True: it had begun already. */
bool gr_g_ends(G *g);

/* ---- threads of the program's own ---- */

/* A G for one wait of the calling thread, which runs no Lua of goro's. It keeps its thread, as a
 * host's does, but has no host. NULL without memory. */
G *gr_foreign_open(void);
void gr_foreign_close(G *g);
/* Such a thread touches channels only between these two calls. False: no host is open, or the
 * last one closes. The close of the last host ends the waits of these threads (GR_CAUSE_SHUTDOWN)
 * and waits until all have left. */
bool gr_foreign_enter(void);
void gr_foreign_leave(void);
/* From here on such a thread may make a goroutine run again, so no deadlock is reported. The
 * caller is a host or a goroutine. Returns the life of the pool that this holds for. */
uint32_t gr_foreign_hold(void);
void gr_foreign_unhold(uint32_t life); /* the thread will do nothing any more */
uint32_t gr_sched_life(void);

/* ---- the end of the process ---- */

/* This process is a child of fork. None of goro's threads is here, and a lock may be held by one
 * that is not. So only functions that take no lock may be called. */
extern atomic_bool gr_forked;
/* The steps are in exit.c. True: the calling thread ends the process, for it asked first. */
bool gr_exit_claim(void);
void gr_exit_unclaim(void);
/* While another thread ends the process, the caller has nothing to do, and nobody shall learn
 * from it that goro has stopped. Returns only if that thread gives up (gr_exit_unclaim). */
void gr_exit_await(void);
/* Called before exit(), or as its first act. Stops the goroutines, for at most grace_ns, and
 * makes threads that hold FILEs let go of them. A second call does nothing. */
void gr_exit_prepare(int64_t grace_ns);
/* Only the second half of gr_exit_prepare, when the pool has ended. */
void gr_exit_let_go(void);
/* Has the second half begun? Then the caller does not repeat a system call that a signal has
 * interrupted. Where it would go back to Lua, it calls gr_exit_hold, which never returns. */
bool gr_exit_letting_go(void);
GR_NORETURN void gr_exit_hold(void);
/* How a host is held: `host` is called in a signal handler on the thread of the host, with the
 * data of gr_host_open. Soon after that the thread calls gr_exit_hold, if it runs Lua. */
void gr_sched_on_hold(void (*host)(void *data));

/* ---- looking ---- */

/* Sets the number of Ps; n < 1 changes nothing. Returns the number before. */
int gr_maxprocs_set(int64_t n);
int gr_num_cpu(void); /* how many CPUs this process may run on */
/* How many CPUs' time its cgroup may use, rounded up; INT_MAX: no limit. `root` stands before the
 * names of the system's files: "", but for tests. */
int gr_cpu_quota(const char *root);

typedef struct GrStats {
  int64_t goroutines;                             /* all that exist, and hosts */
  int64_t running;                                /* Ps that run one */
  int64_t threads;                                /* Ms that exist */
  int64_t spawned, steals, handoffs, preemptions; /* since the process began */
} GrStats;
void gr_sched_stats(GrStats *out);

/* Calls visit for each G that exists, those of hosts too, until visit returns false. A G that no
 * thread runs is held by its scan bit meanwhile, so visit may look at its state. */
void gr_sched_each(bool (*visit)(G *g, GStatus status, void *arg), void *arg);
/* Asks the thread that runs g to call GOps.preempt. */
void gr_sched_ask(G *g);
/* Holds g as gr_sched_each does. False: a thread runs g. *status is for gr_sched_unhold. */
bool gr_sched_hold(G *g, GStatus *status);
void gr_sched_unhold(G *g, GStatus status);
/* From the first thread of the next pool on, SIGQUIT calls `here` in its handler, and after that
 * `report` on a thread of goro's. */
void gr_sched_on_quit(void (*here)(void), void (*report)(void));

/* ---- the poller: how an idle M waits, and how events of the system come in ----
 * The thread that holds the poll token (poller.c) calls wait and deliver, so one thread at a time
 * does. The poller that csrc/io sets, before the pool starts, asks epoll; the default sleeps on a
 * note. */
typedef struct GrPoller {
  /* Sleeps until gr_now_ns() reaches `until`, or something happens; with GR_POLL it does not sleep.
   * True: something has happened, and the caller calls deliver. */
  bool (*wait)(int64_t until);
  /* Readies the goroutines that wait for what has happened. */
  void (*deliver)(void);
  /* Makes `wait` return when it sleeps or is about to. Any thread may call it. */
  void (*wake)(void);
  /* Does a goroutine wait for an event? Then no deadlock is reported, and Ms look for events. */
  bool (*waited_for)(void);
  /* May an event come at all? Then an idle M sleeps in `wait`, not on its note. */
  bool (*wanted)(void);
  /* The pool has ended: closes what is open. */
  void (*end)(void);
} GrPoller;
void gr_sched_set_poller(const GrPoller *poller);
/* From now on something waits for an event that is not run by an M which will look for work: sees
 * to it that some thread polls. GR_OK, GR_NOMEM, GR_NOTHREAD, GR_ABORTED: the pool ends. */
int gr_sched_poll_wanted(void);
/* Is the calling thread an M? Ms block all signals but a few. */
bool gr_sched_own_thread(void);
/* Starts a detached thread with the signal mask of an M. 0 or errno. */
int gr_thread_start(void *(*start)(void *), void *arg);
/* Looks for events on the calling thread, without waiting; when another thread holds the poll
 * token, wakes that one. The caller holds no lock of rank SCHED or above. */
void gr_sched_poll(void);

#endif

/* SPDX-License-Identifier: MIT */
/* exit.c - the end of the process.
 *
 * One thread takes these steps:
 *   1. Claim (gr_exit_claim). The first thread to call os.exit, in the main script or in a
 *      goroutine, ends the process, with its status. A thread that calls it later waits for the
 *      end (gr_exit_await): to call exit() twice is undefined.
 *   2. Halt (gr_exit_prepare). Goroutines are stopped for a limited time, as in the first step of
 *      the pool's end (pool.c).
 *   3. Let go (gr_exit_prepare). exit() writes out each FILE, and newer C libraries lock the FILE
 *      for that: a thread that sits in io.read would hold exit() up until its line comes. So a
 *      signal interrupts each thread that sits in a read or a write; its handler does not restart
 *      system calls. The signal is sent again every millisecond until the thread answers, for 200
 *      ms at most. The C library then gives the call up, unlocks its FILE, and returns to Lua. No
 *      Lua code runs there any more: the handler sets a hook, as pre-emption does, and the hook
 *      never returns (gr_exit_hold). The hook also stops threads that run, but these are not
 *      waited for, nor are threads in other system calls.
 *   4. exit(). It runs what others have registered, and writes out FILEs.
 * Where goro calls exit(), steps 2 and 3 come first, since what a program has registered may lock
 * FILEs itself. Where others call exit(), steps 2 and 3 are an atexit handler. At the end of a
 * stand-alone lua's script, the end of the pool is step 2.
 *
 * The hook of a host is set in the main thread of its state, as lua.c does at SIGINT. A host that
 * reads in a coroutine goes on until that coroutine ends. */
#include "sched/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LET_GO_NS = 200000000, REPEAT_NS = 1000000, PASSES = 3 };

/* ---- claim ---- */

atomic_int gr_exit_owner;      /* the thread that ends the process, or 0 */
static atomic_bool halted;     /* step 2 has begun */
static GR_TLS bool halts_here; /* by this thread */
static atomic_bool letting_go; /* step 3 has begun */
static struct sigaction urg_before;
static void (*hold_host)(void *data);

void gr_sched_on_hold(void (*host)(void *data)) { hold_host = host; }

bool gr_exit_claim(void) {
  int nobody = 0, self = (int)gettid();
  return atomic_compare_exchange_strong(&gr_exit_owner, &nobody, self) || nobody == self;
}

void gr_exit_unclaim(void) { atomic_store(&gr_exit_owner, 0); }

bool gr_exit_letting_go(void) { return atomic_load_explicit(&letting_go, memory_order_relaxed); }

void gr_exit_hold(void) {
  M *m = gr_m;
  uint32_t abroad = M_ABROAD;
  if (m != NULL) {
    atomic_compare_exchange_strong(&m->at, &abroad, M_OVER);
    atomic_store(&m->held, true);
  } else {
    gr_host_hold_here();
  }
  for (;;) pause();
}

static bool another_ends(void) {
  int who = atomic_load(&gr_exit_owner);
  return (who != 0 && who != (int)gettid()) || (atomic_load(&halted) && !halts_here);
}

void gr_exit_await(void) {
  enum { LOOK_US = 1000 };
  while (another_ends()) {
    if (gr_exit_letting_go()) gr_exit_hold();
    usleep(LOOK_US);
  }
}

/* ---- let go ---- */

static void on_urg(int sig) {
  (void)sig;
  int err = errno;
  M *m = gr_m;
  if (m == NULL) {
    void *data = gr_host_data_here();
    if (data != NULL && hold_host != NULL) hold_host(data);
  } else if (atomic_load_explicit(&m->in_lua, memory_order_relaxed)) {
    G *g = atomic_load_explicit(&m->cur, memory_order_relaxed);
    g->ops->preempt(g);
  }
  errno = err;
}

/* The kernel says "running" of a thread, or the number of its system call. When the kernel does
 * not tell, the worst is assumed. */
GrSits gr_thread_sits(int32_t tid) {
  static const long calls[] = {SYS_read, SYS_write, SYS_readv, SYS_writev};
  char name[64], text[64];
  snprintf(name, sizeof name, "/proc/self/task/%d/syscall", (int)tid);
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return GR_SITS_IN_CALL;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return GR_SITS_IN_CALL;
  text[n] = '\0';
  if (strncmp(text, "running", 7) == 0) return GR_SITS_NOT;
  long call = strtol(text, NULL, 10);
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    if (call == calls[i]) return GR_SITS_IN_CALL;
  return GR_SITS_ELSEWHERE;
}

GrSits gr_exit_interrupt(int32_t tid) {
  GrSits sits = gr_thread_sits(tid);
  if (sits != GR_SITS_ELSEWHERE) syscall(SYS_tgkill, getpid(), tid, SIGURG);
  return sits;
}

static GrSits interrupt_all(void) {
  GrSits most = gr_host_interrupt_others();
  for (M *m = atomic_load(&gr_sched.all_ms); m != NULL; m = m->all) {
    if (atomic_load(&m->tid) == atomic_load(&gr_exit_owner) || atomic_load(&m->at) == M_GONE ||
        atomic_load(&m->held) || !atomic_load(&m->in_lua))
      continue;
    GrSits sits = gr_exit_interrupt(atomic_load(&m->tid));
    if (sits > most) most = sits;
  }
  return most;
}

static void *go_on(void *arg) {
  (void)arg;
  while (gr_exit_letting_go()) {
    interrupt_all();
    usleep(REPEAT_NS / 1000);
  }
  return NULL;
}

/* A thread that ran all the time may come to a read later: a thread of its own goes on with this
 * until the process has ended. */
void gr_exit_let_go(void) {
  struct sigaction urg = {.sa_handler = on_urg, .sa_flags = SA_ONSTACK};
  if (atomic_exchange(&letting_go, true)) return;
  sigemptyset(&urg.sa_mask);
  sigaction(SIGURG, &urg, &urg_before);
  int64_t until = gr_now_ns() + LET_GO_NS;
  GrSits sits = GR_SITS_IN_CALL;
  for (int pass = 0;
       (sits == GR_SITS_IN_CALL || (sits == GR_SITS_NOT && pass < PASSES)) && gr_now_ns() < until;
       pass++) {
    sits = interrupt_all();
    if (sits != GR_SITS_ELSEWHERE) usleep(REPEAT_NS / 1000);
  }
  if (sits != GR_SITS_ELSEWHERE) gr_thread_start(go_on, NULL);
}

void gr_exit_forget(void) {
  if (atomic_exchange(&letting_go, false)) sigaction(SIGURG, &urg_before, NULL);
}

/* ---- the whole ---- */

void gr_exit_prepare(int64_t grace_ns) {
  if (atomic_load(&gr_forked)) return;
  gr_exit_claim();
  halts_here = true;
  if (atomic_exchange(&halted, true)) return;
  gr_pool_halt(grace_ns);
  gr_exit_let_go();
}

/* SPDX-License-Identifier: MIT */
/* dump.c - tracebacks of all goroutines, each written by a thread that may look at it.
 *
 * The dumping thread holds a goroutine that nobody runs by its scan bit, and reads its stack. A
 * goroutine that runs is asked, as if it were to be pre-empted: a GrReport is laid into its G, and
 * the hook that answers fills the report in, on the goroutine's own thread. A goroutine that stays
 * in C code for all of the 50 ms cannot answer, and the dump says so. A report has two references,
 * that of the asker and that of the thread which finds it in the G, so neither waits for the
 * other. */
#include "run/dump.h"

#include <unistd.h>

#include "heap/arena.h"
#include "run/trace.h"

enum { WAIT_MS = 50, RUNNING_MAX = 1024 };

/* ---- a state ---- */

/* The state is the caller's to look at; `top` is the thread in it that ran last. */
static void add_state(GrTrace *t, GrState *st, lua_State *top) {
  if (top == NULL) top = st->L;
  if (top == NULL) {
    gr_trace_add(t, "\t(has not begun)\n");
  } else {
    gr_trace_stack(t, top, GR_TRACE_BY_CALL);
    if (top != st->L && !st->is_host) {
      gr_trace_add(t, "\t(in a coroutine of)\n");
      gr_trace_stack(t, st->L, GR_TRACE_BY_CALL);
    }
  }
  if (st->heap.arena != NULL)
    gr_trace_add(t, "\tholds %zu KB\n", (gr_arena_bytes(st->heap.arena) + 1023) / 1024);
  if (!st->is_host) {
    char created[GR_CREATED_SIZE];
    gr_state_created(st, created, sizeof created);
    gr_trace_add(t, "\tcreated by %s\n", created);
  }
  gr_trace_add(t, "\n");
}

/* ---- one goroutine ---- */

static void add_head(GrTrace *t, const G *g, GStatus status, int64_t now) {
  const char *what = status == G_WAITING    ? g->waits->name
                     : status == G_RUNNABLE ? "runnable"
                     : status == G_BLOCKED  ? "system call"
                                            : "running";
  gr_trace_add(t, "%s, %s", g->is_host ? "main goroutine" : "goroutine", what);
  if (status == G_WAITING || status == G_BLOCKED) {
    double seconds = (double)(now - g->since) * 1e-9;
    gr_trace_add(t, ", %.1f s", seconds < 0 ? 0 : seconds);
  }
  gr_trace_add(t, ":\n");
}

struct GrReport {
  GrTrace text;
  atomic_int refs;
  atomic_bool done;
};

static void unref(GrReport *r) {
  if (atomic_fetch_sub(&r->refs, 1) != 1) return;
  gr_free(r->text.at);
  gr_free(r);
}

void gr_dump_answer(lua_State *L, GrState *st) {
  if (gr_likely(atomic_load_explicit(&st->g->report, memory_order_relaxed) == NULL)) return;
  GrReport *r = atomic_exchange(&st->g->report, NULL);
  if (r == NULL) return;
  add_state(&r->text, st, L);
  atomic_store(&r->done, true);
  unref(r);
}

/* ---- all of them ---- */

typedef struct Running {
  G *g;
  GrReport *report; /* NULL: told already */
} Running;

typedef struct Dump {
  GrTrace text;
  G *self;
  lua_State *L; /* self's */
  int64_t now;
  int n;
  Running running[RUNNING_MAX]; /* more threads than these do not run at once */
} Dump;

static void add_held(Dump *d, G *g, GStatus status) {
  GrState *st = g->data;
  if (st == NULL) return;
  add_head(&d->text, g, status, d->now);
  add_state(&d->text, st, status == G_BLOCKED ? st->heap.running : st->parked);
}

static bool visit(G *g, GStatus status, void *arg) {
  Dump *d = arg;
  bool held = gr_status_rests(status);
  if (held && g->is_host && g->host == NULL) return true; /* a thread that is none of ours */
  if (g == d->self) {
    add_head(&d->text, g, G_RUNNING, d->now);
    add_state(&d->text, g->data, d->L);
  } else if (held) {
    add_held(d, g, status);
  } else if (d->n < RUNNING_MAX) {
    d->running[d->n++] = (Running){g, NULL};
  }
  return true;
}

static void ask(Running *w) {
  GrReport *r = gr_zalloc(sizeof *r);
  if (r == NULL) return;
  atomic_init(&r->refs, 2);
  w->report = r;
  GrReport *before = atomic_exchange(&w->g->report, r);
  if (before != NULL) unref(before);
  gr_sched_ask(w->g);
}

/* True: there is nothing more to wait for. `give_up`: it has had its time. */
static bool settle(Dump *d, Running *w, bool give_up) {
  GrReport *r = w->report;
  if (r == NULL) return true;
  GStatus status;
  bool done = atomic_load(&r->done), held = !done && gr_sched_hold(w->g, &status);
  if (done) {
    add_head(&d->text, w->g, G_RUNNING, d->now);
    gr_trace_add(&d->text, "%.*s", (int)r->text.len, r->text.at != NULL ? r->text.at : "");
  } else if (held) {
    add_held(d, w->g, status);
    gr_sched_unhold(w->g, status);
  } else if (give_up) {
    add_head(&d->text, w->g, G_RUNNING, d->now);
    gr_trace_add(&d->text, "\t(in C code, or in a finalizer)\n\n");
  } else {
    gr_sched_ask(w->g);
    return false;
  }
  GrReport *there = r;
  if (!done && atomic_compare_exchange_strong(&w->g->report, &there, NULL)) unref(r);
  unref(r);
  w->report = NULL;
  return true;
}

static void await_running(Dump *d) {
  for (int i = 0; i < d->n; i++) ask(&d->running[i]);
  for (int ms = 0; ms <= WAIT_MS; ms++) {
    bool all = true;
    for (int i = 0; i < d->n; i++) all = settle(d, &d->running[i], ms == WAIT_MS) && all;
    if (all) return;
    GrNote nap;
    gr_note_clear(&nap);
    gr_note_sleep(&nap, gr_now_ns() + 1000000);
  }
}

char *gr_dump(lua_State *L, GrState *self, size_t *len) {
  static GrLock one_at_a_time = GR_LOCK_INIT(GR_RANK_HOST);
  Dump *d = gr_zalloc(sizeof *d);
  if (d == NULL) return NULL;
  d->L = L;
  d->self = self != NULL ? self->g : NULL;
  d->now = gr_now_ns();
  gr_lock(&one_at_a_time);
  gr_sched_each(visit, d);
  await_running(d);
  gr_unlock(&one_at_a_time);
  char *text = d->text.at;
  *len = d->text.len;
  gr_free(d);
  return text;
}

/* ---- SIGQUIT ---- */

static GR_TLS GrState *on_this_thread;

static void print_dump(void) {
  size_t len = 0;
  char *text = gr_dump(NULL, NULL, &len);
  for (size_t at = 0; at < len;) {
    ssize_t n = write(STDERR_FILENO, text + at, len - at);
    if (n <= 0) break;
    at += (size_t)n;
  }
  gr_free(text);
}

/* Nobody pre-empts the main script. So when it runs Lua, the signal's handler arms this hook, which
 * stays until the question comes, or the dump must be over. */
static int64_t quit_at;
static void on_host_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  GrState *st = on_this_thread;
  bool asked = st != NULL && atomic_load(&st->g->report) != NULL;
  if (!asked && gr_now_ns() - quit_at < 2 * WAIT_MS * INT64_C(1000000)) return;
  lua_sethook(L, NULL, 0, 0);
  if (asked) gr_dump_answer(L, st);
}

static void in_handler(void) {
  GrState *st = on_this_thread;
  if (st == NULL || lua_gethook(st->L) != NULL) return;
  quit_at = gr_now_ns();
  lua_sethook(st->L, on_host_hook, LUA_MASKCOUNT, 100);
}

void gr_dump_on_quit(GrState *st) {
  on_this_thread = st;
  if (st != NULL) gr_sched_on_quit(in_handler, print_dump);
}

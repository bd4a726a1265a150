/* SPDX-License-Identifier: MIT */
/* host.c - hosts: Lua states of programs, as goroutines that keep their thread; what is posted to
 * them; their end.
 *
 * Each goroutine holds a reference to the host that it descends from, so a host outlives the Lua
 * state of its program. Once closed, it takes no posts. The first host to open begins the life of
 * the pool, the last one to close ends it.
 *
 * A host that closes while others are open ends its goroutines, as by goexit. Until all have
 * ended it goes through all Gs again and again: it wins the waits of its goroutines with
 * GR_CAUSE_SHUTDOWN, and asks those that run by the signal of pre-emption. csrc/run does the
 * rest, in the goroutine itself. So a goroutine that starts late is met, too.
 *
 * The list of hosts has a lock of rank LEAF, because the deadlock check reads the list under the
 * pool's lock. */
#include "sched/pool.h"

#include <stdio.h>
#include <unistd.h>

struct GrHost {
  atomic_int_fast64_t refs;
  G *g;
  GrLock lock; /* inbox, closed */
  bool closed;
  atomic_bool ends;           /* its goroutines are to end */
  _Atomic int64_t ends_until; /* what they do to end must be over by then */
  GrList posts;
  atomic_bool posted;
  int32_t tid; /* of its thread */
  void *data;
  atomic_bool held; /* exit.c keeps that thread for ever */
  atomic_bool deaf; /* a post does not end its wait */
  GrList link;      /* in the list of open hosts */
};

static GrLock lifecycle = GR_LOCK_INIT(GR_RANK_HOST); /* the pool's beginning and end */
static GrLock list_lock = GR_LOCK_INIT(GR_RANK_LEAF);
static GrList hosts = GR_LIST_INIT(hosts);

static size_t no_place(G *g, char *buf, size_t size) {
  (void)g;
  if (size > 0) *buf = '\0';
  return 0;
}
static const GOps host_ops = {.where = no_place};

static atomic_int
    foreign; /* handles by which the program's own threads may send, of this life of the pool */

static int open_first_locked(void) {
  if (!atomic_load(&gr_sched.stopping)) return GR_OK;
  atomic_store(&foreign, 0);
  return gr_pool_start();
}

/* ---- threads of the program's own ---- */

G *gr_foreign_open(void) {
  G *g = gr_g_alloc(NULL);
  if (g == NULL) return NULL;
  g->is_host = g->blocks = true;
  g->host = NULL;
  g->ops = &host_ops;
  g->host_spins = 0;
  atomic_store(&g->status, G_RUNNING);
  return g;
}

void gr_foreign_close(G *g) { gr_g_free(NULL, g); }

bool gr_foreign_enter(void) { return gr_pool_enter(NULL); }
void gr_foreign_leave(void) { gr_pool_leave(NULL); }
uint32_t gr_sched_life(void) { return atomic_load(&gr_sched.life); }

uint32_t gr_foreign_hold(void) {
  atomic_fetch_add(&foreign, 1);
  return gr_sched_life();
}

/* A handle of an earlier life is not counted any more. */
void gr_foreign_unhold(uint32_t life) {
  if (!gr_foreign_enter()) return;
  if (life == gr_sched_life() && atomic_fetch_sub(&foreign, 1) == 1) gr_check_dead(&gr_sched);
  gr_foreign_leave();
}

bool gr_foreign_held(void) { return atomic_load(&foreign) != 0; }

/* ---- hosts ---- */

static GR_TLS GrHost *volatile here; /* the newest host of this thread; signal handlers read it */

void *gr_host_data_here(void) { return here != NULL ? here->data : NULL; }

void gr_host_hold_here(void) {
  if (here != NULL) atomic_store(&here->held, true);
}

GrSits gr_host_interrupt_others(void) {
  GrSits most = GR_SITS_ELSEWHERE;
  gr_lock(&list_lock);
  gr_list_each(l, &hosts) {
    GrHost *h = gr_container_of(l, GrHost, link);
    if (h->tid == atomic_load(&gr_exit_owner) || atomic_load(&h->held) ||
        atomic_load(&h->g->status) != G_RUNNING)
      continue;
    GrSits sits = gr_exit_interrupt(h->tid);
    if (sits > most) most = sits;
  }
  gr_unlock(&list_lock);
  return most;
}

GrHost *gr_host_open(void *data) {
  GrHost *h = gr_zalloc(sizeof *h);
  G *g = gr_g_alloc(NULL);
  if (h == NULL || g == NULL) goto fail;
  gr_lock(&lifecycle);
  int r = open_first_locked();
  if (r == GR_OK) {
    atomic_init(&h->refs, 1);
    gr_lock_init(&h->lock, GR_RANK_INBOX);
    gr_list_init(&h->posts);
    h->g = g;
    h->tid = (int32_t)gettid();
    h->data = data;
    here = h;
    g->is_host = g->blocks = true;
    g->host = h;
    g->data = data;
    g->ops = &host_ops;
    g->host_spins = 4;
    atomic_store(&g->status, G_RUNNING);
    gr_lock(&list_lock);
    gr_list_push_back(&hosts, &h->link);
    gr_unlock(&list_lock);
  }
  gr_unlock(&lifecycle);
  if (r == GR_OK) return h;
fail:
  if (g != NULL) gr_g_free(NULL, g);
  gr_free(h);
  return NULL;
}

G *gr_host_g(GrHost *h) { return h->g; }

void gr_host_ref(GrHost *h) { atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed); }

/* The G goes with the last reference. A thread that posts holds a reference, so it cannot wake a
 * G that has become another's. */
void gr_host_unref(GrHost *h) {
  if (atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) != 1) return;
  gr_g_free(NULL, h->g);
  gr_free(h);
}

bool gr_host_post(GrHost *h, GrPost *post) {
  gr_lock(&h->lock);
  bool open = !h->closed;
  if (open) {
    gr_list_push_back(&h->posts, &post->link);
    atomic_store(&h->posted, true);
  }
  gr_unlock(&h->lock);
  if (open && !atomic_load(&h->deaf) && gr_wait_win(h->g, gr_wait_seq(h->g), GR_CAUSE_INBOX, NULL))
    gr_ready(h->g);
  return open;
}

/* Called before the look at `posted`: a post that finds the host deaf is seen there later. */
void gr_host_deafen(GrHost *h, bool deaf) {
  if (atomic_load_explicit(&h->deaf, memory_order_relaxed) != deaf) atomic_store(&h->deaf, deaf);
}

bool gr_host_hears_post(GrHost *h) { return !atomic_load(&h->deaf) && gr_host_has_post(h); }

bool gr_host_has_post(GrHost *h) { return atomic_load(&h->posted); }

GrPost *gr_host_take(GrHost *h) {
  if (!atomic_load(&h->posted)) return NULL;
  gr_lock(&h->lock);
  GrList *first = gr_list_pop_front(&h->posts);
  if (gr_list_empty(&h->posts)) atomic_store(&h->posted, false);
  gr_unlock(&h->lock);
  return first != NULL ? gr_container_of(first, GrPost, link) : NULL;
}

/* ---- its end ---- */

bool gr_host_ends(const GrHost *h) { return atomic_load(&h->ends); }

bool gr_g_must_end(G *g) {
  GrHost *h = g->host;
  return h != NULL && atomic_load(&h->ends) && !g->is_host &&
         (!atomic_load(&g->ends) || gr_now_ns() >= atomic_load(&h->ends_until));
}

bool gr_g_ends(G *g) { return atomic_exchange(&g->ends, true); }

typedef struct Round {
  const GrHost *host;
  bool late;              /* the time for what they do to end is over */
  int64_t ending, others; /* goroutines that have begun to end, and that have not */
  int64_t stuck;          /* how many of both sit in foreign C, in the kernel */
} Round;

/* The sequence number is read before the host: so a wait that is won here is a wait of a
 * goroutine of this host. */
static bool end_one(G *g, void *arg) {
  Round *r = arg;
  uint64_t seq = gr_wait_seq(g);
  uint32_t status = atomic_load(&g->status) & ~(uint32_t)G_SCAN;
  if (status == G_FREE || status == G_DEAD || g->is_host || g->host != r->host) return true;
  bool ends = atomic_load(&g->ends);
  if (ends) r->ending++;
  else r->others++;
  if ((status == G_WAITING || status == G_PARKING) && (!ends || r->late) &&
      gr_wait_win(g, seq, GR_CAUSE_SHUTDOWN, NULL))
    gr_ready(g);
  return true;
}

static Round end_round(const GrHost *h, bool late) {
  Round r = {.host = h, .late = late};
  gr_g_each(end_one, &r);
  for (M *m = atomic_load(&gr_sched.all_ms); m != NULL; m = m->all) {
    G *g = atomic_load(&m->cur);
    if (g == NULL || g->host != h || !atomic_load(&m->in_lua)) continue;
    gr_ask(m);
    uint32_t status = atomic_load(&g->status) & ~(uint32_t)G_SCAN;
    if ((status == G_RUNNING || status == G_BLOCKED) &&
        gr_thread_sits(atomic_load(&m->tid)) != GR_SITS_NOT)
      r.stuck++;
  }
  return r;
}

static void drop_timers(const GrHost *h) {
  gr_timers_drop_of(&gr_sched.timers, h);
  for (int32_t i = 0; i < atomic_load(&gr_sched.nps); i++)
    gr_timers_drop_of(&atomic_load(&gr_sched.ps[i])->timers, h);
}

static void end_goroutines(GrHost *h, int64_t grace_ns, int64_t budget_ns) {
  enum { PAUSE_NS = 250000, PAUSE_MAX_NS = 10000000 };
  int64_t now = gr_now_ns(), until = now + budget_ns, moved = now, pause = PAUSE_NS;
  atomic_store(&h->ends_until, until);
  atomic_store(&h->ends, true);
  drop_timers(h);
  for (;; pause = pause < PAUSE_MAX_NS ? pause * 2 : pause) {
    Round r = end_round(h, now >= until);
    int64_t all = r.others + r.ending;
    if (all > r.stuck) moved = now;
    bool wait = all > 0 && now < until + budget_ns && now - moved < grace_ns;
    if (!wait && all > 0 && !gr_over())
      fprintf(stderr,
              "goro: %lld goroutine%s of a closed Lua state did not end, and %s left behind\n",
              (long long)all, all > 1 ? "s" : "", all > 1 ? "are" : "is");
    if (!wait || gr_over()) return;
    GrNote never = {0};
    gr_note_sleep(&never, now + pause);
    now = gr_now_ns();
  }
}

static bool others_open(const GrHost *h) {
  gr_lock(&list_lock);
  bool others = hosts.next != &h->link || hosts.prev != &h->link;
  gr_unlock(&list_lock);
  return others;
}

/* Another host of the calling thread, or NULL. */
static GrHost *other_here_locked(void) {
  gr_list_each(l, &hosts) {
    GrHost *h = gr_container_of(l, GrHost, link);
    if (h->tid == (int32_t)gettid()) return h;
  }
  return NULL;
}

bool gr_host_close(GrHost *h, int64_t grace_ns, int64_t budget_ns, bool rest_too, bool *last) {
  if (others_open(h)) end_goroutines(h, grace_ns, budget_ns);
  gr_lock(&lifecycle);
  gr_lock(&list_lock);
  gr_list_remove(&h->link);
  if (here == h) here = other_here_locked();
  *last = gr_list_empty(&hosts);
  gr_unlock(&list_lock);
  if (*last) gr_pool_end(grace_ns, budget_ns, rest_too);
  gr_lock(&h->lock);
  h->closed = true;
  gr_unlock(&h->lock);
  gr_unlock(&lifecycle);
  bool unmet = gr_host_has_post(h);
  for (GrPost *post; (post = gr_host_take(h)) != NULL;) post->drop(post);
  gr_host_unref(h);
  return unmet;
}

G *gr_host_all_waiting(void) {
  G *longest = NULL;
  gr_lock(&list_lock);
  gr_list_each(l, &hosts) {
    G *g = gr_container_of(l, GrHost, link)->g;
    if (atomic_load(&g->status) != G_WAITING) {
      longest = NULL;
      break;
    }
    if (longest == NULL || g->since < longest->since) longest = g;
  }
  gr_unlock(&list_lock);
  return longest;
}

int64_t gr_host_count(void) {
  int64_t n = 0;
  gr_lock(&list_lock);
  gr_list_each(l, &hosts) n++;
  gr_unlock(&list_lock);
  return n;
}

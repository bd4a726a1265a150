/* SPDX-License-Identifier: MIT */
/* host.c - hosts: programs' own Lua states, as goroutines that keep their thread; and what is
 * posted to them.
 *
 * Each goroutine holds a reference to the host that it descends from, so a host outlives its
 * program's state: closed, it takes no more posts. The first host to open makes the pool, the last
 * to close ends it. The list of hosts has a leaf lock, because the deadlock check looks at it under
 * the pool's lock. */
#include "sched/pool.h"

struct GrHost {
  atomic_int_fast64_t refs;
  G *g;
  GrLock lock; /* inbox, closed */
  bool closed;
  GrPost *first, **last;
  atomic_bool posted;
  atomic_bool deaf; /* its wait is not ended by a post */
  GrList link;      /* in the list of open hosts */
};

static GrLock lifecycle = GR_LOCK_INIT(GR_RANK_HOST); /* pool's beginning and end */
static GrLock list_lock = GR_LOCK_INIT(GR_RANK_LEAF);
static GrList hosts = {&hosts, &hosts};

static size_t no_place(G *g, char *buf, size_t size) {
  (void)g;
  if (size > 0) *buf = '\0';
  return 0;
}
static const GOps host_ops = {.where = no_place};

static atomic_int
    foreign; /* handles by which threads of the program's own may send, of this life */

static int open_first_locked(void) {
  if (!atomic_load(&gr_sched.stopping)) return GR_OK;
  atomic_store(&foreign, 0);
  return gr_pool_start();
}

/* ---- threads that are none of ours ---- */

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

/* What another life has left is not counted any more. */
void gr_foreign_unhold(uint32_t life) {
  if (!gr_foreign_enter()) return;
  if (life == gr_sched_life() && atomic_fetch_sub(&foreign, 1) == 1) gr_check_dead(&gr_sched);
  gr_foreign_leave();
}

bool gr_foreign_held(void) { return atomic_load(&foreign) != 0; }

/* ---- hosts ---- */

GrHost *gr_host_open(void *data) {
  GrHost *h = gr_zalloc(sizeof *h);
  G *g = gr_g_alloc(NULL);
  if (h == NULL || g == NULL) goto fail;
  gr_lock(&lifecycle);
  int r = open_first_locked();
  if (r == GR_OK) {
    atomic_init(&h->refs, 1);
    gr_lock_init(&h->lock, GR_RANK_INBOX);
    h->last = &h->first;
    h->g = g;
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

/* The G goes with the last reference: who posts holds one, so it cannot wake a stranger. */
void gr_host_unref(GrHost *h) {
  if (atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) != 1) return;
  gr_g_free(NULL, h->g);
  gr_free(h);
}

bool gr_host_post(GrHost *h, GrPost *post) {
  gr_lock(&h->lock);
  bool open = !h->closed;
  if (open) {
    post->next = NULL;
    *h->last = post;
    h->last = &post->next;
    atomic_store(&h->posted, true);
  }
  gr_unlock(&h->lock);
  if (open && !atomic_load(&h->deaf) && gr_wait_win(h->g, gr_wait_seq(h->g), GR_CAUSE_INBOX, NULL))
    gr_ready(h->g);
  return open;
}

/* Before the look at `posted`: a post that finds it deaf is found there later. */
void gr_host_deafen(GrHost *h, bool deaf) {
  if (atomic_load_explicit(&h->deaf, memory_order_relaxed) != deaf) atomic_store(&h->deaf, deaf);
}

bool gr_host_hears_post(GrHost *h) { return !atomic_load(&h->deaf) && gr_host_has_post(h); }

bool gr_host_has_post(GrHost *h) { return atomic_load(&h->posted); }

GrPost *gr_host_take(GrHost *h) {
  if (!atomic_load(&h->posted)) return NULL;
  gr_lock(&h->lock);
  GrPost *post = h->first;
  if (post != NULL && (h->first = post->next) == NULL) {
    h->last = &h->first;
    atomic_store(&h->posted, false);
  }
  gr_unlock(&h->lock);
  return post;
}

bool gr_host_close(GrHost *h, int64_t grace_ns, int64_t budget_ns, bool rest_too) {
  gr_lock(&lifecycle);
  gr_lock(&list_lock);
  gr_list_remove(&h->link);
  bool last = gr_list_empty(&hosts);
  gr_unlock(&list_lock);
  if (last) gr_pool_end(grace_ns, budget_ns, rest_too);
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
  for (GrList *l = hosts.next; l != &hosts; l = l->next) {
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
  for (GrList *l = hosts.next; l != &hosts; l = l->next) n++;
  gr_unlock(&list_lock);
  return n;
}

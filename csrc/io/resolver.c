/* SPDX-License-Identifier: MIT */
/* resolver.c - getaddrinfo, which blocks its thread and cannot be interrupted.
 *
 * With a name server that does not answer, getaddrinfo takes 10 s and more. So helper threads call
 * it, 16 at most, and goroutines park. Three hundred look-ups hold sixteen threads; the others
 * queue. A time limit ends the goroutine's wait, while the helper goes on.
 *
 * A goroutine may ask for a name that is in the queue already. It then waits for the same answer.
 * So of a thousand dials of one slow host only a few questions reach the resolver. (Rejected:
 * joining a question that a helper is asking already, as Go's singleflight does. The answer could
 * be older than the question.) A question lives as long as a goroutine waits for it or a helper
 * asks it. A question for which nobody waits leaves the queue.
 *
 *     all: question -> question -> …           in the queue or at a helper
 *             |
 *           askers: look-up -> look-up         (g, seq) of each goroutine that is parked
 *
 * A goroutine that the end of the pool destroys while it waits leaves a sequence number that nobody
 * can win. After the end of the pool nobody is woken, for a helper may answer much later.
 *
 * The resolver has no word for "no descriptor is free". It cannot read its files then, asks nobody,
 * and says that there is no such host. So after a refusal this file looks whether descriptors are
 * free.
 *
 * The lock has GR_RANK_IO; under it waits are prepared and won. */
#include "io/resolver.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include "io/poll.h"
#include "sched/helpers.h"

typedef struct Question {
  GrJob job;
  GrList link;   /* in `all`, until it is answered */
  GrList askers; /* look-ups */
  int holders;   /* how many: the askers, and the helper or the queue */
  bool begun;    /* a helper is asking it */
  bool answered; /* code and found are set, and stay as they are */
  int code;      /* 0 or libuv's */
  struct addrinfo *found;
  int family;
  char host[];
} Question;

struct GrLookup {
  GrList link;
  Question *q;
  G *g;         /* waits, in the wait of this number: */
  uint64_t seq; /* 0: g does not wait */
};

static GrLock lock = GR_LOCK_INIT(GR_RANK_IO); /* all of the above */
static GrList all = {&all, &all};
static GrHelpers helpers = GR_HELPERS_INIT(helpers, "goro-resolver", 16);

/* ---- the system's resolver ---- */

static int uv_of_eai(int eai) {
  switch (eai) {
    case 0: return 0;
    case EAI_AGAIN: return UV_EAI_AGAIN;
    case EAI_BADFLAGS: return UV_EAI_BADFLAGS;
    case EAI_FAIL: return UV_EAI_FAIL;
    case EAI_FAMILY: return UV_EAI_FAMILY;
    case EAI_MEMORY: return UV_EAI_MEMORY;
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
    case EAI_NONAME: return UV_EAI_NONAME;
    case EAI_OVERFLOW: return UV_EAI_OVERFLOW;
    case EAI_SERVICE: return UV_EAI_SERVICE;
    case EAI_SOCKTYPE: return UV_EAI_SOCKTYPE;
    case EAI_SYSTEM: return errno != 0 ? -errno : UV_EAI_FAIL;
    default: return UV_EAI_FAIL;
  }
}

static bool is_shortage(int err) { return err == EMFILE || err == ENFILE; }

/* 0, or why this process cannot open as many descriptors as the resolver needs at once. */
static int shortage(void) {
  enum { WANTS = 3 };
  int fds[WANTS], n = 0, err = 0;
  while (n < WANTS && (fds[n] = eventfd(0, EFD_CLOEXEC)) >= 0) n++;
  if (n < WANTS) err = errno;
  while (n > 0) close(fds[--n]);
  return is_shortage(err) ? err : 0;
}

static int ask(const char *host, int family, struct addrinfo **found) {
  struct addrinfo hints = {
      .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
  errno = 0;
  int code = uv_of_eai(getaddrinfo(host, NULL, &hints, found)), err = errno;
  if (code == 0) return 0;
  *found = NULL;
  if (!is_shortage(err)) err = shortage();
  return err != 0 ? -err : code;
}

/* ---- questions ---- */

/* NULL, or the question, which the caller must free when it has given the lock back. */
static Question *unref_locked(Question *q) { return --q->holders == 0 ? q : NULL; }

static void free_question(Question *q) {
  if (q == NULL) return;
  if (q->found != NULL) freeaddrinfo(q->found);
  gr_free(q);
}

static void answer(GrJob *job) {
  Question *q = gr_container_of(job, Question, job);
  struct addrinfo *found = NULL;
  gr_lock(&lock);
  q->begun = true;
  gr_unlock(&lock);
  int code = ask(q->host, q->family, &found);
  gr_lock(&lock);
  q->code = code;
  q->found = found;
  q->answered = true;
  gr_list_remove(&q->link);
  for (GrList *at = q->askers.next; at != &q->askers; at = at->next) {
    GrLookup *l = gr_container_of(at, GrLookup, link);
    if (l->seq != 0 && gr_wait_win(l->g, l->seq, GR_CAUSE_SUDOG, NULL)) gr_ready(l->g);
  }
  q = unref_locked(q);
  gr_unlock(&lock);
  free_question(q);
}

static Question *find_queued_locked(const char *host, int family) {
  for (GrList *at = all.next; at != &all; at = at->next) {
    Question *q = gr_container_of(at, Question, link);
    if (!q->begun && q->family == family && strcmp(q->host, host) == 0) return q;
  }
  return NULL;
}

static Question *new_question(const char *host, int family) {
  size_t len = strlen(host) + 1;
  Question *q = gr_zalloc(sizeof *q + len);
  if (q == NULL) return NULL;
  memcpy(q->host, host, len);
  q->family = family;
  q->job.run = answer;
  q->askers = (GrList){&q->askers, &q->askers};
  return q;
}

/* ---- look-ups ---- */

GrLookup *gr_lookup_new(const char *host, int family) {
  GrLookup *l = gr_zalloc(sizeof *l);
  Question *fresh = new_question(host, family);
  if (l == NULL || fresh == NULL) {
    gr_free(l);
    gr_free(fresh);
    return NULL;
  }
  gr_lock(&lock);
  Question *q = find_queued_locked(host, family);
  if (q == NULL) {
    q = fresh;
    q->holders = 1;
    gr_list_push_back(&all, &q->link);
  }
  q->holders++;
  gr_list_push_back(&q->askers, &l->link);
  l->q = q;
  bool late = q == fresh && gr_helpers_do(&helpers, &q->job) != GR_OK;
  gr_unlock(&lock);
  if (q != fresh) gr_free(fresh);
  if (late) answer(&q->job); /* there is no helper thread: this thread asks */
  return l;
}

void gr_lookup_free(GrLookup *l) {
  if (l == NULL) return;
  Question *q = l->q;
  gr_lock(&lock);
  gr_list_remove(&l->link);
  bool last = gr_list_empty(&q->askers) && !q->answered;
  if (last && gr_helpers_take_back(&helpers, &q->job)) {
    gr_list_remove(&q->link);
    q->holders--;
  }
  q = unref_locked(q);
  gr_unlock(&lock);
  free_question(q);
  gr_free(l);
}

static const GrWaitType looking_up = {"host look-up", NULL};

int gr_lookup_step(GrLookup *l, G *g, int64_t until, bool blocks, const struct addrinfo **found) {
  Question *q = l->q;
  gr_lock(&lock);
  int r = q->answered ? GR_OK : gr_poll_begin(g, &looking_up, until, blocks);
  if (r == GR_OK && !q->answered) {
    l->g = g;
    l->seq = gr_wait_seq(g);
    r = GR_PARK;
  }
  gr_unlock(&lock);
  if (r != GR_OK) return r;
  *found = q->found;
  return gr_sys_result(q->code);
}

int gr_lookup_awake(GrLookup *l, G *g, GrCause *cause) {
  int r = gr_poll_finish(g, cause);
  gr_lock(&lock);
  l->seq = 0;
  gr_unlock(&lock);
  return r;
}

void gr_lookup_end(void) {
  gr_lock(&lock);
  for (GrList *at = all.next; at != &all; at = at->next) {
    Question *q = gr_container_of(at, Question, link);
    for (GrList *i = q->askers.next; i != &q->askers; i = i->next)
      gr_container_of(i, GrLookup, link)->seq = 0;
  }
  gr_unlock(&lock);
}

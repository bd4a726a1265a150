/* SPDX-License-Identifier: MIT */
/* resolver.c - getaddrinfo, which knows no limit of time.
 *
 * It is called in a blocking region (Go's entersyscall): the thread is blocked, its place goes on
 * to others. libuv would do the same on its pool of four threads, where four slow names hold up
 * everybody.
 *
 * It cannot be interrupted, and with a name server that does not answer it takes 10 s and more. So
 * where there is a limit a thread of its own makes the call, and who asked waits for it so long;
 * then the answer is nobody's, and who comes last, asker or thread, frees the question. Such
 * threads end when the resolver gives up. Without a limit there is none: it would cost 20 us a name
 * and tell nothing sooner. */
#include "io/resolver.h"

#include <errno.h>
#include <string.h>
#include <uv.h>

typedef struct Question {
  atomic_int holders; /* asker and thread */
  GrNote answered;
  int family;
  int code; /* this and found: of the thread until it is answered */
  struct addrinfo *found;
  char host[];
} Question;

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
    case EAI_SYSTEM: return -errno;
    default: return UV_EAI_FAIL;
  }
}

static int ask(const char *host, int family, struct addrinfo **found) {
  struct addrinfo hints = {
      .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
  return uv_of_eai(getaddrinfo(host, NULL, &hints, found));
}

static void put(Question *q) {
  if (atomic_fetch_sub(&q->holders, 1) > 1) return;
  if (q->found != NULL) freeaddrinfo(q->found);
  gr_free(q);
}

static void *answer(void *arg) {
  Question *q = arg;
  q->code = ask(q->host, q->family, &q->found);
  gr_note_wake(&q->answered);
  put(q);
  return NULL;
}

static int ask_until(const char *host, int family, int64_t until, struct addrinfo **found) {
  size_t len = strlen(host) + 1;
  Question *q = gr_zalloc(sizeof *q + len);
  if (q == NULL) return UV_ENOMEM;
  memcpy(q->host, host, len);
  q->family = family;
  atomic_init(&q->holders, 2);
  if (gr_thread_start(answer, q) != 0) {
    gr_free(q);
    return ask(host, family, found); /* late rather than never */
  }
  int code = UV_ETIMEDOUT;
  if (gr_note_sleep(&q->answered, until)) {
    code = q->code;
    *found = q->found;
    q->found = NULL;
  }
  put(q);
  return code;
}

int gr_resolve(const char *host, int family, G *g, int64_t until, struct addrinfo **found) {
  *found = NULL;
  if (until != GR_FOREVER && gr_now_ns() >= until) return UV_ETIMEDOUT;
  bool region = !g->is_host && atomic_load(&g->status) == G_RUNNING;
  if (region) gr_block_begin(g);
  int code = until == GR_FOREVER ? ask(host, family, found) : ask_until(host, family, until, found);
  if (region) gr_block_end(g);
  return code;
}

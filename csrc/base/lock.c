/* SPDX-License-Identifier: MIT */
/* lock.c - a mutex and a note, made of futexes. The order of locks is in lock.h. */
#include "base/lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
  SPIN = 60
}; /* about 2 us: longer than any section under a lock of goro's, shorter than a call of futex */

static void futex_wake_one(_Atomic uint32_t *word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* `until` is absolute CLOCK_MONOTONIC, or GR_FOREVER. May return early. */
static void futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t until) {
  struct timespec t = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
  syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, until == GR_FOREVER ? NULL : &t, NULL,
          FUTEX_BITSET_MATCH_ANY);
}

#ifdef GORO_TESTING
static GR_TLS uint32_t held[GR_RANK_LEAF + 1]; /* locks held, by rank */
static void rank_enter(const GrLock *l) {
  for (uint32_t r = l->rank; r <= GR_RANK_LEAF; r++)
    if (held[r] != 0 && !(r == l->rank && r == GR_RANK_CHAN))
      gr_throw("lock of rank %u taken under one of rank %u", l->rank, r);
  held[l->rank]++;
}
static void rank_leave(const GrLock *l) {
  if (held[l->rank]-- == 0)
    gr_throw("lock of rank %u released by a thread that does not hold it", l->rank);
}
#else
#define rank_enter(l) ((void)(l))
#define rank_leave(l) ((void)(l))
#endif

void gr_lock_init(GrLock *l, GrRank rank) {
  atomic_init(&l->word, 0);
  l->rank = rank;
}

static bool try_take(GrLock *l) {
  uint32_t free_word = 0;
  return atomic_compare_exchange_strong_explicit(&l->word, &free_word, 1, memory_order_acquire,
                                                 memory_order_relaxed);
}

void gr_lock(GrLock *l) {
  rank_enter(l);
  if (gr_likely(try_take(l))) return;
  for (int i = 0; i < SPIN; i++) {
    gr_relax();
    if (atomic_load_explicit(&l->word, memory_order_relaxed) == 0 && try_take(l)) return;
  }
  while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire) != 0)
    futex_wait(&l->word, 2, GR_FOREVER);
}

void gr_unlock(GrLock *l) {
  rank_leave(l);
  if (gr_unlikely(atomic_exchange_explicit(&l->word, 0, memory_order_release) == 2))
    futex_wake_one(&l->word);
}

void gr_note_clear(GrNote *n) { atomic_store_explicit(&n->word, 0, memory_order_relaxed); }

void gr_note_wake(GrNote *n) {
  if (atomic_exchange(&n->word, 1) == 2) futex_wake_one(&n->word);
}

bool gr_note_sleep(GrNote *n, int64_t until) {
  uint32_t clear = 0;
  if (!atomic_compare_exchange_strong(&n->word, &clear, 2)) return true;
  while (atomic_load(&n->word) == 2) {
    if (until != GR_FOREVER && gr_now_ns() >= until) {
      uint32_t sleeping = 2;
      return !atomic_compare_exchange_strong(&n->word, &sleeping, 0);
    }
    futex_wait(&n->word, 2, until);
  }
  return true;
}

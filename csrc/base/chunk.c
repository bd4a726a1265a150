/* SPDX-License-Identifier: MIT */
/* chunk.c - caches of chunks, one for each thread: see chunk.h.
 *
 * A cache has a list for each class of size, last in, first out. So the start and the end of a
 * goroutine cost a pop and a push. A thread gets several chunks at a time from the regions, and
 * gives several back. Chunks that are not yet in memory are filled in by the kernel a BATCH at a
 * time.
 *
 * The cache itself comes from malloc, since a library that is loaded late has little thread-local
 * memory.
 *
 * Sysmon takes back what is in a cache that its thread has not used for 0.1 s, since hundreds of
 * threads may sit in foreign code for hours. A thread must not pay for that at each chunk, so it
 * takes no lock:
 *     the thread:  turn becomes odd (a plain store);   then look at `closed`
 *     sysmon:      closed = true;    membarrier;       then look at `turn`
 * The membarrier makes all threads of the process pass a barrier. Before it, the store of a
 * thread is done; after it, the load of a thread is still to come. So at least one of the two
 * sees the other's store. Where the system has no membarrier, sysmon takes nothing. */
#include "base/chunk.h"

#include <linux/membarrier.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/big.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/region.h"

enum { CACHE_BYTES = 1 << 20, BATCH_BYTES = 128 << 10, BATCH = 64, FEW = 4 };

typedef struct Free {
  struct Free *next;
} Free;

typedef struct Cache {
  GrList link;           /* in `caches` */
  atomic_bool closed;    /* sysmon wants to empty it */
  _Atomic uint32_t turn; /* odd: its thread is busy with it. The thread writes */
  uint32_t seen;         /* the turn at sysmon's last look. Sysmon's, as is the next: */
  bool taken_from;
  _Atomic size_t bytes;
  struct {
    Free *first;
    uint32_t n;
  } lists[GR_REGION_CLASSES];
} Cache;

static GR_TLS Cache *cache;
static GrLock caches_lock = GR_LOCK_INIT(GR_RANK_LEAF);
static GrList caches = GR_LIST_INIT(caches);

static inline uint32_t turn(const Cache *k, memory_order order) {
  return atomic_load_explicit(&k->turn, order);
}

/* The caller, whose cache k is, has it to itself between enter and leave. */
static inline void enter(Cache *k) {
  for (;;) {
    atomic_store_explicit(&k->turn, turn(k, memory_order_relaxed) + 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (gr_likely(!atomic_load_explicit(&k->closed, memory_order_acquire))) return;
    atomic_store_explicit(&k->turn, turn(k, memory_order_relaxed) + 1, memory_order_release);
    while (atomic_load_explicit(&k->closed, memory_order_acquire)) sched_yield();
  }
}

static inline void leave(Cache *k) {
  atomic_store_explicit(&k->turn, turn(k, memory_order_relaxed) + 1, memory_order_release);
}

static inline void grow(Cache *k, size_t by) {
  size_t bytes = atomic_load_explicit(&k->bytes, memory_order_relaxed);
  atomic_store_explicit(&k->bytes, bytes + by, memory_order_relaxed);
}

static void push(Cache *k, uint32_t c, void *chunk, size_t size) {
  Free *f = chunk;
  f->next = k->lists[c].first;
  k->lists[c].first = f;
  k->lists[c].n++;
  grow(k, size);
}

static void *pop(Cache *k, uint32_t c, size_t size) {
  Free *f = k->lists[c].first;
  k->lists[c].first = f->next;
  k->lists[c].n--;
  grow(k, 0 - size);
  return f;
}

static void thread_ends(void *ours) {
  (void)ours;
  gr_chunk_flush();
}

static pthread_key_t key;
static void make_key(void) { pthread_key_create(&key, thread_ends); }

/* NULL: there is no memory for a cache; then chunks come and go one by one. */
static Cache *my_cache(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  if (gr_likely(cache != NULL)) return cache;
  pthread_once(&once, make_key);
  cache = calloc(1, sizeof *cache);
  pthread_setspecific(key, cache);
  if (cache == NULL) return NULL;
  gr_lock(&caches_lock);
  gr_list_push_back(&caches, &cache->link);
  gr_unlock(&caches_lock);
  return cache;
}

/* Gets one chunk for the caller, and more for the cache. */
static void *refill(uint32_t c, size_t size) {
  Cache *k = my_cache();
  void *chunks[BATCH];
  uint32_t n = (uint32_t)(BATCH_BYTES / size);
  n = gr_region_take(c, k == NULL || n < 1 ? 1 : n > BATCH ? BATCH : n, chunks);
  if (n <= 1) return n > 0 ? chunks[0] : NULL;
  enter(k);
  for (uint32_t i = n; i > 1; i--) push(k, c, chunks[i - 1], size);
  leave(k);
  return chunks[0];
}

static void empty(Cache *k) {
  for (uint32_t c = 1; c < GR_REGION_CLASSES; c++) {
    gr_region_give(k->lists[c].first);
    k->lists[c].first = NULL;
    k->lists[c].n = 0;
  }
  atomic_store_explicit(&k->bytes, 0, memory_order_relaxed);
}

/* The half that was used last stays. When there are few chunks of this class, the chunks that
 * fill the cache are of other classes and not in use now: then the cache is emptied. */
static void make_room(Cache *k, uint32_t c, size_t size) {
  uint32_t n = k->lists[c].n;
  if (n < FEW) {
    empty(k);
    return;
  }
  Free *last = k->lists[c].first;
  for (uint32_t i = 1; i < n / 2; i++) last = last->next;
  gr_region_give(last->next);
  last->next = NULL;
  k->lists[c].n = n / 2;
  grow(k, 0 - (n - n / 2) * size);
}

void *gr_chunk_get(size_t size) {
  uint32_t c = GR_CHUNK_SYSTEM ? 0 : gr_region_class(size);
  size = gr_region_round(size);
  void *chunk = NULL;
  Cache *k = cache;
  if (gr_likely(k != NULL)) {
    enter(k);
    if (k->lists[c].first != NULL) chunk = pop(k, c, size);
    leave(k);
  }
  if (gr_unlikely(chunk == NULL)) {
    chunk = gr_mem_must_fail() ? NULL : c == 0 ? malloc(size) : refill(c, size);
    if (chunk == NULL) return NULL;
  }
  gr_mem_count(1);
  return chunk;
}

void gr_chunk_put(void *chunk, size_t size) {
  uint32_t c = GR_CHUNK_SYSTEM ? 0 : gr_region_class(size);
  size = gr_region_round(size);
  gr_mem_count(-1);
  if (c == 0) {
    free(chunk);
    return;
  }
  Cache *k = my_cache();
  if (gr_unlikely(k == NULL)) {
    *(void **)chunk = NULL;
    gr_region_give(chunk);
    return;
  }
  enter(k);
  if (gr_unlikely(atomic_load_explicit(&k->bytes, memory_order_relaxed) + size > CACHE_BYTES))
    make_room(k, c, size);
  push(k, c, chunk, size);
  leave(k);
}

void gr_chunk_flush(void) {
  if (cache == NULL) return;
  gr_lock(&caches_lock);
  gr_list_remove(&cache->link);
  gr_unlock(&caches_lock);
  empty(cache);
  free(cache);
  cache = NULL;
}

int64_t gr_chunk_bytes(void) { return gr_region_bytes() - gr_big_bytes(); }

/* ---- caches of threads that do not use them ---- */

static bool barrier(void) {
  static int registered; /* 1: it is; -1: there is none */
  if (registered == 0)
    registered =
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 ? 1 : -1;
  return registered > 0 && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

/* Takes all chunks of k and links them before *all. */
static void take_all(Cache *k, Free **all) {
  for (uint32_t c = 1; c < GR_REGION_CLASSES; c++) {
    Free *last = k->lists[c].first;
    if (last == NULL) continue;
    while (last->next != NULL) last = last->next;
    last->next = *all;
    *all = k->lists[c].first;
    k->lists[c].first = NULL;
    k->lists[c].n = 0;
  }
  atomic_store_explicit(&k->bytes, 0, memory_order_relaxed);
}

/* Closes the caches that were not used since the last look. True: there are any. *used: there are
 * others that were. */
static bool close_unused_locked(bool *used) {
  bool any = false;
  gr_list_each(l, &caches) {
    Cache *k = gr_container_of(l, Cache, link);
    uint32_t now = turn(k, memory_order_relaxed);
    bool full = atomic_load_explicit(&k->bytes, memory_order_relaxed) > 0;
    k->taken_from = full && now == k->seen;
    if (full && !k->taken_from) *used = true;
    if (k->taken_from) atomic_store(&k->closed, any = true);
    k->seen = now;
  }
  return any;
}

static Free *take_closed_locked(void) {
  Free *all = NULL;
  bool passed = barrier();
  gr_list_each(l, &caches) {
    Cache *k = gr_container_of(l, Cache, link);
    if (!k->taken_from) continue;
    if (passed && turn(k, memory_order_acquire) == k->seen && k->seen % 2 == 0) take_all(k, &all);
    atomic_store_explicit(&k->closed, false, memory_order_release);
  }
  return all;
}

/* Returns when to look again, or GR_FOREVER. */
static int64_t take_unused(int64_t now) {
  enum { EVERY_NS = 100000000 };
  static int64_t look_at;
  if (now < look_at) return look_at;
  Free *all = NULL;
  bool used = false;
  gr_lock(&caches_lock);
  if (close_unused_locked(&used)) all = take_closed_locked();
  gr_unlock(&caches_lock);
  gr_region_give(all);
  look_at = now + EVERY_NS;
  return used ? look_at : GR_FOREVER;
}

/* By itself malloc gives back only what lies at the end of its heap. */
bool gr_chunk_settle(int64_t now, int64_t *again) {
  int64_t big_again = gr_big_settle(now), caches_again = take_unused(now);
  bool over = gr_region_settle(now, again);
  if (big_again < *again) *again = big_again;
  if (caches_again < *again) *again = caches_again;
  if (!over) return false;
  malloc_trim(0);
  return true;
}

void gr_chunk_clear(void *chunk, size_t size) {
  if (!GR_CHUNK_SYSTEM && gr_region_class(size) != 0) gr_region_clear(chunk, size);
}

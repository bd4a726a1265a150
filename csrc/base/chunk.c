/* SPDX-License-Identifier: MIT */
/* chunk.c - caches of chunks, one for each thread; see chunk.h.
 *
 * A cache is a list for each class of size, last in first out; threads get from the regions, and
 * give back, several chunks at a time. So a goroutine that starts and ends costs a pop and a push.
 * One whose memory is not there yet takes its share of a BATCH that the kernel fills in at once.
 *
 * The cache itself is malloc's: thread-local memory of a library that is loaded late is scarce. */
#include "base/chunk.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/big.h"
#include "base/region.h"

enum { CACHE_BYTES = 1 << 20, BATCH_BYTES = 128 << 10, BATCH = 64, FEW = 4 };

typedef struct Free {
  struct Free *next;
} Free;

typedef struct Cache {
  size_t bytes;
  struct {
    Free *first;
    uint32_t n;
  } lists[GR_REGION_CLASSES];
} Cache;

static GR_TLS Cache *cache;

static void push(Cache *k, uint32_t c, void *chunk, size_t size) {
  Free *f = chunk;
  f->next = k->lists[c].first;
  k->lists[c].first = f;
  k->lists[c].n++;
  k->bytes += size;
}

static void *pop(Cache *k, uint32_t c, size_t size) {
  Free *f = k->lists[c].first;
  k->lists[c].first = f->next;
  k->lists[c].n--;
  k->bytes -= size;
  return f;
}

static void thread_ends(void *ours) {
  (void)ours;
  gr_chunk_flush();
}

static pthread_key_t key;
static void make_key(void) { pthread_key_create(&key, thread_ends); }

/* NULL without memory: then chunks come and go one by one. */
static Cache *my_cache(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  if (gr_likely(cache != NULL)) return cache;
  pthread_once(&once, make_key);
  cache = calloc(1, sizeof *cache);
  pthread_setspecific(key, cache);
  return cache;
}

/* One for the caller, more for the cache. */
static void *refill(uint32_t c, size_t size) {
  Cache *k = my_cache();
  void *chunks[BATCH];
  uint32_t n = (uint32_t)(BATCH_BYTES / size);
  n = gr_region_take(c, k == NULL || n < 1 ? 1 : n > BATCH ? BATCH : n, chunks);
  for (uint32_t i = n; i > 1; i--) push(k, c, chunks[i - 1], size);
  return n > 0 ? chunks[0] : NULL;
}

static void empty(Cache *k) {
  for (uint32_t c = 1; c < GR_REGION_CLASSES; c++) {
    gr_region_give(k->lists[c].first);
    k->lists[c].first = NULL;
    k->lists[c].n = 0;
  }
  k->bytes = 0;
}

/* The hotter half stays; with few chunks of this class, others fill the cache that are not in use
 * now. */
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
  k->bytes -= (n - n / 2) * size;
}

void *gr_chunk_get(size_t size) {
  uint32_t c = GR_CHUNK_SYSTEM ? 0 : gr_region_class(size);
  size = gr_region_round(size);
  void *chunk;
  if (gr_likely(cache != NULL && cache->lists[c].first != NULL)) {
    chunk = pop(cache, c, size);
  } else {
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
  if (gr_unlikely(k->bytes + size > CACHE_BYTES)) make_room(k, c, size);
  push(k, c, chunk, size);
}

void gr_chunk_flush(void) {
  if (cache == NULL) return;
  empty(cache);
  free(cache);
  cache = NULL;
}

int64_t gr_chunk_bytes(void) { return gr_region_bytes() - gr_big_bytes(); }

/* malloc gives back by itself only what is at the end of its heap. */
bool gr_chunk_settle(int64_t now, int64_t *again) {
  int64_t big_again = gr_big_settle(now);
  bool over = gr_region_settle(now, again);
  if (big_again < *again) *again = big_again;
  if (!over) return false;
  malloc_trim(0);
  return true;
}

void gr_chunk_clear(void *chunk, size_t size) {
  if (!GR_CHUNK_SYSTEM && gr_region_class(size) != 0) gr_region_clear(chunk, size);
}

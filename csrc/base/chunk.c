/* SPDX-License-Identifier: MIT */
/* chunk.c - caches of blocks, one for each thread; see chunk.h.
 *
 * Few sizes are in use (the images' and a doubling series), so a cache is a short table from size to a list, last in first out. When much less
 * memory is out than was at some time (after a burst of goroutines), malloc is told to give pages back: it does so by itself only at the
 * end of its heap. */
#include "base/chunk.h"

#include <malloc.h>
#include <stdlib.h>

enum { SIZES = 12, CACHE_BYTES = 1 << 20, TRIM_BYTES = 64 << 20, SETTLE_BYTES = 1 << 18 };

typedef struct Free {
  struct Free *next;
} Free;

typedef struct List {
  size_t size;
  Free *first;
} List;

static GR_TLS struct {
  List lists[SIZES];
  size_t bytes;
  int64_t out; /* not yet added to `total` */
} cache;

static atomic_int_fast64_t total, peak; /* bytes out; the most since the last trim */

static void trim(int64_t now) {
  int64_t most = atomic_load(&peak);
  if (now > most) {
    atomic_store(&peak, now);
  } else if (most - now > TRIM_BYTES && now < most / 4 && atomic_compare_exchange_strong(&peak, &most, now)) {
    malloc_trim(0);
  }
}

/* Counted in big steps, so that threads do not meet at the counter. */
static void count(int64_t bytes) {
  cache.out += bytes;
  if (cache.out < SETTLE_BYTES && cache.out > -SETTLE_BYTES) return;
  int64_t now = atomic_fetch_add(&total, cache.out) + cache.out;
  cache.out = 0;
  trim(now);
}

static List *list_of(size_t size) {
  for (List *l = cache.lists; l < cache.lists + SIZES; l++) {
    if (l->size == size) return l;
    if (l->size == 0) {
      l->size = size;
      return l;
    }
  }
  return NULL;
}

void *gr_chunk_get(size_t size) {
  List *l = list_of(size);
  void *chunk;
  if (l != NULL && l->first != NULL) {
    chunk = l->first;
    l->first = l->first->next;
    cache.bytes -= size;
  } else if (gr_mem_must_fail() || (chunk = malloc(size)) == NULL) {
    return NULL;
  }
  gr_mem_count(1);
  count((int64_t)size);
  return chunk;
}

void gr_chunk_put(void *chunk, size_t size) {
  List *l = list_of(size);
  if (l == NULL || cache.bytes + size > CACHE_BYTES) {
    free(chunk);
  } else {
    Free *f = chunk;
    f->next = l->first;
    l->first = f;
    cache.bytes += size;
  }
  gr_mem_count(-1);
  count(-(int64_t)size);
}

void gr_chunk_flush(void) {
  for (List *l = cache.lists; l < cache.lists + SIZES; l++)
    for (Free *f; (f = l->first) != NULL; free(f)) l->first = f->next;
  cache.bytes = 0;
  atomic_fetch_add(&total, cache.out);
  cache.out = 0;
}

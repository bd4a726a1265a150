/* SPDX-License-Identifier: MIT */
/* arena.c - size classes, bump allocation, big blocks; see arena.h.
 *
 * The last block before `bump` grows and shrinks in place. That helps strings in the making,
 * stacks, and the tables of a goroutine that does one thing. When a chunk is full, what is left of
 * it is cut into free blocks. Measured against glibc's malloc: strings are 1.5 times as fast,
 * tables and closures 1.1 times. After tarantool's small, and the many others that have size
 * classes. */
#include "heap/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/big.h"
#include "heap/foreign.h"

enum { VAIN_MOST = 10, PAUSE = 1024 };
enum { SMALL = 256, MOST = 8192, ALIGN = 8, CHUNK_MIN = 1024, CHUNK_MAX = 65536, FIRST = 4096 };

struct GrSlab {
  GrSlab *next;
  uint32_t size;
  uint32_t free; /* bytes in its free blocks; known while the arena is trimmed */
};

struct GrBig {
  GrBig *prev, *next;
  size_t size;     /* of all of it */
  bool circulates; /* it is gr_big_get's */
};
_Static_assert(sizeof(GrBig) % ALIGN == 0, "the block after it is aligned");

/* ---- size classes ---- */

static inline uint32_t class_of(size_t size) {
  if (gr_likely(size <= SMALL)) return (uint32_t)((size + (ALIGN - 1)) / ALIGN) - 1;
  uint32_t power = 63 - (uint32_t)__builtin_clzll(
                            (unsigned long long)(size - 1)); /* 2^power < size <= 2^(power + 1) */
  return SMALL / ALIGN + (power - 8) * 4 + (uint32_t)((size - 1) >> (power - 2) & 3);
}

static inline size_t class_size(uint32_t c) {
  if (gr_likely(c < SMALL / ALIGN)) return ((size_t)c + 1) * ALIGN;
  uint32_t power = 8 + (c - SMALL / ALIGN) / 4;
  return ((size_t)1 << power) +
         ((size_t)((c - SMALL / ALIGN) % 4) + 1) * ((size_t)1 << (power - 2));
}

/* ---- chunks ---- */

static void push_free(GrArena *a, char *block, uint32_t c) {
  *(void **)(void *)block = a->free[c];
  a->free[c] = block;
}

/* The rest of a chunk, as blocks of the biggest classes that fit. */
static void give_rest(GrArena *a) {
  while (a->end - a->bump >= ALIGN) {
    size_t left = (size_t)(a->end - a->bump);
    uint32_t c = left >= MOST ? GR_ARENA_CLASSES - 1 : class_of(left);
    if (class_size(c) > left) c--;
    push_free(a, a->bump, c);
    a->bump += class_size(c);
  }
}

static bool grow(GrArena *a, size_t need) {
  if (a->sealed) return false;
  size_t size = a->next;
  while (size < need + sizeof(GrSlab) + ALIGN) size *= 2;
  GrSlab *s = gr_chunk_get(size);
  a->failed = s == NULL;
  if (s == NULL) return false;
  give_rest(a);
  s->next = a->slabs;
  s->size = (uint32_t)size;
  a->slabs = s;
  a->more += size;
  a->bump = (char *)s + sizeof *s;
  a->end = (char *)s + size;
  if (a->next < CHUNK_MAX) a->next *= 2;
  return true;
}

/* ---- blocks ---- */

static void *get_big(GrArena *a, size_t size) {
  if (size > SIZE_MAX - sizeof(GrBig)) return NULL;
  bool circulates = a->circulate;
  a->circulate = false;
  GrBig *b = circulates ? gr_big_get(sizeof *b + size) : gr_malloc(sizeof *b + size);
  a->failed = b == NULL;
  if (b == NULL) return NULL;
  b->circulates = circulates;
  b->prev = NULL;
  b->next = a->bigs;
  if (b->next != NULL) b->next->prev = b;
  a->bigs = b;
  a->more += b->size = sizeof *b + size;
  return b + 1;
}

static void free_big(GrBig *b) {
  if (b->circulates) gr_big_put(b, b->size);
  else gr_free(b);
}

static void put_big(GrArena *a, void *ptr) {
  GrBig *b = (GrBig *)ptr - 1;
  if (b->prev != NULL) b->prev->next = b->next;
  else a->bigs = b->next;
  if (b->next != NULL) b->next->prev = b->prev;
  a->more -= b->size;
  free_big(b);
}

static void *resize_big(GrArena *a, void *ptr, size_t size) {
  if (size > SIZE_MAX - sizeof(GrBig)) return NULL;
  GrBig *b = gr_realloc((GrBig *)ptr - 1, sizeof *b + size);
  a->failed = b == NULL;
  if (b == NULL) return NULL;
  if (b->prev != NULL) b->prev->next = b;
  else a->bigs = b;
  if (b->next != NULL) b->next->prev = b;
  a->more += sizeof *b + size - b->size;
  b->size = sizeof *b + size;
  return b + 1;
}

static inline bool is_big(size_t size) { return GR_ARENA_SYSTEM || size > MOST; }

/* In a template no byte is left over from what was there before (image.h). */
static void *get(GrArena *a, size_t size) {
  if (gr_unlikely(is_big(size) && !a->sealed)) return get_big(a, size);
  if (gr_unlikely(size > MOST || gr_mem_must_fail())) {
    a->failed = true;
    return NULL;
  }
  uint32_t c = class_of(size);
  void *block = a->free[c];
  if (block != NULL) {
    a->free[c] = *(void **)block;
    if (gr_unlikely(a->sealed)) memset(block, 0, class_size(c));
    return block;
  }
  size_t bytes = class_size(c);
  if (gr_unlikely((size_t)(a->end - a->bump) < bytes) && !grow(a, bytes)) return NULL;
  block = a->bump;
  a->bump += bytes;
  if (gr_unlikely(a->sealed)) memset(block, 0, bytes);
  return block;
}

static void put(GrArena *a, void *ptr, size_t size) {
  if (gr_unlikely(is_big(size))) {
    put_big(a, ptr);
    return;
  }
  if (gr_unlikely(a->sealed)) memset(ptr, 0, class_size(class_of(size)));
  push_free(a, ptr, class_of(size));
}

/* Within one class, at the end of the newest chunk, or by a copy. Lua takes it for granted that a
 * block can be made smaller: without memory for a smaller copy, the block stays where it is. (A big
 * one then counts as small; it is freed with the arena.) */
static void *resize(GrArena *a, void *ptr, size_t osize, size_t nsize) {
  if (is_big(osize) && is_big(nsize)) {
    void *p = resize_big(a, ptr, nsize);
    return p == NULL && nsize <= osize ? ptr : p;
  }
  if (!is_big(osize) && !is_big(nsize)) {
    uint32_t oc = class_of(osize), nc = class_of(nsize);
    if (oc == nc) return ptr;
    char *start = ptr;
    if (start + class_size(oc) == a->bump && class_size(nc) <= (size_t)(a->end - start)) {
      if (nc > oc && gr_mem_must_fail()) {
        a->failed = true;
        return NULL;
      }
      a->bump = start + class_size(nc);
      if (gr_unlikely(a->sealed && nc > oc))
        memset(start + class_size(oc), 0, class_size(nc) - class_size(oc));
      return ptr;
    }
  }
  void *p = get(a, nsize);
  if (p == NULL) return nsize <= osize ? ptr : NULL;
  memcpy(p, ptr, osize < nsize ? osize : nsize);
  put(a, ptr, osize);
  return p;
}

void *gr_arena_alloc(void *ud, void *ptr, size_t osize, size_t nsize) {
  GrArena *a = ud;
  if (ptr == NULL) {
    if (gr_unlikely(osize == LUA_TUSERDATA) && a->owner != NULL) gr_foreign_userdata(a->owner);
    return nsize > 0 ? get(a, nsize) : NULL;
  }
  if (nsize == 0) {
    put(a, ptr, osize);
    return NULL;
  }
  return resize(a, ptr, osize, nsize);
}

/* ---- giving back ----
 *
 * What is free in which chunk is not counted as blocks come and go: that would be a search for the
 * chunk each time. It is counted when much must be free; when little came of that, since a few
 * blocks live on in each chunk, the next count waits for PAUSE turns of the goroutine, and each
 * time for twice as many. */

typedef struct Slabs {
  GrSlab **at; /* by their addresses */
  size_t n;
  GrSlab *last; /* found; neighbours in a free list are often neighbours in memory */
} Slabs;

static int by_address(const void *x, const void *y) {
  uintptr_t a = (uintptr_t) * (GrSlab *const *)x, b = (uintptr_t) * (GrSlab *const *)y;
  return a < b ? -1 : a > b;
}

static bool in_slab(const GrSlab *s, const char *block) {
  return (uintptr_t)block - (uintptr_t)s < s->size;
}

/* All but the newest, whose rest is in no free list. */
static bool sort_slabs(const GrArena *a, Slabs *all) {
  size_t n = 0;
  for (const GrSlab *s = a->slabs->next; s != NULL; s = s->next) n++;
  if (n == 0 || (all->at = gr_malloc(n * sizeof(GrSlab *))) == NULL) return false;
  for (GrSlab *s = a->slabs->next; s != NULL; s = s->next) {
    s->free = 0;
    all->at[all->n++] = s;
  }
  qsort(all->at, n, sizeof(GrSlab *), by_address);
  all->last = all->at[0];
  return true;
}

/* NULL: it is in the first chunk, in the newest, or in a big block that could not be made smaller.
 */
static GrSlab *slab_of(Slabs *all, const char *block) {
  if (in_slab(all->last, block)) return all->last;
  size_t low = 0, high = all->n;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if ((uintptr_t)all->at[middle] <= (uintptr_t)block) low = middle;
    else high = middle;
  }
  if (!in_slab(all->at[low], block)) return NULL;
  return all->last = all->at[low];
}

static void count_free(const GrArena *a, Slabs *all) {
  for (uint32_t c = 0; c < GR_ARENA_CLASSES; c++)
    for (void *block = a->free[c]; block != NULL; block = *(void **)block) {
      GrSlab *s = slab_of(all, block);
      if (s != NULL) s->free += (uint32_t)class_size(c);
    }
}

static bool is_empty(const GrSlab *s) { return s->free == s->size - sizeof *s; }

static void unlink_empty(GrArena *a, Slabs *all) {
  for (uint32_t c = 0; c < GR_ARENA_CLASSES; c++) {
    void **link = &a->free[c];
    for (void *block = *link; block != NULL; block = *(void **)block) {
      const GrSlab *s = slab_of(all, block);
      if (s != NULL && is_empty(s)) continue;
      *link = block;
      link = block;
    }
    *link = NULL;
  }
}

static void release_empty(GrArena *a) {
  for (GrSlab **link = &a->slabs->next, *s; (s = *link) != NULL;) {
    if (!is_empty(s)) {
      link = &s->next;
      continue;
    }
    *link = s->next;
    a->more -= s->size;
    gr_chunk_put(s, s->size);
  }
}

void gr_arena_trim(GrArena *a, size_t used) {
  size_t held = gr_arena_bytes(a);
  if (a->slabs == NULL || used > held / 2) return;
  if (a->pause > 0) {
    a->pause--;
    return;
  }
  Slabs all = {0};
  if (sort_slabs(a, &all)) {
    count_free(a, &all);
    unlink_empty(a, &all);
    release_empty(a);
    gr_free(all.at);
  }
  bool worth = held - gr_arena_bytes(a) >= (held - used) / 2;
  a->vain = worth ? 0 : a->vain < VAIN_MOST ? a->vain + 1 : VAIN_MOST;
  a->pause = worth ? 0 : (uint32_t)PAUSE << a->vain;
}

/* ---- arenas ---- */

GrArena *gr_arena_new(uint32_t first) {
  if (first == 0) first = FIRST;
  GrArena *a = gr_chunk_get(first);
  if (a == NULL) return NULL;
  memset(a, 0, sizeof *a);
  a->first = first;
  a->next = CHUNK_MIN;
  a->bump = (char *)a + (sizeof *a + ALIGN - 1) / ALIGN * ALIGN;
  a->end = (char *)a + first;
  return a;
}

void gr_arena_clear(GrArena *a) {
  for (GrBig *b = a->bigs, *next; b != NULL; b = next) {
    next = b->next;
    free_big(b);
  }
  for (GrSlab *s = a->slabs, *next; s != NULL; s = next) {
    next = s->next;
    gr_chunk_put(s, s->size);
  }
  a->more = 0;
}

void gr_arena_free(GrArena *a) {
  gr_arena_clear(a);
  gr_chunk_put(a, a->first);
}

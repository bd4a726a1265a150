/* SPDX-License-Identifier: MIT */
/* region.c - where chunks come from and go to: see region.h.
 *
 * Why not malloc. The state of a goroutine touches two to eight pages, and the first touch of a
 * page costs as much as all else at its start. An allocator that knows that memory is about to be
 * used can have the kernel fill it in at once: by MADV_POPULATE_WRITE for the few chunks that a
 * thread takes at a time, and by huge pages when a size has filled some regions. Starting 30,000
 * goroutines of 30 KB, compared to malloc: regions alone take 0.8 to 1.15 of the time, populated
 * ones 0.5 to 0.8, with huge pages as well 0.13 to 0.24. (Chunks of 8 KB alone, all touched: 0.2
 * to 0.7.) Where huge pages are off, that advice does nothing. malloc_trim gives memory back as
 * well as this does, holes between survivors included. But somebody has to call it, and it locks
 * the heap until all is done, 0.25 s for 1.6 GB; here regions go by BUDGET. A chunk that is in
 * use all the time comes from the cache of the thread in both cases.
 *
 * Which chunk. The chunks of a region have one size, so a freed chunk fits the next goroutine
 * exactly and nothing has to be merged. Warm chunks are taken first, lowest address first, from a
 * region that has used ones, so that other regions become empty. Bits in the head tell which
 * chunks are free, never links in the chunks: so the pages of free chunks can be given back.
 *
 * What is given back: memory that nobody needed for a while. `low` is the least warm memory that
 * there was since the last look. What it has above KEEP was of no use for all that time, and half
 * of it is given back. So a burst of gigabytes is gone within some tenths of a second, and a
 * burst that returns soon finds most of its memory. Sysmon calls gr_region_settle at its ticks,
 * and does not sleep for good before nothing is left to give back. Empty regions are unmapped. Of
 * other regions, the pages that lie wholly in free chunks are dropped; huge pages are turned off
 * there, or the kernel would fill the holes again. When a burst is over, sysmon tells others:
 * malloc's heap and the slabs of Gs have small things of the same goroutines.
 *
 * One lock guards all of it; threads come here with a batch at a time. It is held over a mmap and
 * over nothing longer. Advice is given without the lock, on chunks that count as used meanwhile.
 * fork() waits for the lock, so that a child finds the heads whole. */
#include "base/region.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/list.h"
#include "base/lock.h"

enum {
  REGION = 2 << 20,
  HEAD = 4096,
  LEAST = 256,
  WORDS = REGION / LEAST / 64,
  DENSE = 8,         /* after so many regions of a size, the next ones will be filled too */
  KEEP = 16 << 20,   /* warm memory that stays */
  BUDGET = 64 << 20, /* is given back in one call: some ms */
  OVER = 32 << 20,   /* much */
};
#define LOOK_NS INT64_C(20000000)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

typedef struct Region {
  GrList link; /* in a list of its class; in none when no chunk is free */
  uint32_t class, count, used, warm;
  uint64_t free[WORDS];
  uint64_t cold[WORDS]; /* of the free ones */
} Region;
_Static_assert(sizeof(Region) <= HEAD, "the head has room");

typedef struct Class {
  uint32_t size, regions;
  GrList warm; /* regions with a warm chunk; empty regions at the end */
  GrList cold; /* regions whose free chunks are all cold */
} Class;

static GrLock lock = GR_LOCK_INIT(GR_RANK_LEAF);
static Class classes[GR_REGION_CLASSES]; /* [0] is none */
static uint32_t nclasses = 1;
static _Atomic uint8_t class_of_size[GR_REGION_MOST / GR_REGION_GRAIN + 1];
static atomic_int_fast64_t used, warm; /* bytes; written under the lock */
static int64_t low, surplus, look_at;
static atomic_int_fast64_t given; /* bytes given back since the last burst was over */
static atomic_bool settling;
static uintptr_t
    page; /* bytes: 4, 16 or 64 KB; a region has many pages. Known before the first class */

/* ---- classes ---- */

static void before_fork(void) { gr_lock(&lock); }
static void after_fork(void) { gr_unlock(&lock); }

/* Bytes of a page. What the system says is checked on a mapping of our own: an emulator (box64,
 * qemu-user) shows its program pages of 4 KB on a kernel that has larger ones, and that kernel
 * refuses an address that is at none of its own pages' beginnings. */
static uintptr_t page_bytes(void) {
  enum { MOST = 64 << 10, ROOM = 4 * MOST };
  uintptr_t bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
  char *room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return bytes;
  char *start = (char *)(((uintptr_t)room + MOST - 1) & ~(uintptr_t)(MOST - 1));
  while (bytes < MOST && madvise(start + bytes, bytes, MADV_DONTNEED) != 0 && errno == EINVAL)
    bytes *= 2;
  munmap(room, ROOM);
  return bytes;
}

static void init(void) {
  pthread_atfork(before_fork, after_fork, after_fork);
  page = page_bytes();
}

static uint32_t new_class_locked(uint32_t at) {
  uint32_t c = atomic_load(&class_of_size[at]);
  if (c != 0 || nclasses == GR_REGION_CLASSES) return c;
  c = nclasses++;
  classes[c].size = at * GR_REGION_GRAIN;
  gr_list_init(&classes[c].warm);
  gr_list_init(&classes[c].cold);
  atomic_store_explicit(&class_of_size[at], (uint8_t)c, memory_order_release);
  return c;
}

uint32_t gr_region_class(size_t size) {
  if (gr_unlikely(size > GR_REGION_MOST)) return 0;
  uint32_t at = (uint32_t)(gr_region_round(size < LEAST ? LEAST : size) / GR_REGION_GRAIN);
  uint32_t c = atomic_load_explicit(&class_of_size[at], memory_order_acquire);
  if (gr_likely(c != 0)) return c;
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, init);
  gr_lock(&lock);
  c = new_class_locked(at);
  gr_unlock(&lock);
  return c;
}

/* ---- regions ---- */

static Region *region_of(const void *chunk) {
  return (Region *)((uintptr_t)chunk & ~(uintptr_t)(REGION - 1));
}
static char *chunk_at(Region *r, uint32_t i) {
  return (char *)r + HEAD + (size_t)i * classes[r->class].size;
}
static uint32_t index_of(Region *r, const void *chunk) {
  return (uint32_t)((const char *)chunk - (char *)r - HEAD) / classes[r->class].size;
}

/* Kernels of today align so big a mapping by themselves. */
static void *map_aligned(void) {
  void *p = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  if ((uintptr_t)p % REGION == 0) return p;
  munmap(p, REGION);
  p = mmap(NULL, 2 * REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  char *start = p, *at = (char *)(((uintptr_t)p + REGION - 1) & ~(uintptr_t)(REGION - 1));
  if (at > start) munmap(start, (size_t)(at - start));
  if (at < start + REGION) munmap(at + REGION, (size_t)(start + REGION - at));
  return at;
}

/* Takes r, which is empty, out of its list, for the caller to unmap. Returns how much warm memory
 * it had. */
static int64_t unlink_locked(Region *r) {
  Class *c = &classes[r->class];
  int64_t bytes = (int64_t)r->warm * c->size;
  atomic_fetch_sub(&warm, bytes);
  gr_list_remove(&r->link);
  c->regions--;
  return bytes;
}

/* The warm region of a class that is missed least, or NULL. */
static Region *last_warm_locked(Class *c, bool only_empty) {
  if (gr_list_empty(&c->warm)) return NULL;
  Region *r = gr_container_of(c->warm.prev, Region, link);
  return !only_empty || r->used == 0 ? r : NULL;
}

/* The system has no more memory: empty regions of all sizes go back to it. False: there were
 * none. */
static bool unmap_empty_locked(void) {
  bool any = false;
  for (Class *c = classes + 1; c < classes + nclasses; c++)
    for (Region *r; (r = last_warm_locked(c, true)) != NULL; any = true) {
      unlink_locked(r);
      munmap(r, REGION);
    }
  return any;
}

static Region *new_region_locked(uint32_t class) {
  Region *r = map_aligned();
  if (r == NULL && unmap_empty_locked()) r = map_aligned();
  if (r == NULL) return NULL;
  Class *c = &classes[class];
  if (c->regions >= DENSE) madvise(r, REGION, MADV_HUGEPAGE);
  r->class = class;
  r->count = (REGION - HEAD) / c->size;
  for (uint32_t i = 0; i < r->count; i++) r->cold[i / 64] |= UINT64_C(1) << i % 64;
  for (uint32_t w = 0; w < WORDS; w++) r->free[w] = r->cold[w];
  c->regions++;
  gr_list_push_back(&c->cold, &r->link);
  return r;
}

/* Moves r to the list that its free chunks ask for. */
static void relink_locked(Region *r, bool first) {
  Class *c = &classes[r->class];
  gr_list_remove(&r->link);
  if (r->used == r->count) return;
  GrList *list = r->warm > 0 ? &c->warm : &c->cold;
  gr_list_push_back(first ? list->next : list, &r->link);
}

/* ---- taking and giving ---- */

/* Takes up to *n neighbours from r, all warm or all cold; returns the index of the first, and *n.
 */
static uint32_t take_run_locked(Region *r, uint32_t *n, bool *was_cold) {
  uint32_t w = 0, size = classes[r->class].size;
  *was_cold = r->warm == 0;
  while ((*was_cold ? r->cold[w] : r->free[w] & ~r->cold[w]) == 0) w++;
  uint64_t bits = *was_cold ? r->cold[w] : r->free[w] & ~r->cold[w];
  uint32_t bit = (uint32_t)__builtin_ctzll(bits), len = 1;
  while (len < *n && bit + len < 64 && (bits >> (bit + len) & 1) != 0) len++;
  uint64_t mask = (len == 64 ? ~UINT64_C(0) : (UINT64_C(1) << len) - 1) << bit;
  r->free[w] &= ~mask;
  r->cold[w] &= ~mask;
  r->used += len;
  if (!*was_cold) {
    r->warm -= len;
    int64_t now = atomic_fetch_sub(&warm, (int64_t)len * size) - (int64_t)len * size;
    if (now < low) low = now;
  }
  atomic_fetch_add(&used, (int64_t)len * size);
  *n = len;
  return w * 64 + bit;
}

/* Populates each page that has a part of it; other chunks there are not harmed. Where the kernel
 * does not know the advice (before 5.14), the pages come one by one, when they are touched. */
static void populate(char *start, size_t len) {
  uintptr_t from = (uintptr_t)start & ~(page - 1),
            to = ((uintptr_t)start + len + page - 1) & ~(page - 1);
  madvise((void *)from, to - from, MADV_POPULATE_WRITE);
}

uint32_t gr_region_take(uint32_t class, uint32_t n, void **chunks) {
  Class *c = &classes[class];
  bool was_cold = false;
  gr_lock(&lock);
  GrList *list = !gr_list_empty(&c->warm) ? &c->warm : &c->cold;
  Region *r =
      !gr_list_empty(list) ? gr_container_of(list->next, Region, link) : new_region_locked(class);
  uint32_t first = 0;
  if (r != NULL) {
    first = take_run_locked(r, &n, &was_cold);
    if (r->used == r->count || (!was_cold && r->warm == 0)) relink_locked(r, false);
  }
  gr_unlock(&lock);
  if (r == NULL) return 0;
  for (uint32_t i = 0; i < n; i++) chunks[i] = chunk_at(r, first + i);
  if (was_cold) populate(chunks[0], (size_t)n * c->size);
  return n;
}

static void give_locked(Region *r, uint32_t i, bool is_cold) {
  uint64_t bit = UINT64_C(1) << i % 64;
  int64_t size = classes[r->class].size;
  r->free[i / 64] |= bit;
  if (is_cold) r->cold[i / 64] |= bit;
  else r->warm++, atomic_fetch_add(&warm, size);
  r->used--;
  atomic_fetch_sub(&used, size);
  if (r->used == 0) relink_locked(r, false);
  else if (gr_list_empty(&r->link) || (!is_cold && r->warm == 1)) relink_locked(r, true);
}

void gr_region_give(void *first) {
  if (first == NULL) return;
  gr_lock(&lock);
  for (void *chunk = first, *next; chunk != NULL; chunk = next) {
    next = *(void **)chunk;
    Region *r = region_of(chunk);
    give_locked(r, index_of(r, chunk), false);
  }
  gr_unlock(&lock);
}

int64_t gr_region_bytes(void) { return atomic_load(&used); }

/* ---- giving back ---- */

/* Drops the pages that lie wholly in [start, end). If `page` were less than the size of a page,
 * the kernel would round the length up, and the memory that follows would become zeros. */
static void drop_pages(char *start, char *end) {
  uintptr_t from = ((uintptr_t)start + page - 1) & ~(page - 1), to = (uintptr_t)end & ~(page - 1);
  if (from < to) madvise((void *)from, to - from, MADV_DONTNEED);
}

void gr_region_clear(void *chunk, size_t size) {
  madvise(region_of(chunk), REGION, MADV_NOHUGEPAGE);
  drop_pages(chunk, (char *)chunk + size);
}

/* Drops the pages of r's warm chunks, run by run. The lock is released meanwhile, so r may
 * change; but r stays while a run of it counts as used. */
static int64_t chill_locked(Region *r) {
  int64_t bytes = 0;
  size_t size = classes[r->class].size;
  madvise(r, REGION, MADV_NOHUGEPAGE);
  while (r->warm > 0) {
    bool was_cold;
    uint32_t n = 64, first = take_run_locked(r, &n, &was_cold);
    if (r->used == r->count || r->warm == 0) relink_locked(r, false);
    gr_unlock(&lock);
    drop_pages(chunk_at(r, first), chunk_at(r, first + n));
    gr_lock(&lock);
    for (uint32_t i = 0; i < n; i++) give_locked(r, first + i, true);
    bytes += (int64_t)(n * size);
  }
  if (r->used == 0) {
    unlink_locked(r);
    munmap(r, REGION);
  }
  return bytes;
}

static int64_t unmap_unlocking(Region *r) {
  int64_t bytes = unlink_locked(r);
  gr_unlock(&lock);
  munmap(r, REGION);
  gr_lock(&lock);
  return bytes;
}

/* The region to give back next, an empty one if there is any; or NULL. */
static Region *to_give_back_locked(void) {
  for (int only_empty = 1; only_empty >= 0; only_empty--)
    for (Class *c = classes + 1; c < classes + nclasses; c++) {
      Region *r = last_warm_locked(c, only_empty);
      if (r != NULL) return r;
    }
  return NULL;
}

static void look_locked(int64_t now) {
  int64_t there = atomic_load(&warm);
  if (now >= look_at) {
    surplus = low - KEEP;
    if (surplus > KEEP) surplus /= 2;
    low = there;
    look_at = now + LOOK_NS;
  }
  if (surplus > there - KEEP) surplus = there - KEEP;
}

static void give_back_locked(void) {
  Region *r;
  for (int64_t left = BUDGET; left > 0 && surplus > 0 && (r = to_give_back_locked()) != NULL;) {
    int64_t bytes = r->used == 0 ? unmap_unlocking(r) : chill_locked(r);
    left -= bytes;
    surplus -= bytes;
    atomic_fetch_add(&given, bytes);
  }
}

bool gr_region_settle(int64_t now, int64_t *again) {
  *again = GR_FOREVER;
  if (atomic_load(&warm) <= KEEP && atomic_load(&given) < OVER) return false;
  if (atomic_exchange(&settling, true)) return false;
  gr_lock(&lock);
  look_locked(now);
  give_back_locked();
  int64_t left = atomic_load(&warm) - KEEP;
  bool over = left <= KEEP && atomic_load(&given) >= OVER;
  if (over) atomic_store(&given, 0);
  if (left > 0) *again = surplus > 0 ? now : look_at;
  gr_unlock(&lock);
  atomic_store(&settling, false);
  return over;
}

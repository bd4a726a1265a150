/* SPDX-License-Identifier: MIT */
/* big.c - a few freed blocks in a row of slots: see big.h.
 *
 *        slots:  | block | none | block | none | ...      32 for all threads
 *        take: exchange with NULL            leave: CAS from NULL
 *
 * The thread that takes a block out of its slot by an exchange owns the block. A block is put
 * into an empty slot by a compare-and-exchange. So there is no lock, and a fork in the middle
 * costs the child one block at most. Size and age beside the block are hints: they may be those
 * of another block.
 *
 * All threads share the slots, since the sender takes the block of a message and the receiver
 * frees it. A block that nobody wanted between two looks of sysmon is freed, so idle memory goes
 * back within a fifth of a second. When SUM bytes wait, further blocks are freed at once.
 *
 * Only messages, and the strings that come out of them, use this. When all big blocks of all
 * states did, programs that build strings became slower (cpumix_strings by a fifth), since malloc
 * lets a buffer grow into the place where another one has just ended. */
#include "base/big.h"

#include <malloc.h>
#include <stdlib.h>

#include "base/chunk.h"

enum { MOST = 8 << 20, SUM = 16 << 20, MUCH = 4 << 20, SLOTS = 32 };
#define LOOK_NS INT64_C(100000000)

typedef struct Slot {
  _Atomic(void *) block;
  atomic_size_t size;
  atomic_bool old; /* it was here at sysmon's last look */
} Slot;

static Slot slots[SLOTS];
static atomic_int_fast64_t waiting; /* bytes */
static int64_t look_at, given;      /* sysmon's. `given`: bytes freed since no block waited */

/* Takes the block of a slot if its size is in [least, most]; else NULL. */
static void *take(Slot *s, size_t least, size_t most) {
  size_t size = atomic_load_explicit(&s->size, memory_order_relaxed);
  if (size < least || size > most || atomic_load_explicit(&s->block, memory_order_relaxed) == NULL)
    return NULL;
  void *block = atomic_exchange_explicit(&s->block, NULL, memory_order_acquire);
  if (block != NULL) atomic_fetch_sub(&waiting, (int64_t)malloc_usable_size(block));
  return block;
}

static void *take_any(size_t size) {
  if (atomic_load_explicit(&waiting, memory_order_relaxed) < (int64_t)size) return NULL;
  for (Slot *s = slots; s < slots + SLOTS; s++) {
    void *block = take(s, size, size + size / 4);
    if (block == NULL) continue;
    if (gr_likely(malloc_usable_size(block) >= size)) return block;
    free(block);
  }
  return NULL;
}

void *gr_big_get(size_t size) {
  if (GR_CHUNK_SYSTEM || size < GR_BIG_LEAST || size > MOST) return gr_malloc(size);
  if (gr_mem_must_fail()) return NULL;
  void *block = take_any(size);
  if (block == NULL) block = malloc(size);
  if (block != NULL) gr_mem_count(1);
  return block;
}

/* Puts the block into a slot. False: there is no room. */
static bool leave(void *block) {
  int64_t size = (int64_t)malloc_usable_size(block);
  if (size > MOST + MOST / 4) return false;
  if (atomic_fetch_add(&waiting, size) + size <= SUM)
    for (Slot *s = slots; s < slots + SLOTS; s++) {
      void *none = NULL;
      if (atomic_load_explicit(&s->block, memory_order_relaxed) != NULL) continue;
      atomic_store_explicit(&s->size, (size_t)size, memory_order_relaxed);
      atomic_store_explicit(&s->old, false, memory_order_relaxed);
      if (atomic_compare_exchange_strong_explicit(&s->block, &none, block, memory_order_release,
                                                  memory_order_relaxed))
        return true;
    }
  atomic_fetch_sub(&waiting, size);
  return false;
}

void gr_big_put(void *block, size_t size) {
  if (GR_CHUNK_SYSTEM || size < GR_BIG_LEAST || size > MOST) {
    gr_free(block);
    return;
  }
  gr_mem_count(-1);
  if (!leave(block)) free(block);
}

int64_t gr_big_bytes(void) { return atomic_load(&waiting); }

int64_t gr_big_settle(int64_t now) {
  if (atomic_load_explicit(&waiting, memory_order_relaxed) == 0) return GR_FOREVER;
  if (now < look_at) return look_at;
  look_at = now + LOOK_NS;
  int64_t before = atomic_load(&waiting);
  for (Slot *s = slots; s < slots + SLOTS; s++)
    if (atomic_exchange(&s->old, true)) free(take(s, 0, SIZE_MAX));
  int64_t left = atomic_load(&waiting);
  if (left < before) given += before - left;
  if (left > 0) return look_at;
  if (given >= MUCH) malloc_trim(0);
  given = 0;
  return GR_FOREVER;
}

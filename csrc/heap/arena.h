/* SPDX-License-Identifier: MIT */
/* arena.h - the memory of one Lua state.
 *
 *   first chunk      +---------+---------------------------------+
 *                    | GrArena | blocks …                        |
 *                    +---------+---------------------------------+
 *   more chunks      +--------+-----------------+- - - - - - - - +
 *   (slabs, newest   | GrSlab | blocks …        |  not used yet  |
 *   first)           +--------+-----------------+- - - - - - - - +
 *                                               ^ bump           ^ end    of the newest chunk
 *   big blocks       +-------+-------+     +-------+-------+
 *   (bigs)           | GrBig | block | <-> | GrBig | block | <-> …
 *                    +-------+-------+     +-------+-------+
 *   free[class]      free block -> free block -> …
 *
 * Lua tells the old size of each block that it gives back, so blocks need no headers. A block has
 * the size of its class: a multiple of 8 up to 256 bytes, then one of four steps to each doubling,
 * up to 8 KB. Each class has a list of free blocks. Larger blocks are malloc's, or big.h's, one by
 * one.
 *
 * The first chunk has the size that an image asks for. Each further chunk is twice as large as the
 * one before, up to a limit. When a state ends, all its chunks and big blocks are given back at
 * once, without a walk over the blocks (gr_arena_free). A state that lives on gives back chunks
 * that have become empty, when they are most of what it holds (gr_arena_trim).
 *
 * One thread at a time uses an arena: the one that runs the state.
 *
 * Everything that points into the first chunk, the GrArena itself included, can be moved together
 * with the chunk. That is how images work (image.h).
 *
 * Under sanitizers, and with GORO_SYSTEM_ALLOC, each block is malloc's, so that the sanitizer or
 * valgrind sees each one. */
#ifndef GR_ARENA_H
#define GR_ARENA_H

#include "base/chunk.h"

#define GR_ARENA_SYSTEM GR_CHUNK_SYSTEM

enum { GR_ARENA_CLASSES = 52, GR_ARENA_LARGE = 1 << 20 };

typedef struct GrSlab GrSlab;
typedef struct GrBig GrBig;

struct GrHeap;

typedef struct GrArena {
  char *bump, *end; /* what is left of the newest chunk */
  void *free[GR_ARENA_CLASSES];
  GrSlab *slabs;
  GrBig *bigs;
  size_t more;          /* bytes that it holds besides the first chunk */
  uint32_t first;       /* bytes of the first chunk */
  uint32_t next;        /* bytes that the next chunk will have */
  bool sealed;          /* a template: no memory but its first chunk */
  bool circulate;       /* the next big block is one of big.h's: what it is for comes and goes */
  bool failed;          /* the system had none when memory was asked of it last */
  uint8_t vain;         /* times in a row that gr_arena_trim has found little */
  uint32_t pause;       /* calls of gr_arena_trim that do nothing, after that */
  struct GrHeap *owner; /* is told of each full userdata (foreign.h), or NULL */
} GrArena;

/* A new arena of `first` bytes in all; NULL without memory. */
GrArena *gr_arena_new(uint32_t first);
/* With everything in it. */
void gr_arena_free(GrArena *a);
/* The memory that it holds: chunks, big blocks. */
static inline size_t gr_arena_bytes(const GrArena *a) { return a->first + a->more; }
/* All but the first chunk. */
void gr_arena_clear(GrArena *a);
/* Gives the chunks back in which nothing is left, when at most half of what it holds is `used`
 * (what Lua counts) and that is worth the while: it walks over all free blocks. For each time that
 * a state of a large one lets others run. */
void gr_arena_trim(GrArena *a, size_t used);
static inline bool gr_arena_is_large(const GrArena *a) { return a->more >= GR_ARENA_LARGE; }
/* lua_Alloc; ud is the arena. */
void *gr_arena_alloc(void *ud, void *ptr, size_t osize, size_t nsize);

#endif

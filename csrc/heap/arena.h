/* SPDX-License-Identifier: MIT */
/* arena.h - the memory of one Lua state.
 *
 *   first chunk: | GrArena | blocks … | bump →          end |      its size is the image's, or
 * FIRST more chunks: | GrSlab  | blocks … |                            each twice the last one's
 * size, up to a limit big blocks:  | GrBig   | block |                               from malloc
 * (or big.h), each in a list
 *
 * Lua tells the old size of each block, so blocks need no headers: a size class is a multiple of 16
 * up to 512 bytes, then one of four steps to each doubling up to 16 KB; each class has a free list
 * through the free blocks. Bigger blocks are malloc's. All chunks and big blocks of a state go back
 * at once (gr_arena_free), without a walk over the blocks; a state that lives on gives back the
 * chunks that have become empty when they are most of it (gr_arena_trim). One thread at a time, the
 * one that runs the state.
 *
 * Everything that points into the first chunk, the arena itself included, can be moved with it:
 * that is how images work (image.h).
 *
 * Under sanitizers, and with GORO_SYSTEM_ALLOC, each block is malloc's, so that they, or valgrind,
 * see it. */
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

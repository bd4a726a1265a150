/* SPDX-License-Identifier: MIT */
/* image.h - new Lua states by copying one.
 *
 * There are a few images, each with more in it than the one before (need.h): nothing but what Lua
 * itself needs; goro; the everyday libraries; all. A goroutine starts in the smallest that covers
 * what its code names, or nearly: a base function or two are set afterwards.
 *
 * Opening the standard libraries costs 20 us and more; copying a state in which they are open,
 * under 1 us. A template state is built once a process, inside one chunk (arena.h). Every word in
 * it that points into that chunk is written down; a clone is a copy of the bytes in which those
 * words have been moved. Lua knows nothing of it: whatever it finds is what it would have built
 * itself.
 *
 * The rules that make it right:
 *   - No table of the template has a key that is hashed by its address and moves: a table, a
 * function, a userdata, a thread. Walked and checked.
 *   - A word that merely looks like a pointer into the chunk would be moved too. Where Lua writes a
 * type's byte over the rest of an old pointer, there would be such words (seen: a closure's
 * upvalue, whose type then depended on the low byte of the distance); so in a template all memory
 * is cleared when it is given out and when it comes back. What is left is text, small integers,
 * hashes of 32 bits beside flags: against a range of some 20 KB in an address space of 2^47, chance
 * comes to less than 1 in 10^11 a process. The proof runs clones at distances of all low bytes.
 *   - What must differ between states is set in each clone: the seed of math.random, the owner in
 * the extra space. Code that starts goroutines again and again has an image of its own, in which it
 * is loaded (copy/code.h). That one is made in a clone of a proven image, and twice: if the two are
 * not the same in every byte and every pointer, it is not used. Before it is used an image proves
 * itself: a clone runs code that goes through all libraries, collects all garbage, and is closed.
 * When anything is not as it should be, no image is used in this process and states are opened one
 * by one; gr_image_status says why. */
#ifndef GR_IMAGE_H
#define GR_IMAGE_H

#include <lua.h>

#include "heap/arena.h"
#include "heap/heap.h"

typedef struct GrImage GrImage;

/* Builds and proves the images. Once a process. `open` opens a state with the set of globals that
 * it is given (a pointer to a GrNeed), whose extra space has `owner` then. */
void gr_image_init(lua_CFunction open, void *owner);
/* A new state for code that needs this, what it has, and its arena; NULL without memory. `special`:
 * an image of gr_image_extend, taken when it has enough, or NULL. When there is no image: a bare
 * state, *ready is false. */
lua_State *gr_image_state(const GrImage *special, GrNeed need, GrArena **arena, GrNeed *have,
                          bool *ready);
/* What a special image has in its states besides what gr_image_state says. */
typedef struct GrImagePlan {
  GrNeed need;               /* the standard globals that it shall have */
  int (*fill)(lua_State *L); /* called with the plan in a state that has `before` of them; what it
                                returns will be on the stack of each clone */
  size_t room;               /* bytes that this may take */
  void *owner;               /* in the extra space meanwhile */
  GrNeed before;
} GrImagePlan;
/* Makes a special image out of the one for plan->need; NULL: there are no images, no memory, or it
 * would not be the same each time. It stays for good. Any thread. */
const GrImage *gr_image_extend(GrImagePlan *plan);
size_t gr_image_bytes(const GrImage *image);
/* "on", or "off: " and why. */
const char *gr_image_status(void);

#endif

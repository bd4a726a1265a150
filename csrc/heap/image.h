/* SPDX-License-Identifier: MIT */
/* image.h - new Lua states by copying one.
 *
 *   template (once a process)                        image
 *   +---------+-----------+----------+- - -+         +-------------------------------+
 *   | GrArena | lua_State | objects… | free|  --->   | the same bytes; addresses in  |
 *   +---------+-----------+----------+- - -+ freeze  | them count from 0             |
 *                                                    +-------------------------------+
 *                                                    | where these addresses are     |
 *                                                    +-------------------------------+
 *                                                         | copy, add the new base to each address
 *                                                         v
 *                                                    a new state, ready to run
 *
 * There are a few images, each with more in it than the one before (need.h): only what Lua itself
 * needs; goro; the everyday libraries; everything. A goroutine starts in the smallest image that
 * has what its code names. An image also counts as large enough when a base function or two are
 * missing: these are set afterwards.
 *
 * To open the standard libraries takes 20 us and more. To copy a state in which they are open
 * takes less than 1 us. A template is built once a process, inside one chunk (arena.h). Each word
 * in it that points into that chunk is written down. A clone is a copy of the bytes in which these
 * words have been moved. Lua does not notice: it finds what it would have built itself.
 *
 * What makes this right:
 *
 *   - No table of the template has a key that Lua hashes by its address, and that moves: a table,
 *     a function, a userdata, a thread. A walk over all tables checks it.
 *   - A word that only looks like an address in the chunk would be moved as well. Such words came
 *     from old pointers, over whose first byte Lua had written the type of a value (seen in the
 *     upvalue of a closure). So a template's memory is cleared when Lua gets it, and again when
 *     Lua gives it back. What is left is text, small integers, and hashes of 32 bits beside flags.
 *     The chunk is some 20 KB in an address space of 2^47, so the chance that one of these looks
 *     like an address is below 1 in 10^11 for a process. The proof (image.c) runs clones at
 *     distances with different low bytes.
 *   - What must differ between states is set in each clone: the seed of math.random, and the owner
 *     in the extra space.
 *   - An image proves itself before it is used. A clone runs code that goes through all libraries,
 *     collects all garbage, and is closed. When anything is not as it should be, this process uses
 *     no images, and opens each state's libraries one by one. gr_image_status says why.
 *   - Code that starts goroutines again and again gets an image of its own, in which it is loaded
 *     (copy/code.h). It is made in a clone of a proven image, and twice. It is used only if both
 *     have the same bytes and the same pointers. */
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

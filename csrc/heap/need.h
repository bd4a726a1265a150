/* SPDX-License-Identifier: MIT */
/* need.h - which standard globals a goroutine's state has, and which it needs.
 *
 * A state need not have what its code cannot reach. What a function can reach is written in its
 * code: the names that it takes from _ENV. So each standard global is a bit. A state has a set of
 * bits, a message needs a set, and what the message needs and the state has not is opened first
 * (gr_need_fill). A name that leads anywhere (`_G`, `require`, `load`, `debug`, …) needs all bits.
 * A name that is assigned counts like one that is read. So when a global is missing in a state,
 * none of the state's code has named it, and it can be put there without undoing anything.
 *
 * A string reaches the string library without a name, by its methods and by arithmetic. So a state
 * without that library has a trap as the metatable of strings. The first use opens the library,
 * which brings the real metatable. Nobody sees the trap: whatever could ask for it
 * (`getmetatable`, `debug`) needs the string library first. */
#ifndef GR_NEED_H
#define GR_NEED_H

#include "heap/heap.h"

#define GR_NEED_ALL (~(GrNeed)0)
/* For images between nothing and all; gr_need_everyday: the base functions, string, table, math,
 * coroutine and goro. */
GrNeed gr_need_goro(void);
GrNeed gr_need_everyday(void);

/* Once a process, after names.c: looks up the base functions as goroutines have them. False without
 * memory. */
bool gr_need_init(void);
/* The need of a function that names this global: nothing when it is none of a new state's. */
GrNeed gr_need_global(const char *name, size_t len);
/* The need of one that calls a method of this name: the string library's, if it has one of that
 * name. */
GrNeed gr_need_method(const char *name, size_t len);
/* The need of a value that is module.field of a loaded module. */
GrNeed gr_need_module(const char *module, const char *field);
/* Can what is missing be set one by one, without opening a library, and is it little? */
bool gr_need_is_small(GrNeed missing);

/* Opens what of `set` the state does not have. Raises; what has been opened stays. */
void gr_need_open(lua_State *L, GrHeap *h, GrNeed set);
/* Puts what goro replaces into a library that has just been opened ("_G": the base functions), or
 * opens goro itself ("goro"). Set once, by csrc/lib. */
extern void (*gr_need_adjust)(lua_State *L, GrHeap *h, const char *module);

/* Is any of these standard globals missing in the state of L? In hosts none is. */
bool gr_need_lacks(lua_State *L, GrNeed need);
/* The state gets what it has not of these standard globals. Raises; what was opened stays. Nothing
 * in hosts. */
void gr_need_fill(lua_State *L, GrNeed need);
/* gr_need_fill has made the state one that has all, where it had `before`. Set once, by csrc/run.
 */
extern void (*gr_need_filled)(lua_State *L, GrHeap *h, GrNeed before);
/* Sets the strings' metatable of a state without the string library, and pushes it: with its __mode
 * of "v" it is a weak table's too. */
void gr_need_trap(lua_State *L);

#endif

/* SPDX-License-Identifier: MIT */
/* packer.h - the work in progress of one pack: bytes, items, identities, and the way back to the
 * root for errors. For pack.c, carry.c, packer.c, record.c and vet.c alone. */
#ifndef GR_PACKER_H
#define GR_PACKER_H

#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "copy/codes.h"
#include "heap/keep.h"
#include "copy/pack.h"
#include "copy/wire.h"

typedef enum OriginKind { O_ROOT, O_KEYED, O_KEY_OF, O_UPVALUE, O_META, O_GLOBAL } OriginKind;

/* How an item was reached: from item `parent`. By which key is looked up when a text has to tell.
 */
typedef struct Origin {
  uint8_t kind;
  uint32_t parent; /* of a root: its number; of a global: nothing */
  uint32_t upvalue;
  int key; /* stack index of the key, as long as the value there is being written; else 0 */
} Origin;

typedef struct Slot {
  const void *identity;
  uint32_t item;
  uint32_t round; /* of another round: the slot is empty */
} Slot;

typedef struct Packer {
  GrKeep keep;   /* first */
  bool busy;     /* or left by an error */
  bool replaced; /* another is kept instead */
  bool failed;   /* a record is given up */
  bool links;    /* there may be items of that kind */
  GrPack p;      /* its items and bytes have room for more */
  Origin *origins;
  uint32_t items_cap, origins_cap;
  size_t bytes_cap;
  Slot *slots; /* open addressing by identity */
  uint32_t nslots, used, round;
  uint32_t next; /* the first item that is not written yet */
  GrPackNames names;
  int first_number;
  const GrCode *code; /* whose names are being looked up: a reference, or NULL */
  const void *globals_table;
  bool no_modules; /* the state has not the package library */
  int values;      /* stack index: item number + 1 -> value */
  int index;       /* stack index: what modules own (names.h), nil until it is asked for */
  int recording;   /* stack index: of a set of the names of globals, while a record is packed
                      (record.c); else 0 */
  int globals; /* stack index: names of globals with the environments they are looked up in: name,
                  environment, …; nil while there are none */
  lua_Integer carrying; /* where in that list is the name of the global that is being written: what
                           cannot be sent in it gets a placeholder; else 0 */
  int keys; /* stack index: item number + 1 of a table -> (value -> key), for the texts of
               placeholders; nil while there are none */
} Packer;

/* packer.c */
/* Once a process. */
void gr_packer_init(void);
/* Pushes a packer and its four tables. One is kept in each state for reuse. */
Packer *gr_packer_new(lua_State *L, GrPackNames names, int first_number);
/* The message; the packer is free for others. Raises without memory. */
GrPack *gr_packer_finish(lua_State *L, Packer *k);
/* An error is about to be raised: lets go of all it holds. */
void gr_packer_give_up(lua_State *L, Packer *k);
/* Raises "not enough memory", after the packer has let go of all it holds. */
GR_NORETURN void gr_packer_no_memory(lua_State *L, Packer *k);
char *gr_packer_grow_slowly(lua_State *L, Packer *k, size_t n);
/* Room for n bytes at the end; valid until the next call. */
static inline char *gr_packer_grow(lua_State *L, Packer *k, size_t n) {
  if (gr_unlikely(k->bytes_cap - k->p.nbytes < n)) return gr_packer_grow_slowly(L, k, n);
  char *at = k->p.bytes + k->p.nbytes;
  k->p.nbytes += n;
  return at;
}
static inline void gr_packer_put(lua_State *L, Packer *k, const void *data, size_t n) {
  if (n > 0) memcpy(gr_packer_grow(L, k, n), data, n);
}
static inline void gr_packer_put_tag(lua_State *L, Packer *k, char tag) {
  *gr_packer_grow(L, k, 1) = tag;
}
static inline void gr_packer_put_tagged(lua_State *L, Packer *k, char tag, const void *data,
                                        size_t n) {
  char *at = gr_packer_grow(L, k, n + 1);
  *at = tag;
  memcpy(at + 1, data, n);
}
static inline void gr_packer_put_ref(lua_State *L, Packer *k, uint32_t item) {
  gr_packer_put_tagged(L, k, T_REF, &item, sizeof item);
}
/* The item of an identity, or NULL. */
Slot *gr_packer_find(Packer *k, const void *identity);
/* A new item for the value at idx, which is kept in `values`. The pointer is valid until the next
 * one. */
Item *gr_packer_item(lua_State *L, Packer *k, ItemKind kind, const void *identity, int idx,
                     const Origin *origin);
/* What modules own: k->index is filled. */
void gr_packer_need_index(lua_State *L, Packer *k);
/* Raises. `what`: the kind of value. */
GR_NORETURN void gr_packer_cannot_send(lua_State *L, Packer *k, const Origin *origin,
                                       const char *what);
/* Pushes the text of a placeholder for a value of that kind, which is item `item` or, when the
 * origin has a key, becomes one. A global is being carried. */
void gr_packer_push_text(lua_State *L, Packer *k, const Origin *origin, uint32_t item,
                         const char *what);

/* pack.c */
/* Writes the value at idx (absolute); a new item goes on the list. Leaves the stack as it was,
 * unless it raises. */
void gr_pack_value(lua_State *L, Packer *k, int idx, const Origin *origin);
/* Writes the metatable on top, of item `parent`, and pops it. Its item, if it gets one, is a class.
 */
void gr_pack_metatable(lua_State *L, Packer *k, uint32_t parent);
/* Writes all items on the list, and those that they add. */
void gr_pack_items(lua_State *L, Packer *k);
/* Item `number`, a link, becomes a class that goes along. */
void gr_pack_unlink(lua_State *L, Packer *k, uint32_t number);

/* carry.c */
/* Notes that a function takes `name` from the environment at an absolute index. */
void gr_carry_note(lua_State *L, Packer *k, int environment, const char *name, size_t len);
void gr_carry_globals(lua_State *L, Packer *k);
/* Pushes env[key] (absolute indices; the key is a string) as a function sees it whose environment
 * that is; nil when that raises, as with strict.lua. */
void gr_carry_look_up(lua_State *L, int env, int key);

#endif

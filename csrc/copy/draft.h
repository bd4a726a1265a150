/* SPDX-License-Identifier: MIT */
/* draft.h - a message in the making: its bytes, its items, their identities, and the way from each
 * item back to the root, for errors. For the files that pack alone. */
#ifndef GR_DRAFT_H
#define GR_DRAFT_H

#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "copy/code.h"
#include "copy/pack.h"
#include "copy/wire.h"
#include "heap/keep.h"

typedef enum OriginKind { O_ROOT, O_KEYED, O_KEY_OF, O_UPVALUE, O_META, O_GLOBAL } OriginKind;

/* How an item was reached: from item `parent`. The key is looked up only when a text needs it. */
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

typedef struct Draft {
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
} Draft;

/* draft.c */
/* Once a process. */
void gr_draft_init(void);
/* Pushes a draft and its four tables. One is kept in each state for reuse. */
Draft *gr_draft_new(lua_State *L, GrPackNames names, int first_number);
/* The message; the draft is free for others. Raises without memory. */
GrPack *gr_draft_finish(lua_State *L, Draft *d);
/* An error is about to be raised: lets go of all it holds. */
void gr_draft_give_up(lua_State *L, Draft *d);
/* Raises "not enough memory", after the draft has let go of all it holds. */
GR_NORETURN void gr_draft_no_memory(lua_State *L, Draft *d);
char *gr_draft_grow_slowly(lua_State *L, Draft *d, size_t n);
/* Room for n bytes at the end; valid until the next call. */
static inline char *gr_draft_grow(lua_State *L, Draft *d, size_t n) {
  if (gr_unlikely(d->bytes_cap - d->p.nbytes < n)) return gr_draft_grow_slowly(L, d, n);
  char *at = d->p.bytes + d->p.nbytes;
  d->p.nbytes += n;
  return at;
}
static inline void gr_draft_put(lua_State *L, Draft *d, const void *data, size_t n) {
  if (n > 0) memcpy(gr_draft_grow(L, d, n), data, n);
}
static inline void gr_draft_put_tag(lua_State *L, Draft *d, char tag) {
  *gr_draft_grow(L, d, 1) = tag;
}
static inline void gr_draft_put_tagged(lua_State *L, Draft *d, char tag, const void *data,
                                       size_t n) {
  char *at = gr_draft_grow(L, d, n + 1);
  *at = tag;
  memcpy(at + 1, data, n);
}
static inline void gr_draft_put_ref(lua_State *L, Draft *d, uint32_t item) {
  gr_draft_put_tagged(L, d, T_REF, &item, sizeof item);
}
/* The item of an identity, or NULL. */
Slot *gr_draft_find(Draft *d, const void *identity);
/* A new item for the value at idx, which is kept in `values`. The pointer is valid until the next
 * one. */
Item *gr_draft_item(lua_State *L, Draft *d, ItemKind kind, const void *identity, int idx,
                    const Origin *origin);
/* What modules own: d->index is filled. */
void gr_draft_need_index(lua_State *L, Draft *d);
/* Raises. `what`: the kind of value. */
GR_NORETURN void gr_draft_cannot_send(lua_State *L, Draft *d, const Origin *origin,
                                      const char *what);
/* Pushes the text of a placeholder for a value of that kind, which is item `item` or, when the
 * origin has a key, becomes one. A global is being carried. */
void gr_draft_push_text(lua_State *L, Draft *d, const Origin *origin, uint32_t item,
                        const char *what);

/* pack.c */
/* Writes the value at idx (absolute); a new item goes on the list. Leaves the stack as it was,
 * unless it raises. */
void gr_pack_value(lua_State *L, Draft *d, int idx, const Origin *origin);
/* Writes the metatable on top, of item `parent`, and pops it. Its item, if it gets one, is a class.
 */
void gr_pack_metatable(lua_State *L, Draft *d, uint32_t parent);
/* Writes all items on the list, and those that they add. */
void gr_pack_items(lua_State *L, Draft *d);
/* Item `number`, a link, becomes a class that goes along. */
void gr_pack_unlink(lua_State *L, Draft *d, uint32_t number);

/* instead.c */
/* The value at idx, of the kind `what`, cannot be sent: raises, or something else takes its place.
 */
void gr_draft_refuse(lua_State *L, Draft *d, int idx, const Origin *origin, const char *what);
/* Has the value at idx got a placeholder in this message? */
bool gr_draft_is_refused(lua_State *L, Draft *d, int idx);
/* Item `number`, an object, is the placeholder of the value at idx; the origin is the item's, or
 * has its key still. */
void gr_draft_put_placeholder(lua_State *L, Draft *d, uint32_t number, int idx,
                              const Origin *origin, const char *what);
/* Writes what the __goro of the value at idx gives; the metamethod is on top, and popped. */
void gr_draft_make(lua_State *L, Draft *d, int idx, const void *identity, const Origin *origin);
/* Pushes the metafield of the value at idx; false: there is none, and nothing was pushed. */
bool gr_draft_push_metafield(lua_State *L, int idx, const char *name);
/* Pushes __name of the value at idx, or its type. */
void gr_draft_push_kind(lua_State *L, int idx);

/* carry.c */
/* Notes that a function takes `name` from the environment at an absolute index. */
void gr_carry_note(lua_State *L, Draft *d, int environment, const char *name, size_t len);
void gr_carry_globals(lua_State *L, Draft *d);
/* Pushes env[key] (absolute indices; the key is a string), as a function with this environment sees
 * it; nil when the access raises, as under strict.lua. */
void gr_carry_look_up(lua_State *L, int env, int key);

#endif

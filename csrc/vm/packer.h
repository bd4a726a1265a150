/* SPDX-License-Identifier: MIT */
/* packer.h - the work in progress of one pack: bytes, items, identities, and the way back to the root for errors. For pack.c, carry.c and packer.c alone. */
#ifndef GR_PACKER_H
#define GR_PACKER_H

#include <lauxlib.h>
#include <lua.h>

#include "vm/pack.h"
#include "vm/wire.h"

typedef enum OriginKind { O_ROOT, O_KEYED, O_KEY_OF, O_UPVALUE, O_META, O_GLOBAL } OriginKind;

/* How an item was reached: from item `parent` by a key. Strings belong to the sender's state, which does not run meanwhile. */
typedef struct Origin {
  uint8_t kind, key_type;
  uint32_t parent;
  const char *name;
  lua_Number number;
} Origin;

typedef struct Slot {
  const void *identity;
  uint32_t item;
} Slot;

typedef struct Packer {
  GrPack *p;
  Origin *origins;
  uint32_t origins_cap;
  Slot *slots; /* open addressing by identity */
  uint32_t nslots, used;
  uint32_t next; /* the first item that is not written yet */
  bool trying;   /* what cannot be sent is left out */
  bool failed;
  GrPackNames names;
  int first_number, root;
  int values;  /* stack index: item number + 1 -> value */
  int index;   /* stack index: what modules own (names.h) */
  int globals; /* stack index: names of globals with the environments they are looked up in: name, environment, … */
} Packer;

/* packer.c */
GR_NORETURN void gr_packer_no_memory(lua_State *L);
/* Pushes a new packer and its three tables. */
Packer *gr_packer_new(lua_State *L, GrPackNames names, int first_number);
/* Frees what it holds; the userdata may follow later. */
void gr_packer_fini(Packer *k);
/* Frees what items from `from` on hold. */
void gr_packer_free_items(GrPack *p, uint32_t from);
/* Room for n bytes at the end; valid until the next call. */
char *gr_packer_grow(lua_State *L, Packer *k, size_t n);
void gr_packer_put(lua_State *L, Packer *k, const void *data, size_t n);
void gr_packer_put_tag(lua_State *L, Packer *k, char tag);
void gr_packer_put_tagged(lua_State *L, Packer *k, char tag, const void *data, size_t n);
void gr_packer_put_ref(lua_State *L, Packer *k, uint32_t item);
/* The item of an identity, or NULL. */
Slot *gr_packer_find(Packer *k, const void *identity);
/* The table of identities made anew, without those of items from `limit` on: a savepoint is taken back. */
void gr_packer_rehash(lua_State *L, Packer *k, uint32_t nslots, uint32_t limit);
/* A new item for the value at idx, which is kept in `values` when `keep`. The pointer is valid until the next one. */
Item *gr_packer_item(lua_State *L, Packer *k, ItemKind kind, const void *identity, int idx, bool keep, const Origin *origin);
/* Raises, or marks the attempt as failed. `what`: the kind of value. */
void gr_packer_cannot_send(lua_State *L, Packer *k, const Origin *origin, const char *what);

/* pack.c */
/* Writes the value at idx (absolute); a new item goes on the list. Leaves the stack as it was, unless it raises. */
void gr_pack_value(lua_State *L, Packer *k, int idx, const Origin *origin);
/* Writes all items on the list, and those that they add. */
void gr_pack_items(lua_State *L, Packer *k);
bool gr_pack_is_globals(lua_State *L, int idx);

/* carry.c */
void gr_carry_globals(lua_State *L, Packer *k);
void gr_carry_inherited(lua_State *L, Packer *k);

#endif

/* SPDX-License-Identifier: MIT */
/* wire.h - the form of a packed message, for the files that pack, unpack and verify alone (and
 * goro.testing, which damages messages).
 *
 * A small scalar or a short string lies in the GrMsg itself, a long string in a block of its own.
 * All else is a GrPack: items, and bytes. An item is whatever has an identity: a table, a
 * function, an upvalue that is shared, a long string, an object, a name. In the bytes a value is a
 * tag and its payload; a value with an identity is a reference: the number of its item.
 *
 *   {1, x = t} where t = {}:
 *
 *   items   | 0 TABLE narr 1 nrec 1 | 1 TABLE |
 *               | at                     | at
 *               v                        v
 *   bytes   REF 0 | NIL INTEGER 1 STRING 1 "x" REF 1 END | NIL END | END
 *           roots   metatable, then 1, then x = t                    globals
 *
 * So sharing and cycles need no special case. Depth is no depth, since items lie side by side. And
 * the receiver can leave out items that nothing it makes refers to: the contents of a class that
 * it has already.
 *
 *   bytes at 0:       the root values
 *   table, class:     value of the metatable; narr values for 1..narr; key, value, …; END
 *   function:         nups times: REF of a cell
 *   cell:             its value
 *   string, code:     raw, `len` bytes
 *   name:             module '\0' field '\0' (an empty field: the module itself)
 *   link:             nothing: it is a class of a record
 *   globals:          (string, value)…; END
 *
 * A record (record.h) is a message too; its roots are classes. Many messages refer to it, and
 * nobody writes to it. */
#ifndef GR_WIRE_H
#define GR_WIRE_H

#include "base/msg.h"
#include "base/share.h"

enum { /* GrMsg.kind */
       M_EMPTY,
       M_NIL,
       M_FALSE,
       M_TRUE,
       M_INTEGER,
       M_FLOAT,
       M_LIGHT,
       M_SHORT, /* a string in the message itself */
       M_LONG,  /* a string of its own: u.p, w[0] its length */
       M_PACK,  /* u.p */
};

enum { GR_SHORT_MAX = sizeof(GrMsg) - offsetof(GrMsg, bytes) };

enum { /* tags of values in the bytes */
       T_NIL,
       T_FALSE,
       T_TRUE,
       T_INTEGER,
       T_FLOAT,
       T_LIGHT,
       T_CFUNCTION,
       T_STRING, /* u32 length, bytes */
       T_REF,    /* u32 item */
       T_ENV,    /* the receiver's globals */
       T_STDIN,
       T_STDOUT,
       T_STDERR,
       T_END,
};

typedef enum ItemKind {
  I_TABLE,
  I_CLASS,
  I_STRING,
  I_FUNCTION,
  I_CELL,
  I_NAME,
  I_OBJECT,
  I_NATIVE,
  I_MADE,
  I_LINK
} ItemKind;

struct GrPack;
typedef struct Item {
  uint8_t kind;
  uint8_t nups;        /* of a function */
  uint32_t view;       /* of an object; number of a native; of a link, which root of the record */
  uint32_t narr, nrec; /* of a table: the sizes it will have */
  uint64_t id;         /* of a class, a link */
  size_t at;           /* of its bytes */
  size_t len;          /* of a string; of a function's code, which precedes its bytes */
  union {
    GrShare *share;      /* of an object, of a link's record: a reference */
    struct GrPack *made; /* what __goro gave: a function and its arguments */
  } u;
} Item;

typedef struct GrPack {
  uint32_t nroots, nitems;
  bool start;     /* carried globals are set even where present */
  bool classes;   /* there are items of that kind */
  bool apart;     /* items and bytes are blocks of their own; else they follow in this one */
  uint32_t size;  /* of this block, a chunk; 0: it is malloc's */
  size_t globals; /* where the carried globals begin */
  uint64_t need;  /* standard globals that a state must have first (need.h) */
  const struct GrImage
      *image; /* of goroutines that start with the function that is item 0, or NULL */
  Item *items;
  size_t nbytes;
  char *bytes;
} GrPack;

/* Drops the references of items from `from` on. */
void gr_pack_free_items(GrPack *p, uint32_t from);
void gr_pack_free(GrPack *p);
/* Another message with the same content; NULL without memory. */
GrPack *gr_pack_copy(const GrPack *p);

#endif

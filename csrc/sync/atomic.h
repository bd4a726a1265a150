/* SPDX-License-Identifier: MIT */
/* atomic.h - a value that is read and changed in one step: an integer, a float, a boolean or a
 * string. */
#ifndef GR_ATOMIC_H
#define GR_ATOMIC_H

#include "base/share.h"

typedef struct GrAtomic GrAtomic;
typedef struct GrText GrText;

typedef enum GrValueKind {
  GR_VALUE_INTEGER,
  GR_VALUE_FLOAT,
  GR_VALUE_BOOLEAN,
  GR_VALUE_STRING
} GrValueKind;

/* A value has one owner. Plain assignment moves it to another. */
typedef struct GrValue {
  GrValueKind kind;
  union {
    int64_t i;
    double n;
    bool b;
    GrText *s;
  } u;
} GrValue;

/* A string that never changes, with a reference count. NULL without memory. */
GrText *gr_text_new(const char *s, size_t len);
const char *gr_text_bytes(const GrText *t, size_t *len);
void gr_value_drop(GrValue *v);

/* Takes *v. `type` names its class (its destroy must be gr_atomic_destroy). NULL: no memory, and
 * *v stays the caller's. */
GrAtomic *gr_atomic_new(GrValue *v, const GrShareType *type);
void gr_atomic_destroy(GrShare *s);
GrShare *gr_atomic_share(GrAtomic *a);
GrAtomic *gr_atomic_of(GrShare *s);

/* The functions below return values that belong to the caller. While the old and the new value
 * are integers, each of them is one atomic operation. One integer is an exception: see atomic.c. */
GrValue gr_atomic_load(GrAtomic *a);
/* Takes v. Returns the value before. */
GrValue gr_atomic_swap(GrAtomic *a, GrValue v);
/* Replaces the value by v if it equals `old`, and returns whether it did. Borrows `old`, takes
 * v. */
bool gr_atomic_cas(GrAtomic *a, const GrValue *old, GrValue v);
/* Adds v, an integer or a float. True: *out is the sum, by Lua's rules. False: the value is no
 * number, and out->kind says what it is. */
bool gr_atomic_add(GrAtomic *a, GrValue v, GrValue *out);

#endif

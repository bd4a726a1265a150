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

/* Moved by plain assignment; one owner. */
typedef struct GrValue {
  GrValueKind kind;
  union {
    int64_t i;
    double n;
    bool b;
    GrText *s;
  } u;
} GrValue;

/* A string that is never changed, and counted. NULL without memory. */
GrText *gr_text_new(const char *s, size_t len);
const char *gr_text_bytes(const GrText *t, size_t *len);
void gr_value_drop(GrValue *v);

/* Takes *v. `type` names its class (its destroy must be gr_atomic_destroy). NULL without memory: *v
 * stays the caller's. */
GrAtomic *gr_atomic_new(GrValue *v, const GrShareType *type);
void gr_atomic_destroy(GrShare *s);
GrShare *gr_atomic_share(GrAtomic *a);
GrAtomic *gr_atomic_of(GrShare *s);

/* What is returned is the caller's. Between integers, all of these are one atomic operation, but
 * for one integer: see atomic.c. */
GrValue gr_atomic_load(GrAtomic *a);
/* Takes v. */
GrValue gr_atomic_swap(GrAtomic *a, GrValue v);
/* Borrows `old`, takes v. */
bool gr_atomic_cas(GrAtomic *a, const GrValue *old, GrValue v);
/* v: an integer or a float. False: there is no number; out->kind says what there is. Else *out is
 * the sum, as Lua has it. */
bool gr_atomic_add(GrAtomic *a, GrValue v, GrValue *out);

#endif

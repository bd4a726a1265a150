/* SPDX-License-Identifier: MIT */
/* atomic.c - an integer in a word. Any other value lies beside the word, under a lock.
 *
 *   word == ELSEWHERE:   the value is in `other`, under the lock: a float, a boolean, a string, or
 *                        the integer ELSEWHERE
 *   any other word:      the value is an integer, the word itself
 *
 * ELSEWHERE is one integer out of 2^64. Only a thread that holds the lock changes the word to
 * ELSEWHERE, or from ELSEWHERE. Every other change is a CAS from one integer to another. So the
 * type of the value and the value itself change in one step, and an operation on integers costs
 * one CAS.
 *
 * Rejected: a flag beside the word that says "integer", read before a fetch-and-add. Between the
 * two, another thread may replace the value, and the addition would change the new value. (A
 * CAS, unlike a fetch-and-add, must be repeated when another thread was faster. But the call
 * from Lua takes longer than the window in which that can happen.) Rejected: a tag in the word.
 * It would take bits from the integers.
 *
 * A string has a reference count. So a load under the lock takes a reference and copies no
 * bytes. */
#include "sync/atomic.h"

#include <string.h>

#include "base/lock.h"

#define ELSEWHERE ((int64_t)0xa5c3196e8d4b72f1)

struct GrText {
  atomic_int_fast64_t refs;
  size_t len;
  char bytes[];
};

struct GrAtomic {
  GrShare share;
  _Atomic int64_t word;
  GrLock lock;
  GrValue other;
};

/* ---- values ---- */

GrText *gr_text_new(const char *s, size_t len) {
  GrText *t = gr_malloc(sizeof *t + len);
  if (t == NULL) return NULL;
  atomic_init(&t->refs, 1);
  t->len = len;
  memcpy(t->bytes, s, len);
  return t;
}

const char *gr_text_bytes(const GrText *t, size_t *len) {
  *len = t->len;
  return t->bytes;
}

void gr_value_drop(GrValue *v) {
  if (v->kind == GR_VALUE_STRING && atomic_fetch_sub(&v->u.s->refs, 1) == 1) gr_free(v->u.s);
  *v = (GrValue){0};
}

static GrValue integer(int64_t i) { return (GrValue){GR_VALUE_INTEGER, {.i = i}}; }
static GrValue real(double n) { return (GrValue){GR_VALUE_FLOAT, {.n = n}}; }
static bool fits(const GrValue *v) { return v->kind == GR_VALUE_INTEGER && v->u.i != ELSEWHERE; }

static GrValue share(GrValue v) {
  if (v.kind == GR_VALUE_STRING) atomic_fetch_add(&v.u.s->refs, 1);
  return v;
}

/* Is n an integer with -2^63 <= n < 2^63? Then *i becomes it. */
static bool is_integer(double n, int64_t *i) {
  if (!(n >= -0x1p63 && n < 0x1p63)) return false;
  *i = (int64_t)n;
  return (double)*i == n;
}

/* Compares as Lua does, but for one case: NaN equals NaN here. Otherwise a goroutine that
 * repeats a CAS until it succeeds would never end. */
static bool equal(const GrValue *a, const GrValue *b) {
  int64_t i;
  if (a->kind != b->kind) {
    if (a->kind == GR_VALUE_INTEGER && b->kind == GR_VALUE_FLOAT)
      return is_integer(b->u.n, &i) && i == a->u.i;
    return b->kind == GR_VALUE_INTEGER && a->kind == GR_VALUE_FLOAT && equal(b, a);
  }
  switch (a->kind) {
    case GR_VALUE_INTEGER: return a->u.i == b->u.i;
    case GR_VALUE_FLOAT: return a->u.n == b->u.n || (a->u.n != a->u.n && b->u.n != b->u.n);
    case GR_VALUE_BOOLEAN: return a->u.b == b->u.b;
    default:
      return a->u.s->len == b->u.s->len && memcmp(a->u.s->bytes, b->u.s->bytes, a->u.s->len) == 0;
  }
}

/* Sums of integers wrap around. False: v is no number. */
static bool sum(const GrValue *v, const GrValue *n, GrValue *out) {
  if (v->kind > GR_VALUE_FLOAT) return false;
  if (v->kind == GR_VALUE_INTEGER && n->kind == GR_VALUE_INTEGER)
    *out = integer((int64_t)((uint64_t)v->u.i + (uint64_t)n->u.i));
  else
    *out = real((v->kind == GR_VALUE_FLOAT ? v->u.n : (double)v->u.i) +
                (n->kind == GR_VALUE_FLOAT ? n->u.n : (double)n->u.i));
  return true;
}

/* ---- under the lock ---- */

/* The value, borrowed. */
static GrValue look_locked(GrAtomic *a) {
  int64_t w = atomic_load(&a->word);
  return w == ELSEWHERE ? a->other : integer(w);
}

/* Replaces the value by v, and takes v, if the value is still *old, which look_locked returned.
 * False: another thread has changed an integer since then, and nothing has happened. */
static bool put_locked(GrAtomic *a, const GrValue *old, GrValue v) {
  int64_t to = fits(&v) ? v.u.i : ELSEWHERE;
  if (fits(old)) {
    int64_t from = old->u.i;
    if (to == ELSEWHERE) a->other = v;
    return atomic_compare_exchange_strong(&a->word, &from, to);
  }
  a->other = to == ELSEWHERE ? v : (GrValue){0};
  atomic_store(&a->word, to);
  return true;
}

/* ---- public ---- */

GrAtomic *gr_atomic_new(GrValue *v, const GrShareType *type) {
  GrAtomic *a = gr_zalloc(sizeof *a);
  if (a == NULL) return NULL;
  gr_share_init(&a->share, type);
  gr_lock_init(&a->lock, GR_RANK_SYNC);
  atomic_init(&a->word, fits(v) ? v->u.i : ELSEWHERE);
  if (!fits(v)) a->other = *v;
  *v = (GrValue){0};
  return a;
}

void gr_atomic_destroy(GrShare *s) {
  GrAtomic *a = gr_atomic_of(s);
  if (atomic_load(&a->word) == ELSEWHERE) gr_value_drop(&a->other);
  gr_free(a);
}

GrShare *gr_atomic_share(GrAtomic *a) { return &a->share; }
GrAtomic *gr_atomic_of(GrShare *s) { return gr_container_of(s, GrAtomic, share); }

GrValue gr_atomic_load(GrAtomic *a) {
  int64_t w = atomic_load(&a->word);
  if (gr_likely(w != ELSEWHERE)) return integer(w);
  gr_lock(&a->lock);
  GrValue v = share(look_locked(a));
  gr_unlock(&a->lock);
  return v;
}

GrValue gr_atomic_swap(GrAtomic *a, GrValue v) {
  int64_t w = atomic_load_explicit(&a->word, memory_order_relaxed);
  while (w != ELSEWHERE && fits(&v))
    if (atomic_compare_exchange_weak(&a->word, &w, v.u.i)) return integer(w);
  GrValue old;
  gr_lock(&a->lock);
  do old = look_locked(a);
  while (!put_locked(a, &old, v));
  gr_unlock(&a->lock);
  return old;
}

bool gr_atomic_cas(GrAtomic *a, const GrValue *expected, GrValue v) {
  int64_t w = atomic_load(&a->word);
  while (w != ELSEWHERE && fits(&v)) {
    GrValue now = integer(w);
    if (!equal(&now, expected)) return false;
    if (atomic_compare_exchange_weak(&a->word, &w, v.u.i)) return true;
  }
  GrValue old;
  bool same;
  gr_lock(&a->lock);
  do {
    old = look_locked(a);
    same = equal(&old, expected);
  } while (same && !put_locked(a, &old, v));
  gr_unlock(&a->lock);
  gr_value_drop(same ? &old : &v);
  return same;
}

bool gr_atomic_add(GrAtomic *a, GrValue n, GrValue *out) {
  int64_t w = atomic_load_explicit(&a->word, memory_order_relaxed);
  while (w != ELSEWHERE && n.kind == GR_VALUE_INTEGER) {
    *out = integer((int64_t)((uint64_t)w + (uint64_t)n.u.i));
    if (out->u.i == ELSEWHERE) break;
    if (atomic_compare_exchange_weak(&a->word, &w, out->u.i)) return true;
  }
  GrValue old;
  bool number;
  gr_lock(&a->lock);
  do {
    old = look_locked(a);
    number = sum(&old, &n, out);
    if (!number) *out = (GrValue){.kind = old.kind};
  } while (number && !put_locked(a, &old, *out));
  gr_unlock(&a->lock);
  return number;
}

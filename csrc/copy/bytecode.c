/* SPDX-License-Identifier: MIT */
/* bytecode.c - a reader of Lua 5.4's dump format (ldump.c, lopcodes.h; the same in 5.4.0 to
 * 5.4.8).
 *
 * The walk knows the form of a dump. It follows upvalues, _ENV among them, into nested functions,
 * by their descriptions. The reader checks each length against the end, so a dump in another
 * format ends the walk with false, and not with a crash.
 *
 * gr_bytecode_read looks at the instructions that tell about globals. GETTABUP and SETTABUP with
 * the index of _ENV name a global. GETUPVAL of _ENV makes every string constant a possible name.
 * SELF names a method, which may be a string's. vet.c looks at what is changed. */
#include "copy/bytecode.h"

#include <string.h>

#include "copy/opcodes.h"

enum { DEPTH_MAX = 250 };

typedef struct Reader {
  const char *at, *end;
  bool bad;
} Reader;

static const char *take(Reader *r, size_t n) {
  const char *p = r->at;
  if (r->bad || n > (size_t)(r->end - r->at)) {
    r->bad = true;
    return NULL;
  }
  r->at += n;
  return p;
}

static unsigned char byte(Reader *r) {
  const char *p = take(r, 1);
  return p != NULL ? (unsigned char)*p : 0;
}

static size_t size(Reader *r) {
  size_t n = 0;
  for (int i = 0; i < 10 && !r->bad; i++) {
    unsigned char b = byte(r);
    n = n << 7 | (b & 0x7f);
    if (b & 0x80) return n;
  }
  r->bad = true;
  return 0;
}

static const char *string(Reader *r, size_t *len) {
  size_t n = size(r);
  *len = n > 0 ? n - 1 : 0;
  return n > 0 ? take(r, n - 1) : NULL;
}

static GrBytecodeText constant(Reader *r) {
  GrBytecodeText t = {NULL, 0};
  switch (byte(r)) {
    case 0:
    case 1:
    case 17: break;
    case 3:
    case 19: take(r, 8); break;
    case 4:
    case 20: t.s = string(r, &t.len); break;
    default: r->bad = true;
  }
  return t;
}

/* ---- the walk ---- */

typedef struct Walk {
  Reader r; /* first */
  void (*enter)(void *arg, GrBytecodeFunction *f);
  void (*leave)(void *arg, GrBytecodeFunction *f);
  void *arg;
} Walk;

/* `env`: which of this function's upvalues is _ENV, as the caller knows it; -1: it is found through
 * the enclosing function's, by the descriptions of upvalues. */
static void function(Walk *w, GrBytecodeFunction *outer, int env, int depth) {
  Reader *r = &w->r;
  GrBytecodeFunction f = {.outer = outer, .env = env, .end = r->end};
  size_t len;
  string(r, &len); /* source */
  f.line = size(r);
  size(r);
  take(r, 3);
  f.ncode = size(r);
  if (depth > DEPTH_MAX || f.ncode > (size_t)(r->end - r->at)) r->bad = true;
  f.code = take(r, f.ncode * 4);
  f.nconstants = size(r);
  f.constants = r->at;
  for (size_t i = 0; i < f.nconstants && !r->bad; i++) constant(r);
  f.nupvalues = size(r);
  f.upvalues = r->at;
  for (size_t i = 0; i < f.nupvalues && !r->bad; i++) {
    unsigned char instack = byte(r), idx = byte(r);
    byte(r);
    if (outer != NULL && !instack && outer->env >= 0 && idx == outer->env) f.env = (int)i;
  }
  if (!r->bad && w->enter != NULL) w->enter(w->arg, &f);
  for (size_t n = size(r); n > 0 && !r->bad; n--) function(w, &f, -1, depth + 1);
  f.nlines = size(r);
  f.lines = take(r, f.nlines);
  size_t n = size(r);
  f.absolute = r->at;
  for (; n > 0 && !r->bad; n--) size(r), size(r);
  if (!r->bad && w->leave != NULL) w->leave(w->arg, &f);
  for (n = size(r); n > 0 && !r->bad; n--) string(r, &len), size(r), size(r);
  for (n = size(r); n > 0 && !r->bad; n--) string(r, &len);
}

bool gr_bytecode_walk(const char *dump, size_t length, int env,
                      void (*enter)(void *arg, GrBytecodeFunction *f),
                      void (*leave)(void *arg, GrBytecodeFunction *f), void *arg) {
  static const char head[] = "\x1bLua\x54\x00\x19\x93\r\n\x1a\n\x04\x08\x08";
  Walk w = {{dump, dump + length, false}, enter, leave, arg};
  const char *p =
      take(&w.r, sizeof head - 1 + 16 + 1); /* then an integer, a number, the count of upvalues */
  if (p == NULL || memcmp(p, head, sizeof head - 1) != 0) return false;
  function(&w, NULL, env, 0);
  return !w.r.bad;
}

size_t gr_bytecode_texts(const GrBytecodeFunction *f, GrBytecodeText k[GR_BYTECODE_NAMED]) {
  Reader r = {f->constants, f->end, false};
  size_t n = f->nconstants < GR_BYTECODE_NAMED ? f->nconstants : GR_BYTECODE_NAMED;
  for (size_t i = 0; i < n; i++) k[i] = constant(&r);
  return n;
}

int gr_bytecode_outermost(GrBytecodeFunction *f, uint32_t i, GrBytecodeFunction **at,
                          uint32_t *reg) {
  for (*at = f; i < f->nupvalues; f = f->outer) {
    if (f->outer == NULL) return (int)i;
    bool variable = f->upvalues[3 * i] != 0;
    i = (unsigned char)f->upvalues[3 * i + 1];
    *at = f->outer;
    *reg = i;
    if (variable) return -1;
  }
  *at = NULL;
  return -1;
}

/* ---- lines ---- */

GrBytecodeLines gr_bytecode_lines(const GrBytecodeFunction *f) {
  return (GrBytecodeLines){f, 0, f->line, f->absolute};
}

/* Each instruction has the difference to the line of the one before. -128 means that the next pair
 * at `absolute` (instruction, line) tells the line. */
int gr_bytecode_next_line(GrBytecodeLines *l) {
  size_t i = l->i++;
  if (l->f->nlines == 0) return 0;
  if (i < l->f->nlines && (signed char)l->f->lines[i] == -128) {
    Reader r = {l->absolute, l->f->end, false};
    size(&r), l->line = size(&r);
    l->absolute = r.at;
  } else if (i < l->f->nlines) {
    l->line += (size_t)(ptrdiff_t)(signed char)l->f->lines[i];
  }
  return (int)l->line;
}

/* ---- globals and methods ---- */

typedef struct Uses {
  void (*found)(void *arg, const GrBytecodeUse *use);
  void *arg;
} Uses;

static void tell(const Uses *u, GrBytecodeKind kind, GrBytecodeText t) {
  u->found(u->arg, &(GrBytecodeUse){kind, t});
}

/* The table of constants lies on the stack, since `found` may raise, and not return. This function
 * is not inlined: functions nested in functions would need a deep stack. */
__attribute__((noinline)) static void scan(void *arg, GrBytecodeFunction *f) {
  GrBytecodeText k[GR_BYTECODE_NAMED];
  const Uses *u = arg;
  uint32_t env = f->env >= 0 ? (uint32_t)f->env : UINT32_MAX;
  bool all = false;
  size_t named = gr_bytecode_texts(f, k);
  for (size_t i = 0; i < f->ncode; i++) {
    uint32_t word;
    memcpy(&word, f->code + 4 * i, 4);
    uint32_t op = GR_OP(word), a = GR_OP_A(word), b = GR_OP_B(word), c = GR_OP_C(word);
    if ((op == OP_GETUPVAL || op == OP_SETUPVAL) && b == env) all = true;
    if (op == OP_GETTABUP && b == env && c < named && k[c].s != NULL)
      tell(u, GR_BYTECODE_GLOBAL, k[c]);
    if (op == OP_SETTABUP && a == env && b < named && k[b].s != NULL)
      tell(u, GR_BYTECODE_GLOBAL, k[b]);
    if (op == OP_SELF && GR_OP_K(word) && c < named && k[c].s != NULL)
      tell(u, GR_BYTECODE_METHOD, k[c]);
  }
  if (!all) return;
  tell(u, GR_BYTECODE_ENV, (GrBytecodeText){NULL, 0});
  Reader names = {f->constants, f->end, false};
  for (size_t i = 0; i < f->nconstants; i++) {
    GrBytecodeText t = constant(&names);
    if (t.s != NULL) tell(u, GR_BYTECODE_GLOBAL, t);
  }
}

bool gr_bytecode_read(const char *dump, size_t length, int env,
                      void (*found)(void *arg, const GrBytecodeUse *use), void *arg) {
  Uses u = {found, arg};
  return gr_bytecode_walk(dump, length, env, scan, NULL, &u);
}

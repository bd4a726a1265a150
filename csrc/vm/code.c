/* SPDX-License-Identifier: MIT */
/* code.c - a reader of Lua 5.4's dump format (ldump.c, lopcodes.h; the same in 5.4.0 to 5.4.8).
 *
 * Only what tells about globals and captured variables is looked at: GETTABUP and SETTABUP with
 * _ENV's index name one; GETUPVAL of _ENV makes every string constant a possible name; SELF names a
 * method, which may be a string's; SETUPVAL assigns. Upvalues, _ENV among them, are followed into
 * nested functions through their descriptions. The reader checks every length against the end, so a
 * dump in another format ends it with false and not with a crash. */
#include "vm/code.h"

#include <string.h>

enum {
  OP_GETUPVAL = 9,
  OP_SETUPVAL = 10,
  OP_GETTABUP = 11,
  OP_SETTABUP = 15,
  OP_SELF = 20,
  DEPTH_MAX = 250
};

typedef struct Reader {
  const char *at, *end;
  bool bad;
  void (*found)(void *arg, const GrCodeUse *use);
  void *arg;
} Reader;

/* A function that is being read: where its upvalues are described, 3 bytes each: is it a variable
 * of the encloser, which, its kind. */
typedef struct Function {
  const struct Function *outer;
  const char *upvalues;
  size_t nupvalues;
} Function;

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

typedef struct Text {
  const char *s; /* NULL: no string */
  size_t len;
} Text;

static void tell(const Reader *r, GrCodeKind kind, Text t) {
  r->found(r->arg, &(GrCodeUse){.kind = kind, .name = t.s, .len = t.len});
}

static Text constant(Reader *r) {
  Text t = {NULL, 0};
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

/* An instruction can name the first 256 constants; those are enough of a table, on the stack, since
 * `found` may not come back. Not inlined: nested functions are read after this one has been
 * scanned. */
__attribute__((noinline)) static void scan(Reader *r, const char *code, size_t ncode,
                                           const char *constants, size_t nk, int env_index) {
  enum { NAMED = 256 };
  Text k[NAMED];
  Reader names = *r;
  uint32_t env = env_index >= 0 ? (uint32_t)env_index : UINT32_MAX;
  bool all = false;
  names.at = constants;
  size_t named = nk < NAMED ? nk : NAMED;
  for (size_t i = 0; i < named; i++) k[i] = constant(&names);
  for (size_t i = 0; i < ncode; i++) {
    uint32_t word;
    memcpy(&word, code + 4 * i, 4);
    uint32_t op = word & 0x7f, a = word >> 7 & 0xff, b = word >> 16 & 0xff, c = word >> 24;
    if ((op == OP_GETUPVAL || op == OP_SETUPVAL) && b == env) all = true;
    if (op == OP_GETTABUP && b == env && c < named && k[c].s != NULL) tell(r, GR_CODE_GLOBAL, k[c]);
    if (op == OP_SETTABUP && a == env && b < named && k[b].s != NULL) tell(r, GR_CODE_GLOBAL, k[b]);
    if (op == OP_SELF && (word >> 15 & 1) && c < named && k[c].s != NULL)
      tell(r, GR_CODE_METHOD, k[c]);
  }
  if (!all) return;
  tell(r, GR_CODE_ENV, (Text){NULL, 0});
  names.at = constants;
  for (size_t i = 0; i < nk; i++) {
    Text t = constant(&names);
    if (t.s != NULL) tell(r, GR_CODE_GLOBAL, t);
  }
}

/* Which upvalue of the outermost function the upvalue i of f is; -1: a variable in between. */
static int outermost(const Function *f, uint32_t i) {
  for (; f->outer != NULL; f = f->outer) {
    if (i >= f->nupvalues || f->upvalues[3 * i] != 0) return -1;
    i = (unsigned char)f->upvalues[3 * i + 1];
  }
  return i < f->nupvalues ? (int)i : -1;
}

/* Assignments to captured variables, with their lines: each instruction has the difference to the
 * line before, or -128: the next of the pairs at `absolute` (instruction, line) says it. */
static void scan_assignments(Reader *r, const Function *f, const char *code, size_t ncode,
                             size_t line, const char *lines, size_t nlines, Reader absolute) {
  for (size_t i = 0; i < ncode; i++) {
    uint32_t word;
    memcpy(&word, code + 4 * i, 4);
    if (i < nlines && (signed char)lines[i] == -128) size(&absolute), line = size(&absolute);
    else if (i < nlines) line += (size_t)(ptrdiff_t)(signed char)lines[i];
    int upvalue = (word & 0x7f) == OP_SETUPVAL ? outermost(f, word >> 16 & 0xff) : -1;
    if (upvalue >= 0)
      r->found(r->arg, &(GrCodeUse){.kind = GR_CODE_ASSIGNED,
                                    .upvalue = upvalue + 1,
                                    .line = nlines > 0 ? (int)line : 0});
  }
}

/* `env`: the index of _ENV among this function's upvalues as its encloser knows it, or -1 to find
 * it by outer_env through the descriptions. */
static void function(Reader *r, const Function *outer, int env, int outer_env, int depth) {
  size_t len, nk;
  string(r, &len); /* source */
  size_t line = size(r);
  size(r);
  take(r, 3);
  size_t ncode = size(r);
  if (depth > DEPTH_MAX || ncode > (size_t)(r->end - r->at)) r->bad = true;
  const char *code = take(r, ncode * 4);
  nk = size(r);
  const char *constants = r->at;
  for (size_t i = 0; i < nk && !r->bad; i++) constant(r);
  size_t nup = size(r);
  Function f = {outer, r->at, nup};
  for (size_t i = 0; i < nup && !r->bad; i++) {
    unsigned char instack = byte(r), idx = byte(r);
    byte(r);
    if (depth > 0 && !instack && outer_env >= 0 && idx == outer_env) env = (int)i;
  }
  if (!r->bad) scan(r, code, ncode, constants, nk, env);
  for (size_t n = size(r); n > 0 && !r->bad; n--) function(r, &f, -1, env, depth + 1);
  size_t nlines = size(r), n = 0;
  const char *lines = take(r, nlines);
  Reader absolute = *r;
  for (n = size(r); n > 0 && !r->bad; n--) size(r), size(r);
  if (!r->bad) size(&absolute), scan_assignments(r, &f, code, ncode, line, lines, nlines, absolute);
  for (n = size(r); n > 0 && !r->bad; n--) string(r, &len), size(r), size(r);
  for (n = size(r); n > 0 && !r->bad; n--) string(r, &len);
}

bool gr_code_read(const char *dump, size_t length, int env,
                  void (*found)(void *arg, const GrCodeUse *use), void *arg) {
  static const char head[] = "\x1bLua\x54\x00\x19\x93\r\n\x1a\n\x04\x08\x08";
  Reader r = {dump, dump + length, false, found, arg};
  const char *p =
      take(&r, sizeof head - 1 + 16 + 1); /* then an integer, a number, the count of upvalues */
  if (p == NULL || memcmp(p, head, sizeof head - 1) != 0) return false;
  function(&r, NULL, env, -1, 0);
  return !r.bad;
}

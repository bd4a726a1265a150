/* SPDX-License-Identifier: MIT */
/* code.c - a reader of Lua 5.4's dump format (ldump.c, lopcodes.h; the same in 5.4.0 to 5.4.8).
 *
 * Only what tells about globals is looked at: GETTABUP and SETTABUP with _ENV's index name one; GETUPVAL of _ENV makes every string constant a possible name; SELF
 * names a method, which may be a string's. _ENV is followed into nested functions through their upvalue descriptions. The reader checks every length against the end, so a dump in
 * another format ends it with false and not with a crash. */
#include "vm/code.h"

#include <string.h>

enum { OP_GETUPVAL = 9, OP_SETUPVAL = 10, OP_GETTABUP = 11, OP_SETTABUP = 15, OP_SELF = 20, DEPTH_MAX = 250 };

typedef struct Reader {
  const char *at, *end;
  bool bad;
  void (*found)(void *arg, GrCodeUse use, const char *name, size_t len);
  void *arg;
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

typedef struct Text {
  const char *s; /* NULL: no string */
  size_t len;
} Text;

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

/* An instruction can name the first 256 constants; those are enough of a table, on the stack, since `found` may not come back. Not inlined: nested
 * functions are read after this one has been scanned. */
__attribute__((noinline)) static void scan(Reader *r, const char *code, size_t ncode, const char *constants, size_t nk, int env_index) {
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
    if (op == OP_GETTABUP && b == env && c < named && k[c].s != NULL) r->found(r->arg, GR_CODE_GLOBAL, k[c].s, k[c].len);
    if (op == OP_SETTABUP && a == env && b < named && k[b].s != NULL) r->found(r->arg, GR_CODE_GLOBAL, k[b].s, k[b].len);
    if (op == OP_SELF && (word >> 15 & 1) && c < named && k[c].s != NULL) r->found(r->arg, GR_CODE_METHOD, k[c].s, k[c].len);
  }
  if (!all) return;
  r->found(r->arg, GR_CODE_ENV, NULL, 0);
  names.at = constants;
  for (size_t i = 0; i < nk; i++) {
    Text t = constant(&names);
    if (t.s != NULL) r->found(r->arg, GR_CODE_GLOBAL, t.s, t.len);
  }
}

static void skip_debug(Reader *r) {
  size_t len, n = size(r);
  take(r, n); /* lineinfo */
  for (n = size(r); n > 0 && !r->bad; n--) size(r), size(r);
  for (n = size(r); n > 0 && !r->bad; n--) string(r, &len), size(r), size(r);
  for (n = size(r); n > 0 && !r->bad; n--) string(r, &len);
}

/* `env`: the index of _ENV among this function's upvalues as its encloser knows it, or -1 to find it by outer_env through the descriptions. */
static void function(Reader *r, int env, int outer_env, int depth) {
  size_t len, nk;
  string(r, &len); /* source */
  size(r), size(r);
  take(r, 3);
  size_t ncode = size(r);
  if (depth > DEPTH_MAX || ncode > (size_t)(r->end - r->at)) r->bad = true;
  const char *code = take(r, ncode * 4);
  nk = size(r);
  const char *constants = r->at;
  for (size_t i = 0; i < nk && !r->bad; i++) constant(r);
  size_t nup = size(r);
  for (size_t i = 0; i < nup && !r->bad; i++) {
    unsigned char instack = byte(r), idx = byte(r);
    byte(r);
    if (depth > 0 && !instack && outer_env >= 0 && idx == outer_env) env = (int)i;
  }
  if (!r->bad) scan(r, code, ncode, constants, nk, env);
  for (size_t n = size(r); n > 0 && !r->bad; n--) function(r, -1, env, depth + 1);
  skip_debug(r);
}

bool gr_code_read(const char *dump, size_t length, int env, void (*found)(void *arg, GrCodeUse use, const char *name, size_t len), void *arg) {
  static const char head[] = "\x1bLua\x54\x00\x19\x93\r\n\x1a\n\x04\x08\x08";
  Reader r = {dump, dump + length, false, found, arg};
  const char *p = take(&r, sizeof head - 1 + 16 + 1); /* then an integer, a number, the count of upvalues */
  if (p == NULL || memcmp(p, head, sizeof head - 1) != 0) return false;
  function(&r, env, -1, 0);
  return !r.bad;
}

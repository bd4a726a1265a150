/* SPDX-License-Identifier: MIT */
/* message.c - messages made, copied and changed without a Lua state; the form is wire.h's. */
#include <string.h>

#include "base/big.h"
#include "copy/pack.h"
#include "copy/wire.h"

bool gr_msg_string(const char *s, size_t len, GrMsg *out) {
  *out = GR_MSG_EMPTY;
  if (len <= GR_SHORT_MAX) {
    out->kind = M_SHORT;
    out->len = (uint8_t)len;
    memcpy((char *)out + offsetof(GrMsg, bytes), s, len);
    return true;
  }
  char *copy = gr_big_get(len);
  if (copy == NULL) return false;
  memcpy(copy, s, len);
  out->kind = M_LONG;
  out->u.p = copy;
  out->w[0] = len;
  return true;
}

static char *write_string(char *at, const char *s) {
  uint32_t n = (uint32_t)strlen(s);
  *at = T_STRING;
  memcpy(at + 1, &n, sizeof n);
  memcpy(at + 1 + sizeof n, s, n);
  return at + 1 + sizeof n + n;
}

bool gr_msg_record(const char *const (*fields)[2], size_t n, GrMsg *out) {
  enum { ROOT = 1 + sizeof(uint32_t) };
  size_t len = ROOT + 2; /* no metatable, the end */
  for (size_t i = 0; i < n; i++) len += 2 * ROOT + strlen(fields[i][0]) + strlen(fields[i][1]);
  char *bytes = gr_malloc(len), *at = bytes;
  if (bytes == NULL) return false;
  memset(at, 0, ROOT); /* a reference to item 0 */
  *at = T_REF;
  at += ROOT;
  *at++ = T_NIL;
  for (size_t i = 0; i < n; i++) at = write_string(write_string(at, fields[i][0]), fields[i][1]);
  *at = T_END;
  Item table = {.kind = I_TABLE, .nrec = (uint32_t)n, .at = ROOT};
  GrPack p = {.nroots = 1, .nitems = 1, .items = &table, .nbytes = len, .bytes = bytes};
  *out = (GrMsg){.kind = M_PACK, .u.p = gr_pack_copy(&p)};
  gr_free(bytes);
  if (out->u.p != NULL) return true;
  *out = GR_MSG_EMPTY;
  return false;
}

GrMsg gr_msg_nil(void) { return (GrMsg){.kind = M_NIL}; }
GrMsg gr_msg_boolean(bool b) { return (GrMsg){.kind = b ? M_TRUE : M_FALSE}; }
GrMsg gr_msg_integer(int64_t i) { return (GrMsg){.kind = M_INTEGER, .u.i = i}; }
GrMsg gr_msg_float(double n) { return (GrMsg){.kind = M_FLOAT, .u.n = n}; }

void gr_msg_set_start(GrMsg *m) {
  if (m->kind == M_PACK) ((GrPack *)m->u.p)->start = true;
}

bool gr_msg_is_plain(const GrMsg *m) { return m->kind != M_LONG && m->kind != M_PACK; }

bool gr_msg_copy(const GrMsg *m, GrMsg *out) {
  *out = *m;
  if (m->kind == M_LONG) return gr_msg_string(m->u.p, m->w[0], out);
  if (m->kind == M_PACK) out->u.p = gr_pack_copy(m->u.p);
  if (m->kind != M_PACK || out->u.p != NULL) return true;
  *out = GR_MSG_EMPTY;
  return false;
}

/* Bytes of the root value at `at`. */
static size_t root_size(const char *at) {
  uint32_t n;
  switch (*at) {
    case T_INTEGER: return 1 + sizeof(lua_Integer);
    case T_FLOAT: return 1 + sizeof(lua_Number);
    case T_LIGHT: return 1 + sizeof(void *);
    case T_CFUNCTION: return 1 + sizeof(lua_CFunction);
    case T_REF: return 1 + sizeof n;
    case T_STRING: memcpy(&n, at + 1, sizeof n); return 1 + sizeof n + n;
    default: return 1;
  }
}

/* The second root moves over the first one, which is a single tag. Bytes that items refer to stay
 * where they are. */
bool gr_msg_error_value(const GrMsg *m, GrMsg *out) {
  static const char nomem[] = "not enough memory";
  if (m->kind != M_PACK) return gr_msg_string(nomem, sizeof nomem - 1, out);
  if (!gr_msg_copy(m, out)) return false;
  GrPack *p = out->u.p;
  memmove(p->bytes, p->bytes + 1, root_size(p->bytes + 1));
  p->nroots = 1;
  return true;
}

void gr_msg_wall(GrMsg *out) {
  *out = GR_MSG_EMPTY;
  out->kind = M_FLOAT;
  out->u.n = gr_wall_s();
}

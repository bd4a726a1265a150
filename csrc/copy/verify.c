/* SPDX-License-Identifier: MIT */
/* verify.c - checks the form of a message before it is unpacked; wire.h has the form.
 *
 * A message comes from this process, through memory that nobody else writes. So the reader trusts
 * it, and the normal build has nothing of this file. The hostile build looks at every length,
 * count, number, kind and offset first. A mistake in packing is then an error that says what is
 * wrong, not a crash somewhere else. The specs damage messages (goro.testing) to see that the
 * check finds all that the reader relies on.
 *
 * The number of items and bytes is the buffer's size, which is true. Addresses (of objects, of C
 * functions) and code cannot be checked: Lua itself trusts code. What the values mean, such as a
 * nil for a key or a module that does not exist, is Lua's to refuse. Messages within this one are
 * checked when they are unpacked. The time is linear unless items overlap, and no packed items do.
 */
#include "copy/verify.h"

#include <string.h>

#include <lauxlib.h>

#include "copy/class.h"
#include "copy/record.h"
#include "copy/wire.h"
#include "heap/names.h"

#ifdef GORO_HOSTILE

static void check(lua_State *L, bool ok, const char *what) {
  if (!ok) luaL_error(L, "corrupt message: %s", what);
}

/* n bytes from `at` on are in the message. */
static void check_bytes(lua_State *L, const GrPack *p, size_t at, size_t n, const char *what) {
  check(L, at <= p->nbytes && n <= p->nbytes - at, what);
}

static uint32_t read_number(const GrPack *p, size_t at) {
  uint32_t n;
  memcpy(&n, p->bytes + at, sizeof n);
  return n;
}

/* Whether what is at `at` is the end of a list. */
static bool at_end(lua_State *L, const GrPack *p, size_t at) {
  check_bytes(L, p, at, 1, "a list has no end");
  return p->bytes[at] == T_END;
}

/* A reference is at `at`: to a cell from functions, to anything else from everywhere else. Returns
 * where the next value begins. */
static size_t check_ref(lua_State *L, const GrPack *p, size_t at, bool cell) {
  check_bytes(L, p, at, 1 + sizeof(uint32_t), "a reference is cut off");
  check(L, p->bytes[at] == T_REF, "a function's variable is no reference");
  uint32_t item = read_number(p, at + 1);
  check(L, item < p->nitems, "a reference to no item");
  check(L, (p->items[item].kind == I_CELL) == cell,
        cell ? "a function's variable is no cell" : "a cell for a value");
  return at + 1 + sizeof item;
}

static size_t check_value(lua_State *L, const GrPack *p, size_t at) {
  static const uint8_t sizes[T_END] = {[T_INTEGER] = sizeof(lua_Integer),
                                       [T_FLOAT] = sizeof(lua_Number),
                                       [T_LIGHT] = sizeof(void *),
                                       [T_STRING] = sizeof(uint32_t),
                                       [T_CFUNCTION] = sizeof(lua_CFunction),
                                       [T_REF] = sizeof(uint32_t)};
  check_bytes(L, p, at, 1, "a value is missing");
  uint8_t tag = (uint8_t)p->bytes[at];
  check(L, tag < T_END, "a value of no kind");
  if (tag == T_REF) return check_ref(L, p, at, false);
  size_t next = at + 1;
  check_bytes(L, p, next, sizes[tag], "a value is cut off");
  next += sizes[tag];
  if (tag != T_STRING) return next;
  uint32_t len = read_number(p, at + 1);
  check_bytes(L, p, next, len, "a string is cut off");
  return next + len;
}

/* Key and value, …, END. Returns how many. */
static size_t check_pairs(lua_State *L, const GrPack *p, size_t at) {
  size_t n = 0;
  for (; !at_end(L, p, at); n++) at = check_value(L, p, check_value(L, p, at));
  return n;
}

static void check_table(lua_State *L, const GrPack *p, const Item *item) {
  size_t at = check_value(L, p, item->at);
  for (uint32_t i = 0; i < item->narr; i++) at = check_value(L, p, at);
  check(L, check_pairs(L, p, at) == item->nrec, "a table has not as many fields as it says");
}

static void check_class(lua_State *L, const GrPack *p, const Item *item) {
  check(L, p->classes, "a class in a message that has none");
  check(L, gr_class_is_given(item->id) && item->view == 0, "a class of no identity");
  check_table(L, p, item);
}

static void check_link(lua_State *L, const Item *item) {
  check(L, item->u.share != NULL && item->view < gr_record_classes(item->u.share),
        "a link to nothing");
  check(L, gr_class_is_given(item->id), "a link to a class of no identity");
}

static void check_function(lua_State *L, const GrPack *p, const Item *item) {
  check_bytes(L, p, item->at, item->len, "code is cut off");
  size_t at = item->at + item->len;
  for (int i = 0; i < item->nups; i++) at = check_ref(L, p, at, true);
}

static void check_name(lua_State *L, const GrPack *p, const Item *item) {
  check_bytes(L, p, item->at, item->len, "a name is cut off");
  const char *module = p->bytes + item->at;
  check(L, item->len >= 2 && module[item->len - 1] == '\0' && strlen(module) < item->len - 1,
        "a name is no two strings");
}

static void check_item(lua_State *L, const GrPack *p, const Item *item) {
  check_bytes(L, p, item->at, 0, "an item lies outside");
  switch (item->kind) {
    case I_TABLE: check_table(L, p, item); break;
    case I_CLASS: check_class(L, p, item); break;
    case I_STRING: check_bytes(L, p, item->at, item->len, "a string is cut off"); break;
    case I_FUNCTION: check_function(L, p, item); break;
    case I_CELL: check_value(L, p, item->at); break;
    case I_NAME: check_name(L, p, item); break;
    case I_OBJECT:
      check(L, item->u.share != NULL && item->view < 8, "an object that is none");
      break;
    case I_NATIVE:
      check(L, gr_names_is_native(item->view), "a native function that there is not");
      break;
    case I_MADE: break;
    case I_LINK: check_link(L, item); break;
    default: check(L, false, "an item of no kind");
  }
}

int gr_verify(lua_State *L) {
  const GrMsg *m = lua_touserdata(L, 1);
  if (m->kind == M_LONG) return 0;
  check(L, m->kind == M_PACK, "it is of no kind");
  const GrPack *p = m->u.p;
  for (uint32_t i = 0; i < p->nitems; i++) check_item(L, p, &p->items[i]);
  size_t at = 0;
  for (uint32_t i = 0; i < p->nroots; i++) at = check_value(L, p, at);
  check_pairs(L, p, p->globals);
  return 0;
}

#endif

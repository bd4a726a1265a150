/* SPDX-License-Identifier: MIT */
/* check.c - how goro's functions check numbers and tables of options.
 *
 * One rule for numbers: a string is not a number. Lua's own luaL_checkinteger accepts "3". Such a
 * string is most often a line that the program has read and forgotten to convert, and the mistake
 * shows far from the place where it was made.
 *
 * One rule for options: a name that the function does not know is an error. If a misspelt `timeout`
 * were ignored, the call would wait for ever. The message names the nearest known option. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "lib/core/lib.h"

/* ---- numbers ---- */

static void expect_number(lua_State *L, int arg) {
  if (gr_unlikely(lua_type(L, arg) != LUA_TNUMBER)) luaL_typeerror(L, arg, "number");
}

lua_Integer gr_check_integer(lua_State *L, int arg) {
  expect_number(L, arg);
  return luaL_checkinteger(L, arg);
}

lua_Integer gr_opt_integer(lua_State *L, int arg, lua_Integer otherwise) {
  return lua_isnoneornil(L, arg) ? otherwise : gr_check_integer(L, arg);
}

lua_Number gr_check_number(lua_State *L, int arg) {
  expect_number(L, arg);
  lua_Number n = lua_tonumber(L, arg);
  luaL_argcheck(L, !isnan(n), arg, "number expected, got nan");
  return n;
}

lua_Number gr_opt_number(lua_State *L, int arg, lua_Number otherwise) {
  return lua_isnoneornil(L, arg) ? otherwise : gr_check_number(L, arg);
}

/* ---- options ---- */

enum { LETTERS = 32 };

static bool differ(char a, char b) {
  return tolower((unsigned char)a) != tolower((unsigned char)b);
}

static int least(int a, int b) { return a < b ? a : b; }

/* The distance of two names: how many letters must be inserted, removed, replaced or swapped with
 * their neighbour to turn one name into the other ("optimal string alignment"). Capital and small
 * letters are the same. Only the first LETTERS letters count. before[0] is the row of the previous
 * letter of a, and before[1] the row of the letter before that. */
static int distance(const char *a, const char *b) {
  int rows[3][LETTERS + 1], *row = rows[0], *before[2] = {rows[1], rows[2]};
  int n = (int)strnlen(a, LETTERS), m = (int)strnlen(b, LETTERS);
  for (int j = 0; j <= m; j++) row[j] = j;
  for (int i = 1; i <= n; i++) {
    int *oldest = before[1];
    before[1] = before[0];
    before[0] = row;
    row = oldest;
    row[0] = i;
    for (int j = 1; j <= m; j++) {
      row[j] =
          least(least(row[j - 1], before[0][j]) + 1, before[0][j - 1] + differ(a[i - 1], b[j - 1]));
      if (i > 1 && j > 1 && !differ(a[i - 1], b[j - 2]) && !differ(a[i - 2], b[j - 1]))
        row[j] = least(row[j], before[1][j - 2] + 1);
    }
  }
  return row[m];
}

static const char *nearest(const char *name, const char *const *known) {
  const char *best = known[0];
  for (; *known != NULL; known++)
    if (distance(name, *known) < distance(name, best)) best = *known;
  return best;
}

static bool is_known(const char *name, const char *const *known) {
  for (; *known != NULL; known++)
    if (strcmp(name, *known) == 0) return true;
  return false;
}

void gr_unknown_option(lua_State *L, int idx, int arg, const char *where,
                       const char *const *known) {
  lua_pushvalue(L, idx); /* a copy, since lua_next may still need the key itself */
  if (lua_type(L, -1) == LUA_TSTRING) {
    const char *name = lua_tostring(L, -1);
    lua_pushfstring(L, "%sunknown option '%s'; did you mean '%s'?", where, name,
                    nearest(name, known));
  } else {
    const char *key = luaL_tolstring(L, -1, NULL);
    lua_pushfstring(L, "%sunknown option [%s]", where, key);
  }
  luaL_argerror(L, arg, lua_tostring(L, -1));
  gr_throw("luaL_argerror returned");
}

bool gr_check_options(lua_State *L, int arg, const char *const *known) {
  if (lua_isnoneornil(L, arg)) return false;
  luaL_checktype(L, arg, LUA_TTABLE);
  gr_check_stack(L, 5);
  for (lua_pushnil(L); lua_next(L, arg) != 0; lua_pop(L, 1))
    if (lua_type(L, -2) != LUA_TSTRING || !is_known(lua_tostring(L, -2), known))
      gr_unknown_option(L, -2, arg, "", known);
  return true;
}

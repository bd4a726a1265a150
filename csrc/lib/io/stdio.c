/* SPDX-License-Identifier: MIT */
/* stdio.c - print, io.write and file:write, which no other thread's output interrupts within one
 * call. And these, io.flush and file:flush end a program whose output nobody reads any more.
 *
 * Stock Lua writes each argument by a call of its own; an error in a later argument leaves the
 * earlier ones written. Here all arguments are checked first, so that nothing between flockfile and
 * funlockfile can raise. Then all of them are written under the one lock that every FILE has, which
 * other C code respects too. Formats and results are those of stock Lua.
 *
 * A write that fails by EPIPE calls gr_pipe_broke (io/sigpipe.h), for goro's threads block the
 * signal. */
#include <errno.h>
#include <stdio.h>

#include "io/sigpipe.h"
#include "lib/core/replaced.h"

/* Reports a broken pipe. The process may end here, so the caller holds no lock. */
static void tell_broken(FILE *f, bool ok, int err) {
  if (!ok && err == EPIPE) gr_pipe_broke(fileno(f));
  errno = err;
}

/* ---- print ---- */

int gr_stdio_print(lua_State *L) {
  int n = lua_gettop(L);
  luaL_Buffer line;
  luaL_buffinit(L, &line);
  for (int i = 1; i <= n; i++) {
    if (i > 1) luaL_addchar(&line, '\t');
    luaL_tolstring(L, i, NULL);
    luaL_addvalue(&line);
  }
  luaL_addchar(&line, '\n');
  flockfile(stdout);
  bool ok = fwrite(luaL_buffaddr(&line), 1, luaL_bufflen(&line), stdout) == luaL_bufflen(&line);
  ok = fflush(stdout) == 0 && ok;
  int err = errno;
  funlockfile(stdout);
  tell_broken(stdout, ok, err);
  luaL_buffsub(&line, luaL_bufflen(&line));
  luaL_pushresult(&line); /* frees a long line's memory at once */
  return 0;
}

/* ---- write ---- */

/* Writes a number or a string. Nothing is converted in place, so nothing raises. */
static bool write_value(lua_State *L, int arg, FILE *f) {
  if (lua_type(L, arg) != LUA_TNUMBER) {
    size_t len;
    const char *s = lua_tolstring(L, arg, &len);
    return fwrite(s, 1, len, f) == len;
  }
  if (lua_isinteger(L, arg))
    return fprintf(f, LUA_INTEGER_FMT, (LUAI_UACINT)lua_tointeger(L, arg)) > 0;
  return fprintf(f, LUA_NUMBER_FMT, (LUAI_UACNUMBER)lua_tonumber(L, arg)) > 0;
}

/* Writes the arguments first to last. The file handle, which is on top, is the result. */
static int write_values(lua_State *L, FILE *f, int first, int last) {
  for (int arg = first; arg <= last; arg++)
    if (lua_type(L, arg) != LUA_TNUMBER) luaL_checkstring(L, arg);
  bool ok = true;
  errno = 0;
  flockfile(f);
  for (int arg = first; arg <= last; arg++) ok = write_value(L, arg, f) && ok;
  int err = errno;
  funlockfile(f);
  tell_broken(f, ok, err);
  return ok ? 1 : luaL_fileresult(L, 0, NULL);
}

/* Pushes the default output. */
static FILE *default_output(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_IO_output"); /* where liolib.c keeps it, in all of 5.4 */
  luaL_Stream *p = lua_touserdata(L, -1);
  if (p->closef == NULL) luaL_error(L, "default output file is closed");
  return p->f;
}

static FILE *check_file(lua_State *L) {
  luaL_Stream *p = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  if (p->closef == NULL) luaL_error(L, "attempt to use a closed file");
  return p->f;
}

int gr_stdio_io_write(lua_State *L) {
  int last = lua_gettop(L);
  FILE *f = default_output(L);
  return write_values(L, f, 1, last);
}

int gr_stdio_file_write(lua_State *L) {
  FILE *f = check_file(L);
  int last = lua_gettop(L);
  lua_pushvalue(L, 1);
  return write_values(L, f, 2, last);
}

/* ---- flush: calls the stock function, looks at its results ---- */

lua_CFunction gr_stdio_stock_io_flush, gr_stdio_stock_file_flush;

static int flush(lua_State *L, FILE *f, lua_CFunction stock) {
  int n = stock(L);
  if (n == 3 && lua_isnil(L, -3)) tell_broken(f, false, (int)lua_tointeger(L, -1));
  return n;
}

int gr_stdio_io_flush(lua_State *L) {
  FILE *f = default_output(L);
  lua_pop(L, 1);
  return flush(L, f, gr_stdio_stock_io_flush);
}

int gr_stdio_file_flush(lua_State *L) { return flush(L, check_file(L), gr_stdio_stock_file_flush); }

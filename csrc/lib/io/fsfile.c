/* SPDX-License-Identifier: MIT */
/* fsfile.c - fs.open and the methods of files.
 *
 * Each method takes the file's turn, does its work and gives the turn back. Only then does it make
 * Lua values of what it has got. For while it has the turn nothing may raise, and no finalizer may
 * run, which might want the same file. So what is read lies in memory outside Lua first (short
 * lines on the C stack), and what is written has been made a string before. Numerals are converted
 * while the method has the turn, since what comes next depends on whether the text is a number;
 * that neither allocates nor raises.
 *
 * A call that had to wait for its turn begins anew from its arguments, which are still on the
 * stack. Each operation is a GrCall, which knows its number. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "io/fsfile.h"
#include "lib/core/call.h"
#include "lib/io/fs.h"
#include "run/panic.h"

static void open_type(lua_State *L, const GrObjectType *type, uint32_t view);
static const GrObjectType file_type = {{GR_TYPE_FILE, gr_file_destroy, false}, open_type};

static GrFile *check_file(lua_State *L) {
  return gr_file_of(gr_object_check(L, 1, &file_type)->share);
}

/* ---- the turn ---- */

typedef enum Op {
  OP_READ,
  OP_LINES,
  OP_WRITE,
  OP_FLUSH,
  OP_SETVBUF,
  OP_SEEK,
  OP_SYNC,
  OP_TRUNCATE,
  OP_STAT,
  OP_CLOSE
} Op;

static int do_op(lua_State *L, GrState *st, GrFile *f, Op op);

/* Reports a failure. The turn has been given back. */
static int failed(lua_State *L, GrFile *f, Op op, int err) {
  if (op != OP_LINES || err == -ENOMEM) return gr_fs_failed(L, err, gr_file_path(f));
  luaL_where(L, 1);
  gr_fs_push_message(L, err, gr_file_path(f));
  lua_concat(L, 2);
  return lua_error(L);
}

static Op op_of(const GrStep *s);

/* When r is GR_OK, the caller has the turn. */
static int got_turn(lua_State *L, GrStep *s, int r, int when_shut) {
  if (r != GR_OK) return r;
  GrFile *f = check_file(L);
  Op op = op_of(s);
  if (op == OP_CLOSE || !gr_file_is_shut(f)) {
    s->n = do_op(L, s->st, f, op);
    return GR_OK;
  }
  gr_file_unlock(s->st->g, f);
  s->n = failed(L, f, op, when_shut);
  return GR_OK;
}

/* The file is at 1. */
static int turn_begin(lua_State *L, GrStep *s) {
  GrFile *f = check_file(L);
  Op op = op_of(s);
  if (op != OP_CLOSE && gr_file_is_shut(f)) {
    s->n = failed(L, f, op, -EBADF);
    return GR_OK;
  }
  return got_turn(L, s, gr_file_lock(s->st->g, f, s->blocks), -EBADF);
}

static int turn_finish(lua_State *L, GrStep *s) {
  return got_turn(L, s, gr_file_lock_finish(s->st->g, &s->cause), -ECANCELED);
}

#define OP(op) [op] = {.begin = turn_begin, .finish = turn_finish}
static const GrCall op_calls[] = {
    OP(OP_READ), OP(OP_LINES), OP(OP_WRITE), OP(OP_FLUSH),    OP(OP_SETVBUF),
    OP(OP_SEEK), OP(OP_SYNC),  OP(OP_STAT),  OP(OP_TRUNCATE), OP(OP_CLOSE),
};

static Op op_of(const GrStep *s) { return (Op)(s->call - op_calls); }

/* A host waits for the other end of a pipe a little at a time. In between a hook may fire (of an
 * interrupt), or a panic may be raised. */
static void await_in_host(lua_State *L, GrState *st, GrFile *f) {
  enum { SLICE_MS = 50 };
  while (gr_file_may_wait(f) && gr_file_try_lock(st->g, f)) {
    bool ready = gr_file_ready(f, SLICE_MS);
    gr_file_unlock(st->g, f);
    if (ready) return;
    gr_call_look_up(L, st);
  }
}

static int begin(lua_State *L, Op op) {
  GrState *st = gr_state(L);
  gr_enter(L, st);
  if (st->is_host && (op == OP_READ || op == OP_LINES)) await_in_host(L, st, check_file(L));
  return gr_call(L, st, &op_calls[op]);
}

/* ---- reading ---- */

enum { SMALL = 2048 }; /* results of up to so many bytes are read on the C stack */

/* The letter of the format, as in io. A star before it is ignored. */
static char letter(lua_State *L, int arg) {
  const char *s = lua_tostring(L, arg);
  return s[0] == '*' ? s[1] : s[0];
}

static void check_formats(lua_State *L, int first) {
  int last = lua_gettop(L);
  for (int arg = first; arg <= last; arg++) {
    if (lua_type(L, arg) == LUA_TNUMBER) {
      luaL_argcheck(L, gr_check_integer(L, arg) >= 0, arg, "count must not be negative");
      continue;
    }
    luaL_checkstring(L, arg);
    char c = letter(L, arg);
    luaL_argcheck(L, c != '\0' && strchr("nlLa", c) != NULL, arg, "invalid format");
  }
  luaL_checkstack(L, last + 4, "too many arguments");
}

static int read_number(lua_State *L, G *g, GrFile *f) {
  char text[GR_NUMERAL + 1];
  int r = gr_file_numeral(f, g, text);
  return r <= 0 ? r : lua_stringtonumber(L, text) != 0 ? 2 : 0;
}

/* 1: a string, which has been added to *out; 2: a number, which is on the stack; 0: nothing; or
 * -errno. */
static int read_one(lua_State *L, G *g, GrFile *f, int format, GrBytes *out) {
  if (lua_type(L, format) == LUA_TNUMBER)
    return gr_file_chars(f, g, out, (size_t)lua_tointeger(L, format));
  switch (letter(L, format)) {
    case 'n': return read_number(L, g, f);
    case 'a': return gr_file_rest(f, g, out);
    default: return gr_file_line(f, g, out, letter(L, format) == 'L');
  }
}

/* Reads one value for each format, until one is nil. Of a string, only its place in *out is pushed,
 * as a light userdata. */
static int read_values(lua_State *L, G *g, GrFile *f, int last, GrBytes *out) {
  int r = last < 2 ? gr_file_line(f, g, out, false) : 1;
  if (last < 2) {
    if (r > 0) lua_pushlightuserdata(L, NULL);
    else lua_pushnil(L);
    return r;
  }
  for (int format = 2; format <= last && r > 0; format++) {
    size_t from = out->len;
    r = read_one(L, g, f, format, out);
    if (r == 1) lua_pushlightuserdata(L, (void *)(uintptr_t)from);
    else if (r != 2) lua_pushnil(L);
  }
  return r;
}

/* Makes strings of what was read, the last one first. Each string ends where the next one begins.
 */
static void make_strings(lua_State *L, int first, const char *data, size_t end) {
  for (int i = lua_gettop(L); i >= first; i--) {
    if (lua_type(L, i) != LUA_TLIGHTUSERDATA) continue;
    size_t from = (size_t)(uintptr_t)lua_touserdata(L, i);
    lua_pushlstring(L, data + from, end - from);
    lua_replace(L, i);
    end = from;
  }
}

/* Gives the bytes in *out to the results from `first` on, and frees *out. */
static void take_out(lua_State *L, int first, GrBytes *out) {
  if (!out->heap) make_strings(L, first, out->data, out->len);
  else if (lua_gettop(L) == first && lua_islightuserdata(L, first)) {
    gr_fs_push_bytes(L, out);
    lua_replace(L, first);
  } else {
    size_t len = out->len;
    gr_fs_push_bytes(L, out);
    lua_insert(L, first);
    make_strings(L, first + 1, lua_tostring(L, first), len);
    lua_remove(L, first);
  }
}

/* The formats are at 2 and on. */
static int do_read(lua_State *L, GrState *st, GrFile *f, Op op) {
  char small[SMALL];
  GrBytes out = gr_bytes_in(small, sizeof small);
  int last = lua_gettop(L);
  int r = read_values(L, st->g, f, last, &out);
  gr_file_unlock(st->g, f);
  if (r < 0) {
    gr_bytes_free(&out);
    return failed(L, f, op, r);
  }
  take_out(L, last + 1, &out);
  return lua_gettop(L) - last;
}

static int file_read(lua_State *L) {
  check_file(L);
  check_formats(L, 2);
  return begin(L, OP_READ);
}

/* ---- lines: a closure with the state, the file, and the formats ---- */

enum { LINES_FIRST = 4, LINES_MAX = 250 };

static int lines_next(lua_State *L) {
  int n = (int)lua_tointeger(L, lua_upvalueindex(3));
  lua_settop(L, 0);
  gr_check_stack(L, 2 * n + 8);
  lua_pushvalue(L, lua_upvalueindex(2));
  for (int i = 0; i < n; i++) lua_pushvalue(L, lua_upvalueindex(LINES_FIRST + i));
  return begin(L, OP_LINES);
}

static int file_lines(lua_State *L) {
  GrFile *f = check_file(L);
  check_formats(L, 2);
  int n = lua_gettop(L) - 1;
  luaL_argcheck(L, n <= LINES_MAX, LINES_MAX + 2, "too many arguments");
  if (gr_file_is_shut(f)) return failed(L, f, OP_LINES, -EBADF);
  lua_pushlightuserdata(L, gr_state(L));
  lua_insert(L, 1);
  lua_pushinteger(L, n);
  lua_insert(L, 3);
  lua_pushcclosure(L, lines_next, n + 3);
  return 1;
}

/* ---- writing ---- */

static int do_write(lua_State *L, GrState *st, GrFile *f) {
  enum { AT_ONCE = 64 };
  struct iovec vec[AT_ONCE];
  int last = lua_gettop(L), err = 0;
  for (int arg = 2; arg <= last && err == 0;) {
    int n = 0;
    for (; n < AT_ONCE && arg <= last; n++, arg++)
      vec[n].iov_base = (void *)(uintptr_t)lua_tolstring(L, arg, &vec[n].iov_len);
    err = gr_file_write(f, st->g, vec, n);
  }
  gr_file_unlock(st->g, f);
  if (err < 0) return failed(L, f, OP_WRITE, err);
  lua_settop(L, 1);
  return 1;
}

/* Turns the argument into a string, in its place on the stack. A float becomes what io writes,
 * which is not what tostring says. */
static void check_data(lua_State *L, int arg) {
  char text[64];
  if (lua_type(L, arg) != LUA_TNUMBER || lua_isinteger(L, arg)) {
    luaL_checkstring(L, arg);
    return;
  }
  snprintf(text, sizeof text, LUA_NUMBER_FMT, (LUAI_UACNUMBER)lua_tonumber(L, arg));
  lua_pushstring(L, text);
  lua_replace(L, arg);
}

static int file_write(lua_State *L) {
  check_file(L);
  int last = lua_gettop(L);
  gr_check_stack(L, 2);
  for (int arg = 2; arg <= last; arg++) check_data(L, arg);
  return begin(L, OP_WRITE);
}

/* ---- the rest ---- */

static int do_seek(lua_State *L, GrState *st, GrFile *f) {
  static const int whence[] = {SEEK_SET, SEEK_CUR, SEEK_END};
  int64_t at = gr_file_seek(f, st->g, lua_tointeger(L, 3), whence[lua_tointeger(L, 2)]);
  gr_file_unlock(st->g, f);
  if (at < 0) return failed(L, f, OP_SEEK, (int)at);
  lua_pushinteger(L, (lua_Integer)at);
  return 1;
}

static int file_seek(lua_State *L) {
  static const char *const names[] = {"set", "cur", "end", NULL};
  check_file(L);
  int whence = luaL_checkoption(L, 2, "cur", names);
  lua_Integer offset = gr_opt_integer(L, 3, 0);
  lua_settop(L, 1);
  lua_pushinteger(L, whence);
  lua_pushinteger(L, offset);
  return begin(L, OP_SEEK);
}

static int do_stat(lua_State *L, GrState *st, GrFile *f) {
  GrStat stat;
  int err = gr_file_stat(f, st->g, &stat);
  gr_file_unlock(st->g, f);
  if (err < 0) return failed(L, f, OP_STAT, err);
  gr_fs_push_stat(L, &stat);
  return 1;
}

static int file_stat(lua_State *L) {
  check_file(L);
  return begin(L, OP_STAT);
}

static int done(lua_State *L, GrState *st, GrFile *f, int err) {
  gr_file_unlock(st->g, f);
  return gr_fs_result(L, err, gr_file_path(f));
}

static int file_sync(lua_State *L) {
  check_file(L);
  return begin(L, OP_SYNC);
}

static int file_flush(lua_State *L) {
  check_file(L);
  return begin(L, OP_FLUSH);
}

enum { NOT, FULL, BY_LINE };

/* The mode is at 2, the size at 3. */
static int do_setvbuf(lua_State *L, GrState *st, GrFile *f) {
  lua_Integer mode = lua_tointeger(L, 2);
  size_t size = mode == NOT ? 0 : (size_t)lua_tointeger(L, 3);
  return done(L, st, f, gr_file_gather(f, st->g, size, mode == BY_LINE));
}

/* setvbuf(mode [, size]) */
static int file_setvbuf(lua_State *L) {
  static const char *const modes[] = {"no", "full", "line", NULL};
  enum { SIZE = 8192, MOST = 1 << 30 };
  check_file(L);
  int mode = luaL_checkoption(L, 2, NULL, modes);
  lua_Integer size = gr_opt_integer(L, 3, SIZE);
  luaL_argcheck(L, size >= 0 && size <= MOST, 3, "size is out of range");
  lua_settop(L, 1);
  lua_pushinteger(L, mode);
  lua_pushinteger(L, size);
  return begin(L, OP_SETVBUF);
}

static int file_truncate(lua_State *L) {
  check_file(L);
  gr_check_integer(L, 2);
  return begin(L, OP_TRUNCATE);
}

/* The end of a block calls this with the file and perhaps an error. */
static int file_close(lua_State *L) {
  GrFile *f = check_file(L);
  gr_enter(L, gr_state(L));
  if (gr_file_shut(f)) return gr_call(L, gr_state(L), &op_calls[OP_CLOSE]);
  lua_pushboolean(L, 1);
  return 1;
}

/* The caller has the turn. */
static int do_op(lua_State *L, GrState *st, GrFile *f, Op op) {
  switch (op) {
    case OP_WRITE: return do_write(L, st, f);
    case OP_SEEK: return do_seek(L, st, f);
    case OP_STAT: return do_stat(L, st, f);
    case OP_FLUSH: return done(L, st, f, gr_file_flush(f, st->g));
    case OP_SETVBUF: return do_setvbuf(L, st, f);
    case OP_SYNC: return done(L, st, f, gr_file_sync(f, st->g));
    case OP_TRUNCATE: return done(L, st, f, gr_file_truncate(f, st->g, lua_tointeger(L, 2)));
    case OP_CLOSE: return done(L, st, f, gr_file_close(f, st->g));
    default: return do_read(L, st, f, op);
  }
}

static const luaL_Reg methods[] = {
    {"read", file_read},
    {"write", file_write},
    {"lines", file_lines},
    {"flush", file_flush},
    {"setvbuf", file_setvbuf},
    {"seek", file_seek},
    {"sync", file_sync},
    {"truncate", file_truncate},
    {"stat", file_stat},
    {"close", file_close},
    {NULL, NULL},
};

static void open_type(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  static const luaL_Reg meta[] = {{"__close", file_close}, {NULL, NULL}};
  gr_setfuncs(L, gr_state_find(L), meta);
  gr_open_methods(L, methods);
}

void gr_file_names(void) { gr_methods_names(methods); }

/* ---- opening ---- */

/* Takes the descriptor and pushes its file, or the failure. */
static int push_file(lua_State *L, int fd, const char *path) {
  GrFile *f;
  int err = fd < 0 ? fd : gr_file_new(fd, path, &file_type.share, &f);
  if (err < 0) return gr_fs_failed(L, err, path);
  gr_push_owned(L, gr_file_share(f));
  gr_fs_charge(L);
  return 1;
}

/* The flags of a mode, as in io; -1: there is no such mode. */
static int flags_of(const char *mode) {
  const char *rest = mode + (mode[0] != '\0');
  bool plus = *rest == '+';
  rest += plus;
  if (rest[strspn(rest, "b")] != '\0') return -1;
  int access = plus ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
  switch (mode[0]) {
    case 'r': return access;
    case 'w': return access | O_CREAT | O_TRUNC;
    case 'a': return access | O_CREAT | O_APPEND;
    default: return -1;
  }
}

int gr_lib_fs_open(lua_State *L) {
  luaL_checkstring(L, 1);
  int flags = flags_of(luaL_optstring(L, 2, "r"));
  luaL_argcheck(L, flags >= 0, 2, "invalid mode");
  const char *path = gr_fs_path(L, 1);
  if (path == NULL) return 3;
  gr_enter(L, gr_state(L));
  return push_file(L, gr_fs_open(path, flags, 0666), path);
}

int gr_lib_fs_mkstemp(lua_State *L) {
  const char *path = lua_isnoneornil(L, 1) ? NULL : gr_fs_path(L, 1);
  if (path == NULL && !lua_isnoneornil(L, 1)) return 3;
  gr_enter(L, gr_state(L));
  char made[GR_PATH_SIZE];
  int fd = gr_fs_mkstemp(path, made), n = push_file(L, fd, fd < 0 && path != NULL ? path : made);
  if (n == 1) lua_pushstring(L, made);
  return n == 1 ? 2 : n;
}

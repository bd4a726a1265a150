/* SPDX-License-Identifier: MIT */
/* conn.c - connections in Lua: goro.net.conn over a GrStream.
 *
 * After a wait a call has only what is on its Lua stack: the connection, what is wanted, the
 * absolute limit, how many bytes were written. The bytes that a read gives are in this C frame (64
 * KB of the thread's 1 MB) or in a block, and the read has given its turn back already. So Lua may
 * raise and collect garbage while it makes the string. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "io/net.h"
#include "lib/io/io.h"
#include "run/panic.h"
#include "heap/names.h"

static void open_conn(lua_State *L, const GrObjectType *type, uint32_t view);
const GrObjectType gr_conn_type = {{GR_TYPE_CONN, gr_stream_destroy, false}, open_conn};

GrStream *gr_check_conn(lua_State *L, int arg) {
  return gr_stream_of(gr_object_check(L, arg, &gr_conn_type)->share);
}

static GrStream *stream_at(lua_State *L, int idx) {
  return gr_stream_of(((GrObject *)lua_touserdata(L, idx))->share);
}

static int64_t default_limit(GrStream *s) {
  int64_t ns = gr_stream_timeout(s);
  if (ns == GR_FOREVER) return GR_FOREVER;
  return ns <= 0 ? GR_POLL : gr_now_ns() + ns;
}

/* ---- failures ---- */

static size_t subject_of(GrStream *s, char buf[GR_ADDR_TEXT]) {
  GrAddr a;
  if (gr_stream_peer(s, &a)) return gr_addr_text(&a, buf);
  if (gr_stream_kind(s) != GR_STREAM_PIPE) {
    size_t n = gr_socket_remote(gr_stream_fd(s), &a) == GR_OK ? gr_addr_text(&a, buf) : 0;
    if (n == 0 && gr_socket_local(gr_stream_fd(s), &a) == GR_OK) n = gr_addr_text(&a, buf);
    if (n > 0) return n;
  }
  const char *what = gr_stream_kind(s) == GR_STREAM_PIPE ? "pipe" : "connection";
  strcpy(buf, what);
  return strlen(what);
}

static int conn_failed(lua_State *L, int r) {
  char subject[GR_ADDR_TEXT];
  size_t len = subject_of(stream_at(L, 1), subject);
  return gr_push_failure(L, r, gr_sys_errno(r) == EMSGSIZE ? "line too long" : NULL, subject, len);
}

static int raise_failure(lua_State *L, int r) {
  conn_failed(L, r);
  return luaL_error(L, "%s", lua_tostring(L, -2));
}

/* ---- read: conn, format, limit ---- */

static GrWant want_at(lua_State *L, int idx) {
  if (lua_isnil(L, idx)) return (GrWant){GR_WANT_SOME, 0};
  if (lua_type(L, idx) == LUA_TNUMBER)
    return (GrWant){GR_WANT_COUNT, (uint64_t)lua_tointeger(L, idx)};
  const char *fmt = lua_tostring(L, idx);
  fmt += *fmt == '*'; /* as io.read skips it */
  return (GrWant){*fmt == 'l' ? GR_WANT_LINE : *fmt == 'L' ? GR_WANT_LINE_KEEP : GR_WANT_ALL, 0};
}

static void check_want(lua_State *L, int arg, GrStream *s) {
  if (lua_isnoneornil(L, arg)) return;
  if (lua_type(L, arg) == LUA_TNUMBER) {
    luaL_argcheck(L, gr_check_integer(L, arg) >= 0, arg, "count must not be negative");
  } else {
    const char *fmt = luaL_checkstring(L, arg);
    fmt += *fmt == '*';
    luaL_argcheck(L, *fmt != '\0' && strchr("lLa", *fmt) != NULL, arg, "invalid format");
  }
  luaL_argcheck(L, gr_stream_kind(s) != GR_STREAM_DATAGRAM, arg,
                "datagrams are read whole, without a format");
}

static int push_block(lua_State *L) {
  GrGot *got = gr_check_pointer(L, 1);
  lua_pushlstring(L, got->data, got->len);
  return 1;
}

static void push_got(lua_State *L, GrGot *got) {
  if (got->data == NULL) {
    lua_pushnil(L);
  } else if (got->block == NULL) {
    lua_pushlstring(L, got->data, got->len);
  } else {
    lua_pushcfunction(L, push_block);
    lua_pushlightuserdata(L, got);
    int status = lua_pcall(L, 1, 1, 0);
    gr_free(got->block);
    if (status != LUA_OK) lua_error(L);
  }
}

static int read_begin(lua_State *L, GrStep *s) {
  char scratch[GR_SCRATCH];
  GrWant want = want_at(L, 2);
  GrGot got = {0};
  int r = gr_stream_read(stream_at(L, 1), s->st->g, &want, scratch, &got, gr_limit_at(L, 3),
                         s->blocks, s->fresh);
  if (r != GR_OK) return r;
  push_got(L, &got);
  s->n = 1;
  return GR_OK;
}

static int read_finish(lua_State *L, GrStep *s) {
  return gr_again(gr_stream_awake(stream_at(L, 1), GR_READ, s->st->g, &s->cause));
}
static void read_quit(lua_State *L, GrState *st, int at, GrCause cause) {
  (void)cause;
  gr_fd_quit(gr_stream_fd(stream_at(L, at)), GR_READ, st->g);
}

static const GrCall read_call = {.begin = read_begin,
                                 .finish = read_finish,
                                 .failed = conn_failed,
                                 .quit = read_quit,
                                 .object = 1},
                    iterate_call = {.begin = read_begin,
                                    .finish = read_finish,
                                    .failed = raise_failure,
                                    .quit = read_quit,
                                    .object = 1};

/* read([fmt [, timeout]]) */
static int conn_read(lua_State *L) {
  GrStream *s = gr_check_conn(L, 1);
  check_want(L, 2, s);
  int64_t until = lua_isnoneornil(L, 3) ? default_limit(s) : gr_check_timeout(L, 3);
  gr_enter(L, gr_state(L));
  lua_settop(L, 2);
  gr_set_limit(L, 3, until);
  return gr_call(L, gr_state(L), &read_call);
}

/* The iterator's state is {conn, format}. */
static int next_piece(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  gr_enter(L, gr_state(L));
  lua_settop(L, 1);
  lua_rawgeti(L, 1, 1);
  lua_rawgeti(L, 1, 2);
  lua_remove(L, 1);
  GrStream *s = gr_check_conn(L, 1);
  check_want(L, 2, s);
  gr_set_limit(L, 3, default_limit(s));
  return gr_call(L, gr_state(L), &iterate_call);
}

/* lines([fmt]) */
static int conn_lines(lua_State *L) {
  check_want(L, 2, gr_check_conn(L, 1));
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_pushliteral(L, "l");
    lua_replace(L, 2);
  }
  gr_pushcfunction(L, gr_state(L), next_piece);
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, 2);
  return 2;
}

/* ---- write: conn, strings, limit, bytes written ---- */

static int write_begin(lua_State *L, GrStep *s) {
  struct iovec iov[GR_IOVS];
  int top = lua_gettop(L), count = top - 3;
  for (int i = 0; i < count; i++) {
    size_t len;
    const char *data = lua_tolstring(L, i + 2, &len);
    iov[i] = (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = len};
  }
  uint64_t done = (uint64_t)lua_tointeger(L, top);
  uint64_t before = done;
  int r = gr_stream_write(stream_at(L, 1), s->st->g, iov, count, &done, gr_limit_at(L, top - 1),
                          s->blocks, s->fresh);
  if (r == GR_PARK && done != before) {
    lua_pushinteger(L, (lua_Integer)done); /* neither allocates nor raises */
    lua_replace(L, top);
  }
  if (r != GR_OK) return r;
  lua_settop(L, 1);
  s->n = 1;
  return GR_OK;
}

static int write_finish(lua_State *L, GrStep *s) {
  return gr_again(gr_stream_awake(stream_at(L, 1), GR_WRITE, s->st->g, &s->cause));
}
static void write_quit(lua_State *L, GrState *st, int at, GrCause cause) {
  (void)cause;
  gr_fd_quit(gr_stream_fd(stream_at(L, at)), GR_WRITE, st->g);
}

static const GrCall write_call = {.begin = write_begin,
                                  .finish = write_finish,
                                  .failed = conn_failed,
                                  .quit = write_quit,
                                  .object = 1};

/* write(s, ...) */
static int conn_write(lua_State *L) {
  GrStream *s = gr_check_conn(L, 1);
  int n = lua_gettop(L) - 1;
  for (int i = 0; i < n; i++)
    luaL_checklstring(L, i + 2, NULL); /* turns numbers into strings, which stay on the stack */
  gr_enter(L, gr_state(L));
  if (n > GR_IOVS) {
    lua_concat(L, n);
    n = 1;
  }
  gr_check_stack(L, 8);
  gr_set_limit(L, n + 2, default_limit(s));
  lua_pushinteger(L, 0);
  return gr_call(L, gr_state(L), &write_call);
}

/* ---- the rest ---- */

/* The results of a call that has nothing to give but success. */
static int done(lua_State *L, int r) {
  if (r != GR_OK) return conn_failed(L, r);
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- calls that send what was gathered: conn, limit, size ---- */

static int sent(lua_State *L, int r, GrStep *s) {
  if (r != GR_OK) return r;
  lua_pushboolean(L, 1);
  s->n = 1;
  return GR_OK;
}

static int flush_begin(lua_State *L, GrStep *s) {
  return sent(L, gr_stream_flush(stream_at(L, 1), s->st->g, gr_limit_at(L, 2), s->blocks, s->fresh),
              s);
}
static int shutdown_begin(lua_State *L, GrStep *s) {
  return sent(
      L, gr_stream_shutdown(stream_at(L, 1), s->st->g, gr_limit_at(L, 2), s->blocks, s->fresh), s);
}
static int close_begin(lua_State *L, GrStep *s) {
  return sent(
      L, gr_stream_finish(stream_at(L, 1), s->st->g, gr_limit_at(L, 2), s->blocks, s->fresh), s);
}
static int gather_begin(lua_State *L, GrStep *s) {
  return sent(L,
              gr_stream_gather(stream_at(L, 1), s->st->g, (size_t)lua_tointeger(L, 3),
                               gr_limit_at(L, 2), s->blocks, s->fresh),
              s);
}

static const GrCall flush_call = {.begin = flush_begin,
                                  .finish = write_finish,
                                  .failed = conn_failed,
                                  .quit = write_quit,
                                  .object = 1},
                    shutdown_call = {.begin = shutdown_begin,
                                     .finish = write_finish,
                                     .failed = conn_failed,
                                     .quit = write_quit,
                                     .object = 1},
                    gather_call = {.begin = gather_begin,
                                   .finish = write_finish,
                                   .failed = conn_failed,
                                   .quit = write_quit,
                                   .object = 1};

static int conn_flush(lua_State *L) {
  GrStream *s = gr_check_conn(L, 1);
  gr_enter(L, gr_state(L));
  gr_set_limit(L, 2, default_limit(s));
  return gr_call(L, gr_state(L), &flush_call);
}

static int conn_shutdown(lua_State *L) {
  GrStream *s = gr_check_conn(L, 1);
  gr_enter(L, gr_state(L));
  gr_set_limit(L, 2, default_limit(s));
  return gr_call(L, gr_state(L), &shutdown_call);
}

/* setvbuf("no" | "full" [, size]) */
static int conn_setvbuf(lua_State *L) {
  static const char *const modes[] = {"no", "full", NULL};
  enum { SIZE = 8192, MOST = 1 << 30 };
  GrStream *s = gr_check_conn(L, 1);
  bool full = luaL_checkoption(L, 2, NULL, modes) == 1;
  lua_Integer size = gr_opt_integer(L, 3, SIZE);
  luaL_argcheck(L, size >= 0 && size <= MOST, 3, "size is out of range");
  luaL_argcheck(L, !full || gr_stream_kind(s) != GR_STREAM_DATAGRAM, 2,
                "datagrams are sent one by one");
  gr_enter(L, gr_state(L));
  gr_set_limit(L, 2, default_limit(s));
  lua_pushinteger(L, full ? size : 0);
  return gr_call(L, gr_state(L), &gather_call);
}

/* A close that is interrupted while the last bytes go out closes the connection all the same. */
static void close_quit(lua_State *L, GrState *st, int at, GrCause cause) {
  (void)st, (void)cause;
  gr_stream_close(stream_at(L, at));
}

/* A block is left, so there is nobody to tell of the failure, not even of the pool's end. */
static int leave_begin(lua_State *L, GrStep *s) {
  int r = close_begin(L, s);
  return r == GR_ABORTED ? GR_CLOSED : r;
}

static int leave_failed(lua_State *L, int r) {
  (void)L, (void)r;
  return 0;
}

static const GrCall close_call = {.begin = close_begin,
                                  .finish = write_finish,
                                  .failed = conn_failed,
                                  .quit = close_quit,
                                  .object = 1},
                    leave_call = {.begin = leave_begin,
                                  .finish = write_finish,
                                  .failed = leave_failed,
                                  .quit = close_quit,
                                  .object = 1};

/* A connection that never gathered closes without waiting, and without raising, wherever it is
 * called. */
static int close_by(lua_State *L, const GrCall *call) {
  GrStream *s = gr_check_conn(L, 1);
  if (!gr_stream_gathers(s)) {
    gr_stream_close(s);
    lua_pushboolean(L, 1);
    return 1;
  }
  gr_set_limit(L, 2, default_limit(s));
  return gr_call(L, gr_state(L), call);
}

/* A second close does nothing. */
static int conn_close(lua_State *L) { return close_by(L, &close_call); }
static int conn_leave(lua_State *L) { return close_by(L, &leave_call); }

/* set_timeout([seconds]): for each call that begins afterwards */
static int conn_set_timeout(lua_State *L) {
  GrStream *s = gr_check_conn(L, 1);
  double seconds = gr_opt_number(L, 2, HUGE_VAL);
  gr_stream_set_timeout(s, seconds >= 9e9 ? GR_FOREVER
                           : seconds <= 0 ? 0
                                          : (int64_t)(seconds * 1e9));
  return 0;
}

/* max_line(bytes) */
static int conn_max_line(lua_State *L) {
  lua_Integer n = gr_check_integer(L, 2);
  luaL_argcheck(L, n >= 1, 2, "limit must be positive");
  gr_stream_set_line_max(gr_check_conn(L, 1), (uint64_t)n);
  return 0;
}

static int conn_nodelay(lua_State *L) {
  GrStream *s = gr_check_conn(L, 1);
  luaL_checktype(L, 2, LUA_TBOOLEAN);
  return done(L, gr_socket_nodelay(gr_stream_fd(s), lua_toboolean(L, 2)));
}

/* keepalive(seconds): 0 or nil: none */
static int conn_keepalive(lua_State *L) {
  GrStream *s = gr_check_conn(L, 1);
  double seconds = gr_opt_number(L, 2, 0);
  luaL_argcheck(L, seconds >= 0 && seconds <= 32767, 2, "out of range");
  return done(L, gr_socket_keepalive(gr_stream_fd(s), (int)ceil(seconds)));
}

static int push_address(lua_State *L, int r, const GrAddr *a) {
  char text[GR_ADDR_TEXT];
  if (r != GR_OK) return conn_failed(L, r);
  lua_pushlstring(L, text, gr_addr_text(a, text));
  return 1;
}

static int conn_local_addr(lua_State *L) {
  GrAddr a;
  return push_address(L, gr_socket_local(gr_stream_fd(gr_check_conn(L, 1)), &a), &a);
}

static int conn_remote_addr(lua_State *L) {
  GrAddr a;
  GrStream *s = gr_check_conn(L, 1);
  return push_address(L, gr_stream_peer(s, &a) ? GR_OK : gr_socket_remote(gr_stream_fd(s), &a), &a);
}

static const luaL_Reg methods[] = {
    {"read", conn_read},
    {"write", conn_write},
    {"lines", conn_lines},
    {"setvbuf", conn_setvbuf},
    {"flush", conn_flush},
    {"shutdown", conn_shutdown},
    {"close", conn_close},
    {"set_timeout", conn_set_timeout},
    {"max_line", conn_max_line},
    {"nodelay", conn_nodelay},
    {"keepalive", conn_keepalive},
    {"local_addr", conn_local_addr},
    {"remote_addr", conn_remote_addr},
    {NULL, NULL},
};

static void open_conn(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  static const luaL_Reg meta[] = {{"__close", conn_leave}, {NULL, NULL}};
  gr_setfuncs(L, gr_state_find(L), meta);
  gr_open_methods(L, methods);
}

void gr_conn_names(void) {
  gr_methods_names(methods);
  gr_names_native(next_piece);
}

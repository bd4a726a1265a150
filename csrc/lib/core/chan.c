/* SPDX-License-Identifier: MIT */
/* chan.c - goro.chan and the methods of channels.
 *
 * Three calls wait (call.h): send, recv, and the step of range. Their arguments stay on the stack
 * during the wait. The channel is one of them, and the stack keeps it alive. The absolute time
 * limit is in the fourth slot. A call without a limit has no fourth slot.
 *
 * Most calls need not wait, and do not pay for the driver. The method calls the core's first half
 * itself, with the arguments that it has just checked. Only a call that begins anew goes through
 * `begin`, which checks the arguments a second time. */
#include <math.h>

#include "lib/core/call.h"
#include "heap/names.h"
#include "copy/pack.h"

static void open_chan(lua_State *L, const GrObjectType *type, uint32_t view);
const GrObjectType gr_chan_type = {{GR_TYPE_CHAN, gr_chan_destroy, false}, open_chan};

int64_t gr_check_seconds(lua_State *L, int idx, int arg, const char *what) {
  int is_number;
  double s = lua_tonumberx(L, idx, &is_number);
  if (!is_number || lua_type(L, idx) != LUA_TNUMBER)
    luaL_argerror(L, arg,
                  lua_pushfstring(L, "%snumber expected, got %s", what, gr_type_name(L, idx)));
  if (isnan(s)) luaL_argerror(L, arg, lua_pushfstring(L, "%snumber expected, got nan", what));
  return gr_deadline(s);
}

int64_t gr_check_timeout(lua_State *L, int arg) {
  return lua_isnoneornil(L, arg) ? GR_FOREVER : gr_check_seconds(L, arg, arg, "");
}

GrChan *gr_check_chan(lua_State *L, int arg, uint32_t need) {
  GrObject *o = gr_object_check(L, arg, &gr_chan_type);
  if (o->view != GR_VIEW_BOTH && need != GR_VIEW_BOTH && o->view != need)
    luaL_error(L, need == GR_VIEW_SEND ? "send to receive-only channel"
                                       : "receive from send-only channel");
  return gr_chan_of(o->share);
}

void gr_push_msg(lua_State *L, GrMsg *m) {
  if (!gr_unpack_scalar(L, m)) gr_unpack(L, m);
}

void gr_pack_msg(lua_State *L, int idx, GrMsg *m) {
  if (!gr_pack_scalar(L, idx, m)) gr_pack(L, idx, 1, GR_NAME_MESSAGE, 0, m);
}

/* chan([capacity]) -> channel */
int gr_lib_chan(lua_State *L) {
  lua_Integer cap = gr_opt_integer(L, 1, 0);
  luaL_argcheck(L, cap >= 0, 1, "capacity must not be negative");
  luaL_argcheck(L, cap <= GR_CHAN_CAP_MAX, 1, "capacity is too large");
  gr_check_inbox(L, gr_state(L));
  gr_push_chan(L, cap);
  return 1;
}

static int push_object(lua_State *L) {
  gr_object_push(L, gr_check_pointer(L, 1), (uint32_t)lua_tointeger(L, 2));
  return 1;
}

int gr_push_owned_view(lua_State *L, GrShare *share, uint32_t view_of) {
  lua_pushcfunction(L, push_object);
  lua_pushlightuserdata(L, share);
  lua_pushinteger(L, view_of);
  int status = lua_pcall(L, 2, 1, 0);
  gr_share_unref(share);
  return status == LUA_OK ? 1 : lua_error(L);
}

int gr_push_owned(lua_State *L, GrShare *share) {
  return gr_push_owned_view(L, share, GR_VIEW_BOTH);
}

GrChan *gr_push_chan(lua_State *L, int64_t cap) {
  GrChan *c = gr_chan_new(cap, &gr_chan_type.share);
  if (c == NULL) gr_raise_code(L, GR_NOMEM);
  gr_push_owned(L, gr_chan_share(c));
  return c;
}

GrChan *gr_push_mailbox(lua_State *L) {
  GrChan *c = gr_push_chan(L, 1);
  if (gr_chan_reserve(c) != GR_OK) gr_raise_code(L, GR_NOMEM);
  return c;
}

enum { SLOT_LIMIT = 4 };

static int64_t limit_of(lua_State *L) {
  return lua_gettop(L) < SLOT_LIMIT ? GR_FOREVER : (int64_t)lua_tointeger(L, SLOT_LIMIT);
}

/* The timeout is argument `arg`, the last one that the method uses. Moves the limit to its slot,
 * and removes all other values above the arguments. */
static int64_t keep_limit(lua_State *L, int arg, int64_t until) {
  lua_settop(L, until == GR_FOREVER ? arg - 1 : SLOT_LIMIT - 1);
  if (until != GR_FOREVER) lua_pushinteger(L, (lua_Integer)until);
  return until;
}

/* ---- send ---- */

static int send_failed(lua_State *L, int r) {
  if (r == GR_CLOSED) return luaL_error(L, "send on closed channel");
  if (r != GR_TIMEOUT) gr_raise_code(L, r);
  lua_pushboolean(L, 0);
  lua_pushliteral(L, "timeout");
  return 2;
}

static inline int send_first_half(lua_State *L, GrState *st, GrChan *c, int64_t until,
                                  bool blocks) {
  GrMsg m;
  gr_pack_msg(L, 2, &m);
  int r = gr_chan_send(st->g, c, &m, until, blocks);
  if (gr_unlikely(r != GR_OK && r != GR_PARK)) gr_msg_drop(&m);
  return r;
}

/* A half of the call returned r. */
static inline int sent(lua_State *L, GrStep *s, int r) {
  if (gr_unlikely(r != GR_OK)) return r;
  lua_pushboolean(L, 1);
  s->n = 1;
  return GR_OK;
}

static int send_begin(lua_State *L, GrStep *s) {
  GrChan *c = gr_check_chan(L, 1, GR_VIEW_SEND);
  return sent(L, s, send_first_half(L, s->st, c, limit_of(L), s->blocks));
}

static int send_finish(lua_State *L, GrStep *s) {
  return sent(L, s, gr_chan_send_finish(s->st->g, &s->cause));
}

static const GrCall send_call = {.begin = send_begin, .finish = send_finish, .failed = send_failed};

static int send(lua_State *L, GrState *st, GrChan *c, int64_t until) {
  bool blocks = gr_must_block(L, st);
  int r = send_first_half(L, st, c, until, blocks);
  if (r != GR_OK) return gr_call_begun(L, st, &send_call, blocks, r);
  lua_pushboolean(L, 1);
  return 1;
}

/* Misuse when there is a value at idx. `hint` ends the message. */
static void check_nothing_at(lua_State *L, int idx, const char *hint) {
  if (lua_gettop(L) >= idx)
    luaL_argerror(L, idx,
                  lua_pushfstring(L, "no value expected, got %s%s", gr_type_name(L, idx), hint));
}

/* send takes one value, so that send(s:gsub(…)) does not lose the second result in silence. There
 * is one exception, for out:send(inp:recv()): the second value may be what recv returned. `true`
 * says that the first value was a message. `false` says that there was no message, and is an
 * error. */
static void check_one_value(lua_State *L) {
  static const char hint[] = "; 'try_send' takes a time limit";
  if (!lua_isboolean(L, 3)) check_nothing_at(L, 3, hint);
  if (!lua_toboolean(L, 3)) luaL_argerror(L, 3, "the value came from a closed channel");
  check_nothing_at(L, 4, hint);
  lua_settop(L, 2);
}

/* send(v) -> true; raises on a closed channel */
static int chan_send(lua_State *L) {
  GrState *st = gr_state(L);
  GrChan *c = gr_check_chan(L, 1, GR_VIEW_SEND);
  int n = lua_gettop(L);
  if (n != 2) luaL_checkany(L, 2);
  if (gr_unlikely(n > 2)) check_one_value(L);
  gr_enter(L, st);
  return send(L, st, c, GR_FOREVER);
}

/* try_send(v [, timeout]) -> true; false, "timeout". Without a timeout it does not wait. */
static int chan_try_send(lua_State *L) {
  GrState *st = gr_state(L);
  GrChan *c = gr_check_chan(L, 1, GR_VIEW_SEND);
  luaL_checkany(L, 2);
  check_nothing_at(L, 4, "");
  int64_t until = lua_isnoneornil(L, 3) ? GR_POLL : gr_check_timeout(L, 3);
  gr_enter(L, st);
  return send(L, st, c, keep_limit(L, 3, until));
}

/* ---- receive ---- */

static inline int push_received(lua_State *L, GrMsg *m) {
  gr_push_msg(L, m);
  lua_pushboolean(L, 1);
  return 2;
}

static int recv_failed(lua_State *L, int r) {
  if (r != GR_CLOSED && r != GR_TIMEOUT) gr_raise_code(L, r);
  lua_pushnil(L);
  if (r == GR_CLOSED) {
    lua_pushboolean(L, 0);
    return 2;
  }
  lua_pushnil(L);
  lua_pushliteral(L, "timeout");
  return 3;
}

static int recv_begin(lua_State *L, GrStep *s) {
  GrMsg m = GR_MSG_EMPTY;
  GrChan *c = gr_check_chan(L, 1, GR_VIEW_RECV);
  int r = gr_chan_recv(s->st->g, c, &m, limit_of(L), s->blocks);
  if (r == GR_OK) s->n = push_received(L, &m);
  return r;
}

static int recv_finish(lua_State *L, GrStep *s) {
  GrMsg m = GR_MSG_EMPTY;
  int r = gr_chan_recv_finish(s->st->g, &m, &s->cause);
  if (gr_likely(r == GR_OK)) s->n = push_received(L, &m);
  return r;
}

static const GrCall recv_call = {.begin = recv_begin, .finish = recv_finish, .failed = recv_failed};

static int recv(lua_State *L, GrState *st, GrChan *c, int64_t until) {
  GrMsg m = GR_MSG_EMPTY;
  bool blocks = gr_must_block(L, st);
  int r = gr_chan_recv(st->g, c, &m, until, blocks);
  return r == GR_OK ? push_received(L, &m) : gr_call_begun(L, st, &recv_call, blocks, r);
}

/* recv([timeout]) -> v, true; nil, false when closed; nil, nil, "timeout" */
static int chan_recv(lua_State *L) {
  GrState *st = gr_state(L);
  GrChan *c = gr_check_chan(L, 1, GR_VIEW_RECV);
  gr_enter(L, st);
  if (lua_gettop(L) == 1) return recv(L, st, c, GR_FOREVER);
  return recv(L, st, c, keep_limit(L, 2, gr_check_timeout(L, 2)));
}

/* ---- range: Lua calls the iterator with (channel, last value) ---- */

static inline int push_ranged(lua_State *L, GrMsg *m) {
  gr_push_msg(L, m);
  if (gr_unlikely(lua_isnil(L, -1))) return luaL_error(L, "nil message in range");
  return 1;
}

static int range_failed(lua_State *L, int r) {
  if (r != GR_CLOSED) gr_raise_code(L, r);
  lua_pushnil(L);
  return 1;
}

static int range_begin(lua_State *L, GrStep *s) {
  GrMsg m = GR_MSG_EMPTY;
  GrChan *c = gr_check_chan(L, 1, GR_VIEW_RECV);
  int r = gr_chan_recv(s->st->g, c, &m, GR_FOREVER, s->blocks);
  if (r == GR_OK) s->n = push_ranged(L, &m);
  return r;
}

static int range_finish(lua_State *L, GrStep *s) {
  GrMsg m = GR_MSG_EMPTY;
  int r = gr_chan_recv_finish(s->st->g, &m, &s->cause);
  if (gr_likely(r == GR_OK)) s->n = push_ranged(L, &m);
  return r;
}

static const GrCall range_call = {
    .begin = range_begin, .finish = range_finish, .failed = range_failed};

/* (channel) -> v; nil when closed */
static int range_next(lua_State *L) {
  GrState *st = gr_state(L);
  GrChan *c = gr_check_chan(L, 1, GR_VIEW_RECV);
  gr_enter(L, st);
  GrMsg m = GR_MSG_EMPTY;
  bool blocks = gr_must_block(L, st);
  int r = gr_chan_recv(st->g, c, &m, GR_FOREVER, blocks);
  return r == GR_OK ? push_ranged(L, &m) : gr_call_begun(L, st, &range_call, blocks, r);
}

/* range() -> iterator, channel: for v in ch:range() do … end */
static int chan_range(lua_State *L) {
  gr_check_chan(L, 1, GR_VIEW_RECV);
  gr_pushcfunction(L, gr_state(L), range_next);
  lua_pushvalue(L, 1);
  return 2;
}

/* ---- the rest ---- */

/* close(); raises on a closed channel */
static int chan_close(lua_State *L) {
  GrObject *o = gr_object_check(L, 1, &gr_chan_type);
  if (o->view == GR_VIEW_RECV) return luaL_error(L, "close of receive-only channel");
  if (gr_chan_close(gr_chan_of(o->share)) == GR_CLOSED)
    return luaL_error(L, "close of closed channel");
  return 0;
}

/* __close(): closes the channel when the block is left. It is no error that the channel is already
 * closed. */
static int chan_leave(lua_State *L) {
  GrObject *o = gr_object_check(L, 1, &gr_chan_type);
  if (o->view == GR_VIEW_RECV) return luaL_error(L, "close of receive-only channel");
  gr_chan_close(gr_chan_of(o->share));
  return 0;
}

/* len() -> how many messages are buffered; also #ch */
static int chan_len(lua_State *L) {
  lua_pushinteger(L, gr_chan_len(gr_check_chan(L, 1, GR_VIEW_BOTH)));
  return 1;
}

/* cap() -> the capacity */
static int chan_cap(lua_State *L) {
  lua_pushinteger(L, gr_chan_cap(gr_check_chan(L, 1, GR_VIEW_BOTH)));
  return 1;
}

static int view(lua_State *L, uint32_t direction, const char *error) {
  GrObject *o = gr_object_check(L, 1, &gr_chan_type);
  if (o->view != GR_VIEW_BOTH && o->view != direction) return luaL_error(L, error);
  gr_object_push(L, o->share, direction);
  return 1;
}
/* sender() -> a view that only sends */
static int chan_sender(lua_State *L) {
  return view(L, GR_VIEW_SEND, "send to receive-only channel");
}
/* receiver() -> a view that only receives */
static int chan_receiver(lua_State *L) {
  return view(L, GR_VIEW_RECV, "receive from send-only channel");
}

static const luaL_Reg methods[] = {
    {"send", chan_send},   {"try_send", chan_try_send}, {"recv", chan_recv},
    {"close", chan_close}, {"range", chan_range},       {"len", chan_len},
    {"cap", chan_cap},     {"sender", chan_sender},     {"receiver", chan_receiver},
    {NULL, NULL},
};

/* Fills the metatable. A receive-only view cannot close the channel, so it has no __close. */
static void open_chan(lua_State *L, const GrObjectType *type, uint32_t view_of) {
  (void)type;
  GrState *st = gr_state_find(L);
  static const luaL_Reg meta[] = {{"__len", chan_len}, {"__close", chan_leave}, {NULL, NULL}},
                        length[] = {{"__len", chan_len}, {NULL, NULL}};
  gr_setfuncs(L, st, view_of == GR_VIEW_RECV ? length : meta);
  lua_createtable(L, 0, sizeof methods / sizeof *methods - 1);
  gr_setfuncs(L, st, methods);
  lua_setfield(L, -2, "__index");
}

void gr_chan_names(void) {
  gr_methods_names(methods);
  gr_names_native(range_next);
}

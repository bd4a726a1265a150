/* SPDX-License-Identifier: MIT */
/* select.c - goro.select.
 *
 * The table of cases is read once, into a userdata on the stack (Plan). The plan owns the packed
 * messages of the send cases, and a reference to each channel. So an error at any point frees them.
 * After that the tables of the cases are not read again, except for the handler of the chosen case.
 * When a hook has interrupted the wait, select begins anew with the same plan. */
#include "lib/core/call.h"

#include <string.h>

#include "heap/keep.h"
#include "heap/names.h"
#include "copy/pack.h"
#include "run/panic.h"

enum {
  SLOT_CASES = 1,
  SLOT_PLAN = 2,
  SLOT_RECV = 3,
  SLOT_SEND = 4
}; /* the last two hold the field names "recv" and "send" while the cases are read */

typedef struct Plan {
  GrKeep keep; /* first */
  int64_t until;
  uint32_t n, filled;
  bool polls; /* true: `default` was given; false: there may be a timeout, even 0 */
  GrCase cases[];
} Plan;

static void release(Plan *p) {
  for (uint32_t i = 0; i < p->filled; i++) {
    gr_msg_drop(&p->cases[i].msg);
    if (p->cases[i].chan != NULL) gr_share_unref(gr_chan_share(p->cases[i].chan));
  }
  p->filled = 0;
}

static void free_plan(GrKeep *k) { release((Plan *)k); }

static Plan *new_plan(lua_State *L, uint32_t n) {
  static const GrKeepType type = {free_plan, NULL};
  Plan *p = gr_keep_new(L, sizeof *p + n * sizeof p->cases[0], &type);
  p->n = n;
  return p;
}

static int bad_case(lua_State *L, uint32_t i, const char *what) {
  return luaL_argerror(L, 1, lua_pushfstring(L, "case %d: %s", (int)i + 1, what));
}

/* Returns the channel on top of the stack. NULL: the value is false, which switches the case
 * off. */
static GrChan *case_chan(lua_State *L, uint32_t i, const char *field, uint32_t need) {
  if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) return NULL;
  GrObject *o = gr_object_test(L, -1);
  if (o == NULL || o->share->type != &gr_chan_type.share)
    bad_case(
        L, i,
        lua_pushfstring(L, "'%s' must be a channel or false, got %s", field, gr_type_name(L, -1)));
  if (o->view != GR_VIEW_BOTH && o->view != need)
    luaL_error(L, need == GR_VIEW_SEND ? "send to receive-only channel"
                                       : "receive from send-only channel");
  return gr_chan_of(o->share);
}

static bool inherits(lua_State *L, int table) {
  bool has_metatable = lua_getmetatable(L, table);
  if (has_metatable) lua_pop(L, 1);
  return has_metatable;
}

/* Checks the keys of the whole table: each must be the index of a case, or the name of a limit.
 * Returns whether the table may have such names. */
static bool check_keys(lua_State *L, lua_Integer n) {
  static const char *const known[] = {"timeout", "default", "on_timeout", NULL};
  bool names = inherits(L, SLOT_CASES);
  for (lua_pushnil(L); lua_next(L, SLOT_CASES) != 0; lua_pop(L, 1)) {
    int is_integer;
    lua_Integer index = lua_tointegerx(L, -2, &is_integer);
    if (gr_likely(is_integer && index >= 1 && index <= n && lua_type(L, -2) == LUA_TNUMBER))
      continue;
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    const char *const *k = known;
    while (*k != NULL && (name == NULL || strcmp(*k, name) != 0)) k++;
    if (*k == NULL) gr_unknown_option(L, -2, 1, "", known);
    names = true;
  }
  return names;
}

/* The fields that a case may have. */
enum { HAS_RECV = 1, HAS_SEND = 2, HAS_VALUE = 4, HAS_HANDLER = 8, HAS_ALL = 15 };

/* Raises: case i cannot have the key of the (key, value) pair on top of the stack. */
static void bad_key(lua_State *L, uint32_t i) {
  static const char *const known[] = {"recv", "send", "value", NULL};
  int key = lua_gettop(L) - 1;
  gr_unknown_option(L, key, 1, lua_pushfstring(L, "case %d: ", (int)i + 1), known);
}

/* Returns the fields of case i, whose table is on top of the stack. Lua stores each short string
 * once, so equal addresses mean equal names. A table with a metatable may inherit fields, so it
 * counts as having all of them. */
static uint32_t fields_of(lua_State *L, uint32_t i) {
  int table = lua_gettop(L);
  const char *recv = lua_tostring(L, SLOT_RECV), *send = lua_tostring(L, SLOT_SEND);
  uint32_t has = inherits(L, table) ? HAS_ALL : 0;
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -2) == LUA_TSTRING) {
      const char *name = lua_tostring(L, -2);
      if (name == recv) has |= HAS_RECV;
      else if (name == send) has |= HAS_SEND;
      else if (strcmp(name, "value") == 0) has |= HAS_VALUE;
      else bad_key(L, i);
    } else {
      if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) != 1) bad_key(L, i);
      has |= HAS_HANDLER;
    }
  }
  return has;
}

/* Pushes the field whose name is in stack slot `slot`, and returns true. False: there is no such
 * field, and nothing was pushed. `can_be` false: the table cannot have the field, so this does not
 * look. */
static bool push_field(lua_State *L, int table, bool can_be, int slot) {
  if (!can_be) return false;
  lua_pushvalue(L, slot);
  if (lua_gettable(L, table) != LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

/* Reads case i, whose table is on top of the stack. */
static void read_case(lua_State *L, Plan *p, uint32_t i) {
  int table = lua_gettop(L);
  uint32_t has = fields_of(L, i);
  GrCase *c = &p->cases[i];
  *c = (GrCase){0};
  p->filled = i + 1;
  bool recv = push_field(L, table, has & HAS_RECV, SLOT_RECV);
  bool send = push_field(L, table, has & HAS_SEND, SLOT_SEND);
  if (recv && send) bad_case(L, i, "both 'recv' and 'send'");
  if (!recv && !send) bad_case(L, i, "neither 'recv' nor 'send'");
  if ((has & HAS_HANDLER) && lua_rawgeti(L, table, 1) != LUA_TNIL && !lua_isfunction(L, -1))
    bad_case(L, i, lua_pushfstring(L, "handler must be a function, got %s", gr_type_name(L, -1)));
  lua_settop(L, table + 1);
  GrChan *chan =
      send ? case_chan(L, i, "send", GR_VIEW_SEND) : case_chan(L, i, "recv", GR_VIEW_RECV);
  c->is_send = send;
  if (chan != NULL) {
    gr_share_ref(gr_chan_share(chan));
    c->chan = chan;
    if (send) {
      lua_getfield(L, table, "value");
      gr_pack_msg(L, lua_gettop(L), &c->msg);
    }
  }
  lua_settop(L, table);
}

/* Reads default, timeout and on_timeout. */
static void read_limits(lua_State *L, Plan *p) {
  bool has_default = lua_getfield(L, SLOT_CASES, "default") != LUA_TNIL && lua_toboolean(L, -1);
  if (has_default && !lua_isfunction(L, -1) && !lua_isboolean(L, -1))
    luaL_argerror(
        L, 1,
        lua_pushfstring(L, "'default' must be true or a function, got %s", gr_type_name(L, -1)));
  if (lua_getfield(L, SLOT_CASES, "timeout") != LUA_TNIL) {
    if (has_default) luaL_argerror(L, 1, "both 'default' and 'timeout'");
    p->until = gr_check_seconds(L, -1, 1, "'timeout': ");
  }
  if (lua_getfield(L, SLOT_CASES, "on_timeout") != LUA_TNIL && !lua_isfunction(L, -1))
    luaL_argerror(
        L, 1, lua_pushfstring(L, "'on_timeout' must be a function, got %s", gr_type_name(L, -1)));
  p->polls = has_default;
  if (has_default) p->until = GR_POLL;
  lua_settop(L, SLOT_PLAN);
}

static int handler_done(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return lua_gettop(L) - SLOT_PLAN;
}

/* Calls the handler at SLOT_PLAN + 1 with the nargs arguments above it. The results of select are
 * the handler's. */
static int call_handler(lua_State *L, int nargs) {
  lua_callk(L, nargs, LUA_MULTRET, 0, handler_done);
  return handler_done(L, LUA_OK, 0);
}

/* No case was chosen: runs the `default` or `on_timeout` function, or pushes the name. */
static int nothing_ready(lua_State *L, Plan *p) {
  bool polls = p->polls;
  gr_keep_release(&p->keep); /* a state with a live plan could not be dropped */
  lua_getfield(L, SLOT_CASES, polls ? "default" : "on_timeout");
  if (lua_isfunction(L, -1)) return call_handler(L, 0);
  lua_pushstring(L, polls ? "default" : "timeout");
  return 1;
}

/* Case i was chosen. Its handler gets (v, ok) for a receive and nothing for a send; without a
 * handler, the index of the case comes first, and both are the results. */
static int chosen_case(lua_State *L, Plan *p, uint32_t i, bool ok) {
  GrCase *c = &p->cases[i];
  int values = c->is_send ? 0 : 2;
  lua_rawgeti(L, SLOT_CASES, (lua_Integer)i + 1);
  bool handled = lua_istable(L, -1) && lua_rawgeti(L, -1, 1) == LUA_TFUNCTION;
  if (!handled) lua_pushinteger(L, (lua_Integer)i + 1);
  lua_replace(L, SLOT_PLAN + 1);
  lua_settop(L, SLOT_PLAN + 1);
  if (!c->is_send) {
    GrMsg m = c->msg;
    c->msg = GR_MSG_EMPTY;
    if (ok) gr_push_msg(L, &m);
    else lua_pushnil(L);
    lua_pushboolean(L, ok);
  }
  gr_keep_release(&p->keep);
  return handled ? call_handler(L, values) : 1 + values;
}

static int selected(lua_State *L, GrStep *s, int r, uint32_t chosen, bool ok) {
  Plan *p = lua_touserdata(L, SLOT_PLAN);
  if (r != GR_OK && r != GR_TIMEOUT) return r;
  s->n = r == GR_OK ? chosen_case(L, p, chosen, ok) : nothing_ready(L, p);
  return GR_OK;
}

static int select_begin(lua_State *L, GrStep *s) {
  Plan *p = lua_touserdata(L, SLOT_PLAN);
  GrState *st = s->st;
  uint32_t chosen = 0;
  bool ok = false;
  int r = gr_select(st->g, p->cases, p->n, p->until, s->blocks, &st->rand, &chosen, &ok);
  return selected(L, s, r, chosen, ok);
}

static int select_finish(lua_State *L, GrStep *s) {
  Plan *p = lua_touserdata(L, SLOT_PLAN);
  uint32_t chosen = 0;
  bool ok = false;
  int r = gr_select_finish(s->st->g, p->cases, p->n, &chosen, &ok, &s->cause);
  return selected(L, s, r, chosen, ok);
}

static int select_failed(lua_State *L, int r) {
  if (r == GR_CLOSED) return luaL_error(L, "send on closed channel");
  gr_raise_code(L, r);
}

static const GrCall select_call = {
    .begin = select_begin, .finish = select_finish, .failed = select_failed};

/* select(cases) -> the results of the handler. Without a handler: index, v, ok of a receive; index
 * of a send; "default"; "timeout". cases is { { recv = ch, f }, { send = ch, value = v, f }, …, and
 * timeout = seconds, on_timeout = f, or default = true or f } */
int gr_lib_select(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  GrState *st = gr_state(L);
  lua_settop(L, 1);
  gr_check_inbox(L, st);
  lua_Unsigned n = lua_rawlen(L, 1);
  luaL_argcheck(L, n <= 65536, 1, "too many cases (65536 are possible)");
  Plan *p = new_plan(L, (uint32_t)n);
  p->until = GR_FOREVER;
  if (check_keys(L, (lua_Integer)n)) read_limits(L, p);
  gr_check_stack(L, 12);
  lua_pushliteral(L, "recv");
  lua_pushliteral(L, "send");
  for (uint32_t i = 0; i < p->n; i++) {
    if (lua_rawgeti(L, SLOT_CASES, (lua_Integer)i + 1) != LUA_TTABLE)
      bad_case(L, i, lua_pushfstring(L, "table expected, got %s", gr_type_name(L, -1)));
    read_case(L, p, i);
    lua_settop(L, SLOT_SEND);
  }
  lua_settop(L, SLOT_PLAN);
  return gr_call(L, st, &select_call);
}

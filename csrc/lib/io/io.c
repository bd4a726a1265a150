/* SPDX-License-Identifier: MIT */
/* io.c - the form of a call that waits for the system, and of its failures.
 *
 * A read may wait many times before it has what it wants. A goroutine that can yield goes out of
 * Lua for each wait and comes back in `resumed`, on a fresh C stack. Where it cannot, or in a host,
 * the thread waits here, in a loop: not by calling itself again, since ten thousand waits would be
 * ten thousand frames.
 *
 * An interrupted wait (a hook of the main script must run) keeps its turn, so that nobody else's
 * bytes come into the middle of a write; if the hook raises, the turn is given up first. All other
 * interruptions raise anyway. */
#include "lib/io/io.h"

#include <string.h>

void gr_set_limit(lua_State *L, int slot, int64_t until) {
  lua_settop(L, slot - 1);
  lua_pushinteger(L, (lua_Integer)until);
}

int64_t gr_limit_at(lua_State *L, int slot) { return (int64_t)lua_tointeger(L, slot); }

int gr_push_failure(lua_State *L, int r, const char *why, const char *subject, size_t len) {
  if (!gr_is_sys(r) && r != GR_CLOSED && r != GR_TIMEOUT) gr_raise_code(L, r);
  char name_buf[GR_ERROR_SIZE], text_buf[GR_ERROR_SIZE];
  const char *name = gr_sys_name(r, name_buf);
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", name, why != NULL ? why : gr_sys_text(r, text_buf));
  if (subject != NULL) {
    lua_pushliteral(L, ": ");
    lua_pushlstring(L, subject, len);
    lua_concat(L, 3);
  }
  lua_pushstring(L, name);
  return 3;
}

int gr_push_refusal(lua_State *L, int r, const GrResolve *resolve, const char *address,
                    size_t len) {
  return gr_push_failure(L, r, resolve != NULL ? gr_resolve_why(resolve) : NULL, address, len);
}

static void release_resolve(GrKeep *k) { gr_resolve_free(((GrResolveBox *)k)->resolve); }

GrResolveBox *gr_push_resolve_box(lua_State *L) {
  static const GrKeepType type = {release_resolve, NULL};
  return gr_keep_new(L, sizeof(GrResolveBox), &type);
}

static int nothing(lua_State *L, int status, lua_KContext ctx) {
  (void)L, (void)status, (void)ctx;
  return 0;
}

static int interrupted(lua_State *L) {
  gr_raise_cause(L, gr_state_find(L), (GrCause)lua_tointeger(L, 1));
  return 0;
}

/* GR_OK: step again, the turn is kept; GR_CLOSED: step again as a new call. Or raises. */
static int after_abort(lua_State *L, GrState *st, const GrIoCall *call, GrCause cause) {
  if (cause != GR_CAUSE_SIGNAL) {
    call->quit(L, st);
    gr_raise_cause(L, st, cause);
    return GR_CLOSED;
  }
  lua_pushcfunction(L, interrupted);
  lua_pushinteger(L, (lua_Integer)cause);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return GR_OK;
  call->quit(L, st);
  return lua_error(L);
}

static int go_on(lua_State *L, const GrIoCall *call, bool fresh);

/* After a wait; *fresh is set for the next step. GR_OK: step again. */
static int awake(lua_State *L, GrState *st, const GrIoCall *call, bool *fresh) {
  GrCause cause = GR_CAUSE_SUDOG;
  *fresh = false;
  int r = call->awake(L, st, &cause);
  if (r != GR_ABORTED) return r;
  *fresh = after_abort(L, st, call, cause) == GR_CLOSED;
  return GR_OK;
}

static int resumed(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  const GrIoCall *call = (const GrIoCall *)ctx;
  bool fresh;
  int r = awake(L, gr_state(L), call, &fresh);
  return r == GR_OK ? go_on(L, call, fresh) : call->failed(L, r);
}

static int go_on(lua_State *L, const GrIoCall *call, bool fresh) {
  GrState *st = gr_state(L);
  int n = 0, r;
  do {
    bool blocks = gr_must_block(L, st);
    r = call->step(L, st, blocks, fresh, &n);
    if (r == GR_OK) return n;
    if (r != GR_PARK) break;
    if (!blocks) return gr_park(L, st, resumed, (lua_KContext)call);
    gr_park(L, st, nothing, 0);
  } while ((r = awake(L, st, call, &fresh)) == GR_OK);
  return call->failed(L, r);
}

int gr_io_call(lua_State *L, const GrIoCall *call) { return go_on(L, call, true); }

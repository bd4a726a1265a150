/* SPDX-License-Identifier: MIT */
/* state.c - waiting in a Lua state; see state.h. */
#include "run/state.h"

#include <stdio.h>

/* Lua stops its collector while a finalizer runs, and a collector that is stopped in this way
 * answers no question. */
bool gr_state_finalizes(lua_State *L) { return lua_gc(L, LUA_GCCOUNT, 0) < 0; }

/* A host looks up twenty times a second: a hook that was set meanwhile (lua.c does so at SIGINT)
 * must fire. */
static void block(lua_State *L, GrState *st) {
  enum { LOOK_NS = 50000000 };
  lua_Hook before = lua_gethook(L);
  if (st->is_host && st->host != NULL) gr_host_deafen(st->host, gr_state_finalizes(L));
  while (!gr_wait_block(st->g, st->is_host ? gr_now_ns() + LOOK_NS : GR_FOREVER)) {
    if (lua_gethook(L) == before || !gr_wait_win(st->g, gr_wait_seq(st->g), GR_CAUSE_SIGNAL, NULL))
      continue;
    gr_wait_taken(st->g);
    return;
  }
}

int gr_park(lua_State *L, GrState *st, lua_KFunction k, lua_KContext ctx) {
  st->parked = L;
  if (!st->g->blocks) {
    st->outward = GR_OUT_PARK;
    return lua_yieldk(L, 0, ctx, k);
  }
  block(L, st);
  return k(L, LUA_YIELD, ctx);
}

void gr_check_forked(lua_State *L) {
  if (gr_likely(!atomic_load_explicit(&gr_forked, memory_order_relaxed))) return;
  luaL_error(L, "goro does not work in a forked child, where its threads are not (exec a program "
                "there, or end by os.exit)");
}

void gr_state_created(const GrState *st, char *buf, size_t size) {
  if (st->line > 0) snprintf(buf, size, "%s at %s:%d", st->verb, st->source, st->line);
  else snprintf(buf, size, "%s", st->verb);
}

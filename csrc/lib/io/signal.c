/* SPDX-License-Identifier: MIT */
/* signal.c - goro.signal: the process's signals as channels of names. */
#include "io/signal.h"

#include <string.h>

#include "lib/io/io.h"
#include "copy/pack.h"

enum { CAPACITY = 16 };

/* Short strings lie in the message itself. */
static void make(const char *name, GrMsg *m) { gr_msg_string(name, strlen(name), m); }

static uint64_t check_signals(lua_State *L) {
  uint64_t set = 0;
  int n = lua_gettop(L);
  luaL_argcheck(L, n > 0, 1, "signal's name expected, got no value");
  for (int i = 1; i <= n; i++) {
    luaL_checktype(L, i, LUA_TSTRING);
    size_t len;
    const char *name = lua_tolstring(L, i, &len);
    int sig = strlen(name) == len ? gr_signal_number(name) : 0;
    if (sig == 0) luaL_argerror(L, i, lua_pushfstring(L, "unknown signal '%s'", name));
    if (gr_signal_refused(sig) != NULL)
      luaL_argerror(L, i, lua_pushfstring(L, "signal '%s': %s", name, gr_signal_refused(sig)));
    set |= GR_SIGNAL_BIT(sig);
  }
  return set;
}

/* notify(name, ...) -> channel of names. It may fail, since the poller and the signal handler need
 * descriptors. */
static int l_notify(lua_State *L) {
  uint64_t set = check_signals(L);
  gr_check_inbox(L, gr_state(L));
  GrChan *c = gr_push_chan(L, CAPACITY);
  int r = gr_signal_notify(c, set);
  return r == GR_OK ? 1 : gr_push_failure(L, r, NULL, NULL, 0);
}

/* stop(channel) */
static int l_stop(lua_State *L) {
  GrChan *c = gr_check_chan(L, 1, GR_VIEW_BOTH);
  luaL_argcheck(L, gr_signal_stop(c), 1, "not a channel of signal.notify");
  return 0;
}

/* ignore(name, ...) */
static int l_ignore(lua_State *L) {
  int r = gr_signal_ignore(check_signals(L));
  return r == GR_OK ? 0 : gr_push_failure(L, r, NULL, NULL, 0);
}

void gr_signal_names(void) { gr_signal_init(make); }

int luaopen_goro_signal(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"notify", l_notify}, {"stop", l_stop}, {"ignore", l_ignore}, {NULL, NULL}};
  return gr_open_submodule(L, functions);
}

/* SPDX-License-Identifier: MIT */
/* sync.c - the module goro.sync, and what its objects share. */
#include "lib/sync/sync.h"

int64_t gr_keep_limit(lua_State *L, int arg) {
  int64_t until = gr_check_timeout(L, arg);
  lua_settop(L, arg - 1);
  if (until != GR_FOREVER) lua_pushinteger(L, (lua_Integer)until);
  return until;
}

int gr_push_in_time(lua_State *L, bool in_time) {
  lua_pushboolean(L, in_time);
  if (gr_likely(in_time)) return 1;
  lua_pushliteral(L, "timeout");
  return 2;
}

void gr_sync_names(void) {
  gr_lock_names();
  gr_cond_names();
  gr_atomic_names();
  gr_semaphore_names();
  gr_waitgroup_names();
}

int luaopen_goro_sync(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"mutex", gr_lib_mutex},         {"rwmutex", gr_lib_rwmutex}, {"cond", gr_lib_cond},
      {"once", gr_lib_once},           {"atomic", gr_lib_atomic},   {"semaphore", gr_lib_semaphore},
      {"waitgroup", gr_lib_waitgroup}, {"map", gr_lib_map},         {NULL, NULL},
  };
  return gr_open_submodule(L, functions);
}

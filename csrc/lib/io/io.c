/* SPDX-License-Identifier: MIT */
/* io.c - what the bindings of csrc/lib/io share: limits on the stack, failures. */
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

/* SPDX-License-Identifier: MIT */
/* fstree.c - fs.list and fs.walk.
 *
 * A walk is an object of one state, and is not sent to others. The generic for calls it for each
 * item, and closes it at the end of the loop; if the loop never ends, it is collected. What a walk
 * holds outside Lua (open folders above all) hangs on the state by a GrKeep, so it goes with the
 * state too. */
#include <errno.h>

#include "io/fstree.h"
#include "lib/io/fs.h"
#include "heap/keep.h"

/* ---- list ---- */

typedef struct KeptNames {
  GrKeep keep; /* first */
  GrListing names;
} KeptNames;

static void release_names(GrKeep *k) { gr_listing_free(&((KeptNames *)k)->names); }

int gr_lib_fs_list(lua_State *L) {
  static const GrKeepType type = {release_names, NULL};
  const char *path = gr_fs_path(L, 1);
  if (path == NULL) return 3;
  gr_enter(L, gr_state(L));
  KeptNames *k = gr_keep_new(L, sizeof *k, &type);
  int err = gr_fs_list(path, &k->names);
  if (err < 0) {
    gr_keep_release(&k->keep);
    return gr_fs_failed(L, err, path);
  }
  lua_createtable(L, (int)k->names.n, 0);
  for (size_t i = 0; i < k->names.n; i++) {
    const char *entry = k->names.text.data + k->names.at[i];
    lua_createtable(L, 0, 2);
    lua_pushstring(L, entry + 1);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, gr_file_type_name((GrFileType)*entry));
    lua_setfield(L, -2, "type");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  gr_keep_release(&k->keep);
  return 1;
}

/* ---- walk ---- */

typedef struct KeptWalk {
  GrKeep keep;  /* first */
  GrWalk *walk; /* NULL: it has ended */
} KeptWalk;

static const char walk_name[] = "goro.fs.walk";

static void release_walk(GrKeep *k) {
  gr_walk_free(((KeptWalk *)k)->walk);
  ((KeptWalk *)k)->walk = NULL;
}

static int walk_next(lua_State *L) {
  KeptWalk *k = luaL_checkudata(L, 1, walk_name);
  GrWalkItem item;
  int r = k->walk != NULL ? gr_walk_next(k->walk, &item) : 0;
  if (r < 0) gr_raise_code(L, GR_NOMEM);
  if (r == 0) {
    gr_keep_release(&k->keep);
    lua_pushnil(L);
    return 1;
  }
  lua_pushstring(L, item.path);
  lua_pushstring(L, gr_file_type_name(item.type));
  if (item.err == 0) return 2;
  gr_fs_push_message(L, item.err, item.path);
  return 3;
}

static int walk_close(lua_State *L) {
  KeptWalk *k = luaL_checkudata(L, 1, walk_name);
  gr_keep_release(&k->keep);
  return 0;
}

/* Replaces the metatable of the keep, which has its finalizer, by one that has a finalizer and what
 * a walk needs besides. */
static void set_walk_metatable(lua_State *L) {
  if (luaL_newmetatable(L, walk_name)) {
    static const luaL_Reg meta[] = {
        {"__call", walk_next}, {"__close", walk_close}, {"__gc", walk_close}, {NULL, NULL}};
    luaL_setfuncs(L, meta, 0);
  }
  lua_setmetatable(L, -2);
}

int gr_lib_fs_walk(lua_State *L) {
  static const GrKeepType type = {release_walk, NULL};
  const char *path = gr_fs_path(L, 1);
  if (path == NULL) return luaL_error(L, "%s", lua_tostring(L, -2));
  gr_enter(L, gr_state(L));
  KeptWalk *k = gr_keep_new_lasting(L, sizeof *k, &type);
  set_walk_metatable(L);
  k->keep.mark = 0; /* from now on the metatable tells what it is */
  int err = gr_walk_open(path, &k->walk);
  if (err == -ENOMEM) gr_raise_code(L, GR_NOMEM);
  if (err < 0) {
    luaL_where(L, 1);
    gr_fs_push_message(L, err, path);
    lua_concat(L, 2);
    return lua_error(L);
  }
  gr_fs_charge(L);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, -3);
  return 4;
}

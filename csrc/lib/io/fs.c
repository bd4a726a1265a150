/* SPDX-License-Identifier: MIT */
/* fs.c - goro.fs: the calls by path, and the module.
 *
 * A path may be any bytes but a zero. No file can have a name with a zero in it. Such paths come
 * from outside (a request, an archive), and a program that meets one must not end by it. So the
 * call returns a failure, as for any other path that does not exist. */
#include "lib/io/fs.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "io/fstree.h"
#include "io/fswhole.h"
#include "lib/io/io.h"
#include "heap/keep.h"

/* ---- results ---- */

void gr_fs_push_message(lua_State *L, int err, const char *subject) {
  gr_push_failure(L, GR_SYS(err), NULL, subject, strlen(subject));
  lua_pop(L, 1);
  lua_remove(L, -2);
}

int gr_fs_failed(lua_State *L, int err, const char *subject) {
  return gr_push_failure(L, gr_sys_result(err), NULL, subject, strlen(subject));
}

int gr_fs_result(lua_State *L, int err, const char *subject) {
  if (err < 0) return gr_fs_failed(L, err, subject);
  lua_pushboolean(L, 1);
  return 1;
}

/* The same for a call with two paths. */
static int result_of_two(lua_State *L, int err, const char *from, const char *to) {
  if (err >= 0) return gr_fs_result(L, err, "");
  return gr_fs_failed(L, err, lua_pushfstring(L, "%s -> %s", from, to));
}

const char *gr_fs_path(lua_State *L, int arg) {
  size_t len;
  const char *path = luaL_checklstring(L, arg, &len);
  if (strlen(path) == len) return path;
  gr_push_failure(L, GR_ERRNO(EINVAL), "invalid argument (a zero in the path)", path, len);
  return NULL;
}

void gr_fs_charge(lua_State *L) {
  enum { WORTH_KB = 16 };
  if (lua_gc(L, LUA_GCISRUNNING)) lua_gc(L, LUA_GCSTEP, WORTH_KB);
}

/* ---- bytes that outlive an error ---- */

typedef struct KeptBytes {
  GrKeep keep; /* first */
  GrBytes bytes;
} KeptBytes;

static void release_bytes(GrKeep *k) { gr_bytes_free(&((KeptBytes *)k)->bytes); }

static int keep_bytes(lua_State *L) {
  static const GrKeepType type = {release_bytes, NULL};
  KeptBytes *kept = gr_keep_new(L, sizeof *kept, &type);
  GrBytes *b = gr_check_pointer(L, 1);
  kept->bytes = *b;
  *b = (GrBytes){0};
  lua_pushlstring(L, kept->bytes.data, kept->bytes.len);
  gr_keep_release(&kept->keep);
  return 1;
}

void gr_fs_push_bytes(lua_State *L, GrBytes *b) {
  if (!b->heap) {
    lua_pushlstring(L, b->data, b->len);
    return;
  }
  lua_pushcfunction(L, keep_bytes);
  lua_pushlightuserdata(L, b);
  int status = lua_pcall(L, 1, 1, 0);
  gr_bytes_free(b);
  if (status != LUA_OK) lua_error(L);
}

/* ---- arguments ---- */

/* Pushes a field of the table of options at `arg`, which has been checked. LUA_TNIL: it is not
 * given. */
static int option(lua_State *L, int arg, const char *name) {
  if (lua_isnoneornil(L, arg)) {
    lua_pushnil(L);
    return LUA_TNIL;
  }
  return lua_getfield(L, arg, name);
}

static bool flag(lua_State *L, int arg, const char *name) {
  option(L, arg, name);
  bool on = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return on;
}

static const char *check_mode(lua_Integer mode) {
  return mode < 0 || mode > 07777 ? "permissions are out of range" : NULL;
}

static int64_t mode_option(lua_State *L, int arg) {
  if (option(L, arg, "mode") == LUA_TNIL) {
    lua_pop(L, 1);
    return -1;
  }
  if (!lua_isinteger(L, -1))
    luaL_argerror(L, arg,
                  lua_pushfstring(L, "mode: integer expected, got %s", gr_type_name(L, -1)));
  lua_Integer mode = lua_tointeger(L, -1);
  if (check_mode(mode) != NULL)
    luaL_argerror(L, arg, lua_pushfstring(L, "mode: %s", check_mode(mode)));
  lua_pop(L, 1);
  return mode;
}

/* ---- whole files ---- */

enum { SMALL = 1 << 14 }; /* a file of up to so many bytes is read on the C stack */

static int l_read_file(lua_State *L) {
  GrState *st = gr_state(L);
  const char *path = gr_fs_path(L, 1);
  if (path == NULL) return 3;
  gr_enter(L, st);
  char small[SMALL];
  GrBytes data = gr_bytes_in(small, sizeof small);
  int err = gr_fs_read_file(st->g, path, &data);
  if (err < 0) {
    gr_bytes_free(&data);
    return gr_fs_failed(L, err, path);
  }
  gr_fs_push_bytes(L, &data);
  return 1;
}

static int write_file(lua_State *L, GrWrite *w) {
  GrState *st = gr_state(L);
  const char *path = gr_fs_path(L, 1);
  if (path == NULL) return 3;
  w->data = luaL_checklstring(L, 2, &w->len);
  gr_enter(L, st);
  return gr_fs_result(L, gr_fs_write_file(st->g, path, w), path);
}

static int l_write_file(lua_State *L) {
  luaL_checkstring(L, 1);
  luaL_checkstring(L, 2);
  gr_check_options(L, 3, GR_OPTIONS("mode", "atomic"));
  return write_file(L, &(GrWrite){.mode = mode_option(L, 3), .atomic = flag(L, 3, "atomic")});
}

static int l_append_file(lua_State *L) {
  return write_file(L, &(GrWrite){.mode = -1, .append = true});
}

static int l_copy(lua_State *L) {
  GrState *st = gr_state(L);
  const char *from = gr_fs_path(L, 1), *to = from != NULL ? gr_fs_path(L, 2) : NULL;
  if (to == NULL) return 3;
  gr_enter(L, st);
  return result_of_two(L, gr_fs_copy(st->g, from, to), from, to);
}

/* ---- what a path is ---- */

void gr_fs_push_stat(lua_State *L, const GrStat *st) {
  const struct {
    const char *name;
    int64_t value;
  } integers[] = {{"size", st->size},   {"mode", st->mode}, {"ino", st->ino}, {"dev", st->dev},
                  {"nlink", st->nlink}, {"uid", st->uid},   {"gid", st->gid}};
  const struct {
    const char *name;
    double value;
  } times[] = {{"mtime", st->mtime}, {"atime", st->atime}, {"ctime", st->ctime}};
  lua_createtable(L, 0, 11);
  lua_pushstring(L, gr_file_type_name(st->type));
  lua_setfield(L, -2, "type");
  for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
    lua_pushinteger(L, integers[i].value);
    lua_setfield(L, -2, integers[i].name);
  }
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    lua_pushnumber(L, times[i].value);
    lua_setfield(L, -2, times[i].name);
  }
}

static int stat_by(lua_State *L, int (*call)(const char *path, GrStat *st)) {
  const char *path = gr_fs_path(L, 1);
  if (path == NULL) return 3;
  gr_enter(L, gr_state(L));
  GrStat st;
  int err = call(path, &st);
  if (err < 0) return gr_fs_failed(L, err, path);
  gr_fs_push_stat(L, &st);
  return 1;
}

static int l_stat(lua_State *L) { return stat_by(L, gr_fs_stat); }
static int l_lstat(lua_State *L) { return stat_by(L, gr_fs_lstat); }

static int l_exists(lua_State *L) {
  const char *path = gr_fs_path(L, 1);
  if (path == NULL) return 3;
  gr_enter(L, gr_state(L));
  int err = gr_fs_exists(path);
  if (err != 0 && err != -ENOENT && err != -ENOTDIR) return gr_fs_failed(L, err, path);
  lua_pushboolean(L, err == 0);
  return 1;
}

/* ---- changes ---- */

static int l_mkdir(lua_State *L) {
  const char *path = gr_fs_path(L, 1);
  if (path == NULL) return 3;
  gr_check_options(L, 2, GR_OPTIONS("parents"));
  bool parents = flag(L, 2, "parents");
  gr_enter(L, gr_state(L));
  return gr_fs_result(L, parents ? gr_fs_mkdirs(path) : gr_fs_mkdir(path), path);
}

static int remove_tree(lua_State *L, GrState *st, const char *path) {
  GrBytes where;
  int err = gr_fs_remove_tree(st->g, path, &where);
  if (err == 0 || where.len == 0) {
    gr_bytes_free(&where);
    return gr_fs_result(L, err, path);
  }
  gr_fs_push_bytes(L, &where);
  return gr_fs_failed(L, err, lua_tostring(L, -1));
}

static int l_remove(lua_State *L) {
  GrState *st = gr_state(L);
  const char *path = gr_fs_path(L, 1);
  if (path == NULL) return 3;
  gr_check_options(L, 2, GR_OPTIONS("recursive"));
  bool recursive = flag(L, 2, "recursive");
  gr_enter(L, st);
  return recursive ? remove_tree(L, st, path) : gr_fs_result(L, gr_fs_remove(path), path);
}

static int by_two(lua_State *L, int (*call)(const char *from, const char *to)) {
  const char *from = gr_fs_path(L, 1), *to = from != NULL ? gr_fs_path(L, 2) : NULL;
  if (to == NULL) return 3;
  gr_enter(L, gr_state(L));
  return result_of_two(L, call(from, to), from, to);
}

static int l_rename(lua_State *L) { return by_two(L, gr_fs_rename); }
static int l_link(lua_State *L) { return by_two(L, gr_fs_link); }
static int l_symlink(lua_State *L) { return by_two(L, gr_fs_symlink); }

static int l_chmod(lua_State *L) {
  const char *path = gr_fs_path(L, 1);
  if (path == NULL) return 3;
  lua_Integer mode = gr_check_integer(L, 2);
  luaL_argcheck(L, check_mode(mode) == NULL, 2, check_mode(mode));
  gr_enter(L, gr_state(L));
  return gr_fs_result(L, gr_fs_chmod(path, (uint32_t)mode), path);
}

static int l_utime(lua_State *L) {
  const char *path = gr_fs_path(L, 1);
  if (path == NULL) return 3;
  double atime = gr_opt_number(L, 2, gr_wall_s()), mtime = gr_opt_number(L, 3, atime);
  gr_enter(L, gr_state(L));
  return gr_fs_result(L, gr_fs_utime(path, atime, mtime), path);
}

/* ---- calls that give a path ---- */

static int path_by(lua_State *L, int (*call)(const char *path, char out[GR_PATH_SIZE]),
                   const char *path) {
  gr_enter(L, gr_state(L));
  char out[GR_PATH_SIZE];
  int err = call(path, out);
  if (err < 0) return gr_fs_failed(L, err, path != NULL ? path : out);
  lua_pushstring(L, out);
  return 1;
}

static int l_readlink(lua_State *L) {
  const char *path = gr_fs_path(L, 1);
  return path == NULL ? 3 : path_by(L, gr_fs_readlink, path);
}

static int l_realpath(lua_State *L) {
  const char *path = gr_fs_path(L, 1);
  return path == NULL ? 3 : path_by(L, gr_fs_realpath, path);
}

static int l_mkdtemp(lua_State *L) {
  if (lua_isnoneornil(L, 1)) return path_by(L, gr_fs_mkdtemp, NULL);
  const char *path = gr_fs_path(L, 1);
  return path == NULL ? 3 : path_by(L, gr_fs_mkdtemp, path);
}

/* ---- the module ---- */

int luaopen_goro_fs(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"read_file", l_read_file},
      {"write_file", l_write_file},
      {"append_file", l_append_file},
      {"copy", l_copy},
      {"open", gr_lib_fs_open},
      {"mkstemp", gr_lib_fs_mkstemp},
      {"stat", l_stat},
      {"lstat", l_lstat},
      {"exists", l_exists},
      {"list", gr_lib_fs_list},
      {"walk", gr_lib_fs_walk},
      {"watch", gr_lib_fs_watch},
      {"mkdir", l_mkdir},
      {"remove", l_remove},
      {"rename", l_rename},
      {"link", l_link},
      {"symlink", l_symlink},
      {"chmod", l_chmod},
      {"utime", l_utime},
      {"readlink", l_readlink},
      {"realpath", l_realpath},
      {"mkdtemp", l_mkdtemp},
      {NULL, NULL},
  };
  return gr_open_submodule(L, functions);
}

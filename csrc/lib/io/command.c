/* SPDX-License-Identifier: MIT */
/* command.c - the command and the options of process.run and process.spawn, as C strings.
 *
 * A string stays where it is as long as Lua has it. So every string that the child is given is put
 * into one table, and the arrays of pointers are in one userdata. Both stay on the caller's stack
 * until the child has been started.
 *
 * A value of a wrong type is the programmer's mistake, and is raised. A zero inside a string comes
 * from data (a file's name out of an archive), and is a failure that the call returns. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "io/signame.h"
#include "lib/io/process.h"

extern char **environ;

enum { COMMAND = 1, OPTIONS, STRINGS, ARRAYS };

typedef struct Arrays {
  size_t n, room; /* how many pointers are used; for how many there is room */
  char *at[];
} Arrays;

void gr_push_signal(lua_State *L, int sig) {
  char buf[GR_SIGNAL_NAME];
  lua_pushstring(L, gr_signal_name(sig, buf));
}

int gr_start_failed(lua_State *L, int r, const GrCommand *cmd, bool of_cwd) {
  const char *subject = of_cwd ? cmd->cwd : cmd->argv[0];
  return gr_push_failure(L, r, NULL, subject, strlen(subject));
}

/* ---- strings ---- */

/* Gives the string on top to the child, and pops it. False: there is a zero in it. */
static bool add(lua_State *L, Arrays *a) {
  size_t len;
  const char *s = lua_tolstring(L, -1, &len);
  if (strlen(s) != len) return false;
  if (a->n + 2 > a->room)
    luaL_error(L, "the command or its environment changed while it was read"); /* by a finalizer */
  a->at[a->n++] = (char *)(uintptr_t)s;
  lua_rawseti(L, STRINGS, (lua_Integer)a->n);
  return true;
}

/* The string on top has a zero in it. */
static bool refuse(lua_State *L) {
  size_t len;
  const char *s = lua_tolstring(L, -1, &len);
  gr_push_failure(L, GR_ERRNO(EINVAL), "invalid argument (a zero in the string)", s, len);
  return false;
}

static const char *type_at(lua_State *L, int idx) { return gr_type_name(L, idx); }

/* ---- the command ---- */

static void check_type(lua_State *L) {
  int type = lua_type(L, COMMAND);
  if (type != LUA_TSTRING && type != LUA_TTABLE)
    luaL_argerror(L, COMMAND,
                  lua_pushfstring(L, "table or string expected, got %s", type_at(L, COMMAND)));
}

static size_t count_words(lua_State *L) {
  if (lua_type(L, COMMAND) == LUA_TSTRING) return 4;
  size_t n = (size_t)lua_rawlen(L, COMMAND);
  luaL_argcheck(L, n > 0, COMMAND, "the command is empty");
  return n;
}

static bool add_words(lua_State *L, Arrays *a, size_t n) {
  if (lua_type(L, COMMAND) == LUA_TSTRING) {
    lua_pushliteral(L, "/bin/sh");
    add(L, a);
    lua_pushliteral(L, "-c");
    add(L, a);
    lua_pushliteral(L, "--"); /* since the string may begin with a minus */
    add(L, a);
    lua_pushvalue(L, COMMAND);
    return add(L, a) || refuse(L);
  }
  for (size_t i = 1; i <= n; i++) {
    int type = lua_rawgeti(L, COMMAND, (lua_Integer)i);
    if (type != LUA_TSTRING && type != LUA_TNUMBER)
      luaL_argerror(L, COMMAND,
                    lua_pushfstring(L, "[%d]: string expected, got %s", (int)i, type_at(L, -1)));
    lua_tostring(L, -1);
    if (!add(L, a)) return refuse(L);
  }
  return true;
}

/* ---- the options ---- */

/* Pushes the option. True: it is given. */
static bool option(lua_State *L, const char *name) {
  if (lua_isnil(L, OPTIONS)) {
    lua_pushnil(L);
    return false;
  }
  return lua_getfield(L, OPTIONS, name) != LUA_TNIL;
}

static void wrong_type(lua_State *L, const char *name, const char *expected) {
  luaL_argerror(
      L, OPTIONS,
      lua_pushfstring(L, "field '%s': %s expected, got %s", name, expected, type_at(L, -1)));
}

static GrStdio stdio_option(lua_State *L, const char *name, const char *piped) {
  if (!option(L, name)) {
    lua_pop(L, 1);
    return GR_STDIO_PIPE;
  }
  if (lua_type(L, -1) != LUA_TSTRING) wrong_type(L, name, "string");
  const char *s = lua_tostring(L, -1);
  GrStdio how = GR_STDIO_PIPE;
  if (strcmp(s, "inherit") == 0) how = GR_STDIO_INHERIT;
  else if (strcmp(s, "null") == 0) how = GR_STDIO_NULL;
  else if (strcmp(s, piped) != 0)
    luaL_argerror(L, OPTIONS, lua_pushfstring(L, "field '%s': invalid value '%s'", name, s));
  lua_pop(L, 1);
  return how;
}

/* For run, `stdin` is the string that the child reads; without it the child reads nothing. */
static GrStdio stdin_option(lua_State *L, bool runs) {
  if (!runs) return stdio_option(L, "stdin", "pipe");
  bool given = option(L, "stdin");
  if (given && lua_type(L, -1) != LUA_TSTRING) wrong_type(L, "stdin", "string");
  lua_pop(L, 1);
  return given ? GR_STDIO_PIPE : GR_STDIO_NULL;
}

/* Has the child a process group of its own? By default it has one when it may have to be killed
 * with all its descendants: in a run with a time limit. */
static bool group_option(lua_State *L, bool runs) {
  bool given = option(L, "group");
  if (given && !lua_isboolean(L, -1)) wrong_type(L, "group", "boolean");
  bool group = lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (given || !runs) return group;
  group = option(L, "timeout") && !(lua_tonumber(L, -1) == HUGE_VAL);
  lua_pop(L, 1);
  return group;
}

static bool cwd_option(lua_State *L, GrCommand *cmd, Arrays *a) {
  if (option(L, "cwd")) {
    if (lua_type(L, -1) != LUA_TSTRING) wrong_type(L, "cwd", "string");
    if (!add(L, a)) return refuse(L);
    cmd->cwd = a->at[a->n - 1];
  } else {
    lua_pop(L, 1);
  }
  return true;
}

/* ---- the environment: the table `env` is on top, or nil ---- */

static size_t count_variables(lua_State *L, bool inherits) {
  size_t n = 0;
  for (char **e = environ; inherits && *e != NULL; e++) n++;
  if (lua_isnil(L, -1)) return n;
  if (!lua_istable(L, -1)) wrong_type(L, "env", "table");
  for (lua_pushnil(L); lua_next(L, -2) != 0; n++) {
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_argerror(L, OPTIONS, "field 'env': names must be strings");
    size_t len;
    const char *name = lua_tolstring(L, -2, &len);
    if (len == 0 || strlen(name) != len || strchr(name, '=') != NULL)
      luaL_argerror(L, OPTIONS, lua_pushfstring(L, "field 'env': invalid name '%s'", name));
    bool text = lua_type(L, -1) == LUA_TSTRING || lua_type(L, -1) == LUA_TNUMBER;
    if (!text && !(lua_isboolean(L, -1) && !lua_toboolean(L, -1)))
      luaL_argerror(L, OPTIONS,
                    lua_pushfstring(L, "field 'env': string or false expected for '%s', got %s",
                                    name, type_at(L, -1)));
    lua_pop(L, 1);
  }
  return n;
}

/* Adds the variables of this process that the table does not name. */
static void add_inherited(lua_State *L, Arrays *a, int env) {
  for (char **e = environ; *e != NULL; e++) {
    const char *equals = strchr(*e, '=');
    if (equals == NULL) continue;
    bool named = false;
    if (lua_istable(L, env)) {
      lua_pushlstring(L, *e, (size_t)(equals - *e));
      named = lua_rawget(L, env) != LUA_TNIL;
      lua_pop(L, 1);
    }
    if (named) continue;
    lua_pushstring(L, *e);
    add(L, a);
  }
}

static bool add_given(lua_State *L, Arrays *a, int env) {
  for (lua_pushnil(L); lua_next(L, env) != 0;) {
    if (lua_isboolean(L, -1)) {
      lua_pop(L, 1);
      continue;
    }
    lua_pushvalue(L, -2);
    lua_pushliteral(L, "=");
    lua_rotate(L, -3, -1); /* name, "=", value */
    lua_concat(L, 3);
    if (!add(L, a)) return refuse(L);
  }
  return true;
}

/* ---- all of it ---- */

bool gr_check_command(lua_State *L, bool runs, GrCommand *cmd) {
  check_type(L); /* before lua_settop, which turns "no value" into nil */
  lua_settop(L, OPTIONS);
  size_t words = count_words(L);
  static const char *const of_run[] = {"stdin",     "stdout", "stderr",  "cwd", "env",
                                       "clear_env", "group",  "timeout", NULL};
  static const char *const of_spawn[] = {"stdin", "stdout",    "stderr", "cwd",
                                         "env",   "clear_env", "group",  NULL};
  gr_check_options(L, OPTIONS, runs ? of_run : of_spawn);
  *cmd = (GrCommand){.group = group_option(L, runs)};
  cmd->stdio[0] = stdin_option(L, runs);
  cmd->stdio[1] = stdio_option(L, "stdout", "capture");
  cmd->stdio[2] = stdio_option(L, "stderr", "capture");
  bool clear = option(L, "clear_env") && lua_toboolean(L, -1);
  option(L, "env");
  size_t variables = count_variables(L, !clear);
  lua_settop(L, OPTIONS);
  lua_createtable(L, (int)(words + variables) + 1, 0);
  size_t room = words + variables + 3; /* the folder, two NULLs */
  Arrays *a = lua_newuserdatauv(L, sizeof *a + room * sizeof *a->at, 0);
  *a = (Arrays){0, room};
  if (!cwd_option(L, cmd, a)) return false;
  cmd->argv = a->at + a->n;
  if (!add_words(L, a, words)) return false;
  a->at[a->n++] = NULL;
  cmd->env = a->at + a->n;
  bool has_table = option(L, "env");
  int env = lua_gettop(L);
  if (!clear) add_inherited(L, a, env);
  if (has_table && !add_given(L, a, env)) return false;
  a->at[a->n++] = NULL;
  lua_settop(L, ARRAYS);
  return true;
}

/* SPDX-License-Identifier: MIT */
/* trace.c - tracebacks; see trace.h.
 *
 * The text is that of luaL_traceback. That function itself will not do in two places. When
 * somebody else looks at a goroutine, nothing may be put on the goroutine's stack. And when an
 * error has ended a thread, nothing may be called in it any more; but only before the stack is
 * unwound can anybody tell where the error was thrown. What this file uses (lua_getstack,
 * lua_getinfo, lua_next, lua_getfield of a string that exists) calls nothing and allocates
 * nothing, and so cannot raise. */
#include "run/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

enum { FIRST_LEVELS = 10, LAST_LEVELS = 11, SLOTS = 10 };

/* ---- text ---- */

static bool reserve(GrTrace *t, size_t more) {
  if (t->cap - t->len > more) return true;
  size_t cap = t->cap * 2 + more + 256;
  char *at = gr_realloc(t->at, cap);
  if (at == NULL) return false;
  t->at = at;
  t->cap = cap;
  return true;
}

void gr_trace_add(GrTrace *t, const char *fmt, ...) {
  va_list args, again;
  va_start(args, fmt);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, fmt, args);
  if (n > 0 && reserve(t, (size_t)n)) {
    vsnprintf(t->at + t->len, (size_t)n + 1, fmt, again);
    t->len += (size_t)n;
  }
  va_end(again);
  va_end(args);
}

/* ---- names of functions ---- */

/* The function at `function` as a field of the table on top, or of a table in it: its keys are left
 * on the stack. */
static int find_field(lua_State *L, int function, int depth) {
  if (!lua_istable(L, -1)) return 0;
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    if (lua_rawequal(L, function, -1)) {
      lua_pop(L, 1);
      return 1;
    }
    if (depth == 1) continue;
    int keys = find_field(L, function, depth - 1);
    if (keys == 0) continue;
    lua_remove(L, -2);
    return keys + 1;
  }
  return 0;
}

static bool add_name_by_module(GrTrace *t, lua_State *L, lua_Debug *ar) {
  int top = lua_gettop(L);
  lua_getinfo(L, "f", ar);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  int keys = find_field(L, top + 1, 2);
  if (keys == 1) gr_trace_add(t, "function '%s'", lua_tostring(L, -1));
  if (keys == 2) {
    const char *module = lua_tostring(L, -2), *field = lua_tostring(L, -1);
    bool global = strcmp(module, LUA_GNAME) == 0;
    gr_trace_add(t, "function '%s%s%s'", global ? "" : module, global ? "" : ".", field);
  }
  lua_settop(L, top);
  return keys > 0;
}

/* ---- a stack ---- */

static int last_level(lua_State *L) {
  lua_Debug ar;
  int low = 0, high = 1;
  while (lua_getstack(L, high, &ar)) {
    low = high;
    high *= 2;
  }
  while (low < high) {
    int middle = low + (high - low) / 2;
    if (lua_getstack(L, middle, &ar)) low = middle + 1;
    else high = middle;
  }
  return high - 1;
}

static void add_level(GrTrace *t, lua_State *L, int level, GrTraceNames names) {
  lua_Debug ar;
  if (!lua_getstack(L, level, &ar) || !lua_getinfo(L, "Slnt", &ar)) return;
  if (ar.currentline > 0) gr_trace_add(t, "\t%s:%d: in ", ar.short_src, ar.currentline);
  else gr_trace_add(t, "\t%s: in ", ar.short_src);
  if (names == GR_TRACE_BY_MODULE && add_name_by_module(t, L, &ar)) {
  } else if (*ar.namewhat != '\0') gr_trace_add(t, "%s '%s'", ar.namewhat, ar.name);
  else if (*ar.what == 'm') gr_trace_add(t, "main chunk");
  else if (*ar.what == 'C') gr_trace_add(t, "?");
  else gr_trace_add(t, "function <%s:%d>", ar.short_src, ar.linedefined);
  gr_trace_add(t, "%s", ar.istailcall ? "\n\t(...tail calls...)\n" : "\n");
}

void gr_trace_stack(GrTrace *t, lua_State *L, GrTraceNames names) {
  if (names == GR_TRACE_BY_MODULE && !lua_checkstack(L, SLOTS)) names = GR_TRACE_BY_CALL;
  int last = last_level(L);
  for (int level = 0; level <= last; level++) {
    if (level == FIRST_LEVELS && last - level > LAST_LEVELS) {
      level = last - LAST_LEVELS + 1;
      gr_trace_add(t, "\t...\t(skipping %d levels)\n",
                   level - FIRST_LEVELS - 1); /* as Lua counts */
    }
    add_level(t, L, level, names);
  }
}

/* SPDX-License-Identifier: MIT */
/* uncaught.c - the goroutine's traceback of an error that ends the script.
 *
 * An error that goro.run raises has the value that was thrown. Nothing may be added to the value,
 * since a pcall would see it. Under lua.c, an error that nobody catches is reported with a
 * traceback of the main script, which ends in the call of goro.run. Only goro knows where the
 * error was thrown.
 *
 * Lua does not tell whether an error will be caught. But the stack does, in the case that matters:
 * when it holds only functions written in Lua, from the main chunk of a script on, the error can
 * only go to lua.c. Then the text is kept, and printed when the state is closed, which lua.c does
 * after its report. A C function on the stack may be a pcall, or anything; then nothing is
 * printed. Nor is it in an interactive session, where the state goes on (its chunks are "=stdin").
 *
 * Rejected: a longer message. __close handlers would see it, and pcall would give another value. */
#include "run/uncaught.h"

#include <string.h>

#include "run/panic.h"
#include "run/program.h"

/* C functions that pass errors on. */
static bool passes_errors(lua_State *L, int function) {
  static const char *const names[] = {"require", "dofile", NULL};
  bool found = false;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  for (int i = 0; names[i] != NULL && !found; i++) {
    lua_pushstring(L, names[i]);
    lua_rawget(L, -2);
    found = lua_rawequal(L, -1, function);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return found;
}

static bool passes_on(lua_State *L, lua_Debug *ar) {
  if (!lua_getinfo(L, "Sf", ar)) return false;
  bool passes = *ar->what != 'C' || passes_errors(L, lua_gettop(L));
  lua_pop(L, 1);
  return passes;
}

/* Is it the main chunk of a file, or of the command line? */
static bool is_script(lua_State *L, lua_Debug *ar) {
  return lua_getinfo(L, "S", ar) && strcmp(ar->what, "main") == 0 &&
         (*ar->source == '@' || strcmp(ar->source, "=(command line)") == 0);
}

/* The running function is at level 0. */
static bool nobody_catches(lua_State *L) {
  lua_Debug ar, below;
  bool script = false;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    if (!lua_getstack(L, level + 1, &below))
      return script; /* it is what lua.c calls the script in */
    if (!passes_on(L, &ar)) return false;
    script = is_script(L, &ar);
  }
  return false;
}

/* (GrState *, error, traceback). The text belongs to nobody: the last one counts. */
static int note(lua_State *L) {
  static GrUntold *_Atomic last;
  const GrState *st = lua_touserdata(L, 1);
  GrUntold *before = atomic_exchange(&last, gr_panic_thrown(L, 2, st->host));
  gr_untold_drop(before);
  return 0;
}

void gr_uncaught_note(lua_State *L, const GrState *st, int idx) {
  if (!gr_standalone() || !lua_checkstack(L, 8)) return;
  bool main = lua_pushthread(L) != 0;
  lua_pop(L, 1);
  if (!main || !nobody_catches(L)) return;
  lua_pushcfunction(L, note);
  lua_pushlightuserdata(L, (void *)(uintptr_t)st);
  lua_pushvalue(L, idx);
  lua_pushvalue(L, idx + 1);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK) lua_pop(L, 1);
}

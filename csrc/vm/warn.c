/* SPDX-License-Identifier: MIT */
/* warn.c - warnings as lauxlib's luaL_newstate has them: "@on" and "@off" switch them, and they go
 * to stderr as "Lua warning: …".
 *
 * Which of the three functions below is set is all the state there is, and what they are given is
 * the main thread: a clone of an image has both, the thread being its own. Only a warning in pieces
 * differs: lauxlib writes each piece at once, here they are gathered, so that goroutines that warn
 * at the same time do not write into each other's lines. Memory may run out, and a warning must not
 * raise: then the pieces go out as they come. */
#include "vm/warn.h"

#include <stdio.h>
#include <string.h>

#include "vm/protect.h"

struct GrWarning {
  size_t len, size;
  char text[];
};

static void write_gathered(GrState *st) {
  GrWarning *w = st->warning;
  if (w == NULL) return;
  fwrite(w->text, 1, w->len, stderr);
  gr_free(w);
  st->warning = NULL;
}

static void gather(GrState *st, const char *piece) {
  GrWarning *w = st->warning;
  size_t len = strlen(piece), had = w != NULL ? w->len : 0;
  if (w == NULL || w->size - had < len) {
    size_t size = (had + len) * 2;
    GrWarning *bigger = gr_realloc(w, sizeof *w + size);
    if (bigger == NULL) {
      write_gathered(st);
      fwrite(piece, 1, len, stderr);
      return;
    }
    w = st->warning = bigger;
    w->size = size;
  }
  memcpy(w->text + had, piece, len);
  w->len = had + len;
}

static void off(void *ud, const char *message, int tocont);
static void on(void *ud, const char *message, int tocont);

/* A message of one piece that starts with @ is for us. */
static bool is_control(lua_State *L, const char *message, int tocont) {
  if (tocont || message[0] != '@') return false;
  if (strcmp(message, "@off") == 0) lua_setwarnf(L, off, L);
  if (strcmp(message, "@on") == 0) lua_setwarnf(L, on, L);
  return true;
}

static void off(void *ud, const char *message, int tocont) { is_control(ud, message, tocont); }

static void go_on(void *ud, const char *message, int tocont) {
  lua_State *L = ud;
  GrState *st = gr_state_own(L);
  gather(st, message);
  if (!tocont) {
    gather(st, "\n");
    write_gathered(st);
  }
  lua_setwarnf(L, tocont ? go_on : on, L);
}

static void on(void *ud, const char *message, int tocont) {
  if (is_control(ud, message, tocont)) return;
  gather(gr_state_own(ud), "Lua warning: ");
  go_on(ud, message, tocont);
}

void gr_warn_open(lua_State *L) { lua_setwarnf(L, off, L); }

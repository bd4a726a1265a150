/* SPDX-License-Identifier: MIT */
/* warn.c - warnings as lauxlib's luaL_newstate has them: "@on" and "@off" switch them, and they go
 * to stderr as "Lua warning: …".
 *
 * All the state there is: which of the three functions below is set. What they are given is the
 * main thread. A clone of an image has both, with its own thread. One thing differs from lauxlib,
 * which writes each piece of a warning at once: here the pieces are gathered, so that goroutines
 * that warn at the same time do not write into each other's lines. Memory may run out, and a
 * warning must not raise: then the pieces are written as they come.
 *
 * A goroutine begins as its parent is: with warnings on or off. For a host, only Lua knows: its
 * warning function is lauxlib's, and may have been switched on before goro was required (`lua
 * -W`). Lua tells nobody which function is set. But the function lies at the same distance from
 * the main thread in all states of this Lua, since Lua allocates the main thread and what all
 * threads of a state share as one block. The distance is measured in a state that is made for
 * that, with a function that only goro knows. If the function is not found there exactly once,
 * hosts count as off. */
#include "run/warn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

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
  bool switches_on = strcmp(message, "@on") == 0;
  if (!switches_on && strcmp(message, "@off") != 0) return true;
  lua_setwarnf(L, switches_on ? on : off, L);
  gr_state_own(L)->warns = switches_on;
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

void gr_warn_on(lua_State *L) { lua_setwarnf(L, on, L); }

/* ---- hosts ---- */

static size_t distance; /* bytes; 0: not known */
static lua_WarnFunction stock_on;

static lua_WarnFunction function_of(lua_State *main) {
  lua_WarnFunction f;
  memcpy(&f, (const char *)main + distance, sizeof f);
  return f;
}

typedef struct Block {
  char *at;
  size_t size;
} Block;

/* A lua_Alloc that notes the first block: the one that the main thread is in. */
static void *note_block(void *ud, void *ptr, size_t osize, size_t nsize) {
  Block *first = ud;
  (void)osize;
  if (nsize == 0) {
    free(ptr);
    return NULL;
  }
  void *p = realloc(ptr, nsize);
  if (first->at == NULL && p != NULL) *first = (Block){p, nsize};
  return p;
}

static void marker(void *ud, const char *message, int tocont) {
  (void)ud, (void)message, (void)tocont;
}

static void measure_distance(void) {
  Block first = {NULL, 0};
  lua_State *L = lua_newstate(note_block, &first);
  if (L == NULL) return;
  lua_setwarnf(L, marker, NULL);
  const lua_WarnFunction wanted = marker;
  int found = 0;
  for (char *at = (char *)L; at + sizeof wanted <= first.at + first.size; at += sizeof wanted) {
    if (memcmp(at, &wanted, sizeof wanted) != 0) continue;
    distance = (size_t)(at - (char *)L);
    found++;
  }
  if (found != 1) distance = 0;
  lua_close(L);
}

void gr_warn_init(void) {
  measure_distance();
  lua_State *L = distance != 0 ? luaL_newstate() : NULL;
  if (L == NULL) return;
  lua_WarnFunction before = function_of(L);
  lua_warning(L, "@on", 0);
  stock_on = function_of(L) != before ? function_of(L) : NULL;
  lua_close(L);
}

bool gr_warn_is_on(const GrState *st) {
  if (!st->is_host) return st->warns;
  return stock_on != NULL && function_of(st->L) == stock_on;
}

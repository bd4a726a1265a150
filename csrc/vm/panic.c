/* SPDX-License-Identifier: MIT */
/* panic.c - errors on their way between states, as messages: value, traceback, where the goroutine
 * was created.
 *
 * A panic is printed by the goroutine that ends, at once and in one write, and posted to the host
 * that it descends from, where the next goro call raises the value. Without memory for the post the
 * text on stderr has still told. An error that could not be packed at all reaches a join that takes
 * errors as an empty message, which stands for "not enough memory". */
#include "vm/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/arena.h"
#include "vm/pack.h"
#include "vm/protect.h"

const char gr_traceback_key;

typedef struct Panic {
  GrPost post; /* first */
  GrMsg error; /* value, traceback */
} Panic;

static void drop_panic(GrPost *post) {
  Panic *p = (Panic *)post;
  gr_msg_drop(&p->error);
  gr_free(p);
}

static int traceback_text(lua_State *L) {
  luaL_traceback(L, L, NULL, 1);
  return 1;
}

char *gr_panic_traceback(lua_State *L) {
  if (!lua_checkstack(L, 40)) return NULL;
  lua_pushcfunction(L, traceback_text);
  char *copy = NULL;
  if (lua_pcall(L, 0, 1, 0) == LUA_OK) {
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    copy = gr_malloc(len + 1);
    if (copy != NULL) memcpy(copy, text, len + 1);
  }
  lua_pop(L, 1);
  return copy;
}

/* (error, traceback or nil, created) -> the text a user reads, as lua.c makes it. */
static int describe(lua_State *L) {
  if (lua_type(L, 1) != LUA_TSTRING && lua_type(L, 1) != LUA_TNUMBER &&
      !luaL_getmetafield(L, 1, "__tostring"))
    lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  else luaL_tolstring(L, 1, NULL);
  return 1;
}

/* (error, why it cannot be sent) -> both as one text. */
static int describe_both(lua_State *L) {
  describe(L);
  lua_pushfstring(L, "%s (%s)", lua_tostring(L, -1), luaL_tolstring(L, 2, NULL));
  return 1;
}

typedef struct Packing {
  const char *traceback;
  bool joined;
  GrMsg *out;
} Packing;

/* (error, Packing): (false, error, traceback) for a join, (error, traceback) for a panic. */
static int pack_error(lua_State *L) {
  Packing *p = lua_touserdata(L, 2);
  lua_settop(L, 1);
  if (p->joined) {
    lua_pushboolean(L, 0);
    lua_insert(L, 1);
  }
  lua_pushstring(L, p->traceback);
  gr_pack(L, 1, lua_gettop(L), GR_NAME_ERROR, 0, p->out);
  return 0;
}

/* The value on top, packed; it stays. A value that cannot be sent goes as its text, and that
 * failing, as nothing. */
static void pack_top(lua_State *L, Packing *p) {
  for (int attempt = 0; attempt < 2; attempt++) {
    lua_pushcfunction(L, pack_error);
    lua_pushvalue(L, -2);
    lua_pushlightuserdata(L, p);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK) return;
    if (attempt > 0) {
      lua_pop(L, 1);
      return;
    }
    lua_pushcfunction(L, describe_both); /* value, why -> text */
    lua_pushvalue(L, -3);
    lua_rotate(L, -3, -1);
    if (lua_pcall(L, 2, 1, 0) == LUA_OK) lua_replace(L, -2);
    else lua_pop(L, 1);
  }
}

void gr_panic_pack(lua_State *L, const char *traceback, GrMsg *out) {
  *out = GR_MSG_EMPTY;
  if (lua_checkstack(L, 10)) pack_top(L, &(Packing){traceback, true, out});
}

static void print_panic(const char *text, size_t len, const char *traceback, const char *created) {
  flockfile(stderr);
  fputs("goro: panic: ", stderr);
  fwrite(text, 1, len, stderr);
  if (traceback != NULL) fprintf(stderr, "\n%s", traceback);
  fprintf(stderr, "\ncreated by %s\n", created);
  fflush(stderr);
  funlockfile(stderr);
}

static void print_top(GrState *st, const char *traceback) {
  static const char nomem[] = "not enough memory";
  lua_State *L = st->L;
  size_t len;
  const char *text = NULL;
  char created[GR_CREATED_SIZE];
  gr_state_created(st, created, sizeof created);
  if (L == NULL) {
    print_panic(nomem, sizeof nomem - 1, NULL, created);
    return;
  }
  lua_pushcfunction(L, describe);
  lua_pushvalue(L, -2);
  lua_pcall(L, 1, 1, 0);
  text = lua_tolstring(L, -1, &len);
  if (text != NULL) print_panic(text, len, traceback, created);
  else print_panic("(no text)", 9, traceback, created);
  lua_pop(L, 1);
}

/* Prints the error on top, and posts it (packed: *m, which is taken) to the host. */
static void bring_down(GrState *st, const char *traceback, GrMsg *m) {
  if (gr_sched_stopping()) { /* that is most likely what ended it, and nobody is left to be told */
    gr_msg_drop(m);
    return;
  }
  print_top(st, traceback);
  Panic *p = gr_malloc(sizeof *p);
  if (p == NULL) {
    gr_msg_drop(m);
    return;
  }
  p->post.drop = drop_panic;
  p->error = *m;
  *m = GR_MSG_EMPTY;
  if (!gr_host_post(st->g->host, &p->post)) drop_panic(&p->post);
}

void gr_panic(GrState *st, const char *traceback) {
  GrMsg m = GR_MSG_EMPTY;
  bool taken = st->join.object != NULL && st->join.ops->errors;
  Packing packing = {traceback, taken, &m};
  if (st->L != NULL && lua_checkstack(st->L, 10)) pack_top(st->L, &packing);
  if (!taken) bring_down(st, traceback, &m);
  gr_join_end(st, GR_END_ERROR, &m);
}

static void keep_traceback(lua_State *L, int idx) {
  lua_pushvalue(L, idx);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &gr_traceback_key);
}

int gr_raise_remote(lua_State *L, int idx) {
  keep_traceback(L, idx + 2);
  lua_pushvalue(L, idx + 1);
  return lua_error(L);
}

/* Of a host's allocator nothing is known. */
void gr_raise_stack(lua_State *L) {
  void *arena;
  if (lua_getallocf(L, &arena) == gr_arena_alloc && ((GrArena *)arena)->failed)
    gr_raise_code(L, GR_NOMEM);
  luaL_error(L, "stack overflow");
  gr_throw("luaL_error returned");
}

void gr_check_stack(lua_State *L, int n) {
  if (gr_unlikely(!lua_checkstack(L, n))) gr_raise_stack(L);
}

void gr_raise_code(lua_State *L, int code) {
  GrState *st = gr_state_find(L);
  if (code == GR_ABORTED && st != NULL && st->is_host) gr_exit_await();
  if (code == GR_ABORTED && st != NULL && !st->is_host && gr_g_must_end(st->g) &&
      !gr_state_finalizes(L))
    gr_exit_with_host(L, st);
  if (code == GR_ABORTED) luaL_error(L, "goro is shutting down");
  if (code == GR_NOTHREAD)
    luaL_error(L,
               "cannot start a thread: the system's limit of threads is reached (see `ulimit -u`)");
  lua_pushliteral(L, "not enough memory");
  lua_error(L);
  gr_throw("lua_error returned");
}

void gr_check_forked(lua_State *L) {
  if (gr_likely(!atomic_load_explicit(&gr_forked, memory_order_relaxed))) return;
  luaL_error(L, "goro does not work in a forked child, where its threads are not (exec a program "
                "there, or end by os.exit)");
}

void gr_check_inbox(lua_State *L, GrState *st) {
  gr_check_forked(L);
  if (!st->is_host) return;
  if (st->host == NULL) luaL_error(L, "goro is shutting down");
  if (!gr_host_has_post(st->host) || gr_state_finalizes(L)) return;
  Panic *p = (Panic *)gr_host_take(st->host);
  if (p == NULL) return;
  GrMsg m = p->error;
  gr_free(p);
  if (m.kind == 0) gr_raise_code(L, GR_NOMEM);
  gr_check_stack(L, 4);
  int idx = lua_gettop(L) + 1;
  gr_unpack(L, &m);
  keep_traceback(L, idx + 1);
  lua_pushvalue(L, idx);
  lua_error(L);
}

/* ---- the deadlock report ---- */

enum { REPORT_LINES = 20 };

typedef struct Report {
  char lines[REPORT_LINES][160];
  int n;
  int64_t now;
} Report;

/* Runs while the goroutine is held: C only, nothing that can raise. */
static bool report_one(G *g, GStatus status, void *arg) {
  Report *r = arg;
  if (status != G_WAITING || g->is_host) return true;
  if (r->n < REPORT_LINES) {
    char place[100];
    g->ops->where(g, place, sizeof place);
    double seconds = (double)(r->now - g->since) * 1e-9;
    snprintf(r->lines[r->n], sizeof r->lines[0], "\n\t%s, %.1f s, at %s",
             gr_wait_name((GrReason)g->reason), seconds < 0 ? 0 : seconds,
             *place != '\0' ? place : "?");
  }
  r->n++;
  return true;
}

static int raise_deadlock(lua_State *L) {
  Report r = {.n = 0, .now = gr_now_ns()};
  gr_sched_each(report_one, &r);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_where(L, 1);
  luaL_addvalue(&b);
  luaL_addstring(&b, "all goroutines are asleep - deadlock!");
  for (int i = 0; i < r.n && i < REPORT_LINES; i++) luaL_addstring(&b, r.lines[i]);
  if (r.n > REPORT_LINES) {
    lua_pushfstring(L, "\n\tand %d more", r.n - REPORT_LINES);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  return lua_error(L);
}

/* A hook fires only in Lua code, so some has to run. */
static void let_hook_fire(lua_State *L) {
  if (luaL_loadstring(L, "return") != LUA_OK) lua_error(L);
  lua_call(L, 0, 0);
}

void gr_raise_cause(lua_State *L, GrState *st, GrCause cause) {
  switch (cause) {
    case GR_CAUSE_INBOX: gr_check_inbox(L, st); return;
    case GR_CAUSE_DEADLOCK: raise_deadlock(L); return;
    case GR_CAUSE_SIGNAL: let_hook_fire(L); return;
    default: gr_raise_code(L, GR_ABORTED);
  }
}

/* SPDX-License-Identifier: MIT */
/* panic.c - errors on their way between states, as messages: value, traceback, where the goroutine
 * was created.
 *
 *   error in a goroutine
 *     its join takes errors:   (false, value, traceback) to the join
 *     otherwise, a panic:      printed on stderr in one write, by the goroutine that ends;
 *                              posted to its host, where the next goro call raises the value
 *
 * Without memory for the post, the text on stderr has still told. An error that could not be
 * packed at all reaches the join as an empty message, which stands for "not enough memory". */
#include "run/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/pack.h"
#include "run/protect.h"
#include "run/trace.h"
#include "run/uncaught.h"

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

/* A long chain of goroutines that wait for one another would pass on the sum of all their
 * tracebacks. A traceback that is longer than this is passed on as it is. */
enum { ENOUGH_TRACEBACK = 16 << 10 };
static const char head[] = "stack traceback:\n",
                  again[] = "\nraised again where it was waited for:\n";

/* If goro raised the error at idx in this state, the error was thrown in another goroutine. Then
 * the traceback from there is pushed, and returned; it is valid while it is on the stack. Allocates
 * nothing. */
static const char *push_remote(lua_State *L, int idx, size_t *len) {
  const GrState *st = gr_state_find(L);
  if (st == NULL || st->raised == NULL || st->raised != lua_topointer(L, idx)) return NULL;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &gr_traceback_key) == LUA_TSTRING)
    return lua_tolstring(L, -1, len);
  lua_pop(L, 1);
  return NULL;
}

/* The traceback on top is that of the error at idx as this state sees it: the one from where it was
 * thrown comes first. */
void gr_panic_whole_traceback(lua_State *L, int idx) {
  size_t len;
  const char *there = push_remote(L, idx, &len);
  if (there == NULL) return;
  lua_insert(L, -2);
  const char *here = lua_tostring(L, -1);
  bool headed = strncmp(here, head, sizeof head - 1) == 0;
  if (len < ENOUGH_TRACEBACK)
    lua_pushfstring(L, "%s%s%s", there, again, headed ? here + sizeof head - 1 : here);
  else lua_pushvalue(L, -2);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* The error value is on top. */
char *gr_panic_traceback(lua_State *L) {
  GrTrace t = {0};
  size_t len = 0;
  const char *there = lua_checkstack(L, 2) ? push_remote(L, -1, &len) : NULL;
  if (there == NULL) gr_trace_add(&t, "%s", head);
  else gr_trace_add(&t, "%s%s", there, len < ENOUGH_TRACEBACK ? again : "");
  if (there != NULL) lua_pop(L, 1);
  if (len >= ENOUGH_TRACEBACK) return t.at;
  gr_trace_stack(&t, L, GR_TRACE_BY_MODULE);
  if (t.len > 0) t.at[t.len - 1] = '\0'; /* the last line's end */
  return t.at;
}

static int to_text(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

/* (error) -> the text a user reads, as lua.c makes it. A __tostring that raises is as none. */
static int describe(lua_State *L) {
  lua_settop(L, 1);
  int type = lua_type(L, 1);
  if (type == LUA_TSTRING || type == LUA_TNUMBER || luaL_getmetafield(L, 1, "__tostring")) {
    lua_pushcfunction(L, to_text);
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK) return 1;
  }
  lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  return 1;
}

/* (error, why it cannot be sent) -> both as one text. C calls the arguments of a call in any order:
 * so each text is made by a statement of its own. */
static int describe_both(lua_State *L) {
  lua_settop(L, 2);
  lua_pushcfunction(L, describe);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  lua_pushliteral(L, " (");
  luaL_tolstring(L, 2, NULL);
  lua_pushliteral(L, ")");
  lua_concat(L, 4);
  return 1;
}

typedef struct Packing {
  const char *traceback;
  bool joined;
  GrMsg *out;
} Packing;

/* (error, Packing): (false, error, traceback) for a join, (error, traceback) for a panic. */
static int pack_error(lua_State *L) {
  Packing *p = gr_check_pointer(L, 2);
  lua_settop(L, 1);
  if (p->joined) {
    lua_pushboolean(L, 0);
    lua_insert(L, 1);
  }
  lua_pushstring(L, p->traceback);
  gr_pack(L, 1, lua_gettop(L), GR_NAME_ERROR, 0, p->out);
  return 0;
}

static bool is_no_memory(lua_State *L, int status) {
  return status == LUA_ERRMEM ||
         (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "not enough memory") == 0);
}

/* Packs the value on top, which stays. A value that cannot be sent is packed as its text. Without
 * memory it is tried again, since the collector has run meanwhile; when that fails, the message
 * stays empty. */
static void pack_top(lua_State *L, Packing *p) {
  enum { ATTEMPTS = 3 };
  for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
    lua_pushcfunction(L, pack_error);
    lua_pushvalue(L, -2);
    lua_pushlightuserdata(L, p);
    int status = lua_pcall(L, 2, 0, 0);
    if (status == LUA_OK) return;
    if (attempt == ATTEMPTS || is_no_memory(L, status)) {
      lua_pop(L, 1);
      continue;
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

typedef struct Story {
  const char *traceback, *created; /* or NULL */
  const char *note;                /* the last line, or NULL */
  const char *head;                /* what the text begins with; NULL: as a panic's does */
} Story;

static void print_panic(FILE *f, const char *text, size_t len, const Story *s) {
  flockfile(f);
  fputs(s->head != NULL ? s->head : "goro: panic: ", f);
  fwrite(text, 1, len, f);
  if (s->traceback != NULL) fprintf(f, "\n%s", s->traceback);
  if (s->created != NULL) fprintf(f, "\ncreated by %s", s->created);
  if (s->note != NULL) fprintf(f, "\n%s", s->note);
  fputc('\n', f);
  fflush(f);
  funlockfile(f);
}

/* The error on top of L, which may be NULL: no memory for a state. */
static void print_top(FILE *f, lua_State *L, const Story *s) {
  static const char nomem[] = "not enough memory";
  size_t len;
  const char *text = NULL;
  if (L == NULL) {
    print_panic(f, nomem, sizeof nomem - 1, s);
    return;
  }
  lua_pushcfunction(L, describe);
  lua_pushvalue(L, -2);
  lua_pcall(L, 1, 1, 0);
  text = lua_tolstring(L, -1, &len);
  if (text != NULL) print_panic(f, text, len, s);
  else print_panic(f, "(no text)", 9, s);
  lua_pop(L, 1);
}

struct GrFailure {
  GrState *st;
  const char *traceback;
};

static void print_failure(FILE *f, const GrFailure *failure, const char *note) {
  char created[GR_CREATED_SIZE];
  gr_state_created(failure->st, created, sizeof created);
  print_top(f, failure->st->L, &(Story){failure->traceback, created, note, NULL});
}

/* A text that is written to a file in memory. */
typedef struct Memory {
  FILE *f; /* NULL: no memory */
  char *text;
  size_t len;
} Memory;

static void memory_open(Memory *m) {
  m->text = NULL;
  m->f = open_memstream(&m->text, &m->len);
}

static GrUntold *memory_close(Memory *m, const GrHost *host) {
  fclose(m->f);
  GrUntold *u = m->text != NULL ? gr_untold_new(host, m->text, m->len) : NULL;
  free(m->text);
  return u;
}

GrUntold *gr_panic_untold(const GrFailure *failure, const char *note) {
  if (gr_sched_stopping()) return NULL;
  Memory m;
  memory_open(&m);
  print_failure(m.f != NULL ? m.f : stderr, failure, note);
  return m.f != NULL ? memory_close(&m, failure->st->g->host) : NULL;
}

GrUntold *gr_panic_thrown(lua_State *L, int idx, const GrHost *host) {
  Memory m;
  const char *traceback = lua_tostring(L, idx + 1);
  if (traceback == NULL) return NULL;
  memory_open(&m);
  if (m.f == NULL) return NULL;
  lua_pushvalue(L, idx);
  print_top(m.f, L, &(Story){traceback, NULL, NULL, "goro: thrown in a goroutine: "});
  lua_pop(L, 1);
  return memory_close(&m, host);
}

void gr_panic_say(lua_State *L, int idx, const char *created, const char *note) {
  if (!lua_checkstack(L, 4)) return;
  const char *traceback = lua_isstring(L, idx + 1) ? lua_tostring(L, idx + 1) : NULL;
  lua_pushvalue(L, idx);
  print_top(stderr, L, &(Story){traceback, created, note, NULL});
  lua_pop(L, 1);
}

/* Prints the error on top, and posts it (packed: *m, which is taken) to the host. */
static void bring_down(GrState *st, const GrFailure *failure, GrMsg *m) {
  if (gr_sched_stopping()) { /* that is most likely what ended it, and nobody is left to be told */
    gr_msg_drop(m);
    return;
  }
  print_failure(stderr, failure, NULL);
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
  GrFailure failure = {st, traceback};
  if (!taken) bring_down(st, &failure, &m);
  gr_join_end(&st->join, st->g, GR_END_ERROR, &m, &failure);
}

static void keep_traceback(lua_State *L, int idx) {
  lua_pushvalue(L, idx);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &gr_traceback_key);
}

int gr_raise_remote(lua_State *L, int idx) {
  GrState *st = gr_state_find(L);
  keep_traceback(L, idx + 2);
  lua_pushvalue(L, idx + 1);
  if (st != NULL) st->raised = lua_topointer(L, -1);
  if (st != NULL && st->is_host) gr_uncaught_note(L, st, idx + 1);
  return lua_error(L);
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
  if (code == GR_CROWDED)
    luaL_error(L,
               "too many goroutines wait where Lua cannot yield: each keeps a thread (raise "
               "GOROMAXTHREADS, or wait outside of sort comparators, gsub callbacks and the like)");
  gr_raise_nomem(L);
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
    snprintf(r->lines[r->n], sizeof r->lines[0], "\n\t%s, %.1f s, at %s", g->waits->name,
             seconds < 0 ? 0 : seconds, *place != '\0' ? place : "?");
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

/* Lua calls a hook in Lua code only. Lua code that ran for this alone would be in the traceback of
 * what the hook raises. So the hook is called here, as a hook of the function that waits. */
static void call_hook(lua_State *L) {
  lua_Hook hook = lua_gethook(L);
  int mask = lua_gethookmask(L);
  lua_Debug ar;
  if (hook == NULL || !lua_getstack(L, 0, &ar)) return;
  gr_check_stack(L, LUA_MINSTACK);
  ar.event = (mask & LUA_MASKCOUNT) != 0  ? LUA_HOOKCOUNT
             : (mask & LUA_MASKLINE) != 0 ? LUA_HOOKLINE
             : (mask & LUA_MASKRET) != 0  ? LUA_HOOKRET
                                          : LUA_HOOKCALL;
  ar.currentline = -1;
  int top = lua_gettop(L);
  hook(L, &ar);
  lua_settop(L, top);
}

void gr_raise_cause(lua_State *L, GrState *st, GrCause cause) {
  switch (cause) {
    case GR_CAUSE_INBOX: gr_check_inbox(L, st); return;
    case GR_CAUSE_DEADLOCK: raise_deadlock(L); return;
    case GR_CAUSE_SIGNAL: call_hook(L); return;
    default: gr_raise_code(L, GR_ABORTED);
  }
}

/* SPDX-License-Identifier: MIT */
/* hook.c - pre-emption inside Lua, and debug.sethook, which must not notice it.
 *
 *   sysmon      signal to the thread that runs too long
 *   handler     gr_hook_preempt: lua_sethook on the running Lua thread    (st->armed)
 *   Lua         calls on_hook at the next instruction of Lua code
 *   on_hook     yields outward if every level can (state.h), as gosched would;
 *               else hands the P on and waits for its turn, on the same thread
 *   afterwards  the hook is taken away: the code runs at full speed again
 *
 * The signal handler runs on the thread that runs the goroutine. It calls nothing of Lua but
 * lua_sethook, which Lua documents as safe there.
 *
 * Who writes what: the handler writes `armed` and the saved hook only while armed is NULL. The
 * rest of this file reads and clears them only while `hook_busy` keeps the handler away. A request
 * that comes at a bad moment (busy, another thread is armed, in C code) is dropped: sysmon asks
 * again.
 *
 * Pitfalls, each with the rule that meets it:
 *
 *   - A hook that yields leaves a mark in Lua (CIST_HOOKYIELD), so that Lua does not call it again
 *     for the same instruction. Only the next hook event takes the mark away. If the program set a
 *     hook meanwhile, the mark would swallow its first event. So our hook stays armed over the
 *     yield, and disarms itself at its next call.
 *   - Until 5.4.6, a yield in a hook right after a call event makes Lua report that event again.
 *     So right after a call event we wait for the next event.
 *   - A count hook that yields is followed by the line hook of the same instruction. Code in that
 *     line hook would run with the thread's status at "yield", which its first instruction obeys.
 *     So when there is a line hook, we yield in line events, after the program's hook has run;
 *     every loop has line events. (Then the instruction counts twice for a count hook beside it.)
 *   - Lua counts the instructions of a hook function too, towards the next count event. A
 *     pre-emption starts the count anew, and so loses what Lua had counted: a few instructions
 *     each 10 ms, in programs that count to less than COUNT_MAX. In others we yield between two
 *     calls of their hook.
 *   - lua_newthread copies the hook to the new thread. Our hook sees by `armed` that it is in the
 *     wrong thread.
 *   - The count of a program that counts instructions itself would start anew with each
 *     pre-emption. So its count hook is always ours. Ours is called each 1,000 instructions at
 *     most, counts for the program, and looks for a request, so that nothing has to be armed.
 *   - Lua runs finalizers (__gc) and hook functions with hooks off. Nobody can stop a loop there.
 *     Sysmon takes its P away, as from C code. */
#include "run/hook.h"

#include <limits.h>
#include <string.h>

#include <lualib.h>

#include "heap/names.h"
#include "run/dump.h"
#include "run/protect.h"

enum { COUNT_MAX = 1000 };

static const char
    hooks_key; /* registry: thread -> {function, count, what is left of it}; weak keys */
static void on_program_hook(lua_State *L, lua_Debug *ar);
static void on_hook(lua_State *L, lua_Debug *ar);
static void look_for_catcher(lua_State *L, GrState *st);

/* Between keep_away and let_in the signal handler touches nothing. */
static void keep_away(GrState *st) {
  st->hook_busy = true;
  atomic_signal_fence(memory_order_seq_cst);
}

static void let_in(GrState *st) {
  atomic_signal_fence(memory_order_seq_cst);
  st->hook_busy = false;
}

/* ---- arming ---- */

/* L's hook is ours from the next instruction on, and for the events in `mask`; its own is kept. */
static void arm(GrState *st, lua_State *L, int mask) {
  st->hook = lua_gethook(L);
  st->hook_mask = lua_gethookmask(L);
  st->hook_count = lua_gethookcount(L);
  st->armed = L;
  lua_sethook(L, on_hook, mask | LUA_MASKCOUNT, 1);
}

void gr_hook_preempt(G *g) {
  GrState *st = *(GrState *volatile *)&g->data;
  if (st == NULL) return;
  lua_State *L = st->heap.running;
  if (L == NULL || st->hook_busy) return;
  st->asked = true;
  if (st->armed != NULL) return;
  lua_Hook hook = lua_gethook(L);
  int mask = lua_gethookmask(L);
  if (hook == on_program_hook && (mask & LUA_MASKCOUNT)) return; /* that one looks by itself */
  if (hook == on_hook) return;                                   /* st->ending */
  st->after_call = (mask & LUA_MASKCALL) != 0;
  arm(st, L, mask);
}

void gr_hook_disarm(GrState *st) {
  keep_away(st);
  if (st->armed != NULL) lua_sethook(st->armed, st->hook, st->hook_mask, st->hook_count);
  st->armed = NULL;
  st->asked = false;
  gr_free(st->frames);
  st->frames = NULL;
  let_in(st);
}

/* ---- answering ---- */

static void let_others_run(lua_State *L, GrState *st) {
  st->asked = false;
  gr_dump_answer(L, st);
  bool stopping = gr_sched_stopping(), can_yield = gr_can_yield(L, st);
  if (gr_unlikely(gr_g_must_end(st->g)) && !stopping) {
    if (!can_yield || atomic_load(&st->g->ends)) gr_exit_with_host(L, st);
    gr_g_ends(st->g);
    st->exiting = true;
    st->outward = GR_OUT_EXIT;
    st->parked = L;
    lua_yield(L, 0);
  } else if (can_yield) {
    gr_preempted();
    st->outward = GR_OUT_YIELD;
    st->parked = L;
    lua_yield(L, 0);
  } else if (stopping) {
    st->ending = st->exiting = true; /* the hook stays: whoever catches this is thrown again */
    gr_exit_raise(L, st);
  } else {
    gr_hook_disarm(st);
    gr_preempted();
    gr_yield_blocking(st->g);
  }
}

/* May this event of a hook with this mask let others run? By the rules above. */
static bool yields_at(GrState *st, int event, int mask) {
  if (event == LUA_HOOKCALL || event == LUA_HOOKTAILCALL) st->after_call = true;
  if (event != (mask & LUA_MASKLINE ? LUA_HOOKLINE : LUA_HOOKCOUNT)) return false;
  bool after_call = st->after_call;
  st->after_call = false;
  return !after_call;
}

static void on_hook(lua_State *L, lua_Debug *ar) {
  if (gr_unlikely(gr_exit_letting_go())) gr_exit_hold();
  GrState *st = gr_state_own(L);
  if (gr_unlikely(st->asked && st->exiting && gr_g_must_end(st->g))) st->ending = true;
  if (st->ending) {
    gr_exit_raise(L, st);
  } else if (st->armed != L) {
    lua_sethook(L, NULL, 0, 0);
  } else if (st->frames != NULL) {
    look_for_catcher(L, st);
  } else {
    int mask = st->hook_mask;
    bool may_yield = yields_at(st, ar->event, mask);
    if (ar->event != LUA_HOOKCOUNT) st->hook(L, ar);
    if (st->armed != L) return; /* the program has set another */
    if (!st->asked) gr_hook_disarm(st);
    else if (may_yield) let_others_run(L, st);
  }
}

/* ---- goexit's sentinel, caught by others ----
 *
 * While it unwinds the stack, __close handlers run, and may; what must not go on is a function that
 * was there before. So the functions of the stack are noted when the sentinel is raised, and it is
 * raised again in a function that is where it was then. (A handler that is the same function at the
 * same depth as one that is gone is cut short.) */

enum { FRAMES_MAX = 1000 };

static int count_frames(lua_State *L) {
  lua_Debug ar;
  int n = 0;
  while (n < FRAMES_MAX && lua_getstack(L, n, &ar)) n++;
  return n;
}

static const void *function_at(lua_State *L, int level) {
  lua_Debug ar;
  if (!lua_getstack(L, level, &ar) || !lua_getinfo(L, "f", &ar)) return NULL;
  const void *f = lua_topointer(L, -1);
  lua_pop(L, 1);
  return f;
}

/* Without memory nothing is noted, and a function that catches the sentinel keeps it. */
void gr_hook_rethrow(GrState *st, lua_State *L) {
  if (st->armed != NULL) gr_hook_disarm(st);
  gr_free(st->frames);
  int n = count_frames(L);
  st->frames = gr_malloc((size_t)n * sizeof *st->frames + 1);
  if (st->frames == NULL) return;
  st->nframes = n;
  for (int i = 0; i < n; i++) st->frames[i] = function_at(L, n - 1 - i);
  keep_away(st);
  if (st->armed == NULL) arm(st, L, 0); /* else the handler was here meanwhile */
  let_in(st);
}

static void look_for_catcher(lua_State *L, GrState *st) {
  int n = count_frames(L);
  if (n < 1 || n > st->nframes || st->frames[n - 1] != function_at(L, 0)) return;
  gr_exit_raise(L, st);
}

/* ---- a state that is being closed ---- */

static void on_limit(lua_State *L, lua_Debug *ar) {
  (void)ar;
  if (gr_unlikely(gr_exit_letting_go())) gr_exit_hold();
  GrState *st = gr_state_own(L);
  if (gr_now_ns() < st->limit) return;
  st->exiting = true;
  gr_exit_raise(L, st);
}

void gr_hook_limit(GrState *st, lua_State *L, int64_t until) {
  st->limit = until;
  if (until != GR_FOREVER) lua_sethook(L, on_limit, LUA_MASKCOUNT, COUNT_MAX);
}

/* ---- the program's hooks ---- */

/* Pushes the entry of L, or something else than a table. */
static void push_entry(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &hooks_key);
  lua_pushthread(L);
  lua_rawget(L, -2);
}

/* The entry is on top: are `count` instructions over? If not, the next call of the hook comes after
 * those that are left, or after COUNT_MAX. */
static bool count_is_over(lua_State *L, lua_Integer *count) {
  lua_rawgeti(L, -1, 2);
  lua_rawgeti(L, -2, 3);
  lua_Integer total = lua_tointeger(L, -2), left = lua_tointeger(L, -1);
  lua_pop(L, 2);
  *count = total;
  if (total <= COUNT_MAX) return true;
  left -= lua_gethookcount(L);
  bool over = left <= 0;
  if (over) left = total;
  lua_pushinteger(L, left);
  lua_rawseti(L, -2, 3);
  int next = left < COUNT_MAX ? (int)left : COUNT_MAX;
  GrState *st = gr_state_own(L);
  keep_away(st);
  if (next != lua_gethookcount(L)) lua_sethook(L, on_program_hook, lua_gethookmask(L), next);
  let_in(st);
  return over;
}

static void on_program_hook(lua_State *L, lua_Debug *ar) {
  static const char *const names[] = {"call", "return", "line", "count", "tail call"};
  if (gr_unlikely(gr_exit_letting_go())) gr_exit_hold();
  GrState *st = gr_state_own(L);
  bool may_yield = yields_at(st, ar->event, lua_gethookmask(L)) &&
                   lua_gethook(L) == on_program_hook && (lua_gethookmask(L) & LUA_MASKCOUNT);
  lua_Integer count = 0;
  push_entry(L);
  if (lua_istable(L, -1) && (ar->event != LUA_HOOKCOUNT || count_is_over(L, &count))) {
    /* The next event comes without a call of the program's, whose instructions Lua counts. */
    if (count > COUNT_MAX) may_yield = false;
    lua_rawgeti(L, -1, 1);
    lua_pushstring(L, names[ar->event]);
    if (ar->currentline >= 0) lua_pushinteger(L, ar->currentline);
    else lua_pushnil(L);
    lua_call(L, 2, 0);
  }
  if (may_yield && st->asked) let_others_run(L, st);
}

static lua_State *get_thread(lua_State *L, int *arg) {
  *arg = lua_isthread(L, 1) ? 1 : 0;
  return *arg ? lua_tothread(L, 1) : L;
}

static int make_mask(const char *text, int count) {
  int mask = count > 0 ? LUA_MASKCOUNT : 0;
  if (strchr(text, 'c')) mask |= LUA_MASKCALL;
  if (strchr(text, 'r')) mask |= LUA_MASKRET;
  if (strchr(text, 'l')) mask |= LUA_MASKLINE;
  return mask;
}

/* Leaves {function, count, left} as the entry of the thread, which is on top and is popped; or
 * none. */
static void set_entry(lua_State *L, int function, int count) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &hooks_key);
  lua_insert(L, -2);
  if (lua_isnoneornil(L, function)) {
    lua_pushnil(L);
  } else {
    lua_createtable(L, 3, 0);
    lua_pushvalue(L, function);
    lua_rawseti(L, -2, 1);
    for (int i = 2; i <= 3; i++) {
      lua_pushinteger(L, count);
      lua_rawseti(L, -2, i);
    }
  }
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

static void push_thread(lua_State *L, lua_State *of) {
  if (L != of && !lua_checkstack(of, 1)) gr_raise_stack(L);
  lua_pushthread(of);
  if (L != of) lua_xmove(of, L, 1);
}

/* debug.sethook([thread,] hook, mask [, count]) */
static int go_sethook(lua_State *L) {
  int arg, mask = 0, count = 0;
  lua_State *of = get_thread(L, &arg);
  bool off = lua_isnoneornil(L, arg + 1);
  if (off) {
    lua_settop(L, arg + 1);
  } else {
    const char *text = luaL_checkstring(L, arg + 2);
    luaL_checktype(L, arg + 1, LUA_TFUNCTION);
    count = (int)luaL_optinteger(L, arg + 3, 0);
    mask = make_mask(text, count);
  }
  push_thread(L, of);
  set_entry(L, arg + 1, count);
  GrState *st = gr_state_own(L);
  keep_away(st);
  if (st->armed == of) st->armed = NULL;
  lua_sethook(of, off ? NULL : on_program_hook, mask, count < COUNT_MAX ? count : COUNT_MAX);
  let_in(st);
  return 0;
}

/* debug.gethook([thread]) -> hook, mask, count */
static int go_gethook(lua_State *L) {
  int arg;
  lua_State *of = get_thread(L, &arg);
  GrState *st = gr_state_own(L);
  keep_away(st);
  bool ours = st->armed == of;
  lua_Hook hook = ours ? st->hook : lua_gethook(of);
  int mask = ours ? st->hook_mask : lua_gethookmask(of),
      count = ours ? st->hook_count : lua_gethookcount(of);
  let_in(st);
  if (hook == NULL) {
    luaL_pushfail(L);
    return 1;
  }
  if (hook == on_program_hook) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &hooks_key);
    push_thread(L, of);
    if (lua_rawget(L, -2) == LUA_TTABLE) {
      lua_rawgeti(L, -1, 2);
      count = (int)lua_tointeger(L, -1);
      lua_rawgeti(L, -2, 1);
    }
  } else {
    lua_pushliteral(L, "external hook");
  }
  char text[4], *at = text;
  if (mask & LUA_MASKCALL) *at++ = 'c';
  if (mask & LUA_MASKRET) *at++ = 'r';
  if (mask & LUA_MASKLINE) *at++ = 'l';
  lua_pushlstring(L, text, (size_t)(at - text));
  lua_pushinteger(L, count);
  return 3;
}

/* ---- registration ---- */

static const luaL_Reg functions[] = {
    {"sethook", go_sethook}, {"gethook", go_gethook}, {NULL, NULL}};

void gr_hook_open(lua_State *L, GrHeap *h) {
  lua_newtable(L);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_pushvalue(L, -1);
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &hooks_key);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  luaL_getsubtable(L, -1, LUA_DBLIBNAME);
  gr_heap_setfuncs(L, h, functions);
  lua_pop(L, 2);
}

void gr_hook_names(void) {
  for (const luaL_Reg *l = functions; l->name != NULL; l++)
    gr_names_alias(l->func, LUA_DBLIBNAME, l->name);
}

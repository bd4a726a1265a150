/* SPDX-License-Identifier: MIT */
/* state.h - the Lua states that goro knows: one for each goroutine, made and run by goro, and the
 * hosts', which programs have made.
 *
 * A goroutine's state is run by lua_resume on its main thread. When Lua code in it has to wait,
 * lib/core/call.c calls gr_park. That yields out of Lua to the M, through each nested coroutine. It
 * is possible only where every level can yield. lua_isyieldable does not tell that: a coroutine
 * resumed inside a sort comparator says yes. So the state remembers the thread that our resume
 * entered last (co_top), and whether each level outside it could yield (chain_ok). Elsewhere, and
 * in a host, the wait keeps its thread.
 *
 * How a binding finds its state: in a goroutine's by lua_getextraspace; in a host's, whose extra
 * space is the program's, by the light userdata that is upvalue 1 of each C closure of goro.
 * gr_state hides the difference. gr_pushcfunction makes both kinds of functions. */
#ifndef GR_STATE_H
#define GR_STATE_H

#include <lauxlib.h>
#include <lua.h>

#include "copy/pack.h"
#include "heap/heap.h"
#include "heap/raise.h"
#include "run/join.h"
#include "sched/sched.h"

typedef enum GrOutward {
  GR_OUT_NONE,
  GR_OUT_PARK,  /* a wait is prepared */
  GR_OUT_YIELD, /* gosched */
  GR_OUT_EXIT,  /* goexit */
} GrOutward;

struct GrInherited;
struct GrSetting;
typedef struct GrWarning GrWarning;

typedef struct GrState GrState;
struct GrState {
  GrHeap heap; /* first */
  G *g;
  lua_State *L;      /* the main thread; a host's too. A goroutine's is NULL until it begins */
  lua_State *co_top; /* the thread our resume entered last (ours only) */
  lua_State *parked; /* the thread that waits, for its source line */
  /* pre-emption: hook.c. What its signal handler touches is volatile, as heap.running is */
  lua_State *volatile armed; /* the thread whose hook is ours */
  GrMsg start;   /* a goroutine's function and arguments, until it begins; then nothing */
  lua_Hook hook; /* what `armed` had before, with its mask and count */
  int hook_mask, hook_count;
  const void **frames; /* of the thread in which goexit's sentinel was raised: its functions,
                          from the bottom; or NULL */
  int64_t limit;       /* when the code of a state that is being closed must have ended */
  int nframes;
  uint8_t outward; /* GrOutward: why lua_yield was called; NONE: the user's own coroutine.yield */
  bool is_host, chain_ok;
  volatile bool exiting;    /* goexit was called */
  volatile bool asked;      /* to let others run */
  volatile bool hook_busy;  /* the handler must keep away */
  volatile bool after_call; /* the last hook event was a call */
  bool ending;              /* the pool ends, and it cannot yield: every instruction raises */
  bool settled;             /* what it inherited has been put in place */
  bool warns;               /* its warnings are on (warn.c); a host's are not noted here */
  const void *raised; /* what gr_raise_remote raised last, to be known again; not looked into */
  uint64_t rand;      /* for select */
  GrHost *host; /* a host state's own, NULL once it has closed (a goroutine's: g->host); a model's
                   reference */
  GrJoin join;  /* who is told of its end, until that has happened. A reference */
  struct GrInherited
      *inherited;            /* what it was given, or has packed for others; a reference, or NULL */
  uint64_t inherited_sum;    /* of what that was packed from (inherit.c) */
  struct GrSetting *setting; /* the functions of goro.setup that run first; NULL: there are none */
  GrWarning *warning;        /* the beginning of one that comes in pieces, or NULL (warn.c) */
  const char *verb;          /* where it was created: "goro.go", */
  int line;                  /* 0: unknown */
  char source[LUA_IDSIZE];
};

/* The state that a goro C function runs in. Only inside functions made by gr_pushcfunction /
 * gr_setfuncs. */
static inline GrState *gr_state(lua_State *L) {
  GrState *st = (GrState *)lua_touserdata(L, lua_upvalueindex(1));
  return st != NULL ? st : *(GrState **)lua_getextraspace(L);
}
/* The same in functions that only goroutines' states have: without a look at upvalues, for resume
 * and pcall are called often. */
static inline GrState *gr_state_own(lua_State *L) { return *(GrState **)lua_getextraspace(L); }
/* The state of L anywhere (through the registry; slower than gr_state). NULL when L is not goro's.
 */
static inline GrState *gr_state_find(lua_State *L) { return (GrState *)(void *)gr_heap_find(L); }

/* Pushes f so that gr_state works in it; f may have no upvalues of its own. `st` is the state it is
 * pushed in. */
static inline void gr_pushcfunction(lua_State *L, GrState *st, lua_CFunction f) {
  gr_heap_push(L, &st->heap, f);
}
/* luaL_setfuncs in the same way, into the table at the top. */
static inline void gr_setfuncs(lua_State *L, GrState *st, const luaL_Reg *l) {
  gr_heap_setfuncs(L, &st->heap, l);
}

/* Can L yield out of Lua to the runner, through every level? In a host never. */
static inline bool gr_can_yield(lua_State *L, const GrState *st) {
  return L == st->co_top && st->chain_ok && lua_isyieldable(L);
}
/* Will a wait here have to keep its thread? Decide it before linking. (Whether it may, when few
 * threads are left, the core says only if it comes to a wait: GR_CROWDED.) */
static inline bool gr_must_block(lua_State *L, const GrState *st) { return !gr_can_yield(L, st); }

/* The wait is prepared and linked (a core call returned GR_PARK): parks, then goes on in k. Use as
 * `return gr_park(L, st, k, ctx)`; between the core call and this no other Lua call. */
int gr_park(lua_State *L, GrState *st, lua_KFunction k, lua_KContext ctx);

/* Raises in a child of fork. */
void gr_check_forked(lua_State *L);
/* Does this call come from a finalizer, where nothing that is raised reaches anybody? */
bool gr_state_finalizes(lua_State *L);
enum { GR_CREATED_SIZE = 128 };
/* Where it was created: "goro.go at job.lua:30". */
void gr_state_created(const GrState *st, char *buf, size_t size);

#endif

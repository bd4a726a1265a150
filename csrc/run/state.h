/* SPDX-License-Identifier: MIT */
/* state.h - the Lua states that goro knows: one for each goroutine, made and run by us, and the
 * hosts', which are others'.
 *
 * A goroutine's state is run by lua_resume on its main thread. When Lua code in it has to wait, the
 * binding calls gr_park, which yields out of Lua, level by level through nested coroutines, to the
 * M. That is possible only where every level can yield, which lua_isyieldable does not tell (a
 * coroutine resumed inside a sort comparator says yes): so the state remembers the thread that our
 * resume entered last (co_top) and whether each level outside it could yield (chain_ok). Elsewhere,
 * and in a host, the wait keeps its thread.
 *
 * How a binding finds its state: in ours by lua_getextraspace; in a host's, whose extra space is
 * its own, by the light userdata that is upvalue 1 of each C closure of goro. gr_state hides the
 * difference, gr_pushcfunction makes both kinds of functions. */
#ifndef GR_STATE_H
#define GR_STATE_H

#include <lauxlib.h>
#include <lua.h>

#include "sched/sched.h"
#include "sync/chan.h"
#include "copy/pack.h"
#include "heap/raise.h"

typedef enum GrOutward {
  GR_OUT_NONE,
  GR_OUT_PARK,  /* a wait is prepared */
  GR_OUT_YIELD, /* gosched */
  GR_OUT_EXIT,  /* goexit */
} GrOutward;

struct GrArena;
struct GrInherited;
struct GrSetting;
typedef struct GrWarning GrWarning;

/* How a goroutine ended. */
typedef enum GrEnd {
  GR_END_RETURN,
  GR_END_ERROR,
  GR_END_EXIT,    /* goexit */
  GR_END_DROPPED, /* the pool ended first; nobody waits any more */
} GrEnd;

/* An error that has ended a goroutine, while its state is still there: panic.h. */
typedef struct GrFailure GrFailure;

/* Who is told when a goroutine ends, and what of it. Its Lua code has ended by then, but for
 * finalizers; it still counts as a goroutine. */
typedef struct GrJoinOps GrJoinOps;
struct GrJoinOps {
  bool results; /* a return tells (true, results…); else nothing is packed */
  bool errors;  /* an error tells (false, value, traceback), or nothing for want of memory; else it
                   is a panic, raised before `end` */
  /* NULL, or: before it runs, when nothing can fail any more. May neither wait nor raise. */
  void (*begin)(GrShare *object);
  /* Once for each that has begun, on the thread of g, which ends. Takes *m, which may be empty. May
   * ready others; may neither wait nor raise. `failure` is of an error, else NULL. */
  void (*end)(GrShare *object, G *g, GrEnd how, GrMsg *m, const GrFailure *failure);
  /* NULL, or: the goroutine does not end by an error, but goes on with this function, called with
   * the error, its traceback or nil, and `object` as a light userdata. Its end is told to `after`.
   */
  lua_CFunction handle;
  const GrJoinOps *after;
};

typedef struct GrJoin {
  GrShare *object; /* NULL: nobody is told */
  const GrJoinOps *ops;
} GrJoin;

enum { GR_EXIT_GRACE_NS = 100000000 }; /* what goroutines that run get at the end */

typedef struct GrState GrState;
struct GrState {
  GrState *self; /* first: where a host's registry leads to */
  G *g;
  lua_State *L;      /* the main thread; a host's too. A goroutine's is NULL until it begins */
  lua_State *co_top; /* the thread our resume entered last (ours only) */
  lua_State *parked; /* the thread that waits, for its source line */
  /* pre-emption: hook.c. What its signal handler touches is volatile */
  lua_State *volatile running; /* the thread in which Lua code runs now, if a hook could stop it */
  lua_State *volatile armed;   /* the thread whose hook is ours */
  union {
    GrMsg start; /* a goroutine's function and arguments, until it begins; from then on, all 0 at
                    first: */
    struct {
      lua_Hook hook; /* what `armed` had before, with its mask and count */
      int hook_mask, hook_count;
      const void **frames; /* of the thread in which goexit's sentinel was raised: its functions,
                              from the bottom; or NULL */
      int64_t limit;       /* when the code of a state that is being closed must have ended */
    };
  };
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
  bool indexed;             /* nothing was opened since the index of modules was made (names.h) */
  bool finalizers; /* something in it has a __gc that must run: it is closed by Lua, not just
                      dropped */
  bool foreign;    /* it got a C function that is neither Lua's nor goro's; the same (foreign.h) */
  const void *raised; /* what gr_raise_remote raised last, to be known again; not looked into */
  uint64_t rand;      /* for select */
  GrHost *host; /* a host state's own, NULL once it has closed (a goroutine's: g->host); a model's
                   reference */
  GrJoin join;  /* who is told of its end, until that has happened. A reference */
  struct GrArena *arena; /* of a goroutine's state: its memory */
  GrNeed have; /* the standard globals that it has (need.h); a host's are its program's business */
  struct GrInherited
      *inherited;            /* what it was given, or has packed for others; a reference, or NULL */
  uint64_t inherited_sum;    /* of what that was packed from (inherit.c) */
  struct GrSetting *setting; /* the functions of goro.setup that run first; NULL: there are none */
  GrWarning *warning;        /* the beginning of one that comes in pieces, or NULL (warn.c) */
  const struct Making *making; /* values whose __goro is being called, innermost first (pack.c) */
  const char *verb;            /* where it was created: "goro.go", */
  int line;                    /* 0: unknown */
  char source[LUA_IDSIZE];
};

/* The state that a goro C function runs in. Only inside functions made by gr_pushcfunction /
 * gr_setfuncs. */
static inline GrState *gr_state(lua_State *L) {
  GrState *st = (GrState *)lua_touserdata(L, lua_upvalueindex(1));
  return st != NULL ? st : *(GrState **)lua_getextraspace(L);
}

/* Pushes f so that gr_state works in it; f may have no upvalues of its own. `st` is the state it is
 * pushed in. */
void gr_pushcfunction(lua_State *L, GrState *st, lua_CFunction f);
/* luaL_setfuncs in the same way, into the table at the top. */
void gr_setfuncs(lua_State *L, GrState *st, const luaL_Reg *l);
/* The state of L anywhere (through the registry; slower than gr_state). NULL when L is not goro's.
 */
GrState *gr_state_find(lua_State *L);

/* Can L yield out of Lua to the runner, through every level? */
static inline bool gr_can_yield(lua_State *L, const GrState *st) {
  return L == st->co_top && st->chain_ok && lua_isyieldable(L);
}
/* Will a wait here have to keep its thread? Decide it before linking. (Whether it may, when few
 * threads are left, the core says only if it comes to a wait: GR_CROWDED.) */
static inline bool gr_must_block(lua_State *L, const GrState *st) {
  return st->is_host || !gr_can_yield(L, st);
}

/* The wait is prepared and linked (a core call returned GR_PARK): parks, then goes on in k. Use as
 * `return gr_park(L, st, k, ctx)`; between the core call and this no other Lua call. */
int gr_park(lua_State *L, GrState *st, lua_KFunction k, lua_KContext ctx);

/* Raises in a child of fork. */
void gr_check_forked(lua_State *L);
/* Does this call come from a finalizer, where nothing that is raised reaches anybody? */
bool gr_state_finalizes(lua_State *L);
/* What a host owes its program: raises the panic that was posted to it first, if any. Called by
 * each goro call. In a finalizer nothing: panics wait for a call that is in none. */
void gr_check_inbox(lua_State *L, GrState *st);

/* A wait ended as GR_ABORTED: raises what the cause demands (panic, deadlock report, shutting
 * down), or returns when the call should simply be tried again (a hook ran). */
void gr_raise_cause(lua_State *L, GrState *st, GrCause cause);

/* Starts a goroutine of the n values at 1..n of L: a function and its arguments. `verb` names the
 * call for panics. `join` is told of its end (a reference of its object is taken), or NULL. Raises;
 * then nothing has happened. */
void gr_go(lua_State *L, GrState *st, int n, const char *verb, const GrJoin *join);
/* The goroutine ends: its join is told, once. Takes *m. */
void gr_join_end(GrState *st, GrEnd how, GrMsg *m, const GrFailure *failure);

/* For goroutines that start later, on any thread and perhaps several times. A model of one, of the
 * n values at idx, idx + 1, …; it never runs. Raises. */
GrState *gr_go_model(lua_State *L, GrState *st, int idx, int n, const char *verb);
/* A goroutine as gr_go would have started it, which takes a message's copy and no Lua. NULL: *err
 * says why. */
GrState *gr_go_prepare(const GrState *model, int *err);
/* Takes it; `join` as in gr_go. Cannot fail. */
void gr_go_start(GrState *prepared, const GrJoin *join);
/* Of a model, or of one that was prepared and is not started. */
void gr_go_discard(GrState *st);

enum { GR_CREATED_SIZE = 128 };
/* Where it was created: "goro.go at job.lua:30". */
void gr_state_created(const GrState *st, char *buf, size_t size);

/* Text of the traceback of the last error that goro raised in this state on another goroutine's
 * behalf: registry key. */
extern const char gr_traceback_key;

/* Host side of `require "goro"`: finds or makes the GrState of a program's own state. May raise. */
GrState *gr_state_host(lua_State *L);

/* Is this process the stand-alone interpreter? Then it ends when the host state does, and nobody
 * needs our memory back. */
bool gr_standalone(void);
/* Registry: the userdata (or light userdata) at idx points to the pointer to this state's GrState.
 */
void gr_state_remember(lua_State *L, int idx);

/* Puts what goro replaces into a library that has just been opened in a goroutine's state ("_G":
 * the base functions), or opens goro itself ("goro"); set once by lib. */
extern void (*gr_state_adjust)(lua_State *L, GrState *st, const char *module);
/* Is any of these standard globals missing in the state of L? In hosts none is. */
bool gr_state_lacks(lua_State *L, GrNeed need);
/* The state gets what it has not of these standard globals. Raises; what was opened stays. Nothing
 * in hosts. */
void gr_state_need(lua_State *L, GrNeed need);
/* Makes the image that new states are copied from, unless there is one: before the first goroutine,
 * since it takes a millisecond. */
void gr_state_init(void);
/* setmetatable and others were called in a goroutine's state: is there a finalizer in the table at
 * idx? Then the state notes it. */
void gr_state_note_gc(lua_State *L, int idx);

/* coroutine.* of ours, into a goroutine's state (coroutine.c). */
void gr_coroutine_open(lua_State *L, GrState *st);
/* pcall, xpcall that goexit passes through (protect.c). */
void gr_protect_open(lua_State *L, GrState *st);
/* goexit: does not return. */
int gr_goexit(lua_State *L, GrState *st);

#endif

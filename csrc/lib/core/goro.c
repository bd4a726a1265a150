/* SPDX-License-Identifier: MIT */
/* goro.c - the module `goro`: goroutines, sleeping, counts. It also puts goro's functions into the
 * state of each new goroutine. */
#include "lib/core/call.h"
#include "base/chunk.h"
#include "io/poll.h"
#include "lib/io/io.h"
#include "lib/core/replaced.h"
#include "lib/io/fs.h"
#include "run/dump.h"
#include "heap/image.h"
#include "heap/keep.h"
#include "heap/names.h"
#include "heap/need.h"
#include "copy/pack.h"
#include "run/coroutine.h"
#include "run/go.h"
#include "run/hook.h"
#include "run/life.h"
#include "run/program.h"
#include "run/protect.h"
#include "run/setup.h"
#include "copy/vet.h"
#include "run/warn.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* go(f, ...): starts a goroutine; no results */
static int l_go(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  GrState *st = gr_state(L);
  gr_check_inbox(L, st);
  gr_go(L, st, lua_gettop(L), "goro.go", NULL);
  return 0;
}

/* ---- run: the results come through a channel that holds one message ---- */

static const char run_note[] = "(nobody waits any more for its goro.run)";

/* The goroutine of a run has ended: sends its results or its error. goexit closes the channel
 * instead. The send fails when an error has left the waiting call, which has then closed the
 * channel (run_quit). Then nobody takes the message, and an error goes to stderr. */
static void run_ended(GrShare *object, G *g, GrEnd how, GrMsg *m, const GrFailure *failure) {
  GrChan *c = gr_chan_of(object);
  if (how == GR_END_EXIT) gr_chan_close(c);
  else if (how == GR_END_DROPPED || gr_chan_send(g, c, m, GR_POLL, true) != GR_OK) gr_msg_drop(m);
  else return;
  if (how == GR_END_ERROR) gr_untold_print(gr_panic_untold(failure, run_note));
}

static const GrJoinOps run_ops = {.results = true, .errors = true, .end = run_ended};

/* (message): tells stderr the error that came just before the channel was closed */
static int say_error(lua_State *L) {
  gr_unpack(L, gr_check_pointer(L, 1));
  if (!lua_toboolean(L, 2)) gr_panic_say(L, 3, "goro.run", run_note);
  return 0;
}

/* An error leaves the call. The goroutine goes on, but nobody waits for it any more. */
static void run_quit(lua_State *L, GrState *st, int at, GrCause cause) {
  (void)cause;
  GrMsg m = GR_MSG_EMPTY;
  GrChan *c = gr_check_chan(L, at, GR_VIEW_BOTH);
  gr_chan_close(c);
  if (gr_chan_recv(st->g, c, &m, GR_POLL, true) != GR_OK) return;
  gr_check_stack(L, 4);
  lua_pushcfunction(L, say_error);
  lua_pushlightuserdata(L, &m);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
}

static int run_failed(lua_State *L, int r) {
  if (r == GR_CLOSED) return 0; /* the goroutine has called goexit */
  gr_raise_code(L, r);
}

static int run_result(lua_State *L, GrStep *s, int r, GrMsg *m) {
  if (r != GR_OK) return r;
  if (m->kind == 0) return GR_NOMEM;
  lua_settop(L, 1);
  int n = gr_unpack(L, m);
  s->n = lua_toboolean(L, 2) ? n - 1 : gr_raise_remote(L, 2);
  return GR_OK;
}

static int run_begin(lua_State *L, GrStep *s) {
  static const GrWaitType running = {"goro.run", gr_chan_abandon};
  GrMsg m = GR_MSG_EMPTY;
  GrChan *c = gr_check_chan(L, 1, GR_VIEW_BOTH);
  return run_result(L, s, gr_chan_recv_as(s->st->g, c, &m, GR_FOREVER, s->blocks, &running), &m);
}

static int run_finish(lua_State *L, GrStep *s) {
  GrMsg m = GR_MSG_EMPTY;
  int r = gr_chan_recv_finish(s->st->g, &m, &s->cause);
  return run_result(L, s, r, &m);
}

/* The channel is at index 1. */
static const GrCall run_call = {
    .begin = run_begin, .finish = run_finish, .failed = run_failed, .quit = run_quit, .object = 1};

/* run(f, ...) -> the results of f; none after goexit; raises the error of f */
static int l_run(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  GrState *st = gr_state(L);
  gr_check_inbox(L, st);
  GrChan *c = gr_push_mailbox(L);
  gr_go(L, st, lua_gettop(L) - 1, "goro.run", &(GrJoin){gr_chan_share(c), &run_ops});
  lua_replace(L, 1); /* the channel takes the place of the function */
  lua_settop(L, 1);
  return gr_call(L, st, &run_call);
}

/* traceback() -> the traceback of the last error that run, wait or map raised here, or nil */
static int l_traceback(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &gr_traceback_key);
  return 1;
}

static int nothing(lua_State *L, int status, lua_KContext ctx) {
  (void)L, (void)status, (void)ctx;
  return 0;
}

/* gosched(): lets other goroutines run; no results */
static int l_gosched(lua_State *L) {
  GrState *st = gr_state(L);
  gr_check_inbox(L, st);
  if (st->is_host || !gr_can_yield(L, st)) {
    gr_yield_blocking(st->g);
    return 0;
  }
  st->outward = GR_OUT_YIELD;
  st->parked = L;
  return lua_yieldk(L, 0, 0, nothing);
}

/* goexit(): ends the calling goroutine; does not return */
static int l_goexit(lua_State *L) {
  GrState *st = gr_state(L);
  if (st->is_host) return luaL_error(L, "goexit in the main goroutine (use os.exit or return)");
  return gr_goexit(L, st);
}

/* setup(f): a copy of f runs first in each goroutine that starts from now on; nil removes all such
 * functions */
static int l_setup(lua_State *L) {
  int type = lua_type(L, 1);
  luaL_argexpected(L, type == LUA_TFUNCTION || type == LUA_TNIL, 1, "function or nil");
  lua_settop(L, 1);
  gr_check_inbox(L, gr_state(L));
  if (type == LUA_TNIL) {
    gr_setup_clear();
    return 0;
  }
  GrMsg m;
  gr_pack_start(L, 1, 1, 1, &m);
  if (!gr_setup_add(&m)) gr_raise_code(L, GR_NOMEM);
  return 0;
}

/* ---- sleep ---- */

/* The absolute limit is at index 2. */
static int sleep_begin(lua_State *L, GrStep *s) {
  return gr_sleep(s->st->g, (int64_t)lua_tointeger(L, 2), s->blocks);
}

static int sleep_finish(lua_State *L, GrStep *s) {
  (void)L;
  s->cause = gr_wait_finish(s->st->g);
  return s->cause == GR_CAUSE_TIMEOUT ? GR_OK : GR_ABORTED;
}

static const GrCall sleep_call = {.begin = sleep_begin, .finish = sleep_finish};

/* sleep(seconds); no results */
static int l_sleep(lua_State *L) {
  GrState *st = gr_state(L);
  int64_t until = gr_check_seconds(L, 1, 1, "");
  gr_check_inbox(L, st);
  lua_settop(L, 1);
  lua_pushinteger(L, (lua_Integer)until);
  return gr_call(L, st, &sleep_call);
}

/* ---- counts ---- */

/* num_goroutine() -> how many goroutines there are, host states included */
static int l_num_goroutine(lua_State *L) {
  gr_check_inbox(L, gr_state(L));
  GrStats s;
  gr_sched_stats(&s);
  lua_pushinteger(L, s.goroutines);
  return 1;
}

/* maxprocs([n]) -> the number before; n < 1 changes nothing */
static int l_maxprocs(lua_State *L) {
  lua_Integer n = gr_opt_integer(L, 1, 0);
  gr_check_inbox(L, gr_state(L));
  lua_pushinteger(L, gr_maxprocs_set(n));
  return 1;
}

/* num_cpu() -> how many CPUs the process may use */
static int l_num_cpu(lua_State *L) {
  lua_pushinteger(L, gr_num_cpu());
  return 1;
}

typedef struct DumpText {
  GrKeep keep; /* first */
  char *text;
} DumpText;

static void release_dump(GrKeep *k) { gr_free(((DumpText *)k)->text); }

/* stats() -> a table of counters */
static int l_stats(lua_State *L) {
  gr_life_init();
  GrStats s;
  gr_sched_stats(&s);
  struct mallinfo2 memory =
      mallinfo2(); /* of the process: the used part of the heap, and the blocks that are mapped */
  const struct {
    const char *name;
    int64_t value;
  } fields[] = {
      {"goroutines", s.goroutines},
      {"running", s.running},
      {"threads", s.threads},
      {"spawned", s.spawned},
      {"steals", s.steals},
      {"handoffs", s.handoffs},
      {"preemptions", s.preemptions},
      {"bytes", (int64_t)(memory.uordblks + memory.hblkhd) + gr_chunk_bytes()},
  };
  size_t n = sizeof fields / sizeof *fields;
  lua_createtable(L, 0, (int)n);
  for (size_t i = 0; i < n; i++) {
    lua_pushinteger(L, fields[i].value);
    lua_setfield(L, -2, fields[i].name);
  }
  lua_pushstring(L, gr_image_status());
  lua_setfield(L, -2, "image");
  return 1;
}

/* ---- the module ---- */

/* __index(module, name): opens goro.time, goro.runtime and the others when a program first uses
 * them. goro.vet is read from the process. */
static int lazy_field(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : NULL;
  if (name != NULL && strcmp(name, "vet") == 0) {
    lua_pushboolean(L, atomic_load(&gr_vet));
    return 1;
  }
  if (name == NULL || !gr_module_push_field(L, name)) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushvalue(L, 2);
  lua_pushvalue(L, -2);
  lua_rawset(L, 1);
  return 1;
}

/* (table, key) -> next key, value; nil at the end. As the standard `next`, which a goroutine's
 * state need not have. */
static int next_field(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  if (lua_next(L, 1) != 0) return 2;
  lua_pushnil(L);
  return 1;
}

/* __pairs(module): opens all submodules first. So a program that lists the module sees them all,
 * used or not; an interactive prompt completes their names. */
static int all_fields(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  gr_module_set_fields(L, 1);
  lua_pushcfunction(L, next_field);
  lua_insert(L, 1);
  return 2;
}

/* __newindex(module, name, value): goro.vet is set for the whole process. Any other name becomes an
 * ordinary field. */
static int set_field(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 3);
  if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "vet") == 0)
    atomic_store(&gr_vet, lua_toboolean(L, 3));
  else lua_rawset(L, 1);
  return 0;
}

static const luaL_Reg functions[] = {
    {"go", l_go},
    {"run", l_run},
    {"traceback", l_traceback},
    {"gosched", l_gosched},
    {"goexit", l_goexit},
    {"setup", l_setup},
    {"sleep", l_sleep},
    {"after", gr_lib_after},
    {"num_goroutine", l_num_goroutine},
    {"maxprocs", l_maxprocs},
    {"num_cpu", l_num_cpu},
    {"chan", gr_lib_chan},
    {"select", gr_lib_select},
    {"group", gr_lib_group},
    {"map", gr_lib_map_list},
    {NULL, NULL},
};

static void push_module(lua_State *L, GrHeap *h) {
  lua_newtable(L);
  gr_heap_setfuncs(L, h, functions);
  lua_pushliteral(L, "goro 0.2.0");
  lua_setfield(L, -2, "_VERSION");
  lua_createtable(L, 0, 3);
  lua_pushcfunction(L, lazy_field);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, set_field);
  lua_setfield(L, -2, "__newindex");
  lua_pushcfunction(L, all_fields);
  lua_setfield(L, -2, "__pairs");
  lua_setmetatable(L, -2);
}

static void adjust(lua_State *L, GrHeap *h, const char *module) {
  if (strcmp(module, "goro") != 0) {
    gr_replaced_open(L, h, module);
    return;
  }
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  push_module(L, h);
  lua_setfield(L, -2, "goro");
  lua_pop(L, 1);
}

static void init_once(void) {
  gr_pack_init();
  gr_module_names();
  gr_warn_init();
  gr_coroutine_names();
  gr_protect_names();
  gr_hook_names();
  gr_file_names();
  gr_replaced_names();
  gr_chan_names();
  gr_map_names();
  gr_group_names();
  gr_map_list_names();
  gr_context_names();
  gr_sync_names();
  gr_time_names();
  gr_net_names();
  gr_process_names();
  gr_signal_names();
  gr_watch_names();
  gr_poll_init();
  gr_need_adjust = adjust;
  if (!gr_need_init()) gr_fatal("not enough memory to start");
  const char *vet = getenv("GORO_VET");
  atomic_store(&gr_vet, vet != NULL && strcmp(vet, "0") != 0 && *vet != '\0');
}

int luaopen_goro(lua_State *L) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  luaL_checkversion(L);
  gr_refuse_second_copy(L);
  gr_program_check_stack(L);
  pthread_once(&once, init_once);
  GrState *st = gr_state_find(L);
  if (st == NULL) {
    st = gr_program_open(L);
    gr_pack_open(L);
    gr_replaced_open_host(L, &st->heap);
    gr_capi_open(L);
  }
  push_module(L, &st->heap);
  return 1;
}

/* dump() -> a text that describes all goroutines */
static int l_dump(lua_State *L) {
  GrState *st = gr_state(L);
  gr_check_inbox(L, st);
  static const GrKeepType type = {release_dump, NULL};
  DumpText *d = gr_keep_new(L, sizeof *d, &type);
  size_t len;
  d->text = gr_dump(L, st, &len);
  if (d->text == NULL) gr_raise_code(L, GR_NOMEM);
  lua_pushlstring(L, d->text, len);
  gr_keep_release(&d->keep);
  return 1;
}

int luaopen_goro_runtime(lua_State *L) {
  static const luaL_Reg runtime[] = {{"stats", l_stats}, {"dump", l_dump}, {NULL, NULL}};
  return gr_open_submodule(L, runtime);
}

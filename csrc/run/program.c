/* SPDX-License-Identifier: MIT */
/* program.c - a program's own Lua state becomes the main goroutine, and stops being it.
 *
 * Its GrState is a userdata in its registry. The userdata's __gc runs when the program closes the
 * state (under lua.c: at the end of the script). Then the host leaves, and the last host ends the
 * pool.
 *
 * A stand-alone `lua` whose script has not met a panic must not report success. Only exit can
 * still say so: the finalizer ends the process with status 1, unless the script chose its status
 * itself by os.exit. In any other program the status is the program's. sched/exit.c tells how the
 * process ends. */
#include "run/program.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/untold.h"
#include "heap/raise.h"
#include "run/dump.h"
#include "run/inherit.h"

atomic_bool gr_exit_by_user;

enum { BUDGET_NS = 100000000, EMBEDDED_NS = 1000000000 };

bool gr_standalone(void) {
  static _Atomic int8_t known; /* 1: yes, -1: no */
  int8_t answer = atomic_load(&known);
  if (answer == 0) {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    const char *name = strrchr(path, '/');
    answer = name != NULL && strncmp(name + 1, "lua", 3) == 0 ? 1 : -1;
    atomic_store(&known, answer);
  }
  return answer > 0;
}

static int close_host(lua_State *L) {
  GrState *st = lua_touserdata(L, 1);
  if (st == NULL || lua_rawlen(L, 1) != sizeof *st || st->heap.self != &st->heap)
    return luaL_typeerror(L, 1, "host state of goro"); /* called by hand */
  GrHost *h = st->host;
  if (h == NULL || atomic_load(&gr_forked)) return 0;
  bool alone = gr_standalone();
  gr_exit_await();
  /* what ends only now may still panic, so look after the pool has stopped: close keeps unread
   * posts until then */
  st->host = NULL;
  gr_inherit_unref(st->inherited);
  st->inherited = NULL;
  if (alone) gr_dump_on_quit(NULL);
  bool last,
      unmet = gr_host_close(h, GR_EXIT_GRACE_NS, alone ? BUDGET_NS : EMBEDDED_NS, !alone, &last);
  gr_exit_await(); /* a goroutine was quicker with its os.exit */
  if (alone && last) gr_exit_let_go();
  gr_untold_print_all(h);
  if (unmet && alone && !atomic_load(&gr_exit_by_user)) exit(EXIT_FAILURE);
  return 0;
}

static void halt_at_exit(void) {
  gr_exit_prepare(GR_EXIT_GRACE_NS);
  if (!atomic_load(&gr_forked)) gr_untold_print_all(NULL);
}

static void on_hold(lua_State *L, lua_Debug *ar) {
  (void)L, (void)ar;
  gr_exit_hold();
}

/* In a signal handler on the host's thread. */
static void hold(void *data) {
  const GrState *st = data;
  lua_sethook(st->L, on_hold, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

/* A program's own thread may have a stack of any size. Reads of sockets take 64 KB of it for a
 * moment, which may be more than the guard below the stack: a smaller stack would not be told by a
 * fault, but by other memory that changes. The process's main thread is not asked: its stack grows.
 * Nor is a stack that a program has made itself, and switches to. */
void gr_program_check_stack(lua_State *L) {
  enum { LEAST = 96 << 10, TOLD_KB = 128 };
  pthread_attr_t attr;
  void *base;
  size_t size;
  if (gettid() == getpid() || pthread_getattr_np(pthread_self(), &attr) != 0) return;
  bool known = pthread_attr_getstack(&attr, &base, &size) == 0;
  pthread_attr_destroy(&attr);
  uintptr_t left = (uintptr_t)&attr - (uintptr_t)base;
  if (!known || left >= size || left >= LEAST) return;
  luaL_error(L,
             "goro needs a thread with at least %d KB of stack, this one has %d KB left: start it "
             "with more (pthread_attr_setstacksize)",
             TOLD_KB, (int)(left >> 10));
}

GrState *gr_program_open(lua_State *L) {
  static atomic_flag registered = ATOMIC_FLAG_INIT;
  gr_check_forked(L);
  GrState *st = lua_newuserdatauv(L, sizeof *st, 0);
  memset(st, 0, sizeof *st);
  st->heap.self = &st->heap;
  st->is_host = true;
  st->rand = gr_rand_seed();
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_host);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  st->L = lua_tothread(L, -1);
  lua_pop(L, 1);
  if (gr_standalone()) gr_dump_on_quit(st);
  st->host = gr_host_open(st);
  if (st->host == NULL) gr_raise_nomem(L);
  st->g = gr_host_g(st->host);
  gr_heap_remember(L, -1);
  lua_pop(L, 1);
  if (!atomic_flag_test_and_set(&registered)) {
    gr_sched_on_hold(hold);
    atexit(halt_at_exit);
  }
  return st;
}

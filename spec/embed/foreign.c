/* SPDX-License-Identifier: MIT */
/* foreign.c - threads of the program's own that send by goro.h all the time, while states open and
 * close: foreign SECONDS.
 *
 * Two threads send and never wait, one waits for a receiver as long as it takes, and one closes
 * channels now and then. In each round one or two states open, whose goroutines receive, and close
 * in the middle of it. Every twentieth round leaves a goroutine in C code that notices no signal,
 * so that its thread is still there when the next states open, and comes back while they run.
 * Prints the numbers of rounds and of messages, and the word "end". */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/goro.h"

enum { SENDERS = 4, WAITS = 2, CLOSES = 3 };

/* The handle of the newest channel, counted: who uses it and the main thread release it. */
typedef struct Shared {
  goro_Chan *chan;
  atomic_int users;
} Shared;

static const goro_Api *_Atomic api;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Shared *current; /* under the lock */
static atomic_bool stop;
static atomic_long sent, ended, received;

static void put(Shared *s) {
  if (s == NULL || atomic_fetch_sub(&s->users, 1) > 1) return;
  atomic_load(&api)->chan_release(s->chan);
  free(s);
}

static Shared *get(void) {
  pthread_mutex_lock(&lock);
  Shared *s = current;
  if (s != NULL) atomic_fetch_add(&s->users, 1);
  pthread_mutex_unlock(&lock);
  return s;
}

static void set(Shared *s) {
  pthread_mutex_lock(&lock);
  Shared *old = current;
  current = s;
  pthread_mutex_unlock(&lock);
  put(old);
}

static int l_give(lua_State *L) {
  Shared *s = malloc(sizeof *s);
  if (s == NULL) return luaL_error(L, "no memory");
  atomic_store(&api, goro_get(L));
  s->chan = atomic_load(&api)->chan_get(L, 1);
  atomic_init(&s->users, 1);
  set(s);
  return 0;
}

static void nap(long ns) {
  struct timespec t = {.tv_sec = 0, .tv_nsec = ns};
  while (nanosleep(&t, &t) != 0 && errno == EINTR) {}
}

static int l_nap(lua_State *L) {
  nap((long)(luaL_checknumber(L, 1) * 1e9));
  return 0;
}

static int l_received(lua_State *L) {
  (void)L;
  atomic_fetch_add(&received, 1);
  return 0;
}

static void *sender(void *arg) {
  int self = (int)(size_t)arg;
  while (!atomic_load(&stop)) {
    Shared *s = get();
    if (s == NULL) {
      nap(20000);
      continue;
    }
    goro_Value v = {.kind = GORO_INTEGER, .u = {.integer = self}};
    if (self == CLOSES) {
      nap(3000000);
      atomic_load(&api)->chan_close(s->chan);
    } else {
      int r = atomic_load(&api)->chan_send(s->chan, &v, self == WAITS ? HUGE_VAL : 0);
      if (r == GORO_OK) atomic_fetch_add(&sent, 1);
      else if (r == GORO_ENDED) atomic_fetch_add(&ended, 1);
      if (r == GORO_CLOSED) nap(20000);
    }
    put(s);
  }
  return NULL;
}

static lua_State *open_state(const char *code) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_register(L, "give", l_give);
  lua_register(L, "nap", l_nap);
  lua_register(L, "received", l_received);
  if (luaL_dostring(L, code) != LUA_OK) {
    printf("error: %s\n", lua_tostring(L, -1));
    exit(1);
  }
  return L;
}

static const char receivers[] =
    "local goro, received = require 'goro', received\n"
    "local c = goro.chan()\n"
    "for i = 1, 4 do\n"
    "  goro.go(function() while true do if select(2, c:recv()) then received() else goro.sleep(1) "
    "end end end)\n"
    "end\n"
    "goro.go(function() table.sort({ 2, 1 }, function() c:recv() end) end)\n"
    "give(c)\n";

int main(int argc, char **argv) {
  double seconds = argc > 1 ? atof(argv[1]) : 1;
  time_t until = time(NULL) + (time_t)ceil(seconds);
  pthread_t threads[SENDERS];
  for (size_t i = 0; i < SENDERS; i++) pthread_create(&threads[i], NULL, sender, (void *)i);
  long rounds = 0;
  for (; time(NULL) < until; rounds++) {
    lua_State *A = open_state(receivers), *B = rounds % 3 == 0 ? open_state(receivers) : NULL;
    if (rounds % 20 == 19)
      luaL_dostring(A, "local goro, nap = require 'goro', nap\n"
                       "goro.go(function() nap(0.15) goro.gosched() error 'it went on' end)\n");
    luaL_dostring(A, "require 'goro'.sleep(0.001)");
    if (B != NULL) lua_close(B);
    lua_close(A);
    if (rounds % 5 == 0) set(NULL); /* else the old one goes on being used */
  }
  atomic_store(&stop, true);
  for (size_t i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
  set(NULL);
  printf("%ld rounds, %ld sent, %ld received, %ld ended\nend\n", rounds, atomic_load(&sent),
         atomic_load(&received), atomic_load(&ended));
  return 0;
}

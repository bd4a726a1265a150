/* SPDX-License-Identifier: MIT */
/* guest.c - what a program with Lua inside may ask of its guest goro: guest CASE [N]. Each case
 * checks by itself, prints "ok", and ends with status 0.
 *
 *   coroutine   goro is required, and used, in a coroutine of the program's state
 *   allocator   the state has an allocator of the program's: all that it gave is back in the end;
 * and an error without pcall reaches the program's panic function churn N     N times: a state is
 * opened, goroutines loop, wait, sleep, sit in C, and it is closed brief N     the same, but each
 * state is closed as soon as its goroutines have been started crowd N     the same as churn on four
 * threads, whose states overlap in time signals     the masks and handlers of signals are the
 * program's afterwards, and a SIGURG of its own reaches it meanwhile threads     the system gives
 * only three threads: all goes on, and stderr is told once nothread    the system gives no thread
 * at all: a clear error, and the program goes on fork        a child of fork gets errors from goro,
 * and ends well; so does one of a goroutine's foreign     threads of the program's own send to a
 * channel by goro.h closers     a goroutine's __close handlers, and those of its coroutines, loop
 * at the end: each is cut short, and nothing runs on afterwards */
#include <dlfcn.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/goro.h"

#define check(x) \
  do { \
    if (!(x)) { \
      printf("line %d: %s\n", __LINE__, #x); \
      exit(1); \
    } \
  } while (0)

/* ---- the system's threads, rationed ---- */

static atomic_int ration = 1 << 30;

/* Stands before the C library's, for goro.so too. */
__attribute__((visibility("default"))) int
pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg) {
  int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
  if (atomic_fetch_sub(&ration, 1) <= 0) return EAGAIN;
  return real(thread, attr, start, arg);
}

/* ---- running Lua ---- */

/* nap(seconds): sleeps in C, whatever signals come */
static int l_nap(lua_State *L) {
  double s = luaL_checknumber(L, 1);
  struct timespec left = {(time_t)s, (long)((s - floor(s)) * 1e9)};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
  return 0;
}

/* doze(seconds): sleeps in C until a signal comes */
static int l_doze(lua_State *L) {
  struct timespec t = {(time_t)luaL_checknumber(L, 1), 0};
  nanosleep(&t, NULL);
  return 0;
}

static int l_fork(lua_State *L) {
  fflush(NULL);
  lua_pushinteger(L, fork());
  return 1;
}

/* wait(pid) -> exit status, or minus the signal */
static int l_wait(lua_State *L) {
  int status;
  check(waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0) > 0);
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
  return 1;
}

static lua_State *open_with(lua_Alloc alloc, void *ud) {
  lua_State *L = alloc != NULL ? lua_newstate(alloc, ud) : luaL_newstate();
  check(L != NULL);
  luaL_openlibs(L);
  lua_register(L, "nap", l_nap);
  lua_register(L, "doze", l_doze);
  lua_register(L, "fork", l_fork);
  lua_register(L, "wait", l_wait);
  return L;
}

static lua_State *open_state(void) { return open_with(NULL, NULL); }

static void run(lua_State *L, const char *code) {
  if (luaL_dostring(L, code) == LUA_OK) return;
  printf("%s\n", luaL_tolstring(L, -1, NULL));
  exit(1);
}

/* ---- the cases ---- */

static void coroutine(int n) {
  (void)n;
  lua_State *L = open_state();
  run(L, "local co = coroutine.wrap(function()\n"
         "  local goro = require 'goro'\n"
         "  local ch = goro.chan()\n"
         "  goro.go(function() ch:send(42) end)\n"
         "  coroutine.yield(ch:recv())\n"
         "  goro.sleep(0.01)\n"
         "  return goro.run(function(...) return ... end, 'end')\n"
         "end)\n"
         "assert(co() == 42)\n"
         "assert(co() == 'end')\n"
         "co = nil collectgarbage() collectgarbage()\n"
         "assert(require 'goro'.run(function() return 7 end) == 7)\n");
  lua_close(L);
}

static atomic_long given;

static void *counted(void *ud, void *ptr, size_t osize, size_t nsize) {
  (void)ud;
  if (ptr == NULL) osize = 0;
  if (nsize == 0) {
    free(ptr);
    atomic_fetch_sub(&given, (long)osize);
    return NULL;
  }
  void *p = realloc(ptr, nsize);
  if (p != NULL) atomic_fetch_add(&given, (long)nsize - (long)osize);
  return p;
}

static jmp_buf out;

static int on_panic(lua_State *L) {
  check(strstr(lua_tostring(L, -1), "nobody catches this") != NULL);
  longjmp(out, 1);
}

static void allocator(int n) {
  (void)n;
  lua_State *L = open_with(counted, NULL);
  lua_atpanic(L, on_panic);
  run(L, "goro = require 'goro'\n"
         "for i = 1, 50 do goro.go(function() goro.chan():recv() end) end\n"
         "goro.go(function() while true do end end)\n"
         "local ch = goro.chan(10)\n"
         "for i = 1, 10 do ch:send { ('x'):rep(1000) } end\n"
         "ch:recv()\n");
  if (setjmp(out) == 0) {
    lua_getglobal(L, "goro");
    lua_getfield(L, -1, "run");
    check(luaL_loadstring(L, "error('nobody catches this')") == LUA_OK);
    lua_call(L, 1, 0);
    check(!"reached");
  }
  lua_settop(L, 0);
  run(L, "assert(goro.run(function() return 1 end) == 1)");
  lua_close(L);
  check(atomic_load(&given) == 0);
}

static const char busy[] =
    "local goro = require 'goro'\n"
    "local ch = goro.chan()\n"
    "local kind = ...\n"
    "goro.go(function() while true do end end)\n"
    "goro.go(function() ch:recv() end)\n"
    "goro.go(function() goro.sleep(100) end)\n"
    "goro.go(function() pcall(table.sort, { 3, 2, 1 }, function() while true do end end) end)\n"
    "goro.go(function() coroutine.wrap(function() for i = 1, math.huge do ch:try_send(i, 0) end "
    "end)() "
    "end)\n"
    "assert(goro.run(function(x) return x end, kind) == kind)\n";

static void *churn_on_thread(void *arg) {
  int n = *(int *)arg;
  for (int i = 0; i < n; i++) {
    lua_State *L = open_state();
    check(luaL_loadstring(L, busy) == LUA_OK);
    lua_pushinteger(L, i);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) printf("%s\n", lua_tostring(L, -1)), exit(1);
    lua_close(L);
  }
  return NULL;
}

static void churn(int n) { churn_on_thread(&n); }

static void brief(int n) {
  for (int i = 0; i < n; i++) {
    lua_State *L = open_state();
    run(L, "local goro = require 'goro'\n"
           "local ch = goro.chan()\n"
           "goro.go(function() while true do end end)\n"
           "goro.go(function() ch:recv() end)\n"
           "goro.go(function() goro.sleep(100) end)\n"
           "goro.go(function() pcall(table.sort, { 3, 2, 1 }, function() while true do end end) "
           "end)\n");
    lua_close(L);
  }
}

static void crowd(int n) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) check(pthread_create(&threads[i], NULL, churn_on_thread, &n) == 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

static atomic_int urged;
static void on_urg(int sig) {
  check(sig == SIGURG);
  atomic_fetch_add(&urged, 1);
}

/* One of the program's own reaches its handler. */
static void check_urging(void) {
  int seen = atomic_load(&urged);
  raise(SIGURG);
  check(atomic_load(&urged) == seen + 1);
}

static void signals(int n) {
  (void)n;
  struct sigaction mine = {.sa_handler = on_urg}, before[65], now;
  sigset_t mask_before, mask_now, usr1;
  sigaction(SIGURG, &mine, NULL);
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &usr1, NULL);
  for (int sig = 1; sig < 65; sig++) sigaction(sig, NULL, &before[sig]);
  pthread_sigmask(SIG_BLOCK, NULL, &mask_before);
  lua_State *L = open_state();
  run(L, busy);
  run(L, "require 'goro'.sleep(0.1)");
  check_urging();
  lua_close(L);
  for (int sig = 1; sig < 65; sig++) {
    if (sigaction(sig, NULL, &now) != 0) continue;
    check(now.sa_handler == before[sig].sa_handler && now.sa_flags == before[sig].sa_flags);
  }
  pthread_sigmask(SIG_BLOCK, NULL, &mask_now);
  for (int sig = 1; sig < 65; sig++)
    check(sigismember(&mask_now, sig) == sigismember(&mask_before, sig));
  check_urging();
}

static void threads(int n) {
  (void)n;
  lua_State *L = open_state();
  atomic_store(&ration, 3);
  run(L, "local goro = require 'goro'\n"
         "goro.maxprocs(4)\n"
         "local done = goro.chan(100)\n"
         "for i = 1, 20 do goro.go(function() nap(0.01) done:send(i) end) end\n"
         "local sum = 0\n"
         "for i = 1, 20 do sum = sum + done:recv(20) end\n"
         "assert(sum == 210)\n"
         "for i = 1, 20 do goro.go(function() local x = 0 for k = 1, 100000 do x = x + k % 3 end "
         "done:send(x) end) end\n"
         "for i = 1, 20 do assert(done:recv(20) == 100000) end\n");
  lua_close(L);
}

static void nothread(int n) {
  (void)n;
  lua_State *L = open_state();
  atomic_store(&ration, 0);
  run(L, "local goro = require 'goro'\n"
         "local ok, err = pcall(goro.go, function() end)\n"
         "assert(not ok and err:find 'cannot start a thread', err)\n"
         "local ch = goro.chan(1) ch:send(1) assert(ch:recv() == 1)\n");
  atomic_store(&ration, 1 << 30);
  run(L, "assert(require 'goro'.run(function() return 5 end) == 5)");
  lua_close(L);
}

static void forks(int n) {
  (void)n;
  lua_State *L = open_state();
  run(L, "local goro = require 'goro'\n"
         "goro.go(function() while true do end end)\n"
         "local ch = goro.chan(1)\n"
         "local function child()\n"
         "  for _, f in ipairs { function() goro.go(print) end, function() ch:send(1) end, "
         "function() goro.sleep(0) end, function() "
         "goro.num_goroutine() end } do\n"
         "    local ok, err = pcall(f)\n"
         "    if ok or not err:find 'forked child' then print(ok, err) os.exit(9) end\n"
         "  end\n"
         "  os.exit(7)\n"
         "end\n"
         "for i = 1, 20 do\n"
         "  local pid = fork()\n"
         "  if pid == 0 then child() end\n"
         "  local status = wait(pid) assert(status == 7, status)\n"
         "end\n"
         "for i = 1, 20 do\n"
         "  local pid = fork()\n"
         "  if pid == 0 then os.exit(3, true) end\n" /* closes the state */
         "  local status = wait(pid) assert(status == 3, status)\n"
         "end\n"
         "for i = 1, 20 do\n"
         "  local pid = goro.run(function() local pid = fork() if pid == 0 then child() end return "
         "pid end)\n"
         "  local status = wait(pid) assert(status == 7, status)\n"
         "end\n");
  lua_close(L);
}

static double cpu_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void closers(int n) {
  (void)n;
  lua_State *L = open_state();
  run(L, "local goro = require 'goro'\n"
         "local ch = goro.chan()\n"
         "local function looper(f) return setmetatable({}, { __close = f }) end\n"
         "goro.go(function()\n"
         "  local a <close> = looper(function() while true do end end)\n"
         "  local b <close> = looper(function() while true do pcall(error) end end)\n"
         "  local c <close> = looper(function() coroutine.wrap(function() while true do "
         "pcall(function() while true do end end) end end)() end)\n"
         "  local d <close> = looper(function() load(function() while true do end end) while true "
         "do end end)\n"
         "  ch:recv()\n"
         "end)\n"
         "goro.sleep(0.05)\n");
  lua_close(L);
  double before = cpu_seconds();
  usleep(500000);
  check(cpu_seconds() - before < 0.1);
}

/* ---- goro.h ---- */

typedef struct Sender {
  const goro_Api *goro;
  goro_Chan *chan;
  int n;
} Sender;

static void *send_numbers(void *arg) {
  Sender *s = arg;
  for (int i = 1; i <= s->n; i++) {
    goro_Value v = {GORO_INTEGER, {.integer = i}};
    check(s->goro->chan_send(s->chan, &v, HUGE_VAL) == GORO_OK);
  }
  static const char text[] = "a string that is longer than what fits into a message by itself";
  goro_Value v = {GORO_STRING, {.string = {text, sizeof text - 1}}};
  check(s->goro->chan_send(s->chan, &v, 10) == GORO_OK);
  s->goro->chan_release(s->chan);
  free(s);
  return NULL;
}

/* sender(capacity, n) -> a channel to which a thread of the program sends 1..n and a string */
static int l_sender(lua_State *L) {
  Sender *s = malloc(sizeof *s);
  check(s != NULL);
  s->goro = goro_get(L);
  s->chan = s->goro->chan_new(L, luaL_checkinteger(L, 1));
  s->n = (int)luaL_checkinteger(L, 2);
  pthread_t thread;
  check(pthread_create(&thread, NULL, send_numbers, s) == 0);
  pthread_detach(thread);
  return 1;
}

static atomic_int alive;

static void free_counter(void *object) {
  free(object);
  atomic_fetch_sub(&alive, 1);
}

static int l_add(lua_State *L);
static const luaL_Reg counter_methods[] = {{"add", l_add}, {NULL, NULL}};
static const goro_Type counter_type = {"test.counter", free_counter, counter_methods},
                       other_type = {"test.other", free_counter, NULL};

/* counter:add(n) -> the new value */
static int l_add(lua_State *L) {
  atomic_llong *c = goro_get(L)->object_check(L, 1, &counter_type);
  long long n = luaL_checkinteger(L, 2);
  lua_pushinteger(L, atomic_fetch_add(c, n) + n);
  return 1;
}

static int l_counter(lua_State *L) {
  const goro_Api *goro = goro_get(L);
  atomic_llong *c = malloc(sizeof *c);
  check(c != NULL);
  atomic_init(c, 0);
  atomic_fetch_add(&alive, 1);
  goro->object_push(L, lua_toboolean(L, 1) ? &other_type : &counter_type, c);
  return 1;
}

/* region(seconds): sleeps in a blocking region */
static int l_region(lua_State *L) {
  double s = luaL_checknumber(L, 1);
  struct timespec t = {(time_t)s, (long)((s - floor(s)) * 1e9)};
  void *region = goro_get(L)->block_begin(L);
  nanosleep(&t, NULL);
  goro_get(L)->block_end(region);
  return 0;
}

static int l_close(lua_State *L) {
  const goro_Api *goro = goro_get(L);
  goro_Chan *c = goro->chan_get(L, 1);
  goro_Value v = {GORO_BOOLEAN, {.boolean = 1}};
  check(goro->chan_send(c, &v, 0) == GORO_TIMEOUT);
  check(goro->chan_send(c, &v, 0.01) == GORO_TIMEOUT);
  check(goro->chan_close(c) == GORO_OK);
  check(goro->chan_close(c) == GORO_CLOSED);
  check(goro->chan_send(c, &v, HUGE_VAL) == GORO_CLOSED);
  goro->chan_release(c);
  return 0;
}

static void foreign(int n) {
  (void)n;
  lua_State *L = open_state();
  lua_register(L, "sender", l_sender);
  lua_register(L, "counter", l_counter);
  lua_register(L, "region", l_region);
  lua_register(L, "close", l_close);
  check(luaL_dostring(L, "counter()") != LUA_OK &&
        strstr(lua_tostring(L, -1), "require \"goro\" first") != NULL);
  run(L,
      "local goro = require 'goro'\n"
      "for _, cap in ipairs { 0, 1, 100 } do\n"
      "  local ch = sender(cap, 1000)\n"
      "  for i = 1, 1000 do assert(ch:recv() == i) end\n" /* no deadlock is reported while the
                                                             thread has the channel */
      "  assert(ch:recv():find '^a string that')\n"
      "  assert(goro.run(function(ch) local sum = 0 for i = 1, 10 do sum = sum + ch:recv() end "
      "ch:recv() return sum end, sender(cap, 10)) == 55)\n"
      "end\n"
      "local ok, err = pcall(function() goro.chan():recv() end)\n"
      "assert(not ok and err:find 'deadlock', err)\n"
      "local c = counter()\n"
      "local done = goro.chan()\n"
      "for i = 1, 10 do goro.go(function() for k = 1, 100 do c:add(1) end done:send(c) end) end\n"
      "for i = 1, 10 do assert(done:recv() == c) end\n"
      "assert(c:add(0) == 1000 and tostring(c):find '^test.counter: ')\n"
      "ok, err = pcall(c.add, counter(true), 1)\n"
      "assert(not ok and err:find 'test.counter expected, got test.other', err)\n"
      "local before = goro.runtime.stats().handoffs\n"
      "goro.run(function() region(0.01) end)\n"
      "assert(goro.runtime.stats().handoffs > before)\n"
      "region(0.01)\n"
      "close(goro.chan())\n");
  lua_close(L);
  check(atomic_load(&alive) == 0);
}

static const struct {
  const char *name;
  void (*run)(int n);
} cases[] = {{"coroutine", coroutine}, {"allocator", allocator}, {"churn", churn},
             {"brief", brief},         {"crowd", crowd},         {"signals", signals},
             {"threads", threads},     {"nothread", nothread},   {"fork", forks},
             {"foreign", foreign},     {"closers", closers}};

int main(int argc, char **argv) {
  for (size_t i = 0; argc >= 2 && i < sizeof cases / sizeof *cases; i++) {
    if (strcmp(argv[1], cases[i].name) != 0) continue;
    cases[i].run(argc > 2 ? atoi(argv[2]) : 1);
    puts("ok");
    return 0;
  }
  fprintf(stderr, "usage: guest CASE [N]; the cases are told at the head of guest.c\n");
  return 2;
}

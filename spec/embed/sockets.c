/* SPDX-License-Identifier: MIT */
/* sockets.c - states with open connections come and go in one program: sockets CASE [N]. Each case
 * checks by itself and prints "ok".
 *
 *   churn N   N times: a state is opened, goroutines wait for I/O of all kinds, it is closed; no
 * descriptor is left two       two states share the pool; the first to close ends nobody's
 * connection but its own fork      a child of fork gets errors, ends well, and the parent's
 * connections go on */
#include <dirent.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define check(x) \
  do { \
    if (!(x)) { \
      printf("line %d: %s\n", __LINE__, #x); \
      exit(1); \
    } \
  } while (0)

static int l_fork(lua_State *L) {
  fflush(NULL);
  lua_pushinteger(L, fork());
  return 1;
}

static int l_wait(lua_State *L) {
  int status;
  check(waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0) > 0);
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return 1;
}

static lua_State *open_state(void) {
  lua_State *L = luaL_newstate();
  check(L != NULL);
  luaL_openlibs(L);
  lua_register(L, "fork", l_fork);
  lua_register(L, "wait", l_wait);
  return L;
}

static void run(lua_State *L, const char *code) {
  if (luaL_dostring(L, code) == LUA_OK) return;
  printf("%s\n", luaL_tolstring(L, -1, NULL));
  exit(1);
}

static int descriptors(void) {
  DIR *d = opendir("/proc/self/fd");
  int n = 0;
  check(d != NULL);
  while (readdir(d) != NULL) n++;
  closedir(d);
  return n;
}

static const char busy[] =
    "local goro, net = require 'goro', require 'goro.net'\n"
    "l = net.listen('tcp', '127.0.0.1:0')\n"
    "local c = net.dial('tcp', l:addr())\n"
    "s = l:accept()\n"
    "local u = net.udp()\n"
    "for i = 1, 3 do\n"
    "  goro.go(function() c:read() end)\n"
    "  goro.go(function() table.sort({ 3, 2, 1 }, function() s:read('l') end) end)\n"
    "  goro.go(function() while c:write(('x'):rep(1000)) do end end)\n"
    "  goro.go(function() l:accept() end)\n"
    "  goro.go(function() u:recv(100) end)\n"
    "  goro.go(function() local x <close> = c x:read('a') end)\n"
    "  goro.go(function() net.dial('tcp', '192.0.2.1:9', { timeout = 100 }) end)\n"
    "end\n"
    "goro.go(function() s:write('partial line') end)\n"
    "assert(select(3, u:recv(0.01)) == 'ETIMEDOUT')\n"
    "x = function() l:accept(0) s:close() end\n";

static void churn(int n) {
  for (int i = 0, before = 0; i < n; i++) {
    lua_State *L = open_state();
    run(L, busy);
    lua_close(L);
    if (i == 0) before = descriptors();
    else check(descriptors() == before);
  }
}

static void two(int n) {
  (void)n;
  lua_State *A = open_state(), *B = open_state();
  run(A, busy);
  run(B, "local net = require 'goro.net'\n"
         "l = net.listen('tcp', '127.0.0.1:0')\n"
         "c = net.dial('tcp', l:addr())\n"
         "s = l:accept()\n");
  lua_close(A);
  run(B, "c:write('still\\n') assert(s:read('l') == 'still')\n"
         "require 'goro'.run(function() s:write('here\\n') assert(c:read('l') == 'here') end)\n");
  lua_close(B);
}

static void forks(int n) {
  (void)n;
  lua_State *L = open_state();
  run(L, "local goro, net = require 'goro', require 'goro.net'\n"
         "local l = net.listen('tcp', '127.0.0.1:0')\n"
         "local c, s = net.dial('tcp', l:addr())\n"
         "s = l:accept()\n"
         "goro.go(function() while true do local line = s:read('L') if not line then return end "
         "s:write(line) end end)\n"
         "goro.go(function() l:accept() end)\n"
         "local function child()\n"
         "  for _, f in ipairs { function() c:read() end, function() c:write('x') end, function() "
         "net.dial('tcp', l:addr()) end, "
         "function() l:accept() end, function() net.udp() end, function() net.lookup('localhost') "
         "end } do\n"
         "    local ok, err = pcall(f)\n"
         "    if ok or not err:find 'forked child' then print(ok, err) os.exit(9) end\n"
         "  end\n"
         "  c:close() l:close()\n"
         "  os.exit(7, true)\n" /* closes the state */
         "end\n"
         "for i = 1, 20 do\n"
         "  c:write('a\\n') assert(c:read('l') == 'a')\n"
         "  local pid = fork()\n"
         "  if pid == 0 then child() end\n"
         "  local status = wait(pid) assert(status == 7, status)\n"
         "  c:write('b\\n') assert(c:read('l') == 'b')\n"
         "end\n");
  lua_close(L);
}

static const struct {
  const char *name;
  void (*run)(int n);
} cases[] = {{"churn", churn}, {"two", two}, {"fork", forks}};

int main(int argc, char **argv) {
  for (size_t i = 0; argc >= 2 && i < sizeof cases / sizeof *cases; i++) {
    if (strcmp(argv[1], cases[i].name) != 0) continue;
    cases[i].run(argc > 2 ? atoi(argv[2]) : 1);
    puts("ok");
    return 0;
  }
  fprintf(stderr, "usage: sockets CASE [N]; the cases are told at the head of sockets.c\n");
  return 2;
}

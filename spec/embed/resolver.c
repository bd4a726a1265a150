/* SPDX-License-Identifier: MIT */
/* resolver.c - a program whose names lead where a test wants: it has a getaddrinfo of its own,
 * which goro.so finds before the system's. resolver CASE; each prints "ok".
 *
 *   eyeballs   RFC 8305: the other family after 250 ms, by turns, at once after a refusal; the
 * first to answer wins; limits of time slow       look-ups that take long hold up nobody, not even
 * each other failures   what a resolver may say */
#include <arpa/inet.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define check(x) \
  do { \
    if (!(x)) { \
      printf("line %d: %s\n", __LINE__, #x); \
      exit(1); \
    } \
  } while (0)

enum { NAMES = 32, ADDRESSES = 32 };

typedef struct Name {
  const char *name;
  int error, delay_ms;
  int n;
  char addresses[ADDRESSES][64];
} Name;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Name names[NAMES];
static int nnames;

static Name *find(const char *name) {
  pthread_mutex_lock(&lock);
  Name *found = NULL;
  for (int i = 0; i < nnames && found == NULL; i++)
    if (strcmp(names[i].name, name) == 0) found = &names[i];
  pthread_mutex_unlock(&lock);
  return found;
}

static struct addrinfo *entry(const char *text, struct addrinfo *next) {
  struct addrinfo *a = calloc(1, sizeof *a + sizeof(struct sockaddr_in6));
  check(a != NULL);
  struct sockaddr_in *in = (struct sockaddr_in *)(a + 1);
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(a + 1);
  a->ai_addr = (struct sockaddr *)(a + 1);
  a->ai_next = next;
  if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
    in->sin_family = AF_INET;
    a->ai_addrlen = sizeof *in;
  } else {
    check(inet_pton(AF_INET6, text, &in6->sin6_addr) == 1);
    in6->sin6_family = AF_INET6;
    a->ai_addrlen = sizeof *in6;
  }
  a->ai_family = a->ai_addr->sa_family;
  return a;
}

#pragma GCC visibility push(default)

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **res) {
  const Name *name = find(node);
  check(service == NULL);
  if (name == NULL) return EAI_NONAME;
  usleep((useconds_t)name->delay_ms * 1000);
  if (name->error != 0) return name->error;
  *res = NULL;
  for (int i = name->n - 1; i >= 0; i--) {
    int family = strchr(name->addresses[i], ':') != NULL ? AF_INET6 : AF_INET;
    if (hints->ai_family == AF_UNSPEC || hints->ai_family == family)
      *res = entry(name->addresses[i], *res);
  }
  return *res != NULL ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *res) {
  for (struct addrinfo *next; res != NULL; res = next) {
    next = res->ai_next;
    free(res);
  }
}

#pragma GCC visibility pop

/* name(name, error, milliseconds, address...) */
static int l_name(lua_State *L) {
  pthread_mutex_lock(&lock);
  check(nnames < NAMES);
  Name *name = &names[nnames];
  name->name = strdup(luaL_checkstring(L, 1));
  name->error = (int)luaL_checkinteger(L, 2);
  name->delay_ms = (int)luaL_checkinteger(L, 3);
  name->n = lua_gettop(L) - 3;
  check(name->n <= ADDRESSES);
  for (int i = 0; i < name->n; i++)
    snprintf(name->addresses[i], sizeof *name->addresses, "%s", luaL_checkstring(L, i + 4));
  nnames++;
  pthread_mutex_unlock(&lock);
  return 0;
}

/* hole() -> port: of ::1, where a listener has no room left, so that whoever dials it is not
 * answered; nil: there is no IPv6 */
static int l_hole(lua_State *L) {
  struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  socklen_t len = sizeof a;
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0) return 0;
  check(listen(fd, 0) == 0 && getsockname(fd, (struct sockaddr *)&a, &len) == 0);
  for (int i = 0; i < 4; i++) {
    int c = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    check(c >= 0);
    (void)!connect(c, (struct sockaddr *)&a, sizeof a);
  }
  usleep(100000);
  lua_pushinteger(L, ntohs(a.sin6_port));
  return 1;
}

static const char prelude[] =
    "goro, net = require 'goro', require 'goro.net'\n"
    "function took(f, ...) local t = goro.time.mono() local a, b, c = f(...) return "
    "goro.time.mono() - t, a, b, c end\n"
    "function within(limit, ...)\n" /* a busy machine may have five tries */
    "  local t, c, m\n"
    "  for i = 1, 5 do t, c, m = took(net.dial, ...) assert(c, m) if t < limit then return t, c "
    "end end\n"
    "  error(t)\n"
    "end\n";

static const char eyeballs[] =
    "local port = hole()\n"
    "if not port then return end\n"
    "name('both', 0, 0, '::1', '127.0.0.1')\n"
    "name('turns', 0, 0, '::1', '::1', '::1', '::1', '127.0.0.1')\n"
    "name('refuses', 0, 0, '127.0.0.2', '127.0.0.3', '::1', '127.0.0.4', '127.0.0.1')\n"
    "name('only6', 0, 0, '::1', '::1')\n"
    "local l = assert(net.listen('tcp4', '127.0.0.1:' .. port))\n"
    "local function tests()\n"
    "  local t, c, m = took(net.dial, 'tcp', 'both:' .. port)\n"
    "  assert(c, m) assert(c:remote_addr() == '127.0.0.1:' .. port and t >= 0.249 and t < 20, t)\n"
    "  t, c = within(0.99, 'tcp', 'turns:' .. port)\n"
    "  assert(c:remote_addr() == '127.0.0.1:' .. port and t >= 0.249, t)\n" /* one after the other
                                                                               it would be a second
                                                                             */
    "  t, c = within(0.49, 'tcp', 'refuses:' .. port)\n"
    "  assert(c:remote_addr() == '127.0.0.1:' .. port and t >= 0.249, t)\n" /* refusals take no
                                                                               time: only ::1 does
                                                                             */
    "  t, c = within(0.249, 'tcp4', 'refuses:' .. port)\n"
    "  assert(c:remote_addr() == '127.0.0.1:' .. port)\n"
    "  t, c, m = took(net.dial, 'tcp', 'only6:' .. port, { timeout = 0.4 })\n"
    "  assert(c == nil and m == 'ETIMEDOUT: connection timed out: only6:' .. port and t >= 0.4, "
    "m)\n"
    "  local code\n"
    "  c, m, code = net.dial('tcp4', 'only6:' .. port)\n"
    "  assert(c == nil and code == 'EAI_NONAME' and m == 'EAI_NONAME: no such host: only6:' .. "
    "port, m)\n"
    "end\n"
    "tests()\n"
    "name('nobody', 0, 0, '127.0.0.2', '127.0.0.3')\n"
    "local c, m = net.dial('tcp', 'nobody:' .. port)\n"
    "assert(c == nil and m == 'ECONNREFUSED: connection refused: nobody:' .. port, m)\n"
    "goro.run(tests)\n"
    "c = assert(net.dial('tcp', 'refuses:' .. port))\n" /* and is as good as any */
    "local s repeat s = l:accept() until s:remote_addr() == c:local_addr()\n"
    "s:write('hello') s:close() assert(c:read('a') == 'hello')\n";

static const char slow[] =
    "name('slow', 0, 1000, '127.0.0.1')\n"
    "local l = net.listen('tcp', '127.0.0.1:0')\n"
    "local port, done, ticks = l:addr():match('%d+$'), goro.chan(), 0\n"
    "for i = 1, 20 do goro.go(function() done:send((select(2, pcall(function()\n"
    "  local c <close> = assert(net.dial('tcp', 'slow:' .. port)) assert(net.lookup('slow')[1] == "
    "'127.0.0.1') return true\n"
    "end)))) end) end\n"
    "local start = goro.time.mono()\n"
    "goro.run(function() for i = 1, 50 do goro.sleep(0.001) ticks = ticks + 1 end end)\n"
    "assert(goro.time.mono() - start < 1)\n"
    "for i = 1, 20 do local ok = done:recv() assert(ok == true, ok) end\n"
    "assert(goro.time.mono() - start < 9, goro.time.mono() - start)\n"; /* four at a time it would
                                                                           be ten seconds */

static const char failures[] =
    "name('again', AGAIN, 0) name('fail', FAIL, 0) name('twice', 0, 0, '10.0.0.1', '10.0.0.1', "
    "'::1', '10.0.0.2', '::1')\n"
    "name('numbers', 0, 0, '127.0.0.1')\n"
    "assert(table.concat(net.lookup 'twice', ' ') == '10.0.0.1 ::1 10.0.0.2')\n"
    "for host, code in pairs { again = 'EAI_AGAIN', fail = 'EAI_FAIL', none = 'EAI_NONAME' } do\n"
    "  local r, m, c = net.lookup(host)\n"
    "  assert(r == nil and c == code and m:find('^' .. code .. ': .+: ' .. host .. '$'), m)\n"
    "  for _, f in ipairs { net.dial, net.listen } do\n"
    "    r, m, c = f('tcp', host .. ':80')\n"
    "    assert(r == nil and c == code and m:find('^' .. code .. ': .+: ' .. host .. ':80$'), m)\n"
    "  end\n"
    "end\n"
    "local l = assert(net.listen('tcp', 'numbers:0'))\n"
    "assert(l:addr():find '^127.0.0.1:')\n"
    "local u = assert(net.udp 'numbers:0')\n"
    "assert(u:send('to a name', 'numbers:' .. u:local_addr():match '%d+$') and u:recv(10) == 'to a "
    "name')\n";

int main(int argc, char **argv) {
  static const struct {
    const char *name, *code;
  } cases[] = {{"eyeballs", eyeballs}, {"slow", slow}, {"failures", failures}};
  for (size_t i = 0; argc >= 2 && i < sizeof cases / sizeof *cases; i++) {
    if (strcmp(argv[1], cases[i].name) != 0) continue;
    lua_State *L = luaL_newstate();
    check(L != NULL);
    luaL_openlibs(L);
    lua_register(L, "name", l_name);
    lua_register(L, "hole", l_hole);
    lua_pushinteger(L, EAI_AGAIN);
    lua_setglobal(L, "AGAIN");
    lua_pushinteger(L, EAI_FAIL);
    lua_setglobal(L, "FAIL");
    if (luaL_dostring(L, prelude) != LUA_OK || luaL_dostring(L, cases[i].code) != LUA_OK) {
      printf("%s\n", luaL_tolstring(L, -1, NULL));
      return 1;
    }
    lua_close(L);
    puts("ok");
    return 0;
  }
  fprintf(stderr, "usage: resolver CASE; the cases are told at the head of resolver.c\n");
  return 2;
}

/* SPDX-License-Identifier: MIT */
/* hosts.c - an interpreter whose host names mean what the script says: hosts SCRIPT…, one state
 * after the other. In place of the C library's getaddrinfo, which goro finds here.
 *
 * The script has: name(host, seconds, address…): from now on looking it up takes so long, and gives
 * these addresses in this order; asked(): how many look-ups have begun, and how many have ended.
 * The name "*" stands for all that are unknown; without it they do not exist. Numeric addresses are
 * what they are (LuaSocket asks for them). */
#include <arpa/inet.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NAMES = 16, ADDRESSES = 20, LENGTH = 64 };

static struct Name {
  char host[LENGTH];
  double seconds;
  int n;
  char address[ADDRESSES][LENGTH];
} names[NAMES];
static atomic_int count, begun, ended;

static int l_name(lua_State *L) {
  struct Name *name = &names[atomic_load(&count)];
  snprintf(name->host, LENGTH, "%s", luaL_checkstring(L, 1));
  name->seconds = luaL_checknumber(L, 2);
  name->n = lua_gettop(L) - 2;
  for (int i = 0; i < name->n; i++)
    snprintf(name->address[i], LENGTH, "%s", luaL_checkstring(L, i + 3));
  atomic_fetch_add(&count, 1);
  return 0;
}

static int l_asked(lua_State *L) {
  lua_pushinteger(L, atomic_load(&begun));
  lua_pushinteger(L, atomic_load(&ended));
  return 2;
}

static struct addrinfo *entry(const char *text) {
  struct addrinfo *a = calloc(1, sizeof *a + sizeof(struct sockaddr_in6));
  struct sockaddr_in *in = (void *)(a + 1);
  struct sockaddr_in6 *in6 = (void *)(a + 1);
  a->ai_addr = (void *)(a + 1);
  a->ai_socktype = SOCK_STREAM;
  if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
    a->ai_family = in->sin_family = AF_INET;
    a->ai_addrlen = sizeof *in;
  } else {
    inet_pton(AF_INET6, text, &in6->sin6_addr);
    a->ai_family = in6->sin6_family = AF_INET6;
    a->ai_addrlen = sizeof *in6;
  }
  return a;
}

static bool numeric(const char *host, const char *service, struct addrinfo **found) {
  char buf[16];
  if (inet_pton(AF_INET, host, buf) != 1 && inet_pton(AF_INET6, host, buf) != 1) return false;
  *found = entry(host);
  ((struct sockaddr_in *)(void *)(*found)->ai_addr)->sin_port =
      htons((uint16_t)(service != NULL ? atoi(service) : 0)); /* where IPv6 has it too */
  return true;
}

static int look_up(const char *host, int family, struct addrinfo **found) {
  struct Name *name = NULL;
  for (int i = 0; i < atomic_load(&count); i++)
    if (strcmp(names[i].host, host) == 0 || (name == NULL && strcmp(names[i].host, "*") == 0))
      name = &names[i];
  if (name == NULL) return EAI_NONAME;
  struct timespec t = {.tv_sec = (time_t)name->seconds,
                       .tv_nsec = (long)((name->seconds - (time_t)name->seconds) * 1e9)};
  nanosleep(&t, NULL);
  struct addrinfo **last = found;
  *found = NULL;
  for (int i = 0; i < name->n; i++) {
    struct addrinfo *a = entry(name->address[i]);
    if (family == AF_UNSPEC || family == a->ai_family) {
      *last = a;
      last = &a->ai_next;
    } else {
      free(a);
    }
  }
  return *found != NULL ? 0 : EAI_NODATA;
}

__attribute__((visibility("default"))) int getaddrinfo(const char *restrict host,
                                                       const char *restrict service,
                                                       const struct addrinfo *restrict hints,
                                                       struct addrinfo **restrict found) {
  if (numeric(host, service, found)) return 0;
  atomic_fetch_add(&begun, 1);
  int r = look_up(host, hints->ai_family, found);
  atomic_fetch_add(&ended, 1);
  return r;
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *list) {
  for (struct addrinfo *next; list != NULL; list = next) {
    next = list->ai_next;
    free(list);
  }
}

static int run(const char *script) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_register(L, "name", l_name);
  lua_register(L, "asked", l_asked);
  if (luaL_dofile(L, script) != LUA_OK) {
    fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
    return 1;
  }
  lua_close(L);
  return 0;
}

int main(int argc, char **argv) {
  int status = argc > 1 ? 0 : 2;
  if (argc < 2) fprintf(stderr, "usage: hosts SCRIPT…\n");
  for (int i = 1; i < argc && status == 0; i++) status = run(argv[i]);
  return status;
}

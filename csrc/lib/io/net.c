/* SPDX-License-Identifier: MIT */
/* net.c - goro.net: dial, listen, lookup; listeners in Lua. UDP sockets are in udp.c, connections
 * in conn.c.
 *
 * Addresses come from configurations and from users. So what is wrong with an address is a failure
 * that the call returns. A network that does not exist, or a value that is no string, is the
 * programmer's mistake, and is raised.
 *
 * Names are looked up before anything is opened. So a call is in one of two phases, and its box on
 * the stack tells in which. */
#include "io/net.h"

#include <string.h>
#include <unistd.h>

#include "io/dial.h"
#include "lib/io/io.h"
#include "heap/keep.h"

static void open_listener(lua_State *L, const GrObjectType *type, uint32_t view);
static const GrObjectType listener_type = {{GR_TYPE_LISTENER, gr_listener_destroy, false},
                                           open_listener};

/* ---- arguments ---- */

static const GrNetwork *check_network(lua_State *L, int arg, bool listens) {
  const char *name = luaL_checkstring(L, arg);
  const GrNetwork *net = gr_network(name);
  if (net == NULL || (listens && net->type != SOCK_STREAM))
    luaL_argerror(L, arg,
                  lua_pushfstring(L, "invalid network '%s'; known are tcp, tcp4, tcp6, unix%s",
                                  name, listens ? "" : ", udp"));
  return net;
}

static int64_t check_options(lua_State *L, int arg) {
  if (!gr_check_options(L, arg, GR_OPTIONS("timeout"))) return GR_FOREVER;
  int64_t until = lua_getfield(L, arg, "timeout") == LUA_TNIL
                      ? GR_FOREVER
                      : gr_check_seconds(L, -1, arg, "field 'timeout': ");
  lua_pop(L, 1);
  return until;
}

/* ---- dial: network, address, limit, the box ---- */

enum { DIAL_LIMIT = 3, DIAL_BOX };

typedef struct DialBox {
  GrKeep keep;        /* first */
  GrResolve *resolve; /* NULL once there is a dial */
  GrDial *dial;
} DialBox;

static void release_dial(GrKeep *k) {
  gr_resolve_free(((DialBox *)k)->resolve);
  gr_dial_free(((DialBox *)k)->dial);
}
static const GrKeepType dial_keep = {release_dial, NULL};

static DialBox *dial_box(lua_State *L) { return lua_touserdata(L, DIAL_BOX); }

static int dial_failed(lua_State *L, int r) {
  size_t len;
  const char *address = lua_tolstring(L, 2, &len);
  int n = gr_push_refusal(L, r, dial_box(L)->resolve, address, len);
  gr_keep_release(&dial_box(L)->keep);
  return n;
}

static GrStreamKind kind_of(const GrNetwork *net) {
  return net->type == SOCK_DGRAM  ? GR_STREAM_DATAGRAM
         : net->family == AF_UNIX ? GR_STREAM_SOCKET
                                  : GR_STREAM_TCP;
}

static int resolve_for_dial(lua_State *L, GrState *st, bool blocks) {
  DialBox *box = dial_box(L);
  GrAddr *list;
  uint32_t n;
  int r = gr_resolve_step(box->resolve, st->g, gr_limit_at(L, DIAL_LIMIT), blocks, &list, &n);
  if (r != GR_OK) return r;
  box->dial = gr_dial_new(gr_network(lua_tostring(L, 1)), list, n);
  if (box->dial == NULL) return GR_NOMEM;
  gr_resolve_free(box->resolve);
  box->resolve = NULL;
  return GR_OK;
}

static int dial_begin(lua_State *L, GrStep *s) {
  GrFd *f;
  GrAddr peer;
  GrStream *stream;
  int64_t until = gr_limit_at(L, DIAL_LIMIT);
  int r = dial_box(L)->dial == NULL ? resolve_for_dial(L, s->st, s->blocks) : GR_OK;
  if (r == GR_OK && until != GR_FOREVER && gr_now_ns() >= until) r = GR_TIMEOUT;
  if (r == GR_OK) r = gr_dial_step(dial_box(L)->dial, s->st->g, until, s->blocks, &f, &peer);
  if (r != GR_OK) return r;
  const GrNetwork *net = gr_network(lua_tostring(L, 1));
  if (kind_of(net) == GR_STREAM_TCP) gr_socket_defaults(gr_fd_number(f));
  if ((r = gr_stream_over(f, kind_of(net), &gr_conn_type.share, &stream)) != GR_OK) {
    gr_fd_free(f);
    return r;
  }
  gr_stream_set_peer(stream, &peer);
  gr_keep_release(lua_touserdata(L, DIAL_BOX));
  s->n = gr_push_owned(L, gr_stream_share(stream));
  return GR_OK;
}

static int dial_finish(lua_State *L, GrStep *s) {
  DialBox *box = dial_box(L);
  return gr_again(box->dial == NULL
                      ? gr_resolve_awake(box->resolve, s->st->g, &s->cause)
                      : gr_dial_awake(box->dial, s->st->g, gr_limit_at(L, DIAL_LIMIT), &s->cause));
}

static const GrCall dial_call = {.begin = dial_begin, .finish = dial_finish, .failed = dial_failed};

/* dial(network, address [, opts]) */
static int net_dial(lua_State *L) {
  const GrNetwork *net = check_network(L, 1, false);
  size_t len;
  const char *address = luaL_checklstring(L, 2, &len);
  int64_t until = check_options(L, 3);
  gr_check_inbox(L, gr_state(L));
  gr_set_limit(L, DIAL_LIMIT, until);
  DialBox *box = gr_keep_new(L, sizeof *box, &dial_keep);
  box->resolve = gr_resolve_new(net, address, len, GR_FOR_DIAL);
  if (box->resolve == NULL) gr_raise_code(L, GR_NOMEM);
  return gr_call(L, gr_state(L), &dial_call);
}

/* ---- listeners: listener, limit ---- */

static GrListener *listener_at(lua_State *L, int arg) {
  return gr_listener_of(gr_object_check(L, arg, &listener_type)->share);
}
static GrListener *check_listener(lua_State *L) { return listener_at(L, 1); }

static int listener_failed(lua_State *L, int r) {
  char text[GR_ADDR_TEXT];
  size_t len = gr_addr_text(gr_listener_addr(check_listener(L)), text);
  return gr_push_failure(L, r, NULL, text, len);
}

static int accept_begin(lua_State *L, GrStep *s) {
  GrListener *l = check_listener(L);
  GrAddr peer;
  GrStream *stream;
  int fd, r = gr_listener_accept(l, s->st->g, &fd, &peer, gr_limit_at(L, 2), s->blocks, s->fresh);
  if (r != GR_OK) return r;
  r = gr_stream_new(fd, peer.u.any.sa_family == AF_UNIX ? GR_STREAM_SOCKET : GR_STREAM_TCP,
                    &gr_conn_type.share, &stream);
  if (r != GR_OK) {
    close(fd);
    return r;
  }
  gr_stream_set_peer(stream, &peer);
  s->n = gr_push_owned(L, gr_stream_share(stream));
  return GR_OK;
}

static int accept_finish(lua_State *L, GrStep *s) {
  return gr_again(gr_listener_awake(check_listener(L), s->st->g, gr_limit_at(L, 2), &s->cause));
}
static void accept_quit(lua_State *L, GrState *st, int at, GrCause cause) {
  (void)cause;
  gr_listener_quit(listener_at(L, at), st->g);
}

static const GrCall accept_call = {.begin = accept_begin,
                                   .finish = accept_finish,
                                   .failed = listener_failed,
                                   .quit = accept_quit,
                                   .object = 1};

/* accept([timeout]) */
static int listener_accept(lua_State *L) {
  check_listener(L);
  int64_t until = gr_check_timeout(L, 2);
  gr_enter(L, gr_state(L));
  gr_set_limit(L, 2, until);
  return gr_call(L, gr_state(L), &accept_call);
}

static int listener_addr(lua_State *L) {
  char text[GR_ADDR_TEXT];
  size_t len = gr_addr_text(gr_listener_addr(check_listener(L)), text);
  lua_pushlstring(L, text, len);
  return 1;
}

static int listener_close(lua_State *L) {
  gr_listener_close(check_listener(L));
  lua_pushboolean(L, 1);
  return 1;
}

static int listener_leave(lua_State *L) {
  gr_listener_close(check_listener(L));
  return 0;
}

/* ---- listen: network, address, does close remove the path, the box ---- */

enum { LISTEN_UNLINKS = 3, LISTEN_BOX };

static GrResolveBox *listen_box(lua_State *L) { return lua_touserdata(L, LISTEN_BOX); }

static int listen_failed(lua_State *L, int r) {
  size_t len;
  const char *address = lua_tolstring(L, 2, &len);
  int n = gr_push_refusal(L, r, listen_box(L)->resolve, address, len);
  gr_keep_release(&listen_box(L)->keep);
  return n;
}

static int listen_begin(lua_State *L, GrStep *s) {
  GrAddr *list;
  uint32_t naddrs;
  GrListener *l;
  int r = gr_resolve_step(listen_box(L)->resolve, s->st->g, GR_FOREVER, s->blocks, &list, &naddrs);
  if (r != GR_OK) return r;
  r = gr_listen(list, naddrs, lua_toboolean(L, LISTEN_UNLINKS), &listener_type.share, &l);
  gr_free(list);
  if (r != GR_OK) return r;
  gr_keep_release(&listen_box(L)->keep);
  s->n = gr_push_owned(L, gr_listener_share(l));
  return GR_OK;
}

static int listen_finish(lua_State *L, GrStep *s) {
  return gr_again(gr_resolve_awake(listen_box(L)->resolve, s->st->g, &s->cause));
}

static const GrCall listen_call = {
    .begin = listen_begin, .finish = listen_finish, .failed = listen_failed};

/* Pushes whether closing the listener removes the path of a Unix socket. */
static void push_unlinks(lua_State *L, int opts) {
  int type =
      gr_check_options(L, opts, GR_OPTIONS("unlink")) ? lua_getfield(L, opts, "unlink") : LUA_TNIL;
  if (type != LUA_TNIL && type != LUA_TBOOLEAN)
    luaL_argerror(
        L, opts,
        lua_pushfstring(L, "field 'unlink': boolean expected, got %s", luaL_typename(L, -1)));
  lua_pushboolean(L, type == LUA_TNIL || lua_toboolean(L, -1));
}

/* listen(network, address [, opts]) */
static int net_listen(lua_State *L) {
  const GrNetwork *net = check_network(L, 1, true);
  size_t len;
  const char *address = luaL_checklstring(L, 2, &len);
  push_unlinks(L, 3);
  gr_check_inbox(L, gr_state(L));
  if (lua_gettop(L) > LISTEN_UNLINKS) lua_replace(L, LISTEN_UNLINKS);
  lua_settop(L, LISTEN_BOX - 1);
  GrResolveBox *box = gr_push_resolve_box(L);
  box->resolve = gr_resolve_new(net, address, len, GR_FOR_LISTEN);
  if (box->resolve == NULL) gr_raise_code(L, GR_NOMEM);
  return gr_call(L, gr_state(L), &listen_call);
}

static const luaL_Reg methods[] = {
    {"accept", listener_accept}, {"addr", listener_addr}, {"close", listener_close}, {NULL, NULL}};

static void open_listener(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  static const luaL_Reg meta[] = {{"__close", listener_leave}, {NULL, NULL}};
  gr_setfuncs(L, gr_state_find(L), meta);
  gr_open_methods(L, methods);
}

typedef struct Found {
  const GrAddr *list;
  uint32_t n;
} Found;

/* Pushes each address once. The resolver may give it several times, for several kinds of sockets.
 */
static int push_found(lua_State *L) {
  const Found *found = gr_check_pointer(L, 1);
  lua_createtable(L, (int)found->n, 0);
  lua_newtable(L);
  lua_Integer count = 0;
  for (uint32_t i = 0; i < found->n; i++) {
    char text[GR_ADDR_TEXT];
    lua_pushlstring(L, text, gr_addr_host_text(&found->list[i], text));
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TNIL) {
      lua_pushvalue(L, -2);
      lua_pushboolean(L, 1);
      lua_rawset(L, -5);
      lua_pushvalue(L, -2);
      lua_rawseti(L, -5, ++count);
    }
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
  return 1;
}

/* ---- lookup: host, limit, the box ---- */

enum { LOOKUP_LIMIT = 2, LOOKUP_BOX };

static GrResolveBox *lookup_box(lua_State *L) { return lua_touserdata(L, LOOKUP_BOX); }

static int lookup_failed(lua_State *L, int r) {
  size_t len;
  const char *host = lua_tolstring(L, 1, &len);
  int n = gr_push_refusal(L, r, lookup_box(L)->resolve, host, len);
  gr_keep_release(&lookup_box(L)->keep);
  return n;
}

static int lookup_begin(lua_State *L, GrStep *s) {
  GrAddr *list;
  uint32_t naddrs;
  int r = gr_resolve_step(lookup_box(L)->resolve, s->st->g, gr_limit_at(L, LOOKUP_LIMIT), s->blocks,
                          &list, &naddrs);
  if (r != GR_OK) return r;
  gr_keep_release(&lookup_box(L)->keep);
  Found found = {list, naddrs};
  lua_pushcfunction(L, push_found);
  lua_pushlightuserdata(L, &found);
  int status = lua_pcall(L, 1, 1, 0);
  gr_free(list);
  if (status != LUA_OK) return lua_error(L);
  s->n = 1;
  return GR_OK;
}

static int lookup_finish(lua_State *L, GrStep *s) {
  return gr_again(gr_resolve_awake(lookup_box(L)->resolve, s->st->g, &s->cause));
}

static const GrCall lookup_call = {
    .begin = lookup_begin, .finish = lookup_finish, .failed = lookup_failed};

/* lookup(host [, opts]) -> addresses */
static int net_lookup(lua_State *L) {
  size_t len;
  const char *host = luaL_checklstring(L, 1, &len);
  int64_t until = check_options(L, 2);
  gr_check_inbox(L, gr_state(L));
  gr_set_limit(L, LOOKUP_LIMIT, until);
  GrResolveBox *box = gr_push_resolve_box(L);
  box->resolve = gr_resolve_host_new(host, len);
  if (box->resolve == NULL) gr_raise_code(L, GR_NOMEM);
  return gr_call(L, gr_state(L), &lookup_call);
}

/* ---- the module ---- */

static const luaL_Reg functions[] = {{"dial", net_dial},
                                     {"listen", net_listen},
                                     {"lookup", net_lookup},
                                     {"udp", gr_lib_udp},
                                     {NULL, NULL}};

void gr_net_names(void) {
  gr_methods_names(methods);
  gr_conn_names();
  gr_udp_names();
}

int luaopen_goro_net(lua_State *L) { return gr_open_submodule(L, functions); }

/* SPDX-License-Identifier: MIT */
/* udp.c - UDP sockets in Lua. Such a socket sends to any address and receives from any. A UDP
 * socket that was dialled is a connection (conn.c).
 *
 * Each address is a text, as everywhere in goro.net. A numeric address costs its parsing; a name is
 * looked up at every send. */
#include <errno.h>
#include <string.h>

#include "io/net.h"
#include "lib/io/io.h"

typedef struct Udp {
  GrShare share;
  GrFd *fd;
  int family;
} Udp;

static void destroy_udp(GrShare *share) {
  Udp *u = gr_container_of(share, Udp, share);
  gr_fd_free(u->fd);
  gr_free(u);
}

static void open_udp(lua_State *L, const GrObjectType *type, uint32_t view);
static const GrObjectType udp_type = {{GR_TYPE_UDP, destroy_udp, false}, open_udp};

static Udp *udp_at(lua_State *L, int arg) {
  return gr_container_of(gr_object_check(L, arg, &udp_type)->share, Udp, share);
}
static Udp *check_udp(lua_State *L) { return udp_at(L, 1); }

static int udp_failed(lua_State *L, int r) {
  char text[GR_ADDR_TEXT];
  GrAddr a;
  size_t len = gr_socket_local(check_udp(L)->fd, &a) == GR_OK ? gr_addr_text(&a, text) : 0;
  return len > 0 ? gr_push_failure(L, r, NULL, text, len)
                 : gr_push_failure(L, r, NULL, "udp socket", strlen("udp socket"));
}

static int udp_awake(lua_State *L, GrState *st, GrWay way, GrCause *cause) {
  return gr_fd_awake(check_udp(L)->fd, way, st->g, cause);
}

/* ---- send: socket, data, address's text, limit, address, a name's box ---- */

enum { SEND_LIMIT = 4, SEND_TO, SEND_BOX };

/* NULL: the address is known already. */
static GrResolveBox *send_box(lua_State *L) {
  GrResolveBox *box = lua_touserdata(L, SEND_BOX);
  return box != NULL && box->resolve != NULL ? box : NULL;
}

static int resolve_to(lua_State *L, GrState *st, GrResolveBox *box, bool blocks) {
  GrAddr *list;
  uint32_t n;
  int r = gr_resolve_step(box->resolve, st->g, GR_FOREVER, blocks, &list, &n);
  if (r != GR_OK) return r;
  gr_addr_for_family(&list[0], check_udp(L)->family, lua_touserdata(L, SEND_TO));
  gr_free(list);
  gr_resolve_free(box->resolve);
  box->resolve = NULL;
  return GR_OK;
}

static int send_begin(lua_State *L, GrStep *s) {
  GrResolveBox *box = send_box(L);
  int r = box != NULL ? resolve_to(L, s->st, box, s->blocks) : GR_OK;
  if (r != GR_OK) return r;
  size_t len;
  const char *data = lua_tolstring(L, 2, &len);
  r = gr_udp_send(check_udp(L)->fd, s->st->g, data, len, lua_touserdata(L, SEND_TO),
                  gr_limit_at(L, SEND_LIMIT), s->blocks, s->fresh || box != NULL);
  if (r != GR_OK) return r;
  lua_settop(L, 1);
  s->n = 1;
  return GR_OK;
}
static int send_finish(lua_State *L, GrStep *s) {
  GrResolveBox *box = send_box(L);
  return gr_again(box != NULL ? gr_resolve_awake(box->resolve, s->st->g, &s->cause)
                              : udp_awake(L, s->st, GR_WRITE, &s->cause));
}
static void send_quit(lua_State *L, GrState *st, int at, GrCause cause) {
  (void)cause;
  gr_fd_quit(udp_at(L, at)->fd, GR_WRITE, st->g); /* does nothing while a name is looked up */
}

static int send_failed(lua_State *L, int r) {
  size_t len;
  const char *address = lua_tolstring(L, 3, &len);
  GrResolveBox *box = send_box(L);
  return gr_push_refusal(L, r, box != NULL ? box->resolve : NULL, address, len);
}

static const GrCall send_call = {.begin = send_begin,
                                 .finish = send_finish,
                                 .failed = send_failed,
                                 .quit = send_quit,
                                 .object = 1};

/* send(data, address) */
static int udp_send(lua_State *L) {
  Udp *u = check_udp(L);
  luaL_checkstring(L, 2);
  size_t len;
  const char *text = luaL_checklstring(L, 3, &len);
  gr_enter(L, gr_state(L));
  gr_set_limit(L, SEND_LIMIT, GR_FOREVER);
  GrAddr *to = lua_newuserdatauv(L, sizeof *to, 0), a;
  GrNetwork net = {"udp", u->family == AF_INET6 ? AF_UNSPEC : AF_INET, SOCK_DGRAM};
  if (gr_addr_numeric(text, len, net.family, &a)) {
    gr_addr_for_family(&a, u->family, to);
  } else {
    GrResolveBox *box = gr_push_resolve_box(L);
    box->resolve = gr_resolve_new(&net, text, len, GR_FOR_DIAL);
    if (box->resolve == NULL) gr_raise_code(L, GR_NOMEM);
  }
  return gr_call(L, gr_state(L), &send_call);
}

/* ---- recv: socket, limit ---- */

static int recv_begin(lua_State *L, GrStep *s) {
  char buf[GR_DATAGRAM_MAX], text[GR_ADDR_TEXT];
  size_t len = 0;
  GrAddr from;
  int r = gr_udp_recv(check_udp(L)->fd, s->st->g, buf, &len, &from, gr_limit_at(L, 2), s->blocks,
                      s->fresh);
  if (r != GR_OK) return r;
  lua_pushlstring(L, buf, len);
  lua_pushlstring(L, text, gr_addr_text(&from, text));
  s->n = 2;
  return GR_OK;
}
static int recv_finish(lua_State *L, GrStep *s) {
  return gr_again(udp_awake(L, s->st, GR_READ, &s->cause));
}
static void recv_quit(lua_State *L, GrState *st, int at, GrCause cause) {
  (void)cause;
  gr_fd_quit(udp_at(L, at)->fd, GR_READ, st->g);
}

static const GrCall recv_call = {.begin = recv_begin,
                                 .finish = recv_finish,
                                 .failed = udp_failed,
                                 .quit = recv_quit,
                                 .object = 1};

/* recv([timeout]) -> data, address */
static int udp_recv(lua_State *L) {
  check_udp(L);
  int64_t until = gr_check_timeout(L, 2);
  gr_enter(L, gr_state(L));
  gr_set_limit(L, 2, until);
  return gr_call(L, gr_state(L), &recv_call);
}

/* ---- the rest ---- */

static int udp_local_addr(lua_State *L) {
  char text[GR_ADDR_TEXT];
  GrAddr a;
  int r = gr_socket_local(check_udp(L)->fd, &a);
  if (r != GR_OK) return udp_failed(L, r);
  lua_pushlstring(L, text, gr_addr_text(&a, text));
  return 1;
}

static int udp_close(lua_State *L) {
  gr_fd_close(check_udp(L)->fd);
  lua_pushboolean(L, 1);
  return 1;
}

static int udp_leave(lua_State *L) {
  gr_fd_close(check_udp(L)->fd);
  return 0;
}

/* Where the system has IPv6, one socket serves both families. */
static int open_unbound(GrFd **f, int *family) {
  *family = AF_INET6;
  GrAddr any = {.len = sizeof any.u.in6, .u.in6 = {.sin6_family = AF_INET6}};
  int r = gr_udp_open(&any, 1, AF_INET6, f);
  if (r == GR_OK || !gr_is_sys(r)) return r;
  *family = AF_INET;
  return gr_udp_open(NULL, 0, AF_INET, f);
}

static int push_udp(lua_State *L, GrFd *f, int family) {
  Udp *u = gr_zalloc(sizeof *u);
  if (u == NULL) {
    gr_fd_free(f);
    gr_raise_code(L, GR_NOMEM);
  }
  gr_share_init(&u->share, &udp_type.share);
  u->fd = f;
  u->family = family;
  return gr_push_owned(L, &u->share);
}

/* ---- udp: address or nil, the box ---- */

enum { UDP_BOX = 2 };

static GrResolveBox *udp_box(lua_State *L) { return lua_touserdata(L, UDP_BOX); }

static int open_failed(lua_State *L, int r) {
  size_t len = strlen("udp socket");
  bool named = !lua_isnil(L, 1);
  const char *text = named ? lua_tolstring(L, 1, &len) : "udp socket";
  int n = gr_push_refusal(L, r, named ? udp_box(L)->resolve : NULL, text, len);
  if (named) gr_keep_release(&udp_box(L)->keep);
  return n;
}

static int open_begin(lua_State *L, GrStep *s) {
  GrAddr *list, self;
  uint32_t naddrs;
  GrFd *f;
  int r = gr_resolve_step(udp_box(L)->resolve, s->st->g, GR_FOREVER, s->blocks, &list, &naddrs);
  if (r != GR_OK) return r;
  r = gr_udp_open(list, naddrs, AF_UNSPEC, &f);
  gr_free(list);
  if (r != GR_OK) return r;
  gr_keep_release(&udp_box(L)->keep);
  s->n = push_udp(L, f, gr_socket_local(f, &self) == GR_OK ? self.u.any.sa_family : AF_INET);
  return GR_OK;
}

static int open_finish(lua_State *L, GrStep *s) {
  return gr_again(gr_resolve_awake(udp_box(L)->resolve, s->st->g, &s->cause));
}

static const GrCall open_call = {.begin = open_begin, .finish = open_finish, .failed = open_failed};

/* udp([address]) */
int gr_lib_udp(lua_State *L) {
  size_t len = 0;
  const char *text = luaL_optlstring(L, 1, NULL, &len);
  gr_check_inbox(L, gr_state(L));
  lua_settop(L, 1);
  if (text == NULL) {
    GrFd *f;
    int family, r = open_unbound(&f, &family);
    return r == GR_OK ? push_udp(L, f, family) : open_failed(L, r);
  }
  GrResolveBox *box = gr_push_resolve_box(L);
  box->resolve = gr_resolve_new(gr_network("udp"), text, len, GR_FOR_LISTEN);
  if (box->resolve == NULL) gr_raise_code(L, GR_NOMEM);
  return gr_call(L, gr_state(L), &open_call);
}

static const luaL_Reg methods[] = {{"send", udp_send},
                                   {"recv", udp_recv},
                                   {"local_addr", udp_local_addr},
                                   {"close", udp_close},
                                   {NULL, NULL}};

static void open_udp(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  static const luaL_Reg meta[] = {{"__close", udp_leave}, {NULL, NULL}};
  gr_setfuncs(L, gr_state_find(L), meta);
  gr_open_methods(L, methods);
}

void gr_udp_names(void) { gr_methods_names(methods); }

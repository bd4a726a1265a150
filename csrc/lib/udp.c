/* SPDX-License-Identifier: MIT */
/* udp.c - UDP sockets in Lua: one that sends to any address and receives from any. What is dialled
 * is a connection (conn.c).
 *
 * An address is text each time, as elsewhere; a numeric one costs its parsing, a name is looked up
 * at each send. */
#include <errno.h>
#include <string.h>

#include "io/net.h"
#include "lib/io.h"
#include "vm/names.h"

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

static Udp *check_udp(lua_State *L) {
  return gr_container_of(gr_object_check(L, 1, &udp_type)->share, Udp, share);
}

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

/* ---- send: socket, data, address's text, limit, address ---- */

static int send_step(lua_State *L, GrState *st, bool blocks, bool fresh, int *n) {
  size_t len;
  const char *data = lua_tolstring(L, 2, &len);
  int r = gr_udp_send(check_udp(L)->fd, st->g, data, len, lua_touserdata(L, 5), gr_limit_at(L, 4),
                      blocks, fresh);
  if (r != GR_OK) return r;
  lua_settop(L, 1);
  *n = 1;
  return GR_OK;
}
static int send_awake(lua_State *L, GrState *st, GrCause *cause) {
  return udp_awake(L, st, GR_WRITE, cause);
}
static void send_quit(lua_State *L, GrState *st) { gr_fd_quit(check_udp(L)->fd, GR_WRITE, st->g); }

static int send_failed(lua_State *L, int r) {
  size_t len;
  const char *address = lua_tolstring(L, 3, &len);
  return gr_push_failure(L, r, NULL, address, len);
}

static const GrIoCall send_call = {send_step, send_awake, send_quit, send_failed};

/* send(data, address) */
static int udp_send(lua_State *L) {
  Udp *u = check_udp(L);
  luaL_checkstring(L, 2);
  size_t len;
  const char *text = luaL_checklstring(L, 3, &len);
  GrState *st = gr_state(L);
  gr_enter(L, st);
  gr_set_limit(L, 4, GR_FOREVER);
  GrAddr *to = lua_newuserdatauv(L, sizeof *to, 0), *list;
  GrNetwork net = {"udp", u->family == AF_INET6 ? AF_UNSPEC : AF_INET, SOCK_DGRAM};
  uint32_t n;
  GrRefusal no;
  if (!gr_addr_resolve(&net, text, len, GR_FOR_DIAL, &(GrAsker){st->g, GR_FOREVER}, &list, &n, &no))
    return gr_push_failure(L, no.r, no.why, text, len);
  gr_addr_for_family(&list[0], u->family, to);
  gr_free(list);
  return gr_io_call(L, &send_call);
}

/* ---- recv: socket, limit ---- */

static int recv_step(lua_State *L, GrState *st, bool blocks, bool fresh, int *n) {
  char buf[GR_DATAGRAM_MAX], text[GR_ADDR_TEXT];
  size_t len = 0;
  GrAddr from;
  int r = gr_udp_recv(check_udp(L)->fd, st->g, buf, &len, &from, gr_limit_at(L, 2), blocks, fresh);
  if (r != GR_OK) return r;
  lua_pushlstring(L, buf, len);
  lua_pushlstring(L, text, gr_addr_text(&from, text));
  *n = 2;
  return GR_OK;
}
static int recv_awake(lua_State *L, GrState *st, GrCause *cause) {
  return udp_awake(L, st, GR_READ, cause);
}
static void recv_quit(lua_State *L, GrState *st) { gr_fd_quit(check_udp(L)->fd, GR_READ, st->g); }

static const GrIoCall recv_call = {recv_step, recv_awake, recv_quit, udp_failed};

/* recv([timeout]) -> data, address */
static int udp_recv(lua_State *L) {
  check_udp(L);
  int64_t until = gr_check_timeout(L, 2);
  gr_enter(L, gr_state(L));
  gr_set_limit(L, 2, until);
  return gr_io_call(L, &recv_call);
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

/* Both families through one socket where the system has IPv6. */
static int open_unbound(GrFd **f, int *family) {
  *family = AF_INET6;
  GrAddr any = {.len = sizeof any.u.in6, .u.in6 = {.sin6_family = AF_INET6}};
  int r = gr_udp_open(&any, 1, AF_INET6, f);
  if (r == GR_OK || !gr_is_sys(r)) return r;
  *family = AF_INET;
  return gr_udp_open(NULL, 0, AF_INET, f);
}

/* udp([address]) */
int gr_lib_udp(lua_State *L) {
  size_t len = 0;
  const char *text = luaL_optlstring(L, 1, NULL, &len);
  GrState *st = gr_state(L);
  gr_check_inbox(L, st);
  GrFd *f;
  int r, family;
  if (text == NULL) {
    r = open_unbound(&f, &family);
  } else {
    GrAddr *list;
    uint32_t n;
    GrRefusal no;
    if (!gr_addr_resolve(gr_network("udp"), text, len, GR_FOR_LISTEN, &(GrAsker){st->g, GR_FOREVER},
                         &list, &n, &no))
      return gr_push_failure(L, no.r, no.why, text, len);
    r = gr_udp_open(list, n, AF_UNSPEC, &f);
    gr_free(list);
    GrAddr self;
    if (r == GR_OK) family = gr_socket_local(f, &self) == GR_OK ? self.u.any.sa_family : AF_INET;
  }
  if (r != GR_OK)
    return gr_push_failure(L, r, NULL, text != NULL ? text : "udp socket",
                           text != NULL ? len : strlen("udp socket"));
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

static const luaL_Reg methods[] = {{"send", udp_send},
                                   {"recv", udp_recv},
                                   {"local_addr", udp_local_addr},
                                   {"close", udp_close},
                                   {NULL, NULL}};

static void open_udp(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  GrState *st = gr_state_find(L);
  static const luaL_Reg meta[] = {{"__close", udp_leave}, {NULL, NULL}};
  gr_setfuncs(L, st, meta);
  lua_createtable(L, 0, sizeof methods / sizeof *methods - 1);
  gr_setfuncs(L, st, methods);
  lua_setfield(L, -2, "__index");
}

void gr_udp_names(void) {
  for (const luaL_Reg *r = methods; r->name != NULL; r++) gr_names_native(r->func);
}

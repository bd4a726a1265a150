/* SPDX-License-Identifier: MIT */
/* addr.c - addresses from text and to text.
 *
 * gr_resolve_new takes a text apart at once, and keeps what is wrong with it. The first step
 * reports that. So there is one place where a caller learns why there is no address. Host names are
 * checked here for what a C string cannot hold: zeros, and too many bytes.
 *
 * resolver.c looks names up; numeric addresses never get there. */
#include "io/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "io/resolver.h"

const GrNetwork *gr_network(const char *name) {
  static const GrNetwork all[] = {
      {"tcp", AF_UNSPEC, SOCK_STREAM}, {"tcp4", AF_INET, SOCK_STREAM},
      {"tcp6", AF_INET6, SOCK_STREAM}, {"unix", AF_UNIX, SOCK_STREAM},
      {"udp", AF_UNSPEC, SOCK_DGRAM},  {"udp4", AF_INET, SOCK_DGRAM},
      {"udp6", AF_INET6, SOCK_DGRAM},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (strcmp(all[i].name, name) == 0) return &all[i];
  return NULL;
}

/* ---- to text ---- */

static size_t unix_text(const GrAddr *a, char *buf) {
  size_t n = a->len > offsetof(struct sockaddr_un, sun_path)
                 ? a->len - offsetof(struct sockaddr_un, sun_path)
                 : 0;
  const char *path = a->u.un.sun_path;
  if (n > 0 && path[0] != '\0') n = strnlen(path, n);
  memcpy(buf, path, n);
  if (n > 0 && path[0] == '\0') buf[0] = '@';
  buf[n] = '\0';
  return n;
}

size_t gr_addr_host_text(const GrAddr *a, char buf[GR_ADDR_TEXT]) {
  if (a->u.any.sa_family == AF_INET) {
    inet_ntop(AF_INET, &a->u.in.sin_addr, buf, GR_ADDR_TEXT);
    return strlen(buf);
  }
  char name[IF_NAMESIZE];
  if (IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr)) {
    inet_ntop(AF_INET, &a->u.in6.sin6_addr.s6_addr[12], buf, GR_ADDR_TEXT);
    return strlen(buf);
  }
  inet_ntop(AF_INET6, &a->u.in6.sin6_addr, buf, GR_ADDR_TEXT);
  size_t n = strlen(buf);
  if (a->u.in6.sin6_scope_id != 0 && if_indextoname(a->u.in6.sin6_scope_id, name) != NULL)
    n += (size_t)snprintf(buf + n, GR_ADDR_TEXT - n, "%%%s", name);
  return n;
}

size_t gr_addr_text(const GrAddr *a, char buf[GR_ADDR_TEXT]) {
  char host[GR_ADDR_TEXT];
  switch (a->u.any.sa_family) {
    case AF_INET:
      gr_addr_host_text(a, host);
      return (size_t)snprintf(buf, GR_ADDR_TEXT, "%.60s:%u", host, ntohs(a->u.in.sin_port));
    case AF_INET6:
      gr_addr_host_text(a, host);
      if (IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr))
        return (size_t)snprintf(buf, GR_ADDR_TEXT, "%.60s:%u", host, ntohs(a->u.in6.sin6_port));
      return (size_t)snprintf(buf, GR_ADDR_TEXT, "[%.100s]:%u", host, ntohs(a->u.in6.sin6_port));
    case AF_UNIX: return unix_text(a, buf);
    default: buf[0] = '\0'; return 0;
  }
}

/* ---- from text ---- */

struct GrResolve {
  int refused;     /* why there is no address, or GR_OK */
  const char *why; /* the same as a text, or NULL */
  bool named;      /* the host must be looked up; `lookup` is not NULL once that has begun */
  GrLookup *lookup;
  GrAddr *list;
  uint32_t n;
  int port;
  GrFor purpose;
  int family;
  char host[GR_HOST_MAX];
};

static bool refuse(GrResolve *r, int uv_code, const char *why) {
  r->refused = GR_SYS(uv_code);
  r->why = why;
  return false;
}

static bool out_of_memory(GrResolve *r) {
  r->refused = GR_NOMEM;
  return false;
}

static GrAddr *one_address(GrResolve *r) {
  r->list = gr_zalloc(sizeof *r->list);
  r->n = r->list != NULL ? 1 : 0;
  return r->list;
}

/* A path, or an abstract name: "@name", or with a zero in front, as the system spells it. */
static bool unix_address(GrResolve *r, const char *text, size_t len) {
  bool abstract = len > 0 && (text[0] == '@' || text[0] == '\0');
  if (len == 0) return refuse(r, UV_EINVAL, "empty path");
  if (!abstract && memchr(text, '\0', len) != NULL)
    return refuse(r, UV_EINVAL, "path with a zero in it");
  if (len + (abstract ? 0 : 1) > sizeof((struct sockaddr_un *)0)->sun_path)
    return refuse(r, UV_ENAMETOOLONG, "path too long for a Unix socket");
  GrAddr *a = one_address(r);
  if (a == NULL) return out_of_memory(r);
  a->u.un.sun_family = AF_UNIX;
  memcpy(a->u.un.sun_path, text, len);
  if (abstract) a->u.un.sun_path[0] = '\0';
  a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (abstract ? 0 : 1));
  return true;
}

typedef struct Split {
  char host[GR_HOST_MAX], port[32];
} Split;

static bool copy_part(char *to, size_t size, const char *from, size_t len) {
  if (len >= size) return false;
  memcpy(to, from, len);
  to[len] = '\0';
  return true;
}

static bool split(const char *text, size_t len, Split *s, GrResolve *r) {
  const char *host = text, *colon = memrchr(text, ':', len), *end = text + len;
  if (memchr(text, '\0', len) != NULL) return refuse(r, UV_EINVAL, "address with a zero in it");
  if (colon == NULL) return refuse(r, UV_EINVAL, "missing port in address");
  size_t host_len = (size_t)(colon - text);
  if (len > 0 && text[0] == '[') {
    const char *bracket = memchr(text, ']', len);
    if (bracket == NULL) return refuse(r, UV_EINVAL, "missing ']' in address");
    if (bracket + 1 == end) return refuse(r, UV_EINVAL, "missing port in address");
    if (bracket + 1 != colon)
      return refuse(r, UV_EINVAL, "garbage between ']' and the port in address");
    host = text + 1;
    host_len = (size_t)(bracket - host);
  } else if (memchr(text, ':', host_len) != NULL) {
    return refuse(r, UV_EINVAL, "too many colons in address (write [::1]:80)");
  }
  if (!copy_part(s->host, sizeof s->host, host, host_len))
    return refuse(r, UV_EINVAL, "host name too long");
  if (colon + 1 == end) return refuse(r, UV_EINVAL, "missing port in address");
  if (!copy_part(s->port, sizeof s->port, colon + 1, (size_t)(end - colon) - 1))
    return refuse(r, UV_EINVAL, "invalid port in address");
  return true;
}

/* The port of this number, or of this service ("http"). -1: the text is neither. */
static int port_number(const char *port, int type) {
  if (strspn(port, "0123456789") == strlen(port)) {
    unsigned n = 0;
    if (strlen(port) > 5 || sscanf(port, "%u", &n) != 1 || n > 65535) return -1;
    return (int)n;
  }
  struct servent entry, *found = NULL;
  char buf[1024];
  if (getservbyname_r(port, type == SOCK_STREAM ? "tcp" : "udp", &entry, buf, sizeof buf, &found) !=
          0 ||
      found == NULL)
    return -1;
  return ntohs((uint16_t)found->s_port);
}

static void set_port(GrAddr *a, uint16_t port) {
  if (a->u.any.sa_family == AF_INET) a->u.in.sin_port = htons(port);
  else if (a->u.any.sa_family == AF_INET6) a->u.in6.sin6_port = htons(port);
}

/* 1: a numeric address of this family; 0: not numeric; -1: numeric, of the other family. An address
 * with a scope ("fe80::1%eth0") is not numeric here: getaddrinfo deals with it. */
static int numeric(const char *host, int family, GrAddr *a) {
  memset(a, 0, sizeof *a);
  if (inet_pton(AF_INET, host, &a->u.in.sin_addr) == 1) {
    a->u.in.sin_family = AF_INET;
    a->len = sizeof a->u.in;
  } else if (inet_pton(AF_INET6, host, &a->u.in6.sin6_addr) == 1) {
    a->u.in6.sin6_family = AF_INET6;
    a->len = sizeof a->u.in6;
  } else {
    return 0;
  }
  return family == AF_UNSPEC || family == a->u.any.sa_family ? 1 : -1;
}

static bool take_results(GrResolve *r, const struct addrinfo *found) {
  uint32_t count = 0;
  for (const struct addrinfo *i = found; i != NULL; i = i->ai_next) count++;
  if ((r->list = gr_zalloc(count * sizeof *r->list)) == NULL) return out_of_memory(r);
  for (const struct addrinfo *i = found; i != NULL; i = i->ai_next) {
    if ((i->ai_family != AF_INET && i->ai_family != AF_INET6) || i->ai_addrlen > sizeof r->list->u)
      continue;
    GrAddr *a = &r->list[r->n++];
    a->len = i->ai_addrlen;
    memcpy(&a->u, i->ai_addr, i->ai_addrlen);
  }
  return r->n > 0 || refuse(r, UV_EAI_NONAME, "no such host");
}

static bool host_addresses(GrResolve *r, const char *host, int family) {
  GrAddr a;
  int is = numeric(host, family, &a);
  if (is < 0) return refuse(r, UV_EAI_ADDRFAMILY, "address of another family");
  if (is == 0) {
    r->named = true;
    r->family = family;
    return copy_part(r->host, sizeof r->host, host, strlen(host));
  }
  GrAddr *only = one_address(r);
  if (only == NULL) return out_of_memory(r);
  *only = a;
  return true;
}

/* All interfaces. Where the system has IPv6, one socket serves both families; otherwise IPv4. */
static bool any_addresses(GrResolve *r, int family) {
  if ((r->list = gr_zalloc(2 * sizeof *r->list)) == NULL) return out_of_memory(r);
  if (family != AF_INET)
    r->list[r->n++] =
        (GrAddr){.len = sizeof(struct sockaddr_in6), .u.in6 = {.sin6_family = AF_INET6}};
  if (family != AF_INET6)
    r->list[r->n++] = (GrAddr){.len = sizeof(struct sockaddr_in), .u.in = {.sin_family = AF_INET}};
  return true;
}

/* A listener on a name takes the first IPv4 address of the name, as in Go. */
static void prefer_ipv4(GrAddr *list, uint32_t n) {
  for (uint32_t i = 1; i < n && list[0].u.any.sa_family != AF_INET; i++) {
    if (list[i].u.any.sa_family != AF_INET) continue;
    GrAddr first = list[0];
    list[0] = list[i];
    list[i] = first;
  }
}

/* Orders the addresses so that their families take turns, and the family that the resolver prefers
 * comes first (RFC 8305, 4). */
static void interleave(GrAddr *list, uint32_t n) {
  for (uint32_t i = 1; i < n; i++) {
    int before = list[i - 1].u.any.sa_family;
    for (uint32_t j = i; j < n; j++) {
      if (list[j].u.any.sa_family == before) continue;
      GrAddr a = list[j];
      memmove(&list[i + 1], &list[i], (j - i) * sizeof *list);
      list[i] = a;
      break;
    }
  }
}

static bool take_apart(GrResolve *r, const GrNetwork *net, const char *text, size_t len) {
  if (net->family == AF_UNIX) return unix_address(r, text, len);
  Split s;
  if (!split(text, len, &s, r)) return false;
  r->port = port_number(s.port, net->type);
  if (r->port < 0) return refuse(r, UV_EINVAL, "invalid port in address");
  if (s.host[0] == '\0' && r->purpose == GR_FOR_LISTEN) return any_addresses(r, net->family);
  const char *host = s.host[0] != '\0' ? s.host : net->family == AF_INET6 ? "::1" : "127.0.0.1";
  return host_addresses(r, host, net->family);
}

GrResolve *gr_resolve_new(const GrNetwork *net, const char *text, size_t len, GrFor purpose) {
  GrResolve *r = gr_zalloc(sizeof *r);
  if (r == NULL) return NULL;
  r->purpose = purpose;
  take_apart(r, net, text, len);
  return r;
}

static bool take_host(GrResolve *r, const char *host, size_t len) {
  char name[GR_HOST_MAX];
  if (len == 0) return refuse(r, UV_EINVAL, "empty host name");
  if (memchr(host, '\0', len) != NULL) return refuse(r, UV_EINVAL, "host name with a zero in it");
  if (!copy_part(name, sizeof name, host, len)) return refuse(r, UV_EINVAL, "host name too long");
  return host_addresses(r, name, AF_UNSPEC);
}

GrResolve *gr_resolve_host_new(const char *host, size_t len) {
  GrResolve *r = gr_zalloc(sizeof *r);
  if (r == NULL) return NULL;
  take_host(r, host, len);
  return r;
}

void gr_resolve_free(GrResolve *r) {
  if (r == NULL) return;
  gr_lookup_free(r->lookup);
  gr_free(r->list);
  gr_free(r);
}

/* When the time is over before the look-up has begun, the resolver is not asked. */
static int look_up(GrResolve *r, G *g, int64_t until, bool blocks) {
  const struct addrinfo *found;
  if (r->lookup == NULL) {
    if (until != GR_FOREVER && gr_now_ns() >= until) return GR_TIMEOUT;
    r->lookup = gr_lookup_new(r->host, r->family);
    if (r->lookup == NULL) return GR_NOMEM;
  }
  int code = gr_lookup_step(r->lookup, g, until, blocks, &found);
  if (code == GR_SYS(UV_EAI_NONAME)) r->why = "no such host";
  if (code != GR_OK) return code;
  if (!take_results(r, found)) return r->refused;
  if (r->purpose == GR_FOR_LISTEN) prefer_ipv4(r->list, r->n);
  if (r->purpose == GR_FOR_DIAL) interleave(r->list, r->n);
  r->named = false;
  return GR_OK;
}

int gr_resolve_step(GrResolve *r, G *g, int64_t until, bool blocks, GrAddr **list, uint32_t *n) {
  int code = r->refused;
  if (code == GR_OK && r->named) code = look_up(r, g, until, blocks);
  if (code != GR_OK) return code;
  for (uint32_t i = 0; i < r->n; i++) set_port(&r->list[i], (uint16_t)r->port);
  *list = r->list;
  *n = r->n;
  r->list = NULL;
  return GR_OK;
}

int gr_resolve_awake(GrResolve *r, G *g, GrCause *cause) {
  return gr_lookup_awake(r->lookup, g, cause);
}

const char *gr_resolve_why(const GrResolve *r) { return r->why; }

bool gr_addr_numeric(const char *text, size_t len, int family, GrAddr *a) {
  Split s;
  GrResolve r = {.why = NULL};
  if (!split(text, len, &s, &r) || numeric(s.host, family, a) != 1) return false;
  int port = port_number(s.port, SOCK_DGRAM);
  if (port >= 0) set_port(a, (uint16_t)port);
  return port >= 0;
}

void gr_addr_for_family(const GrAddr *a, int family, GrAddr *out) {
  *out = *a;
  if (family != AF_INET6 || a->u.any.sa_family != AF_INET) return;
  memset(out, 0, sizeof *out);
  out->len = sizeof out->u.in6;
  out->u.in6.sin6_family = AF_INET6;
  out->u.in6.sin6_port = a->u.in.sin_port;
  out->u.in6.sin6_addr.s6_addr[10] = out->u.in6.sin6_addr.s6_addr[11] = 0xff;
  memcpy(&out->u.in6.sin6_addr.s6_addr[12], &a->u.in.sin_addr, 4);
}

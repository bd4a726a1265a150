/* SPDX-License-Identifier: MIT */
/* addr.c - addresses from text and to text.
 *
 * Names are looked up by resolver.c; numeric addresses never get there.
 *
 * A host name is checked here for what C strings cannot tell: zeros inside, too long. */
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

static bool refuse(GrRefusal *no, int uv_code, const char *why) {
  *no = (GrRefusal){GR_SYS(uv_code), why};
  return false;
}

static bool out_of_memory(GrRefusal *no) {
  *no = (GrRefusal){GR_NOMEM, NULL};
  return false;
}

static GrAddr *one_address(GrAddr **list, uint32_t *n) {
  *list = gr_zalloc(sizeof **list);
  *n = *list != NULL ? 1 : 0;
  return *list;
}

/* A path, or an abstract name: "@name", or as the system spells it, with a zero in front. */
static bool unix_address(const char *text, size_t len, GrAddr **list, uint32_t *n, GrRefusal *no) {
  bool abstract = len > 0 && (text[0] == '@' || text[0] == '\0');
  if (len == 0) return refuse(no, UV_EINVAL, "empty path");
  if (!abstract && memchr(text, '\0', len) != NULL)
    return refuse(no, UV_EINVAL, "path with a zero in it");
  if (len + (abstract ? 0 : 1) > sizeof((struct sockaddr_un *)0)->sun_path)
    return refuse(no, UV_ENAMETOOLONG, "path too long for a Unix socket");
  GrAddr *a = one_address(list, n);
  if (a == NULL) return out_of_memory(no);
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

static bool split(const char *text, size_t len, Split *s, GrRefusal *no) {
  const char *host = text, *colon = memrchr(text, ':', len), *end = text + len;
  if (memchr(text, '\0', len) != NULL) return refuse(no, UV_EINVAL, "address with a zero in it");
  if (colon == NULL) return refuse(no, UV_EINVAL, "missing port in address");
  size_t host_len = (size_t)(colon - text);
  if (len > 0 && text[0] == '[') {
    const char *bracket = memchr(text, ']', len);
    if (bracket == NULL) return refuse(no, UV_EINVAL, "missing ']' in address");
    if (bracket + 1 == end) return refuse(no, UV_EINVAL, "missing port in address");
    if (bracket + 1 != colon)
      return refuse(no, UV_EINVAL, "garbage between ']' and the port in address");
    host = text + 1;
    host_len = (size_t)(bracket - host);
  } else if (memchr(text, ':', host_len) != NULL) {
    return refuse(no, UV_EINVAL, "too many colons in address (write [::1]:80)");
  }
  if (!copy_part(s->host, sizeof s->host, host, host_len))
    return refuse(no, UV_EINVAL, "host name too long");
  if (colon + 1 == end) return refuse(no, UV_EINVAL, "missing port in address");
  if (!copy_part(s->port, sizeof s->port, colon + 1, (size_t)(end - colon) - 1))
    return refuse(no, UV_EINVAL, "invalid port in address");
  return true;
}

/* A number, or a service's name ("http"). -1: neither. */
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
  else a->u.in6.sin6_port = htons(port);
}

/* 1: it is a number of this family; 0: it is none; -1: one of the other family. A scope
 * ("fe80::1%eth0") is left to getaddrinfo. */
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

static bool take_results(const struct addrinfo *found, GrAddr **list, uint32_t *n, GrRefusal *no) {
  uint32_t count = 0;
  for (const struct addrinfo *i = found; i != NULL; i = i->ai_next) count++;
  if ((*list = gr_zalloc(count * sizeof **list)) == NULL) return out_of_memory(no);
  *n = 0;
  for (const struct addrinfo *i = found; i != NULL; i = i->ai_next) {
    if ((i->ai_family != AF_INET && i->ai_family != AF_INET6) || i->ai_addrlen > sizeof(*list)->u)
      continue;
    GrAddr *a = &(*list)[(*n)++];
    a->len = i->ai_addrlen;
    memcpy(&a->u, i->ai_addr, i->ai_addrlen);
  }
  return true;
}

static bool ask_resolver(const char *host, int family, const GrAsker *who, GrAddr **list,
                         uint32_t *n, GrRefusal *no) {
  struct addrinfo *found;
  int code = gr_resolve(host, family, who->g, who->until, &found);
  if (code == UV_ENOMEM || code == UV_EAI_MEMORY) return out_of_memory(no);
  if (code != 0) return refuse(no, code, code == UV_EAI_NONAME ? "no such host" : NULL);
  bool taken = take_results(found, list, n, no);
  freeaddrinfo(found);
  if (taken && *n == 0) {
    gr_free(*list);
    return refuse(no, UV_EAI_NONAME, "no such host");
  }
  return taken;
}

static bool host_addresses(const char *host, int family, const GrAsker *who, GrAddr **list,
                           uint32_t *n, GrRefusal *no) {
  GrAddr a;
  int is = numeric(host, family, &a);
  if (is < 0) return refuse(no, UV_EAI_ADDRFAMILY, "address of another family");
  if (is == 0) {
    return ask_resolver(host, family, who, list, n, no);
  }
  GrAddr *only = one_address(list, n);
  if (only == NULL) return out_of_memory(no);
  *only = a;
  return true;
}

/* All interfaces: both families through one socket where the system has IPv6, else IPv4. */
static bool any_addresses(int family, GrAddr **list, uint32_t *n, GrRefusal *no) {
  *n = 0;
  if ((*list = gr_zalloc(2 * sizeof **list)) == NULL) return out_of_memory(no);
  if (family != AF_INET)
    (*list)[(*n)++] =
        (GrAddr){.len = sizeof(struct sockaddr_in6), .u.in6 = {.sin6_family = AF_INET6}};
  if (family != AF_INET6)
    (*list)[(*n)++] = (GrAddr){.len = sizeof(struct sockaddr_in), .u.in = {.sin_family = AF_INET}};
  return true;
}

/* A listener of a name takes the name's first IPv4 address, as in Go. */
static void prefer_ipv4(GrAddr *list, uint32_t n) {
  for (uint32_t i = 1; i < n && list[0].u.any.sa_family != AF_INET; i++) {
    if (list[i].u.any.sa_family != AF_INET) continue;
    GrAddr first = list[0];
    list[0] = list[i];
    list[i] = first;
  }
}

/* The families by turns, beginning with the one that the resolver prefers (RFC 8305, 4). */
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

bool gr_addr_resolve(const GrNetwork *net, const char *text, size_t len, GrFor purpose,
                     const GrAsker *who, GrAddr **list, uint32_t *n, GrRefusal *no) {
  if (net->family == AF_UNIX) return unix_address(text, len, list, n, no);
  Split s;
  if (!split(text, len, &s, no)) return false;
  int port = port_number(s.port, net->type);
  if (port < 0) return refuse(no, UV_EINVAL, "invalid port in address");
  if (s.host[0] == '\0' && purpose == GR_FOR_LISTEN) {
    if (!any_addresses(net->family, list, n, no)) return false;
  } else {
    const char *host = s.host[0] != '\0' ? s.host : net->family == AF_INET6 ? "::1" : "127.0.0.1";
    if (!host_addresses(host, net->family, who, list, n, no)) return false;
    if (purpose == GR_FOR_LISTEN) prefer_ipv4(*list, *n);
    else interleave(*list, *n);
  }
  for (uint32_t i = 0; i < *n; i++) set_port(&(*list)[i], (uint16_t)port);
  return true;
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

bool gr_addr_lookup(const char *host, size_t len, const GrAsker *who, GrAddr **list, uint32_t *n,
                    GrRefusal *no) {
  char name[GR_HOST_MAX];
  if (len == 0) return refuse(no, UV_EINVAL, "empty host name");
  if (memchr(host, '\0', len) != NULL) return refuse(no, UV_EINVAL, "host name with a zero in it");
  if (!copy_part(name, sizeof name, host, len)) return refuse(no, UV_EINVAL, "host name too long");
  return host_addresses(name, AF_UNSPEC, who, list, n, no);
}

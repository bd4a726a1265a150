/* SPDX-License-Identifier: MIT */
/* addr.h - network addresses: from text, by way of DNS, and back to text. */
#ifndef GR_IO_ADDR_H
#define GR_IO_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "io/error.h"
#include "sched/sched.h"

typedef struct GrAddr {
  socklen_t len;
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
  } u;
} GrAddr;

/* "tcp", "tcp4", "tcp6", "unix", "udp", "udp4", "udp6". */
typedef struct GrNetwork {
  const char *name;
  int family; /* AF_UNSPEC: both */
  int type;   /* SOCK_STREAM, SOCK_DGRAM */
} GrNetwork;
/* NULL: no network has this name. */
const GrNetwork *gr_network(const char *name);

enum { GR_ADDR_TEXT = 160, GR_HOST_MAX = 256 };
/* "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80", "/run/x.sock", "@abstract"; "" for a Unix socket
 * without a name. Returns the length; NUL-terminated. */
size_t gr_addr_text(const GrAddr *a, char buf[GR_ADDR_TEXT]);
/* The host of the address, without the port. */
size_t gr_addr_host_text(const GrAddr *a, char buf[GR_ADDR_TEXT]);

typedef enum GrFor { GR_FOR_LOOKUP, GR_FOR_DIAL, GR_FOR_LISTEN } GrFor;

/* The way from a text to addresses. It belongs to one goroutine. A numeric address is there at
 * once. A name is looked up, which waits, in the two halves of poll.h. */
typedef struct GrResolve GrResolve;

/* `text` is "host:port", a path, or "@name". An empty host is this machine: the loopback to dial,
 * all interfaces to listen (IPv6 first). NULL without memory. Whether the text is an address at
 * all, the first step tells. */
GrResolve *gr_resolve_new(const GrNetwork *net, const char *text, size_t len, GrFor purpose);
/* For a host without a port: the addresses have port 0. */
GrResolve *gr_resolve_host_new(const char *host, size_t len);
/* NULL does nothing. */
void gr_resolve_free(GrResolve *r);
/* GR_OK: *list holds *n addresses, in the order in which they should be tried; the caller must
 * gr_free it. GR_PARK: park, then awake, then step again. Any other result says why there is no
 * address. */
int gr_resolve_step(GrResolve *r, G *g, int64_t until, bool blocks, GrAddr **list, uint32_t *n);
int gr_resolve_awake(GrResolve *r, G *g, GrCause *cause);
/* After a refusal: a literal that says more than the text of the code does; or NULL. */
const char *gr_resolve_why(const GrResolve *r);
/* Is the text a numeric address with a port, of this family (AF_UNSPEC: of either)? If so, *a is
 * that address, and nothing has to be looked up. */
bool gr_addr_numeric(const char *text, size_t len, int family, GrAddr *a);
/* *out becomes `a` in the form that a socket of this family can send to: for an IPv6 socket, an
 * IPv4 address becomes ::ffff:a.b.c.d. */
void gr_addr_for_family(const GrAddr *a, int family, GrAddr *out);

#endif

/* SPDX-License-Identifier: MIT */
/* addr.h - addresses of the network: from text, through DNS, to text. */
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
/* NULL: there is none of this name. */
const GrNetwork *gr_network(const char *name);

enum { GR_ADDR_TEXT = 160, GR_HOST_MAX = 256 };
/* "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80", "/run/x.sock", "@abstract"; "" for a Unix socket
 * without a name. Returns the length; NUL-terminated. */
size_t gr_addr_text(const GrAddr *a, char buf[GR_ADDR_TEXT]);
/* The host's part alone. */
size_t gr_addr_host_text(const GrAddr *a, char buf[GR_ADDR_TEXT]);

/* Why there is no address: a result code, and a text when libuv's for that code would tell too
 * little. */
typedef struct GrRefusal {
  int r;
  const char *why; /* or NULL. A literal */
} GrRefusal;

/* Who asks for names, and how long. */
typedef struct GrAsker {
  G *g;
  int64_t until;
} GrAsker;

typedef enum GrFor { GR_FOR_DIAL, GR_FOR_LISTEN } GrFor;

/* The addresses that `text` ("host:port", a path, "@name") stands for, in the order in which they
 * should be tried; *list is gr_malloc'd, the caller's. An empty host is this one: the loopback to
 * dial, all interfaces to listen (IPv6 first). A name is looked up in a blocking region; numbers
 * are not. False: *no says why. */
bool gr_addr_resolve(const GrNetwork *net, const char *text, size_t len, GrFor purpose,
                     const GrAsker *who, GrAddr **list, uint32_t *n, GrRefusal *no);
/* `a` as a socket of this family sends to it: IPv4 becomes ::ffff:a.b.c.d for an IPv6 socket. */
void gr_addr_for_family(const GrAddr *a, int family, GrAddr *out);
/* The same for a host alone: ports are 0. */
bool gr_addr_lookup(const char *host, size_t len, const GrAsker *who, GrAddr **list, uint32_t *n,
                    GrRefusal *no);

#endif

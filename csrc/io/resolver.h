/* SPDX-License-Identifier: MIT */
/* resolver.h - names of hosts to addresses, by the system's resolver, with a limit of time. */
#ifndef GR_IO_RESOLVER_H
#define GR_IO_RESOLVER_H

#include <netdb.h>

#include "io/error.h"
#include "sched/sched.h"

/* The addresses of a host, of one family or (AF_UNSPEC) of both; *found is the caller's to
 * freeaddrinfo. 0, or a libuv code; UV_ETIMEDOUT: it has not answered until then. Blocks the
 * thread; g's place goes on to others. */
int gr_resolve(const char *host, int family, G *g, int64_t until, struct addrinfo **found);

#endif

/* SPDX-License-Identifier: MIT */
/* resolver.h - from names of hosts to addresses, by the system's resolver.
 *
 * A look-up has the two halves of poll.h. The goroutine parks, and a helper thread
 * (sched/helpers.h) asks the resolver. */
#ifndef GR_IO_RESOLVER_H
#define GR_IO_RESOLVER_H

#include <netdb.h>

#include "io/error.h"
#include "sched/sched.h"

/* A look-up under way. It belongs to one goroutine. */
typedef struct GrLookup GrLookup;

/* Begins to look up the addresses of a host, of one family or (AF_UNSPEC) of both. NULL without
 * memory. */
GrLookup *gr_lookup_new(const char *host, int family);
/* Nobody waits for l any more. NULL does nothing. */
void gr_lookup_free(GrLookup *l);
/* GR_OK: *found, which belongs to l, holds at least one address; GR_PARK: park, then awake, then
 * step again; GR_TIMEOUT; GR_SYS: the resolver refuses, in libuv's codes. */
int gr_lookup_step(GrLookup *l, G *g, int64_t until, bool blocks, const struct addrinfo **found);
/* GR_OK, GR_TIMEOUT, GR_ABORTED. */
int gr_lookup_awake(GrLookup *l, G *g, GrCause *cause);

/* For poll.c: the pool ends. From now on no goroutine that waits already is woken. */
void gr_lookup_end(void);

#endif

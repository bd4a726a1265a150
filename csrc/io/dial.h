/* SPDX-License-Identifier: MIT */
/* dial.h - connecting to the first of several addresses that answers. */
#ifndef GR_IO_DIAL_H
#define GR_IO_DIAL_H

#include "io/addr.h"
#include "io/poll.h"

/* A dial under way. One goroutine's. */
typedef struct GrDial GrDial;

/* A dial to these addresses, in this order. Takes `list` (gr_malloc'd), also when it fails. NULL
 * without memory. */
GrDial *gr_dial_new(const GrNetwork *net, GrAddr *list, uint32_t n);
/* Closes the attempts that are still open. NULL does nothing. */
void gr_dial_free(GrDial *d);
/* GR_OK: *out is connected and the caller's; *peer is its address. GR_PARK: park, then awake, then
 * step again. GR_TIMEOUT. Any other result: every address has refused, the first one for this
 * reason. */
int gr_dial_step(GrDial *d, G *g, int64_t until, bool blocks, GrFd **out, GrAddr *peer);
/* As gr_fds_awake. GR_OK also when it is time to start the next attempt. */
int gr_dial_awake(GrDial *d, G *g, int64_t until, GrCause *cause);

#endif

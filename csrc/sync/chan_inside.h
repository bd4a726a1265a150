/* SPDX-License-Identifier: MIT */
/* chan_inside.h - the inside of channels, for three files: chan.c; select.c, which holds the
 * locks of several channels at once; alarm.c, whose alarms send to a channel and never wait. The
 * invariants are in chan.c. */
#ifndef GR_CHAN_INSIDE_H
#define GR_CHAN_INSIDE_H

#include "base/list.h"
#include "base/lock.h"
#include "sync/chan.h"
#include "sync/queue.h"

/* `share` has an atomic reference count. `cap` and `feed` are set before the channel is shared,
 * and read without a lock after that. All other fields belong to `lock`. */
struct GrChan {
  GrShare share;
  uint64_t cap;
  GrFeed *feed; /* or NULL */
  GrLock lock;  /* rank CHAN; a select takes several of them, in the order of addresses */
  bool closed;
  uint64_t size, head, len; /* of the ring: number of slots, oldest slot, used slots */
  GrMsg *ring;              /* the buffer: `size` slots, or NULL before the first message */
  GrList recvq, sendq;      /* the sudogs of the waiters, the longest waiting first */
};

/* The caller of the functions below holds c->lock. */

/* Puts *m behind the newest message. The caller has checked that len < cap. False: no memory for
 * a larger ring. */
bool gr_ring_put(GrChan *c, const GrMsg *m);
GrMsg gr_ring_get(GrChan *c);

/* Send and receive without waiting. GR_OK: *m is taken, or *m is the message; when *wake is set,
 * the caller readies that G after it has unlocked. GR_CLOSED, GR_NOMEM. GR_AGAIN: the goroutine
 * would have to wait. */
int gr_chan_send_locked(GrChan *c, GrMsg *m, G **wake);
int gr_chan_recv_locked(GrChan *c, GrMsg *m, G **wake);

#endif

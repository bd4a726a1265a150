/* SPDX-License-Identifier: MIT */
/* chan_inside.h - the inside of channels, for chan.c, for select.c, which holds the locks of
 * several at once, and for alarm.c, whose channels never make their sender wait. The invariants are
 * in chan.c. */
#ifndef GR_CHAN_INSIDE_H
#define GR_CHAN_INSIDE_H

#include "base/list.h"
#include "base/lock.h"
#include "sync/chan.h"
#include "sync/queue.h"

/* share has a reference count of its own. cap and feed are set before the channel is shared, and
 * read without a lock from then on. All other fields belong to `lock`. */
struct GrChan {
  GrShare share;
  uint64_t cap;
  GrFeed *feed; /* or NULL */
  GrLock lock;  /* rank CHAN; select takes those of several channels, in the order of addresses */
  bool closed;
  uint64_t size, head, len; /* of the ring: slots there are, the oldest, how many are used */
  GrMsg *ring;              /* the buffer: `size` slots, or NULL before the first message */
  GrList recvq, sendq;      /* the sudogs of those who wait, the longest waiting first */
};

/* All of these want c->lock. */

/* There is room by cap. False: not by memory. */
bool gr_ring_put(GrChan *c, const GrMsg *m);
GrMsg gr_ring_get(GrChan *c);

/* Without waiting: GR_OK (*m taken or given; *wake, when set, must be readied after unlocking),
 * GR_CLOSED, GR_NOMEM, or GR_AGAIN: it would have to wait. */
int gr_chan_send_locked(GrChan *c, GrMsg *m, G **wake);
int gr_chan_recv_locked(GrChan *c, GrMsg *m, G **wake);

#endif

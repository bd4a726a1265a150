/* SPDX-License-Identifier: MIT */
/* wait.h - the inside of channels, for the files of csrc/sync alone. All *_locked want c->lock. */
#ifndef GR_WAIT_H
#define GR_WAIT_H

#include "base/list.h"
#include "base/lock.h"
#include "sync/chan.h"

struct GrChan {
  GrShare share;
  GrLock lock;
  bool closed;
  uint64_t cap;
  uint64_t size, head, len; /* of the ring: slots there are, the oldest, how many are used */
  GrMsg *ring;
  GrList recvq, sendq; /* of GSudogs */
  GrFeed *feed;        /* or NULL. Set before c is shared */
};

bool gr_ring_put(GrChan *c, const GrMsg *m);
GrMsg gr_ring_get(GrChan *c);

/* Takes the longest waiting whose wait can still be won; the caller readies its G after unlocking.
 * NULL: nobody. */
GSudog *gr_waitq_win(GrList *queue);
/* Prepares a wait: GR_OK, GR_TIMEOUT when the limit is past or a poll, GR_NOMEM, GR_NOTHREAD,
 * GR_ABORTED. */
int gr_wait_start(G *g, const GrWaitType *type, int64_t until, bool blocks);
void gr_sudog_link(GSudog *sg, G *g, void *object, GrList *queue, uint32_t index);

/* Without waiting: GR_OK (*m taken or given; *wake, when set, must be readied after unlocking),
 * GR_CLOSED, GR_NOMEM, or GR_TIMEOUT: it would have to wait. */
int gr_chan_send_locked(GrChan *c, GrMsg *m, G **wake);
int gr_chan_recv_locked(GrChan *c, GrMsg *m, G **wake);

#endif

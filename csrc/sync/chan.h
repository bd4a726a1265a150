/* SPDX-License-Identifier: MIT */
/* chan.h - channels and select, after Go's chan.go and select.go.
 *
 * A call that may wait comes in two halves.
 *   1. The first half (gr_chan_send, gr_chan_recv, gr_select) either does its work at once, or puts
 *      the goroutine into the channel's queue and returns GR_PARK.
 *   2. After GR_PARK the caller parks: it yields out of Lua, or calls gr_wait_block. `blocks` tells
 *      the first half which of the two the caller will do: true means gr_wait_block.
 *   3. When the caller is awake again, it calls the second half, whose name ends in _finish.
 *
 * `g` is always the caller's own.
 *
 * A first half with a time limit needs a timer. So besides the results that are named below it
 * may return GR_NOTHREAD, or GR_ABORTED when the pool ends. Then nothing has changed. */
#ifndef GR_CHAN_H
#define GR_CHAN_H

#include "base/msg.h"
#include "base/share.h"
#include "sched/sched.h"

typedef struct GrChan GrChan;

/* The feed of a channel is the context, the timer or the signal that closes the channel or sends
 * to it as long as anybody has a reference to it. Both functions are called under no lock. */
typedef struct GrFeed GrFeed;
struct GrFeed {
  void (*lost)(GrFeed *feed, GrChan *c); /* the last reference to the channel has gone */
  /* Or NULL. Somebody has closed the channel. With this function a second close is no error, since
   * the feed may have been the one that closed first. */
  void (*closed)(GrFeed *feed, GrChan *c);
};

/* The largest capacity. The memory for the messages is taken only as they come. */
#define GR_CHAN_CAP_MAX ((int64_t)1 << 40)

/* A new channel; its buffer has no memory yet. `type` names its class (its destroy must be
 * gr_chan_destroy). NULL without memory. */
GrChan *gr_chan_new(int64_t cap, const GrShareType *type);
/* Takes the memory for a first message now. So a send into the empty buffer cannot fail for want
 * of memory. GR_OK or GR_NOMEM. To be called before c is shared; cap > 0. */
int gr_chan_reserve(GrChan *c);
/* To be called before c is shared. `feed` has a pointer to c without a reference. When the feed
 * has something for c, it takes a reference with gr_share_tryref. */
void gr_chan_set_feed(GrChan *c, GrFeed *feed);
/* The feed of c, or NULL. */
GrFeed *gr_chan_feed(const GrChan *c);
void gr_chan_destroy(GrShare *s);
GrShare *gr_chan_share(GrChan *c);
GrChan *gr_chan_of(GrShare *s);

/* Takes *m, and empties it, when it returns GR_OK or GR_PARK; otherwise *m stays the caller's.
 * GR_OK, GR_PARK, GR_CLOSED, GR_NOMEM. GR_TIMEOUT: the limit is past, or `until` is GR_POLL and
 * no receiver or buffer slot is there. */
int gr_chan_send(G *g, GrChan *c, GrMsg *m, int64_t until, bool blocks);
/* GR_OK. GR_CLOSED: the channel was closed during the wait, and the message is dropped.
 * GR_TIMEOUT. GR_ABORTED: *cause says why. */
int gr_chan_send_finish(G *g, GrCause *cause);

/* *m becomes the message. GR_OK, GR_PARK, GR_TIMEOUT, GR_NOMEM. GR_CLOSED: the channel is closed
 * and its buffer is empty. */
int gr_chan_recv(G *g, GrChan *c, GrMsg *m, int64_t until, bool blocks);
/* The same, but the wait has this type. The abandon of the type is gr_chan_abandon. */
int gr_chan_recv_as(G *g, GrChan *c, GrMsg *m, int64_t until, bool blocks, const GrWaitType *type);
int gr_chan_recv_finish(G *g, GrMsg *m, GrCause *cause);

/* Wakes all waiters. GR_OK. GR_CLOSED: the channel was closed already, and its feed does not
 * allow a second close. */
int gr_chan_close(GrChan *c);
int64_t gr_chan_len(GrChan *c);
int64_t gr_chan_cap(GrChan *c);

typedef struct GrCase {
  GrChan *chan; /* NULL: this case never happens. The caller keeps a reference until the select is
                   finished */
  bool is_send;
  GrMsg msg; /* Of a send: the message. It is the caller's, unless the case is chosen. It is empty
                while the select waits; gr_select_finish puts it back. Of a chosen receive: the
                message that came */
} GrCase;

/* Does exactly one of the cases: one of the ready cases, each with the same probability.
 *   GR_OK        *chosen is the index of the case. *ok is false when the case received from a
 *                closed channel. A chosen send's msg is taken; all other messages stay the caller's
 *   GR_CLOSED    the chosen case sends on a closed channel
 *   GR_PARK      no case is ready; the caller parks, then calls gr_select_finish
 *   GR_TIMEOUT, GR_NOMEM
 * `cases` must not move until the select is finished. `rand` is the state of the caller's random
 * generator. */
int gr_select(G *g, GrCase *cases, uint32_t n, int64_t until, bool blocks, uint64_t *rand,
              uint32_t *chosen, bool *ok);
int gr_select_finish(G *g, GrCase *cases, uint32_t n, uint32_t *chosen, bool *ok, GrCause *cause);

/* The abandon of a wait for one channel: see GrWaitType. */
void gr_chan_abandon(G *g);

#endif

/* SPDX-License-Identifier: MIT */
/* chan.h - channels and select, after Go's chan.go and select.go.
 *
 * A call that must wait comes in two halves. The first (gr_chan_send, gr_chan_recv, gr_select) does
 * it at once or links the goroutine and returns GR_PARK; the caller then parks (yields out of Lua,
 * or gr_wait_block) and, awake, calls the matching _finish. `g` is always the caller's own;
 * `blocks` says which way it will park, and is decided before.
 *
 * A first half with a time limit needs a timer, so besides what is named below it may fail, with
 * nothing changed, with GR_NOTHREAD, or with GR_ABORTED when the pool ends. */
#ifndef GR_CHAN_H
#define GR_CHAN_H

#include "base/msg.h"
#include "base/share.h"
#include "sched/sched.h"

typedef struct GrChan GrChan;

/* Who closes a channel or sends to it as long as anybody has it: a context, a timer, a signal. Told
 * under no lock. */
typedef struct GrFeed GrFeed;
struct GrFeed {
  void (*lost)(GrFeed *feed, GrChan *c);   /* the last reference to the channel has gone */
  void (*closed)(GrFeed *feed, GrChan *c); /* somebody has closed it, and may do so again, since the
                                              feed may have been first; or NULL */
};

/* Messages up to this capacity; memory for them is taken as they come. */
#define GR_CHAN_CAP_MAX ((int64_t)1 << 40)

/* Takes nothing yet from the buffer's memory. `type` names its class (its destroy must be
 * gr_chan_destroy). NULL without memory. */
GrChan *gr_chan_new(int64_t cap, const GrShareType *type);
/* Takes the memory for a first message now, so that a send into the empty buffer cannot want any.
 * GR_OK or GR_NOMEM. Before c is shared; cap > 0. */
int gr_chan_reserve(GrChan *c);
/* Before c is shared. `feed` knows c without a reference, and takes one by gr_share_tryref when it
 * has something for it. */
void gr_chan_set_feed(GrChan *c, GrFeed *feed);
/* Its feed, or NULL. */
GrFeed *gr_chan_feed(const GrChan *c);
void gr_chan_destroy(GrShare *s);
GrShare *gr_chan_share(GrChan *c);
GrChan *gr_chan_of(GrShare *s);

/* Takes *m when it returns GR_OK or GR_PARK (m is emptied); else m stays the caller's.
 * GR_OK, GR_PARK, GR_CLOSED, GR_TIMEOUT (only for GR_POLL, or a limit that is past), GR_NOMEM. */
int gr_chan_send(G *g, GrChan *c, GrMsg *m, int64_t until, bool blocks);
/* GR_OK; GR_CLOSED: closed meanwhile (the message is dropped); GR_TIMEOUT; GR_ABORTED: *cause says
 * why. */
int gr_chan_send_finish(G *g, GrCause *cause);

/* *m gets the message. GR_OK, GR_PARK, GR_CLOSED (closed and drained), GR_TIMEOUT, GR_NOMEM. */
int gr_chan_recv(G *g, GrChan *c, GrMsg *m, int64_t until, bool blocks);
/* The same, as a wait of this type, whose abandon is gr_chan_abandon. */
int gr_chan_recv_as(G *g, GrChan *c, GrMsg *m, int64_t until, bool blocks, const GrWaitType *type);
int gr_chan_recv_finish(G *g, GrMsg *m, GrCause *cause);

/* GR_OK; GR_CLOSED: it was closed already, and its feed does not allow that. Wakes all who wait. */
int gr_chan_close(GrChan *c);
int64_t gr_chan_len(GrChan *c);
int64_t gr_chan_cap(GrChan *c);

typedef struct GrCase {
  GrChan *chan; /* NULL: never happens. The caller keeps a reference until the select is finished */
  bool is_send;
  GrMsg msg; /* of a send: the caller's unless chosen; empty while the select waits, and _finish
                puts it back. Of a chosen receive: what came */
} GrCase;

/* Exactly one of the cases, uniformly at random among those that are ready.
 * GR_OK: *chosen is its index; *ok is false for a receive from a closed channel. The chosen send's
 * msg is taken; the others stay the caller's. GR_CLOSED: the chosen case sends on a closed channel.
 * GR_TIMEOUT, GR_NOMEM, GR_PARK. `cases` must stay where it is until finished. `rand` is the
 * caller's generator state. */
int gr_select(G *g, GrCase *cases, uint32_t n, int64_t until, bool blocks, uint64_t *rand,
              uint32_t *chosen, bool *ok);
int gr_select_finish(G *g, GrCase *cases, uint32_t n, uint32_t *chosen, bool *ok, GrCause *cause);

/* The abandon of a wait for one channel. */
void gr_chan_abandon(G *g);

#endif

/* SPDX-License-Identifier: MIT */
/* queue.h - wait queues: how one waits for a channel, a lock, a count, a condition. For the files
 * of csrc/sync; of the others, who gives a group's wait a name needs gr_queue_abandon.
 *
 * What is no channel waits in the same way everywhere. An object has a word, by which an
 * uncontended call is one atomic operation, a GrLock of GR_RANK_SYNC, and under it queues of the
 * goroutines' own sudogs (g->one). A bit of the word says that somebody may be queued: it is set
 * and cleared under the lock, and whoever finds it set takes the lock before giving anything back.
 * A waiter that gave up (a timeout, a panic) is skipped by gr_queue_win like any other whose wait
 * has been won elsewhere; what it had kept from others by merely waiting is given to them when it
 * takes itself out of the queue. What was handed to a waiter belongs to it, even if its time is
 * over at the same moment: there is one winner. */
#ifndef GR_QUEUE_H
#define GR_QUEUE_H

#include "base/list.h"
#include "base/lock.h"
#include "sched/sched.h"

/* Prepares a wait: GR_OK, GR_TIMEOUT (the limit is past, or a poll), GR_NOMEM, GR_NOTHREAD,
 * GR_CROWDED, GR_ABORTED. Then the sudogs are linked, each at the end of its queue, under the
 * queue's lock, which is also held before. */
int gr_queue_start(G *g, const GrWaitType *type, int64_t until, bool blocks);
void gr_queue_link(GSudog *sg, G *g, void *object, GrList *queue, uint32_t index);
/* Both at once: g waits in `queue` of the object whose lock, `lock`, the caller holds: at its end
 * or, `first`, at its head. GR_PARK, or what gr_queue_start says. */
int gr_queue_wait(G *g, const GrWaitType *type, int64_t until, bool blocks, GrLock *lock,
                  GrList *queue, bool first);
/* Under the lock: a wait that was not won through the sudog is taken out. */
static inline void gr_queue_leave(G *g) { gr_list_remove(&g->one.link); }
/* What the result of a wait is that did not end through the sudog. */
static inline int gr_queue_result(GrCause cause) {
  return cause == GR_CAUSE_TIMEOUT ? GR_TIMEOUT : GR_ABORTED;
}

/* Under the lock: takes the longest waiting whose wait can still be won, or NULL. The caller
 * readies its G after unlocking. */
GSudog *gr_queue_win(GrList *queue);
/* The same for all of them, into `won`. Returns how many. */
int64_t gr_queue_win_all(GrList *queue, GrList *won);
/* Readies those in `won`. Under no lock. */
void gr_queue_ready(GrList *won);

/* The abandon of a wait in such a queue. */
void gr_queue_abandon(G *g);

/* A number that a waiter notes for who finds it: in the message that it does not have. */
static inline int64_t *gr_queue_note(GSudog *sg) { return &sg->msg.u.i; }

#endif

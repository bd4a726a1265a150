/* SPDX-License-Identifier: MIT */
/* queue.h - wait queues: how a goroutine waits for a channel, a lock, a count, a condition. For
 * the files of csrc/sync. Other files need only gr_queue_abandon, to give the wait for a group a
 * name of its own.
 *
 * Every object but a channel makes its waiters wait in the same way. The object has three parts:
 *
 *   word    one atomic integer. A call that need not wait is one atomic operation on it. One bit of
 *           the word says that somebody may be queued
 *   lock    a GrLock of GR_RANK_SYNC
 *   queue   under the lock: the sudogs of the waiters (g->one), the longest waiting first
 *
 * The bit is set and cleared under the lock. A goroutine that finds the bit set takes the lock
 * before it gives anything back to the object.
 *
 * A waiter may give up (a timeout, a panic). Its sudog then stays in the queue for a moment, and
 * gr_queue_win skips it, as it skips each sudog whose wait was won elsewhere. A queued waiter
 * may keep others from the object by its place in the queue alone. When such a waiter gives up,
 * it takes its sudog out of the queue and lets those others have the object.
 *
 * When an object has been handed to a waiter, it belongs to that waiter, even if the waiter's
 * time limit passes at the same moment: each wait has exactly one winner. */
#ifndef GR_QUEUE_H
#define GR_QUEUE_H

#include "base/list.h"
#include "base/lock.h"
#include "sched/sched.h"

/* Prepares a wait. GR_OK; GR_TIMEOUT: the limit is past, or the call is a poll; GR_NOMEM,
 * GR_NOTHREAD, GR_CROWDED, GR_ABORTED. After GR_OK the caller links each sudog at the end of its
 * queue, by gr_queue_link. The caller holds the lock of the queue during both calls and between
 * them. */
int gr_queue_start(G *g, const GrWaitType *type, int64_t until, bool blocks);
void gr_queue_link(GSudog *sg, G *g, void *object, GrList *queue, uint32_t index);
/* Both steps in one call: g waits in `queue`, at its end or, when `first`, at its head. `lock`
 * is the lock of the object; the caller holds it. GR_PARK, or an error of gr_queue_start. */
int gr_queue_wait(G *g, const GrWaitType *type, int64_t until, bool blocks, GrLock *lock,
                  GrList *queue, bool first);
/* Takes the sudog of g out of its queue, after a wait that was not won through the sudog. The
 * caller holds the lock. */
static inline void gr_queue_leave(G *g) { gr_list_remove(&g->one.link); }
/* The result of a wait that did not end through its sudog. */
static inline int gr_queue_result(GrCause cause) {
  return cause == GR_CAUSE_TIMEOUT ? GR_TIMEOUT : GR_ABORTED;
}

/* Takes the longest waiting sudog whose wait can still be won, and wins that wait. NULL: there
 * is none. The caller holds the lock, and calls gr_ready for the sudog's G after it has
 * unlocked. */
GSudog *gr_queue_win(GrList *queue);
/* Wins all waits in the queue that can still be won, and moves their sudogs into `won`. Returns
 * how many. The caller holds the lock. */
int64_t gr_queue_win_all(GrList *queue, GrList *won);
/* Calls gr_ready for each G in `won`. The caller holds no lock. */
void gr_queue_ready(GrList *won);

/* The abandon of a wait in such a queue: see GrWaitType. */
void gr_queue_abandon(G *g);

/* A number that the waiter leaves in its sudog, for the goroutine that will win the wait. It
 * lies in the sudog's message, which these waits do not use. */
static inline int64_t *gr_queue_note(GSudog *sg) { return &sg->msg.u.i; }

#endif

/* SPDX-License-Identifier: MIT
 *
 * Select against other selects, against plain senders and receivers, against close, with a timeout.
 *
 * WHAT IS MODELLED. Two channels, 0 and 1 (the number is the address). Goroutine 0 selects {recv 0, recv 1},
 * goroutine 1 selects {send 1, recv 0}: the same two channels in opposite case order, one of them sending, so that the
 * two may also meet each other. Goroutine 2 sends on 0, goroutine 3 receives from 1 (a plain operation is a select of
 * one case). A closer closes both channels, one after the other, in either order, at any moment. Goroutine 0 may have a
 * timeout.
 *
 * The protocol:
 *   lock      all channels of the select, each once, in address order (neither in case order nor in that of polling).
 *   poll      in random order, with all locks held: a closed channel, a partner in the queue, the buffer.
 *   partner   dequeue the first sudog and CAS the wait of its goroutine, {seq, 0} -> {seq, 1}. If that is lost, discard
 *             the sudog and try the next; only an empty queue counts as "nobody there".
 *   park      with all locks still held: open the wait once, link one sudog a case, all with the same (g, seq), arm
 *             the timer; unlock all; sleep until ready().
 *   win       the winner writes case, result and message into the waiter, drops his locks, then calls ready().
 *   close     under the channel's lock: mark it, take every sudog out of both queues, win those that can be won; drop
 *             the lock; ready() those that were won and no others.
 *   after     delete the timer; for each case, one lock at a time: unlink the sudog if it is still linked (the winner
 *             has dequeued his, a loser may have discarded another).
 *
 * THE ABSTRACTION. Sleeping and ready() are one flag: park.pml shows that the two-step park provides it. Memory is
 * sequentially consistent. Taking a lock and each CAS that can be won are steps of their own; what a held lock covers
 * is merged with the step before or after it, and so are a CAS that is lost (a lost wait stays lost) and the release of
 * locks. A select has not two cases on one channel (in C: lock it once, one sudog a case; all polling ends before
 * linking begins, so that a select cannot meet itself). A sender keeps its message unless its send case happened.
 *
 * PROPERTIES. Exactly one case happens in a select, or the timeout and none. A message is received once if its send
 * succeeded, and never otherwise. Nobody goes to sleep beside a live partner, a closed channel, or a buffer that would
 * do. Close wakes everyone and locks are taken in a sound order (no invalid end state). Only what is linked is
 * dequeued; nothing is linked twice or stays linked after its select.
 *
 * VARIANTS. CAP is the size of both buffers; ROUNDS, how many selects goroutines 0 and 1 make; NO_TIMER and NO_RECEIVER
 * (goroutine 3) leave something out.
 *
 * SEEDED MISTAKES, each of which must be reported:
 *   BUG_LOCK_CASE_ORDER     channels locked in the order of the cases       -> deadlock of 0 and 1
 *   BUG_LINK_APART          poll and link under separately taken locks      -> sleeps beside a partner or a closed channel
 *   BUG_OPEN_LATE           the wait is opened after unlocking              -> discarded as lost: sleeps for ever
 *   BUG_WIN_STORE           look at done, then store it: no CAS             -> two winners
 *   BUG_NO_WIN              whoever dequeued a sudog takes it for won       -> two winners
 *   BUG_LOSER_STOPS         a lost CAS counts as "nobody there"             -> sleeps beside the next in the queue
 *   BUG_MESSAGE_LATE        the result is written after ready()             -> woken without a result
 *   BUG_NO_UNLINK           the cases that did not happen stay linked       -> stays linked
 *   BUG_UNLINK_BLIND        unlink does not look whether it is linked       -> dequeues what is not in the queue
 *   BUG_CLOSE_ONE           close releases the first waiter of a queue only -> the next sleeps for ever
 *   BUG_CLOSE_FORGETS_SEND  close releases receivers only                   -> a sender sleeps for ever
 *   BUG_CLOSE_LOSERS        close readies those, too, that it did not win   -> woken twice
 */

#ifndef CAP
#define CAP 0
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define NG 4
#define NC 2
#define NMSG (2 * ROUNDS) /* goroutines 1 and 2 send, each its own */

#ifdef BUG_WIN_STORE
#define STEP /* what comes apart must be seen to come apart */
#else
#define STEP atomic
#endif

#define RECV 0 /* also the index of the queue within its channel */
#define SEND 1
#define NONE 2

mtype = { NOTHING, TAKEN, CLOSED, TIMEOUT }; /* how a select ended */

/* The channels. */
bool locked[NC];
bool closed[NC];
chan waitq[4] = [NG] of { byte };
#if CAP > 0
chan buffer[NC] = [CAP] of { byte };
#endif

/* The goroutines. */
byte seq[NG]; /* seq and done are one word: */
bool done[NG] = true; /* they are read and written in one step */
bool woken[NG];
mtype result[NG] = NOTHING;
byte which[NG];   /* the case that happened */
byte message[NG]; /* offered by a sender, or given to a receiver */

/* The sudogs. A select has at most one on a channel. */
byte direction[NG * NC] = NONE;
byte sudog_seq[NG * NC];

/* Goroutine 0's timer. */
bool armed;
byte timer_seq;

/* What only the properties look at. */
bool linked[NG * NC];
byte happened[NG];
bool received[NMSG];
bool sent[NMSG];
byte gs_left = NG;

#define SUDOG(g, c) ((g) * 2 + (c))
#define QUEUE(c, d) ((c) * 2 + (d))
#define LIVE(p, c, d) (linked[SUDOG(p, c)] && direction[SUDOG(p, c)] == (d) && !done[p] && sudog_seq[SUDOG(p, c)] == seq[p])
#define ANY_LIVE(c, d) (LIVE(0, c, d) || LIVE(1, c, d) || LIVE(2, c, d) || LIVE(3, c, d))
#if CAP > 0
#define IN_BUFFER(c) len(buffer[c])
#else
#define IN_BUFFER(c) 0
#endif
#define READY_NOW(c, d) \
	(closed[c] || ANY_LIVE(c, 1 - (d)) || ((d) == RECV && IN_BUFFER(c) > 0) || ((d) == SEND && IN_BUFFER(c) < CAP))

inline acquire(c) { atomic { !locked[c] -> locked[c] = true } }
inline release(c) { locked[c] = false }

/* CAS wait {s, 0} -> {s, 1}. */
inline win(p, s, won)
{
#if defined(BUG_NO_WIN)
	atomic { won = true; done[p] = true }
#elif defined(BUG_WIN_STORE)
	won = (!done[p] && seq[p] == s);
	if
	:: won -> done[p] = true
	:: else
	fi
#else
	atomic {
		won = (!done[p] && seq[p] == s);
		if
		:: won -> done[p] = true
		:: else
		fi
	}
#endif
}

inline dequeue(c, d, p)
{
	atomic { waitq[QUEUE(c, d)] ? p -> assert(linked[SUDOG(p, c)]); linked[SUDOG(p, c)] = false }
}

/* The first in a queue whose wait can be won, with the lock of c held; won tells whether there was one. */
inline find_partner(c, d, p, won)
{
	do
	:: dequeue(c, d, p);
	   win(p, sudog_seq[SUDOG(p, c)], won);
#ifdef BUG_LOSER_STOPS
	   break
#else
	   if
	   :: won -> break
	   :: else -> p = 0
	   fi
#endif
	:: empty(waitq[QUEUE(c, d)]) -> break
	od
}

inline ready(p) { atomic { assert(done[p] && !woken[p]); woken[p] = true } }

/* What the winner writes into the waiter. */
inline tell(p, c, how) { atomic { result[p] = how; which[p] = c; happened[p]++ } }

inline get(m) { atomic { assert(!received[m]); received[m] = true } }

inline happen(g, c, how) { atomic { end = how; at = c; happened[g]++ } }

inline poll_receive(g, c)
{
	if
#if CAP > 0
	:: nempty(buffer[c]) ->
		atomic { buffer[c] ? m; get(m); happen(g, c, TAKEN) };
		find_partner(c, SEND, p, won);
		if
		:: won -> buffer[c] ! message[p]
		:: else
		fi
#endif
	:: IN_BUFFER(c) == 0 && closed[c] -> happen(g, c, CLOSED)
	:: IN_BUFFER(c) == 0 && !closed[c] ->
		find_partner(c, SEND, p, won);
		if
		:: won -> atomic { get(message[p]); happen(g, c, TAKEN) }
		:: else
		fi
	fi
}

inline poll_send(g, c)
{
	if
	:: closed[c] -> happen(g, c, CLOSED)
	:: else ->
		find_partner(c, RECV, p, won);
		if
		:: won ->
#ifndef BUG_MESSAGE_LATE
			message[p] = offer;
#endif
			happen(g, c, TAKEN)
#if CAP > 0
		:: !won && nfull(buffer[c]) -> atomic { buffer[c] ! offer; happen(g, c, TAKEN) }
		:: !won && full(buffer[c])
#else
		:: else
#endif
		fi
	fi
}

inline link(g, c)
{
	atomic {
		assert(!linked[SUDOG(g, c)]);
		assert(!READY_NOW(c, dir[c]));
		direction[SUDOG(g, c)] = dir[c];
		sudog_seq[SUDOG(g, c)] = seq[g];
		linked[SUDOG(g, c)] = true;
		waitq[QUEUE(c, dir[c])] ! g
	}
}

inline unlink(g, c)
{
	if
#ifdef BUG_UNLINK_BLIND
	:: atomic {
		!locked[c] && dir[c] != NONE -> assert(linked[SUDOG(g, c)]);
		waitq[QUEUE(c, dir[c])] ?? eval(g);
		linked[SUDOG(g, c)] = false
	   }
#else
	:: atomic {
		!locked[c] && linked[SUDOG(g, c)] -> waitq[QUEUE(c, dir[c])] ?? eval(g);
		linked[SUDOG(g, c)] = false
	   }
	:: !locked[c] && !linked[SUDOG(g, c)]
#endif
	:: dir[c] == NONE
	fi
}

inline open_wait(g) { atomic { assert(done[g]); seq[g]++; done[g] = false } }

inline lock_all(first)
{
	c = first;
	if :: dir[c] != NONE -> acquire(c) :: else fi;
	c = 1 - first;
	if :: dir[c] != NONE -> acquire(c) :: else fi
}

inline unlock_all()
{
#ifdef BUG_LINK_APART
	skip
#else
	if :: dir[0] != NONE -> release(0) :: else fi;
	if :: dir[1] != NONE -> release(1) :: else fi
#endif
}

/* first_case: where the program's list of cases begins. */
proctype G(byte g; byte turns; byte dir0; byte dir1; byte first_case)
{
	byte dir[NC];
	byte c, at, k, m, p, offer;
	bool won;
	mtype end = NOTHING;

	atomic { dir[0] = dir0; dir[1] = dir1; offer = (g - 1) * ROUNDS };
	do
	:: turns > 0 && end != CLOSED ->
		atomic { turns--; happened[g] = 0; end = NOTHING; result[g] = NOTHING; message[g] = offer };

#if defined(BUG_LOCK_CASE_ORDER)
		lock_all(first_case);
#elif !defined(BUG_LINK_APART)
		lock_all(0);
#endif
		STEP { /* poll, beginning anywhere */
			if :: c = 0 :: c = 1 fi;
			do
			:: k < NC && end == NOTHING ->
#ifdef BUG_LINK_APART
				acquire(c);
#endif
				if
				:: dir[c] == RECV -> poll_receive(g, c)
				:: dir[c] == SEND -> poll_send(g, c)
				:: else
				fi;
#ifdef BUG_LINK_APART
				release(c);
#endif
				k++;
				c = 1 - c
			:: else -> break
			od;
			k = 0;
			c = 0;
#ifndef BUG_MESSAGE_LATE
			if :: won -> tell(p, at, TAKEN) :: else fi
#endif
		}

		if
		:: end != NOTHING ->
			atomic { unlock_all() }
			if :: won -> ready(p) :: else fi;
#ifdef BUG_MESSAGE_LATE
			if :: won && dir[at] == SEND -> message[p] = offer :: else fi;
			if :: won -> tell(p, at, TAKEN) :: else fi
#endif
		:: else ->
#ifdef BUG_LINK_APART
			open_wait(g);
			if :: dir[0] != NONE -> acquire(0); link(g, 0); release(0) :: else fi;
			if :: dir[1] != NONE -> acquire(1); link(g, 1); release(1) :: else fi;
#else
			atomic {
#ifndef BUG_OPEN_LATE
				open_wait(g);
#endif
				if :: dir[0] != NONE -> link(g, 0) :: else fi;
				if :: dir[1] != NONE -> link(g, 1) :: else fi
			}
#endif
			atomic {
#ifndef NO_TIMER
				if
				:: g == 0 -> armed = true; timer_seq = seq[g]
				:: true
				fi;
#endif
				unlock_all()
			}
#ifdef BUG_OPEN_LATE
			open_wait(g);
#endif
			atomic { woken[g] -> woken[g] = false; end = result[g]; at = which[g]; assert(end != NOTHING) };
#ifndef NO_TIMER
			if
			:: g == 0 -> atomic { armed = false; timer_seq = 0 }
			:: else
			fi;
#endif
#ifndef BUG_NO_UNLINK
			unlink(g, 0);
			unlink(g, 1);
#endif
			if
			:: end == TAKEN && dir[at] == RECV -> get(message[g])
			:: else
			fi
		fi;
		atomic {
			assert(happened[g] == (end == TIMEOUT -> 0 : 1));
			assert(!linked[SUDOG(g, 0)] && !linked[SUDOG(g, 1)]);
			if
			:: end == TAKEN && dir[at] == SEND -> assert(!sent[offer]); sent[offer] = true; offer++
			:: else
			fi;
			c = 0; at = 0; m = 0; p = 0; won = false; message[g] = 0
		}
	:: else -> break
	od;
	gs_left--
}

proctype Closer()
{
	byte c, p, n, q;
	bool won, to_ready[NG];

	if :: c = 0 :: c = 1 fi;
	do
	:: n < NC ->
		acquire(c);
		closed[c] = true;
		q = RECV;
		do
		:: STEP {
			nempty(waitq[QUEUE(c, q)]) ->
			dequeue(c, q, p);
			win(p, sudog_seq[SUDOG(p, c)], won);
			if
			:: won -> tell(p, c, CLOSED); to_ready[p] = true
#ifdef BUG_CLOSE_LOSERS
			:: else -> to_ready[p] = true
#else
			:: else
#endif
			fi;
			p = 0;
			won = false
		   }
#ifdef BUG_CLOSE_ONE
		   if :: q == SEND -> break :: else -> q = SEND fi
#endif
#ifdef BUG_CLOSE_FORGETS_SEND
		:: empty(waitq[QUEUE(c, q)]) -> break
#else
		:: empty(waitq[QUEUE(c, q)]) && q == RECV -> q = SEND
		:: empty(waitq[QUEUE(c, q)]) && q == SEND -> break
#endif
		od;
		release(c);
		do
		:: atomic { to_ready[0] -> to_ready[0] = false; ready(0) }
		:: atomic { to_ready[1] -> to_ready[1] = false; ready(1) }
		:: atomic { to_ready[2] -> to_ready[2] = false; ready(2) }
		:: atomic { to_ready[3] -> to_ready[3] = false; ready(3) }
		:: else -> break
		od;
		atomic { q = 0; n++; c = 1 - c }
	:: else -> break
	od
}

#ifndef NO_TIMER
proctype Timer()
{
	byte s;
	bool won;

end_idle:
	do
	:: atomic { armed -> armed = false; s = timer_seq };
	   win(0, s, won);
	   if
	   :: won -> result[0] = TIMEOUT; ready(0)
	   :: else
	   fi;
	   atomic { s = 0; won = false }
	od
}
#endif

/* When all is over: what was sent has been received, or is in a buffer. */
proctype Auditor()
{
	byte m;

end_idle:
	atomic {
		gs_left == 0 ->
#if CAP > 0
		do
		:: buffer[0] ? m -> get(m)
		:: buffer[1] ? m -> get(m)
		:: empty(buffer[0]) && empty(buffer[1]) -> break
		od;
#endif
		for (m : 0 .. NMSG - 1) { assert(sent[m] == received[m]) }
		assert(empty(waitq[0]) && empty(waitq[1]) && empty(waitq[2]) && empty(waitq[3]))
	}
}

init {
	atomic {
		run G(0, ROUNDS, RECV, RECV, 0);
		run G(1, ROUNDS, RECV, SEND, 1);
		run G(2, 1, SEND, NONE, 0);
#ifdef NO_RECEIVER
		gs_left--;
#else
		run G(3, 1, NONE, RECV, 1);
#endif
		run Closer();
#ifndef NO_TIMER
		run Timer();
#endif
		run Auditor()
	}
}

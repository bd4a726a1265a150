/* SPDX-License-Identifier: MIT
 *
 * The mutex of csrc/sync/mutex.c: a word, a queue behind it, waiters that compete or are handed the mutex, time limits.
 *
 * WHAT IS MODELLED. NG goroutines lock and unlock ROUNDS times. Each wait may have a limit, which may pass at any moment; each waiter that is
 * woken may have waited long enough to be handed the mutex, or not, so that it competes with newcomers. The word's three bits are read and
 * changed in one step; the queue belongs to its lock. How a goroutine parks is park.pml's business: here it waits until somebody has won its
 * wait (`done`) and has said so (`ready`), or until it has won it itself because its time is over.
 *
 * PROPERTIES. One at a time is inside. Who waits without a limit gets it: no invalid end state. In the end the word is 0 and the queue empty.
 *
 * SEEDED MISTAKES, each of which must be reported:
 *   BUG_KEEP_WOKEN     a waiter that was woken and lost leaves WOKEN set           -> nobody is woken any more
 *   BUG_KEEP_WOKEN_OUT one that was woken and then gives up leaves it set          -> nobody is woken any more
 *   BUG_NO_QUEUED      a waiter does not say that it is queued                     -> the unlock does not look
 *   BUG_NO_WIN         the unlock takes a waiter whose time is over for one that waits -> nobody has it, and nobody is woken
 *   BUG_CLEAR_QUEUED   who gives up says that the queue is empty, though it is not -> those in it are forgotten
 *   BUG_HANDED_FREE    what is handed over is free for a moment                    -> two are inside
 *   BUG_LINK_LATE      a waiter is queued after it has let go of the queue's lock  -> the unlock does not see it
 */
#ifndef NG
#define NG 3
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif

bool locked, queued, woken; /* the word */
bool qlock;
byte queue[NG]; /* of goroutines, the oldest first */
byte n;

bool done[NG] = true; /* the wait is won */
bool ready[NG];
bool handed[NG];

byte inside;
byte left = NG;

inline acquire() { atomic { !qlock -> qlock = true } }
inline release() { qlock = false }

inline push_back(g) { d_step { queue[n] = g; n++ } }
inline push_front(g)
{
	d_step {
		k = n;
		do
		:: k > 0 -> queue[k] = queue[k - 1]; k--
		:: else -> break
		od;
		queue[0] = g;
		n++;
		k = 0
	}
}
/* Takes g out, if it is in. */
inline remove(g)
{
	d_step {
		k = 0;
		do
		:: k < n && queue[k] != g -> k++
		:: else -> break
		od;
		if
		:: k < n ->
			n--;
			do
			:: k < n -> queue[k] = queue[k + 1]; k++
			:: else -> break
			od;
			queue[n] = 0
		:: else
		fi;
		k = 0
	}
}

inline note_queue()
{
#ifdef BUG_CLEAR_QUEUED
	queued = false
#else
	if
	:: n == 0 -> queued = false
	:: else
	fi
#endif
}

/* The longest waiting whose wait can be won; NG: nobody. */
inline win()
{
	sg = NG;
	do
	:: n > 0 && sg == NG ->
		atomic {
			sg = queue[0];
			remove(sg);
#ifndef BUG_NO_WIN
			if
			:: done[sg] -> sg = NG
			:: else -> done[sg] = true
			fi
#else
			done[sg] = true
#endif
		}
	:: else -> break
	od
}

active [NG] proctype G()
{
	byte rounds = ROUNDS, k, sg;
	bool again, limited, got;

next:
	if
	:: rounds == 0 -> goto ended
	:: else -> rounds--
	fi;
	again = false;
	if
	:: limited = true
	:: limited = false
	fi;
	atomic {
		if
		:: !locked -> locked = true; goto critical
		:: else
		fi
	}

slow:
	acquire();
#ifdef BUG_KEEP_WOKEN_OUT
	if
	:: again && limited && locked -> note_queue(); release(); goto next
	:: else
	fi;
#endif
	atomic {
		got = !locked;
		if
		:: got -> locked = true
		:: else ->
#ifndef BUG_NO_QUEUED
			queued = true
#else
			skip
#endif
		fi;
#ifndef BUG_KEEP_WOKEN
		if
		:: again -> woken = false
		:: else
		fi
#endif
	}
	if
	:: got -> release(); goto critical
	:: !got && limited -> note_queue(); release(); goto next /* its time is over already, or no memory for a timer */
	:: !got
	fi;
	atomic { done[_pid] = false; ready[_pid] = false; handed[_pid] = false };
#ifdef BUG_LINK_LATE
	note_queue();
	release();
#endif
	if
	:: again -> push_front(_pid)
	:: else -> push_back(_pid)
	fi;
#ifndef BUG_LINK_LATE
	release();
#endif

	if
	:: ready[_pid] ->
		if
		:: handed[_pid] -> goto critical
		:: else -> again = true; goto slow
		fi
	:: atomic { limited && !done[_pid] -> done[_pid] = true } ->
		acquire();
		remove(_pid);
		note_queue();
		release();
		goto next
	fi;

critical:
	inside++;
	assert(inside == 1);
	inside--;

	/* unlock */
	atomic {
		assert(locked);
		if
		:: queued && !woken
		:: else -> locked = false; goto next
		fi
	}
	acquire();
	atomic {
		if
		:: queued && !woken -> got = true
		:: else -> locked = false; got = false
		fi
	}
	if
	:: !got -> release(); goto next
	:: else
	fi;
	win();
	if
	:: sg == NG -> atomic { locked = false; queued = false }
	:: else ->
		if
		:: handed[sg] = true; /* it has waited for long */
#ifdef BUG_HANDED_FREE
			locked = false;
#endif
			note_queue()
		:: atomic { woken = true; locked = false; queued = (n > 0) }
		fi
	fi;
	release();
	if
	:: sg != NG -> ready[sg] = true; sg = 0
	:: else -> sg = 0
	fi;
	goto next;

ended:
	atomic {
		left--;
		assert(left > 0 || (!locked && !queued && !woken && !qlock && n == 0))
	}
}

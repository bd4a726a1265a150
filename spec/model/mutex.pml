/* SPDX-License-Identifier: MIT
 *
 * A mutex: its word, the queue behind it, waiters that give up.
 *
 * WHAT IS MODELLED. NG goroutines lock and unlock one mutex, ROUNDS times each. Those of goroutine 0 wait for ever; the others' may time out at any moment, or
 * fail where they would begin to wait (a poll, no memory). Whether a waiter has waited long enough to be handed the mutex is decided at random, at each unlock.
 *
 * The protocol (csrc/sync/mutex.c):
 *   word      LOCKED, QUEUED, WOKEN. QUEUED and WOKEN are set, and QUEUED is cleared, under the lock of the queue only.
 *   lock      CAS 0 -> LOCKED; else under the queue's lock, one CAS: take it, or note QUEUED (who was woken clears WOKEN by it in either
 *             case), then queue: at the end, who was woken and lost at the head.
 *   unlock    CAS LOCKED -> 0; else clear LOCKED, unless the word says QUEUED and not WOKEN: then, under the queue's lock, after another look, win the first
 *             waiter that can be won. None: clear LOCKED and QUEUED. One that has waited long: it has the mutex, LOCKED stays. Else clear LOCKED, set
 *             WOKEN, and let it compete.
 *   give up   under the queue's lock: leave the queue; QUEUED is cleared when nobody is left in it.
 *
 * THE ABSTRACTION. Sleeping and ready() are one flag (park.pml). Memory is sequentially consistent. What only the holder of the queue's lock touches is one
 * step with what is beside it. A CAS loop is one step.
 *
 * PROPERTIES. One holder at a time. Nobody sleeps for ever beside a free mutex (no invalid end state). The store by which an unlock lets a waiter
 * compete loses nothing. When all have ended the word is 0 and the queue is empty.
 *
 * VARIANTS. NO_TIMEOUT: nobody gives up.
 *
 * SEEDED MISTAKES, each of which must be reported:
 *   BUG_KEEP_WOKEN    a woken one that loses queues and leaves WOKEN set    -> nobody is woken any more
 *   BUG_NOTE_APART    a look at LOCKED, then QUEUED is set: no CAS          -> sleeps beside a free mutex
 *   BUG_NO_WIN        unlock takes the first in the queue for won           -> hands it to one who gave up
 *   BUG_CLEAR_BLIND   who gives up clears QUEUED though others are queued   -> the others sleep for ever
 *   BUG_HAND_FREE     one that is handed the mutex finds LOCKED cleared     -> two holders
 *   BUG_STORE_FORGETS letting one compete clears QUEUED                     -> the next sleeps for ever
 *   BUG_WAKE_LOSER    a woken one that loses goes on as if it had it        -> two holders
 */

#ifndef NG
#define NG 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define NONE 9

mtype = { NOTHING, COMPETE, HANDED, TIMEOUT };

bool LOCKED, QUEUED, WOKEN;
bool lock; /* of the queue */
chan queue = [NG] of { byte };
bool waiting[NG]; /* its wait can be won */
mtype how[NG];
bool ready[NG];
byte holder = NONE;
byte ended;

#define acquire() atomic { !lock -> lock = true }
#define release() lock = false

inline leave_queue()
{
	if
	:: queue ?? [eval(me)] -> queue ?? eval(me)
	:: else
	fi
}

inline note_queue()
{
	if
#ifdef BUG_CLEAR_BLIND
	:: true -> QUEUED = false
#else
	:: empty(queue) -> QUEUED = false
	:: nempty(queue)
#endif
	fi
}

/* Under the lock. `got`: it is ours. */
inline take()
{
#ifdef BUG_NOTE_APART
	got = !LOCKED;
	if
	:: got -> LOCKED = true
	:: else -> skip; QUEUED = true
	fi;
#else
	atomic {
		got = !LOCKED;
		if
		:: got -> LOCKED = true
		:: else -> QUEUED = true
		fi;
#ifndef BUG_KEEP_WOKEN
		if
		:: again -> WOKEN = false
		:: else
		fi;
#endif
	}
#endif
}

inline win()
{
	first = NONE;
	do
	:: first == NONE && nempty(queue) ->
		atomic {
			queue ? first;
			if
			:: waiting[first] -> waiting[first] = false
			:: else ->
#ifndef BUG_NO_WIN
				first = NONE
#else
				skip
#endif
			fi
		}
	:: else -> break
	od
}

inline pass_on()
{
	win();
	if
	:: first == NONE -> atomic { LOCKED = false; QUEUED = false }
	:: first != NONE ->
		how[first] = HANDED;
		atomic {
			note_queue();
#ifdef BUG_HAND_FREE
			LOCKED = false
#endif
		}
	:: first != NONE ->
		how[first] = COMPETE;
		atomic {
			assert(LOCKED && QUEUED && !WOKEN); /* so a store will do */
			LOCKED = false;
			WOKEN = true;
#ifdef BUG_STORE_FORGETS
			QUEUED = false
#else
			note_queue()
#endif
		}
	fi
}

inline unlock()
{
	atomic {
		assert(LOCKED);
		must = QUEUED && !WOKEN;
		if
		:: !must -> LOCKED = false
		:: else
		fi
	};
	if
	:: must ->
		acquire();
		atomic {
			must = QUEUED && !WOKEN;
			if
			:: !must -> LOCKED = false
			:: else
			fi
		};
		first = NONE;
		if
		:: must -> pass_on()
		:: else
		fi;
		release();
		if
		:: first != NONE -> ready[first] = true
		:: else
		fi
	:: else
	fi
}

proctype goroutine(byte me)
{
	byte round, first;
	bool again, got, must;

	do
	:: round == ROUNDS -> break
	:: else ->
		round++;
		again = false;
		atomic {
			got = !LOCKED && !QUEUED && !WOKEN;
			if
			:: got -> LOCKED = true
			:: else
			fi
		};
		do
		:: got -> break
		:: else ->
			acquire();
			take();
			if
			:: got -> release(); break
			:: !got ->
				atomic {
					waiting[me] = true;
					how[me] = NOTHING;
					ready[me] = false;
					if
					:: again ->
						/* at the head */
						byte n = len(queue), other;
						queue ! me;
						do
						:: n > 0 -> queue ? other; queue ! other; n--
						:: else -> break
						od
					:: else -> queue ! me
					fi;
					lock = false
				}
#ifndef NO_TIMEOUT
			:: !got && me > 0 -> note_queue(); release(); break
#endif
			fi;
			if
			:: ready[me]
#ifndef NO_TIMEOUT
			:: atomic { me > 0 && waiting[me] -> waiting[me] = false; how[me] = TIMEOUT }
#endif
			fi;
			if
			:: how[me] == HANDED -> got = true; break
			:: how[me] == TIMEOUT ->
				acquire();
				atomic { leave_queue(); note_queue() };
				release();
				break
			:: how[me] == COMPETE ->
#ifdef BUG_WAKE_LOSER
				got = true; break
#else
				again = true
#endif
			fi
		od;
		if
		:: got ->
			assert(holder == NONE);
			holder = me;
			assert(holder == me);
			holder = NONE;
			unlock()
		:: else
		fi
	od;
	atomic {
		ended++;
		assert(ended < NG || (!LOCKED && !QUEUED && !WOKEN && empty(queue)))
	}
}

init {
	atomic {
		byte i;
		for (i : 0 .. NG - 1) { run goroutine(i) }
	}
}

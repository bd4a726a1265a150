/* SPDX-License-Identifier: MIT
 *
 * Parking a goroutine in two steps, with timeouts, cancellation, threads that wait, and dumps.
 *
 * WHAT IS MODELLED. A goroutine G waits ROUNDS times, each time with a new sequence number, on one object (a
 * mailbox under a lock, with a queue of sudogs). Against it run: senders, which hand it a message or leave the
 * message in the mailbox; a timer, armed or not; a canceller (the end of the pool, a panic), which has no sudog and
 * reads the wait word itself; a dumper, which looks at goroutines that wait; and the Ms, which take Gs from the run queue.
 *
 * Three words matter, each changed by one atomic access:
 *   status    RUNNABLE, RUNNING, PARKING, READY_EARLY, WAITING, WAITING_SCAN. It says who may touch the Lua state: in
 *             RUNNING, PARKING and READY_EARLY the owner; in WAITING_SCAN the dumper; in WAITING and RUNNABLE nobody.
 *   wait      {seq, done}. Open (done = 0) only from its opening to its one winner.
 *   note      what a thread sleeps on where the goroutine could not yield to its M ("blocking").
 *
 * The protocol:
 *   open      note := 0, status := PARKING, and only then wait := {seq + 1, 0}; and then look at the stop flag.
 *   wait      lock; look; link sudog(g, seq); arm timer(g, seq); unlock. Then yield to the M, which lets go of the G
 *             and as its last touch does CAS PARKING -> WAITING; or, blocking, do the same CAS and sleep on the note.
 *             A CAS that fails has met READY_EARLY: run on.
 *   retract   an open wait that is not wanted after all (the look found a message; the stop flag is set): win it oneself.
 *             If somebody else has won it, his ready() is still to come and is awaited.
 *   win       CAS wait {seq, 0} -> {seq, 1}. The one winner writes the reason and the message, drops his locks
 *             and calls ready(); everyone else leaves the G alone.
 *   ready     CAS PARKING -> READY_EARLY; or CAS WAITING -> RUNNABLE and then push on a run queue (blocking: wake the
 *             note); while the scan bit is set, spin. Any other status is a broken invariant.
 *   timer     leaves the heap and copies (g, seq) under the timer lock, drops it, then wins or goes away.
 *   cancel    set the stop flag, then look at each wait word; win what is open.
 *   interrupt a blocked thread that wants to go (a host whose hook was set) wins its own wait, then does CAS
 *             WAITING -> RUNNING, spinning on the scan bit; if somebody else has won, it goes back to the note.
 *   after     delete the timer (one that is just firing is not waited for); unless the message won, lock and unlink.
 *
 * THE ABSTRACTION. Memory is sequentially consistent. What the C needs for that: the store that opens a wait is a
 * release; a win is acquire-release; both CAS of ready() are releases; CAS PARKING -> WAITING is an acquire *when it
 * fails* (this is what shows the winner's message to a G that was readied early); opening a wait and then looking at the
 * stop flag, against setting the flag and then looking at the wait, needs a full fence on both sides. A spin is a guard
 * that blocks. A critical section that touches only what its lock covers is one step. The run queue is a set: its order
 * plays no part. Another goroutine in the same, type-stable memory is just another round: the sequence goes on and never
 * starts again. Sequence numbers do not wrap here; in C they must be so wide that none comes round while a timer fires.
 *
 * PROPERTIES. Every wait ends, and nothing deadlocks (no invalid end state). A G is never pushed twice nor run by two
 * Ms. The reason that a waiter reads is the winner's; a message that won is received; none is received twice or lost. A
 * timer or sudog wins only the round that it was made for. Only what is linked is dequeued; nothing is linked twice or
 * stays linked. Nobody touches a state that a dumper looks at. In the end nothing is linked, armed or locked.
 *
 * VARIANTS. NG goroutines, ROUNDS, NSENDERS, NTIMERS, NM; NO_CANCEL, NO_DUMP, NO_BLOCK leave something out;
 * OPEN_UNDER_LOCK opens the wait after the look, so that a found message needs no retraction (the better order).
 *
 * SEEDED MISTAKES, each of which must be reported:
 *   BUG_TIMER_NO_SEQ      a timer ends whatever wait is open                -> ends a later wait
 *   BUG_TIMER_REREAD      seq read from the timer after its lock is dropped -> reads the re-armed one: ends a later wait
 *   BUG_TIMER_LOCK_HELD   the timer unlinks the sudog with its own lock held -> lock order, deadlock
 *   BUG_SEQ_RESET         a round starts again at the same seq              -> a late timer ends it
 *   BUG_OPEN_AFTER_UNLOCK PARKING and seq set after unlocking               -> linked with an old seq: sleeps for ever
 *   BUG_PARKING_LATE      PARKING alone set after unlocking                 -> ready() meets a running G
 *   BUG_WAIT_FIRST        the wait opened before PARKING is set             -> a canceller readies a running G
 *   BUG_RETRACT_STORE     a wait retracted without winning it               -> a canceller readies a running G
 *   BUG_RETRACT_NO_AWAIT  a retraction that lost runs on at once            -> a canceller readies a running G
 *   BUG_STOP_EARLY        the stop flag looked at before the wait is open   -> the canceller misses it: sleeps for ever
 *   BUG_READY_STORE       ready() looks, then stores READY_EARLY            -> overwrites WAITING: sleeps for ever
 *   BUG_M_STORE           the M looks, then stores WAITING                  -> overwrites READY_EARLY: sleeps for ever
 *   BUG_M_TOUCHES         the M lets go of the G after the CAS              -> touches a G that it no longer has
 *   BUG_NO_WIN            a sender that dequeued a sudog does not CAS       -> two winners
 *   BUG_MSG_AFTER_READY   the message is written after ready()              -> the waiter finds no reason
 *   BUG_NO_UNLINK         a waiter that timed out leaves its sudog          -> stays linked, is linked twice
 *   BUG_NOTE_LATE         the note is cleared after the CAS to WAITING      -> wake-up lost
 *   BUG_INTERRUPT_NO_WIN  an interrupted thread leaves without winning      -> somebody else wins: ready() meets a running G
 *   BUG_INTERRUPT_SCAN    an interrupted thread leaves WAITING by a store   -> runs while a dumper looks
 *   BUG_SCAN_IGNORED      ready() does not mind the scan bit                -> runs while a dumper looks
 */

#ifdef BUG_TIMER_LOCK_HELD /* one goroutine's timer against another's lock: needs two, and nothing else */
#define NG 2
#define ROUNDS 1
#define NO_BLOCK
#define NO_CANCEL
#define NO_DUMP
#endif
#ifndef NG
#define NG 1
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef NSENDERS
#define NSENDERS 1
#endif
#ifndef NTIMERS
#define NTIMERS 1
#endif
#ifndef NM
#define NM 2
#endif
#ifdef NO_CANCEL
#define MESSAGES (NG * ROUNDS) /* enough for every wait */
#else
#define MESSAGES NG /* too few: the waits that get none are ended by their timer or by the canceller */
#endif

mtype = { RUNNABLE, RUNNING, PARKING, READY_EARLY, WAITING, WAITING_SCAN, DEAD };
mtype = { NOBODY, MESSAGE, TIMEOUT, CANCEL, INTERRUPT };

/* The goroutine. */
mtype status[NG] = RUNNABLE;
byte seq[NG];         /* seq and done are one word: */
bool done[NG] = true; /* they are read and written in one step */
bool blocking[NG];
bool note[NG];
mtype reason[NG] = NOBODY;
byte message[NG];
byte sudog_seq[NG];
bool onqueue[NG] = true;
bool resumed[NG]; /* its M is inside lua_resume */
byte owner[NG];   /* which M has hold of it (its g->running); 0 none */

/* The object. */
bool lock;
chan waitq = [NG] of { byte };
chan mailbox = [MESSAGES] of { byte };

bool stop_flag; /* set once, for all: whoever opens a wait looks at it afterwards */

/* The timers, one a goroutine. */
bool tlock;
bool armed[NG];
byte timer_seq[NG];

/* What only the properties look at. */
byte round[NG];
byte timer_round[NG];
mtype winner[NG] = NOBODY;
bool linked[NG];
bool looked_at[NG];
bool got[MESSAGES];
byte received;
byte unsent = MESSAGES;
byte senders_left = NSENDERS;
byte gs_left = NG;

inline acquire() { atomic { !lock -> lock = true } }
inline release() { lock = false }

/* CAS wait {s, 0} -> {s, 1}. Whoever wins must be of the round that is on. */
inline win(g, s, r, who, won)
{
	atomic {
		won = (!done[g] && seq[g] == s);
		if
		:: won ->
			assert(r == round[g]);
			done[g] = true;
			winner[g] = who
		:: else
		fi
	}
}

inline make_runnable(g)
{
	if
	:: blocking[g] -> note[g] = true
	:: else -> atomic { assert(!onqueue[g]); onqueue[g] = true }
	fi
}

inline ready(g)
{
	if
#ifdef BUG_READY_STORE
	:: status[g] == PARKING -> status[g] = READY_EARLY
#else
	:: atomic { status[g] == PARKING -> status[g] = READY_EARLY }
#endif
	:: atomic { status[g] == WAITING -> status[g] = RUNNABLE } -> make_runnable(g)
#ifdef BUG_SCAN_IGNORED
	:: atomic { status[g] == WAITING_SCAN -> status[g] = RUNNABLE } -> make_runnable(g)
	:: else -> assert(false)
#else
	:: (status[g] != PARKING && status[g] != WAITING && status[g] != WAITING_SCAN) -> assert(false)
#endif
	fi
}

inline open_wait(g)
{
	atomic { blocking[g] = will_block; reason[g] = NOBODY; winner[g] = NOBODY };
#ifndef BUG_NOTE_LATE
	note[g] = false;
#endif
#if !defined(BUG_PARKING_LATE) && !defined(BUG_WAIT_FIRST)
	status[g] = PARKING;
#endif
	atomic {
		assert(done[g]);
#ifndef BUG_SEQ_RESET
		seq[g]++;
#endif
		round[g]++;
		done[g] = false
	};
#ifdef BUG_WAIT_FIRST
	status[g] = PARKING;
#endif
}

inline unlink(g)
{
	if
	:: linked[g] -> atomic { waitq ?? eval(g); linked[g] = false }
	:: else
	fi
}

/* The blocking kind of wait: the goroutine's own thread sleeps. */
inline sleep_on_note(g)
{
	atomic { assert(owner[g] != 0 && !looked_at[g]); saved_owner = owner[g]; owner[g] = 0 };
	if
	:: atomic { status[g] == PARKING -> status[g] = WAITING }
#ifdef BUG_NOTE_LATE
		-> note[g] = false
#endif
		-> if
		:: atomic { note[g] -> assert(status[g] == RUNNABLE); status[g] = RUNNING }
		:: true -> /* something else than the note woke the thread: a hook was set */
#ifdef BUG_INTERRUPT_NO_WIN
			atomic { won = true; reason[g] = INTERRUPT; winner[g] = INTERRUPT };
			status[g] = RUNNING
#else
			win(g, seq[g], round[g], INTERRUPT, won);
			if
			:: won ->
				reason[g] = INTERRUPT;
#ifdef BUG_INTERRUPT_SCAN
				status[g] = RUNNING
#else
				atomic { status[g] == WAITING -> status[g] = RUNNING }
#endif
			:: else -> atomic { note[g] -> assert(status[g] == RUNNABLE); status[g] = RUNNING }
			fi
#endif
		fi
	:: atomic { status[g] == READY_EARLY -> status[g] = RUNNING }
	fi;
	atomic { assert(owner[g] == 0 && !looked_at[g]); owner[g] = saved_owner; saved_owner = 0 }
}

inline commit(g)
{
	if
	:: blocking[g] -> sleep_on_note(g)
	:: else ->
		resumed[g] = false; /* yields outward; its M carries on in proctype M */
		resumed[g]
	fi;
	assert(status[g] == RUNNING && !looked_at[g])
}

inline retract(g)
{
#ifdef BUG_RETRACT_STORE
	atomic { done[g] = true; status[g] = RUNNING }
#else
	win(g, seq[g], round[g], INTERRUPT, won);
	if
	:: won -> status[g] = RUNNING
	:: else ->
#ifdef BUG_RETRACT_NO_AWAIT
		status[g] = RUNNING
#else
		atomic { status[g] == READY_EARLY -> status[g] = RUNNING }
#endif
	fi;
	won = false
#endif
}

/* The other half of the canceller's "set the flag, then look for a wait": open the wait, then look at the flag. */
inline leave_if_stopped(g)
{
#ifdef BUG_STOP_EARLY
	skip
#else
	if
	:: stop_flag ->
#ifdef OPEN_UNDER_LOCK
		release();
#endif
		retract(g);
		break
	:: else
	fi
#endif
}

inline receive(m)
{
	atomic { assert(!got[m]); got[m] = true; received++; m = 0 }
}

proctype G(byte g)
{
	byte turn, m, saved_owner;
	bool will_block, timed, won;

	resumed[g];
	do
	:: turn < ROUNDS ->
		atomic {
			turn++;
			if
			:: will_block = false
#ifndef NO_BLOCK
			:: will_block = true
#endif
			fi;
			if :: timed = false :: timed = true fi
		}
#ifdef BUG_STOP_EARLY
		if
		:: stop_flag -> break
		:: else
		fi;
#endif
#if !defined(OPEN_UNDER_LOCK) && !defined(BUG_OPEN_AFTER_UNLOCK)
		open_wait(g);
		leave_if_stopped(g);
#endif
		acquire();
		if
		:: nempty(mailbox) ->
			mailbox ? m;
			release();
#ifndef OPEN_UNDER_LOCK
			retract(g);
#endif
			receive(m)
		:: empty(mailbox) ->
#ifdef OPEN_UNDER_LOCK
			open_wait(g);
			leave_if_stopped(g);
#endif
			atomic { assert(!linked[g]); linked[g] = true; sudog_seq[g] = seq[g]; waitq ! g };
			if
			:: timed ->
				atomic { !tlock -> armed[g] = true; timer_seq[g] = seq[g]; timer_round[g] = round[g] }
			:: else
			fi;
			release();
#ifdef BUG_OPEN_AFTER_UNLOCK
			open_wait(g);
#endif
#ifdef BUG_PARKING_LATE
			status[g] = PARKING;
#endif
			commit(g);
			atomic { won = false; assert(reason[g] != NOBODY && reason[g] == winner[g]) };
			atomic { !tlock -> armed[g] = false; timer_seq[g] = 0; timer_round[g] = 0 };
			if
			:: reason[g] == MESSAGE -> m = message[g]; receive(m)
			:: else ->
#ifndef BUG_NO_UNLINK
				acquire();
				unlink(g);
				release()
#endif
			fi
		fi
	:: else -> break
	od;
	atomic { status[g] = DEAD; gs_left-- };
	resumed[g] = false
}

/* Takes a goroutine, runs it until it yields, and parks it: the second of the two steps. */
proctype M(byte me)
{
	byte g;

end_idle:
	do
	:: atomic {
		if
		:: onqueue[0] -> g = 0
#if NG > 1
		:: onqueue[1] -> g = 1
#endif
		fi;
		onqueue[g] = false;
		assert(status[g] == RUNNABLE)
	   }
	   status[g] = RUNNING;
	   atomic { assert(owner[g] == 0 && !looked_at[g] && !resumed[g]); owner[g] = me };
	   do
	   :: resumed[g] = true;
	      !resumed[g]; /* lua_resume has returned */
	      if
	      :: status[g] == DEAD -> break
	      :: else
	      fi;
	      assert(owner[g] == me && !looked_at[g]);
#ifndef BUG_M_TOUCHES
	      owner[g] = 0;
#endif
	      if
#ifdef BUG_M_STORE
	      :: status[g] == PARKING -> status[g] = WAITING; break
#elif defined(BUG_M_TOUCHES)
	      :: atomic { status[g] == PARKING -> status[g] = WAITING } -> owner[g] = 0; break
#else
	      :: atomic { status[g] == PARKING -> status[g] = WAITING } -> break
#endif
	      :: atomic { status[g] == READY_EARLY -> status[g] = RUNNING }
	      fi;
#ifndef BUG_M_TOUCHES
	      assert(owner[g] == 0);
#endif
	      owner[g] = me
	   od;
	   g = 0
	od
}

/* The waker that goes through the object's queue. */
proctype Sender()
{
	byte m, g;
	bool won;

	do
	:: atomic { unsent > 0 -> unsent--; m = unsent }
	   acquire();
	   do
	   :: atomic { waitq ? g -> assert(linked[g]); linked[g] = false };
#ifdef BUG_NO_WIN
	      atomic { done[g] = true; winner[g] = MESSAGE; won = true };
#else
	      win(g, sudog_seq[g], round[g], MESSAGE, won);
#endif
	      if
	      :: won ->
#ifdef BUG_MSG_AFTER_READY
		release();
		ready(g);
		message[g] = m; reason[g] = MESSAGE;
#else
		message[g] = m; reason[g] = MESSAGE;
		release();
		ready(g);
#endif
		break
	      :: else /* over already: not ours any more, on to the next */
	      fi
	   :: empty(waitq) ->
	      mailbox ! m;
	      release();
	      break
	   od;
	   atomic { g = 0; m = 0; won = false }
	:: unsent == 0 -> break
	od;
	senders_left--
}

/* An M that fires timers. */
proctype Timer()
{
	byte g, s, r;
	bool won;

end_idle:
	do
	:: atomic {
		if
		:: !tlock && armed[0] -> g = 0
#if NG > 1
		:: !tlock && armed[1] -> g = 1
#endif
		fi;
		armed[g] = false; s = timer_seq[g]; r = timer_round[g]
#ifdef BUG_TIMER_LOCK_HELD
		; tlock = true
#endif
	   }
#ifdef BUG_TIMER_LOCK_HELD
	   acquire();
	   unlink(g);
	   release();
	   tlock = false;
#endif
#ifdef BUG_TIMER_REREAD
	   s = timer_seq[g];
#endif
#ifdef BUG_TIMER_NO_SEQ
	   win(g, seq[g], r, TIMEOUT, won);
#else
	   win(g, s, r, TIMEOUT, won);
#endif
	   if
	   :: won -> reason[g] = TIMEOUT; ready(g)
	   :: else
	   fi;
	   atomic { g = 0; s = 0; r = 0; won = false }
	od
}

/* Has no sudog: sets the flag, then takes whatever wait it finds open, one G after the other. */
proctype Canceller()
{
	byte g, s, r;
	bool won;

	stop_flag = true;
	do
	:: g < NG ->
		if
		:: atomic { !done[g] -> s = seq[g]; r = round[g] };
			win(g, s, r, CANCEL, won);
			if
			:: won -> reason[g] = CANCEL; ready(g)
			:: else
			fi
		:: done[g]
		fi;
		g++
	:: else -> break
	od
}

/* Looks at one waiting goroutine, once. */
proctype Dumper(byte g)
{
end_idle:
	atomic { status[g] == WAITING -> status[g] = WAITING_SCAN };
	atomic { assert(owner[g] == 0 && !onqueue[g]); looked_at[g] = true };
	atomic { assert(status[g] == WAITING_SCAN); looked_at[g] = false };
	status[g] = WAITING
}

/* When all is over, everything must be where it belongs. */
proctype Auditor()
{
end_idle:
	atomic {
		gs_left == 0 && senders_left == 0 ->
		assert(received + len(mailbox) == MESSAGES);
		assert(empty(waitq) && !lock && !tlock);
		assert(done[0] && !armed[0] && !linked[0] && !onqueue[0]);
		assert(done[NG - 1] && !armed[NG - 1] && !linked[NG - 1] && !onqueue[NG - 1])
	}
}

init {
	byte i;
	atomic {
		for (i : 1 .. NG) { run G(i - 1) }
		for (i : 1 .. NM) { run M(i) }
		for (i : 1 .. NSENDERS) { run Sender() }
		for (i : 1 .. NTIMERS) { run Timer() }
#ifndef NO_CANCEL
		run Canceller();
#endif
#ifndef NO_DUMP
		run Dumper(0);
#endif
		run Auditor()
	}
}

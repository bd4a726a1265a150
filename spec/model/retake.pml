/* SPDX-License-Identifier: MIT
 *
 * Taking a P away from a thread that sits in Lua or in foreign C, against that thread's return.
 *
 * WHAT IS MODELLED. Ms that run Lua with NP Ps, fewer than or as many as there are Ms; in Lua each may call into the scheduler
 * CALLS times in each of ROUNDS goroutines, and may stay in foreign C for ever. Against them run: sysmon, which looks at Ps and
 * later takes what it saw; and perhaps the end of the pool, which wakes whoever waits for a P.
 *
 * These words matter:
 *   word      of a P: {tick, state}, changed by one atomic access; state is IDLE, RUNNING or IN_LUA. RUNNING belongs to whoever made
 *             it so (an M, sysmon); IN_LUA to its M, but may be taken.
 *   P.m       which M runs there. Written by an M that takes a P, before it leaves with it.
 *   M.p       its own; a P-less M has none. After a P has been taken M.p is stale until the next enter finds it out.
 *   M.retaken its P was taken and it has none since: sysmon asks such an M to yield. Written by sysmon under the pool's lock,
 *             cleared by the M when it takes a P.
 *   M.nextp   the P that it is given while it sleeps; pool lock. And its note.
 *
 * The protocol:
 *   leave     (with a P only) a store {tick + 1, IN_LUA}; it remembers the word.
 *   enter     (with a P only) CAS from exactly that word to {same tick, RUNNING}. If that fails the P is gone: M.p = none. A
 *             P-less M goes on in Lua, does neither leave nor enter, and pushes to the global queue only.
 *   look      sysmon reads the word, and only then P.m: if the word is the same later, so is P.m.
 *   retake    lock; CAS from exactly the remembered word to {same tick, RUNNING}; if that worked, M.retaken = true; unlock; hand on.
 *   hand on   lock; an M waits: dequeue it, write its nextp, unlock, wake its note. None waits: {IDLE}, into the idle list, unlock.
 *   acquire   (when the goroutine parks, ends or is pre-empted) clear the note; lock; an idle P: take it, unlock; else into the
 *             queue - in the same critical section -, unlock, sleep on the note. Awake: lock; take nextp; if there is none the
 *             pool ends: out of the queue; unlock.
 *   take      M.retaken = false, word {RUNNING}, P.m, M.p; before the first leave. To get here it had the pool's lock,
 *             and so it comes after the mark of a retake that made the M P-less.
 *
 * THE ABSTRACTION. Memory is sequentially consistent. What the C needs for that: leave is a release (P.m and the ring are seen by
 * whoever takes the P), enter and retake are acquires when they succeed, and a look is an acquire. Queues of goroutines are left out:
 * a push asserts that the ring is the pusher's. The queue of waiting Ms stands for both lists of C, that of idle Ms and the global
 * queue with bound Gs (there the P goes through the hands of the M that picks the G). Whether sysmon judges an M
 * blocked is its free choice. Critical sections that touch only what the lock covers are one step where that loses nothing. In C the tick has 56 bits.
 *
 * PROPERTIES. A P is used by one at a time, and by nobody while it is idle; it is in the idle list at most once. At the end each P is
 * idle or with an M that sits in C: none is lost. No M waits for ever (no invalid end state). A P is taken only from the stay in Lua
 * that was looked at. Whenever sysmon has the lock and is to ask, M.retaken says exactly which Ms have lost a P and got none since.
 * (That an M takes a P just after it was asked cannot be avoided; it yields once in vain.)
 *
 * VARIANTS. NP, ROUNDS, CALLS.
 *
 * SEEDED MISTAKES, each of which must be reported:
 *   BUG_NO_TICK      the word has no tick                                -> an old look takes a later stay; or a late enter, another's P
 *   BUG_ENTER_STORE  enter looks, then stores                            -> enters a P just taken
 *   BUG_TAKE_STORE   retake looks, then stores                           -> takes a P just entered
 *   BUG_WHO_FIRST    look reads P.m before the word                      -> marks an M that lost nothing
 *   BUG_MARK_LATE    retaken set after the lock was dropped              -> set for an M that has a P again
 *   BUG_MARK_NO_LOCK CAS and mark without the lock                       -> the same
 *   BUG_CLEAR_LATE   retaken cleared after the first leave               -> erases the next mark: that M is never asked
 *   BUG_LEAVE_LOST   a P-less M leaves by writing the word of its old P  -> a P in use becomes IN_LUA
 *   BUG_PUSH_LOST    a P-less M pushes to the ring of the P that it lost -> two producers
 *   BUG_LOOK_APART   no idle P seen, lock dropped, then queued           -> sleeps beside an idle P
 *   BUG_NOTE_LATE    note cleared after queueing                         -> wake-up lost
 *   BUG_NEXTP_LATE   dequeued under the lock, nextp written after it     -> the M, woken by the end, is gone: the P is lost
 *   BUG_STAYS_QUEUED an M woken by the end stays in the queue            -> is given a P when it is gone
 */

#if defined(BUG_MARK_LATE) || defined(BUG_MARK_NO_LOCK) /* need a second P; one that was taken cannot be got before the mark */
#define NP 2
#define CALLS 0
#endif
#ifndef NP
#define NP 1
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef CALLS
#define CALLS 1
#endif
#define NM 2
#define NONE 9
#define SYSMON 3

mtype = { IDLE, RUNNING, IN_LUA };

/* The Ps. */
byte tick[NP];         /* tick and state are one word: */
mtype state[NP] = IDLE; /* they are read and written in one step */
byte p_m[NP];
bool idle[NP] = true;

/* The Ms, 1 and 2. */
byte m_p[NM + 1] = NONE;
byte nextp[NM + 1] = NONE;
bool retaken[NM + 1];
bool note[NM + 1];

bool lock; /* the pool's, held by sysmon for more than a step; all others need it for one step only */
bool stopping;
chan waiting = [NM] of { byte };

/* What only the properties look at. */
byte holder[NP]; /* whose it is: an M, SYSMON; 0 in the idle list */
byte stay[NP];   /* which stay in Lua this is, whether the word tells it or not */
bool used[NP];
bool lost[NM + 1];
bool in_c[NM + 1]; /* for ever */
bool sysmon_busy;
byte ms_left = NM;

/* What must be true whenever sysmon asks. */
inline marks_are_right()
{
	assert(retaken[1] == lost[1] && retaken[2] == lost[2]);
	assert((!retaken[1] || m_p[1] == NONE || holder[m_p[1]] != 1) && (!retaken[2] || m_p[2] == NONE || holder[m_p[2]] != 2))
}

/* p, RUNNING and the caller's, goes to an M that waits, else to the idle list. */
inline hand_on(p, m)
{
	atomic {
		!lock ->
		assert(!idle[p] && holder[p] != 0 && state[p] == RUNNING && !used[p]);
		if
		:: waiting ? m ->
			assert(nextp[m] == NONE);
#ifndef BUG_NEXTP_LATE
			nextp[m] = p;
#endif
			holder[p] = m
		:: empty(waiting) ->
			holder[p] = 0;
			state[p] = IDLE;
			idle[p] = true
		fi
	};
	if
	:: m != 0 ->
#ifdef BUG_NEXTP_LATE
		nextp[m] = p;
#endif
		atomic { note[m] = true; m = 0 }
	:: else
	fi
}

/* Under the lock. */
inline take_idle(p)
{
	assert(state[p] == IDLE && holder[p] == 0);
	idle[p] = false;
	state[p] = RUNNING;
	holder[p] = me;
	mine = p
}

inline acquire_p()
{
#ifndef BUG_NOTE_LATE
	note[me] = false;
#endif
	atomic {
		!lock ->
		if
		:: stopping
		:: !stopping && idle[0] -> take_idle(0)
#if NP > 1
		:: !stopping && idle[1] -> take_idle(1)
#endif
		:: else ->
#ifndef BUG_LOOK_APART
			waiting ! me;
#endif
			queued = true
		fi
	};
	if
	:: queued ->
#ifdef BUG_LOOK_APART
		atomic { !lock -> waiting ! me };
#endif
#ifdef BUG_NOTE_LATE
		note[me] = false;
#endif
		note[me];
		atomic {
			!lock ->
			mine = nextp[me];
			nextp[me] = NONE;
			if
#ifndef BUG_STAYS_QUEUED
			:: mine == NONE && waiting ?? [eval(me)] -> waiting ?? eval(me)
#endif
			:: else
			fi;
			queued = false
		}
	:: else
	fi;
	if
	:: mine != NONE ->
#ifndef BUG_CLEAR_LATE
		atomic { retaken[me] = false; lost[me] = false };
#endif
		atomic { assert(holder[mine] == me && state[mine] == RUNNING); p_m[mine] = me; m_p[me] = mine; mine = NONE }
	:: else
	fi
}

inline leave()
{
	if
	:: m_p[me] != NONE ->
		atomic {
			assert(holder[m_p[me]] == me && !used[m_p[me]]);
			stay[m_p[me]]++;
#ifndef BUG_NO_TICK
			tick[m_p[me]]++;
#endif
			state[m_p[me]] = IN_LUA;
			word = tick[m_p[me]]
		}
	:: else
	fi
}

inline enter()
{
	if
	:: m_p[me] == NONE
#ifdef BUG_ENTER_STORE
	:: m_p[me] != NONE && tick[m_p[me]] == word && state[m_p[me]] == IN_LUA ->
		atomic { assert(holder[m_p[me]] == me); state[m_p[me]] = RUNNING }
#else
	:: atomic { m_p[me] != NONE && tick[m_p[me]] == word && state[m_p[me]] == IN_LUA ->
		assert(holder[m_p[me]] == me); state[m_p[me]] = RUNNING; word = 0 }
#endif
	:: atomic { m_p[me] != NONE && (tick[m_p[me]] != word || state[m_p[me]] != IN_LUA) ->
#if defined(BUG_LEAVE_LOST) || defined(BUG_PUSH_LOST)
		old = m_p[me];
#endif
		m_p[me] = NONE; word = 0 }
	fi
}

/* A goroutine made runnable: into the ring of the M's P, or under the lock into the global queue. */
inline push()
{
	if
	:: m_p[me] != NONE ->
		atomic { assert(holder[m_p[me]] == me && state[m_p[me]] == RUNNING && !used[m_p[me]]); used[m_p[me]] = true };
		atomic { assert(holder[m_p[me]] == me && state[m_p[me]] == RUNNING && used[m_p[me]]); used[m_p[me]] = false }
#ifdef BUG_PUSH_LOST
	:: m_p[me] == NONE && old != NONE -> assert(holder[old] == me && !used[old])
#endif
	:: else -> !lock /* a step under the lock that touches no P */
	fi
}

proctype M(byte me)
{
	byte round, call, word, other;
	byte mine = NONE; /* got, not yet taken */
	bool queued;
#if defined(BUG_LEAVE_LOST) || defined(BUG_PUSH_LOST)
	byte old = NONE;
#endif

	do
	:: round < ROUNDS ->
		round++;
		if
		:: m_p[me] == NONE -> acquire_p()
		:: else
		fi;
		if
		:: m_p[me] == NONE -> assert(stopping); break
		:: else
		fi;
		leave();
#ifdef BUG_CLEAR_LATE
		atomic { retaken[me] = false; lost[me] = (m_p[me] != NONE && holder[m_p[me]] != me) };
#endif
		do
		:: call < CALLS ->
			call++;
			enter();
			push();
#ifdef BUG_LEAVE_LOST
			if
			:: m_p[me] == NONE && old != NONE ->
				atomic { assert(holder[old] == me && !used[old]); tick[old]++; state[old] = IN_LUA }
			:: else
			fi;
#endif
			leave()
		:: atomic { true -> call = 0; break }
		:: atomic { true -> in_c[me] = true; ms_left-- }; /* foreign C that never returns */
end_in_c:
			false
		od;
		enter();
		if /* the goroutine has parked or ended */
		:: m_p[me] != NONE ->
			if
			:: true /* and its M runs another */
			:: atomic { true -> mine = m_p[me]; m_p[me] = NONE };
				hand_on(mine, other);
				mine = NONE
			fi
		:: else
		fi
	:: else -> break
	od;
	if
	:: m_p[me] != NONE ->
		atomic { mine = m_p[me]; m_p[me] = NONE };
		hand_on(mine, other);
		mine = NONE
	:: else
	fi;
	ms_left--
}

proctype Sysmon()
{
	byte p, who, seen, seen_stay, m;

end_idle:
	do
	:: atomic {
		if
		:: state[0] == IN_LUA -> p = 0
#if NP > 1
		:: state[1] == IN_LUA -> p = 1
#endif
#ifdef BUG_WHO_FIRST
		:: p_m[0] != 0 && state[0] != IDLE -> p = 0
#endif
		fi;
		sysmon_busy = true;
#ifdef BUG_WHO_FIRST
		who = p_m[p]
#else
		seen = tick[p];
		seen_stay = stay[p]
#endif
	   }
#ifdef BUG_WHO_FIRST
	   atomic { seen = tick[p]; seen_stay = stay[p] };
#else
	   who = p_m[p];
#endif
	   /* and some time later, when it has found that `who` is blocked: */
#ifdef BUG_MARK_NO_LOCK
	   atomic { !lock -> marks_are_right() };
#else
	   atomic { !lock -> lock = true; marks_are_right() };
#endif
	   if
#ifdef BUG_TAKE_STORE
	   :: tick[p] == seen && state[p] == IN_LUA ->
		atomic {
#else
	   :: atomic { tick[p] == seen && state[p] == IN_LUA ->
#endif
			assert(state[p] == IN_LUA && stay[p] == seen_stay);
			assert(!used[p] && holder[p] != 0 && holder[p] != SYSMON);
			state[p] = RUNNING;
			lost[holder[p]] = true;
			holder[p] = SYSMON
		};
#ifdef BUG_MARK_LATE
		lock = false;
		retaken[who] = true;
#else
		retaken[who] = true;
#ifndef BUG_MARK_NO_LOCK
		lock = false;
#endif
#endif
		hand_on(p, m)
	   :: else ->
#ifdef BUG_MARK_NO_LOCK
		skip
#else
		lock = false
#endif
	   fi;
	   atomic { p = 0; who = 0; seen = 0; seen_stay = 0; sysmon_busy = false }
	od
}

/* The pool ends, or it does not: whoever sleeps is woken. (Chosen at once, so that a sleep for ever is seen where it does not.) */
proctype End()
{
	if
	:: true
	:: true ->
		atomic { !lock -> stopping = true; note[1] = true; note[2] = true }
	fi
}

/* When all is over, everything must be where it belongs. */
proctype Auditor()
{
	byte p;

end_idle:
	atomic {
		ms_left == 0 && !sysmon_busy && !lock ->
		assert(empty(waiting));
		marks_are_right();
		for (p : 0 .. NP - 1) {
			assert(!used[p]);
			if
			:: idle[p] -> assert(holder[p] == 0 && state[p] == IDLE)
			:: else -> assert(holder[p] == 1 || holder[p] == 2); assert(in_c[holder[p]] && m_p[holder[p]] == p && state[p] == IN_LUA)
			fi
		}
	}
}

init {
	atomic {
		run M(1);
		run M(2);
		run Sysmon();
		run End();
		run Auditor()
	}
}

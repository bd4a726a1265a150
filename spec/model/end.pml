/* SPDX-License-Identifier: MIT
 *
 * The end of the pool, against its own threads, which run, park, sleep, or sit in foreign C until long after it, and against threads
 * that are none of goro's. The pool is one static object: after its end it starts again, and ends again, while threads of its first
 * life are still abroad.
 *
 * WHAT IS MODELLED. The last host H ends the pool at any moment, starts it again, runs a goroutine in it (perhaps in the memory of an
 * old one), and ends it a second time. Ms 1 and 2 belong to the first life. They run G 0 and G 1, each of which yields, parks, ends, or
 * sits in foreign C for as long as it takes or for ever; or (BOUND) M 2 sleeps with G 1, which is bound to it: it waits where Lua cannot
 * yield. A foreign thread F calls chan_send again and again: it ends the wait of a goroutine of either life, perhaps late, or waits
 * itself, and nobody receives.
 *
 * The protocol:
 *   at        Where an M is: HOME (in the scheduler), ABROAD (in Lua or foreign C), OVER, GONE. An M goes abroad by a store, and comes home
 *             by a CAS ABROAD -> HOME. When that fails, the M is OVER: the pool has ended without it, and it touches nothing of the pool.
 *   door      One word {closed, count}. F enters by one CAS, which a closed door refuses, and is counted until it leaves.
 *   halt      lock; stopping := true; close the door; wake the notes of all Ms; unlock. Wait for a while until all Ms are gone.
 *   take      Each M that is ABROAD becomes OVER by a CAS; one that is HOME is waited for without limit, since only goro's code runs there.
 *   turn away Who waits in the door is won with SHUTDOWN, again and again until the count is 0. Now H is alone in the pool.
 *   link      Under the lock, and only unless stopping: a G that its own thread took while it was queued would be in two places.
 *   drain     All queues are emptied.
 *   sweep     Each G that is WAITING or RUNNABLE is destroyed, its wait won before that. Its memory may serve another at once.
 *   start     stopping := false; the door opens. Nothing else of the first life is there any more.
 *   M, over   ends its own G, and its thread with it.
 *   sleep     clear the note; lock; if stopping: leave; else into the idle list; unlock; sleep.
 *   bound     the thread of a bound G, awake without a P: the pool ends. It wins its wait itself and moves WAITING -> RUNNING; or awaits
 *             its winner and moves RUNNABLE -> RUNNING by CAS, although a queue still holds the G. Only when it is RUNNING is `bound` cleared.
 *
 * THE ABSTRACTION. Memory is sequentially consistent. Ps are left out: an M with a P comes home by a CAS on the P's word, which H takes
 * in the same way. All queues are one set. Critical sections are one step, but for those of halt and of linking. That a thread sits in C
 * is just that its next step comes late. The second life's M is H itself.
 *
 * PROPERTIES. Nobody touches the pool while H is alone in it, or while it is closed; nobody touches a state that is destroyed or that
 * another runs. A state is destroyed at most once. The pool starts with empty queues and nobody inside. A won wait is always readied. H
 * comes to its end. Nobody sleeps for ever (no invalid end state).
 *
 * VARIANTS. BOUND: see above. PATIENT: H takes nobody, and nobody stays in C for ever. TURNS: how often a goroutine of the first life
 * is run.
 *
 * SEEDED MISTAKES, each of which must be reported:
 *   BUG_NO_DOOR        F does not enter the door                           -> touches a pool that is H's alone
 *   BUG_DOOR_LOOK      F looks at the door, then counts itself             -> enters a closed door
 *   BUG_TURN_ONCE      those who wait in the door are looked for once      -> H waits for ever for one who came later
 *   BUG_TAKE_STORE     H looks at an M, then stores OVER                   -> the M is home meanwhile
 *   BUG_ENTER_STORE    an M comes home by a store                          -> an M that is OVER touches the pool
 *   BUG_OVER_LINKS     an M that is OVER queues its G, as others do        -> touches the pool
 *   BUG_SWEEP_HOME     Ms that are HOME are not waited for                 -> they touch the pool
 *   BUG_SWEEP_EARLY    the door is not waited for                          -> F readies a G that was swept
 *   BUG_SWEEP_NO_WIN   a WAITING G is swept without winning its wait       -> F readies it in the next life
 *   BUG_SEQ_RESET      a G in reused memory starts with seq 0 again        -> F, late, ends a wait that is not the one it saw
 *   BUG_LINK_LATE      a G is queued although the pool ends                -> it is in a queue already, from which its own thread took it
 *   BUG_NO_DRAIN       the queues are left as they are                     -> the next life starts with the last one's goroutines
 *   BUG_RUN_STORE      an M sets a G that it picked RUNNING by a store     -> runs one that its own thread runs
 *   BUG_BOUND_FIRST    a bound G's thread clears `bound`, then takes it    -> a picker takes it too
 *   BUG_NOTE_LATE      a note cleared after the look at stopping           -> sleeps for ever
 */

#ifndef TURNS
#define TURNS 2
#endif
#if defined(BUG_BOUND_FIRST) || defined(BUG_LINK_LATE) || defined(BUG_RUN_STORE)
#define BOUND
#endif
#define NONE 9
#define HOST 4

mtype = { FREE, RUNNABLE, RUNNING, PARKING, READY_EARLY, WAITING };
mtype = { HOME, ABROAD, OVER, GONE };

/* Goroutines: 0 and 1 begin in the first life, 2 is free memory. */
mtype status[3] = FREE;
byte seq[3]; /* seq and done are one word */
bool done[3] = true;
bool bound[3];

/* The pool. */
bool lock;
bool stopping;
bool closed;  /* closed and count are one word: the door */
byte count;
bool queued[3];
bool idle[3];  /* Ms 1 and 2 */
bool note[3];
bool given[3]; /* nextp */
mtype at[3] = HOME;

/* F's sudog: it is for G `aim`; 0: not linked. */
byte aim;
byte sudog_seq;
/* F's own wait. */
bool f_waits;
bool f_note;

/* What only the properties look at. */
bool owned;     /* H is alone in the pool, or the pool is closed */
bool state[3];  /* a G's Lua state exists */
byte runner[3]; /* who is in it */
byte life[3];   /* which life it belongs to */
byte lives = 1;

#define touch_pool() assert(!owned)

/* The caller has the lock. */
inline wake_idle()
{
	if
	:: idle[1] -> idle[1] = false; note[1] = true
	:: !idle[1] && idle[2] -> idle[2] = false; note[2] = true
	:: else
	fi
}

/* A G that has been given away already: status RUNNABLE. */
inline link(g)
{
	atomic { !lock -> touch_pool(); lock = true };
	if
#ifndef BUG_LINK_LATE
	:: stopping
#endif
	:: atomic {
#ifndef BUG_LINK_LATE
		!stopping ->
#endif
		touch_pool(); assert(!queued[g] && state[g] && life[g] == lives); queued[g] = true; wake_idle() }
	fi;
	lock = false
}

inline stop_running(g)
{
	assert(runner[g] == me);
	runner[g] = 0
}

/* From abroad. */
inline come_home()
{
#ifdef BUG_ENTER_STORE
	at[me] = HOME
#else
	atomic {
		if
		:: at[me] == ABROAD -> at[me] = HOME
		:: else -> assert(at[me] == OVER); over = true
		fi
	}
#endif
}

/* Runs g, which is RUNNING and the caller's, until it yields, parks or ends. */
inline execute(g)
{
	atomic { assert(state[g] && runner[g] == 0 && status[g] == RUNNING); runner[g] = me; turn++ };
	at[me] = ABROAD;
	if
#ifndef PATIENT
	:: true ->
end_in_c:
		false
#endif
	:: true
	fi;
	come_home();
	if
	:: over ->
		atomic { assert(state[g] && runner[g] == me && status[g] == RUNNING); stop_running(g) };
#ifdef BUG_OVER_LINKS
		status[g] = RUNNABLE;
		next = RUNNABLE
#else
		atomic { state[g] = false; status[g] = FREE; next = 0 }
#endif
	:: else ->
		atomic {
		touch_pool();
		assert(state[g] && runner[g] == me);
		if
		:: turn < TURNS -> stop_running(g); status[g] = RUNNABLE; next = RUNNABLE
		:: turn < TURNS ->
			assert(done[g]);
			status[g] = PARKING;
			seq[g]++;
			done[g] = false;
			if
			:: sudog_seq == 0 -> aim = g; sudog_seq = seq[g]
			:: else
			fi;
			next = PARKING
		:: true -> stop_running(g); assert(status[g] == RUNNING); state[g] = false; status[g] = FREE; next = 0
		fi
		}
	fi;
	if
	:: next == PARKING ->
		atomic { assert(state[g]); stop_running(g) };
		if
		:: atomic { status[g] == PARKING -> status[g] = WAITING; next = 0 }
		:: atomic { status[g] == READY_EARLY -> status[g] = RUNNABLE; next = RUNNABLE }
		:: atomic { status[g] != PARKING && status[g] != READY_EARLY -> assert(false) }
		fi
	:: else
	fi;
	if
	:: next == RUNNABLE -> next = 0; link(g)
	:: else
	fi
}

/* At home, asleep with its goroutine, until it is given a P or the pool ends; then it runs it. */
inline wait_bound(g)
{
	if
	:: atomic { status[g] == PARKING -> runner[g] = 0; status[g] = WAITING };
		if
		:: atomic { !lock && stopping -> touch_pool() }
		:: atomic { !lock && !stopping -> touch_pool() };
			note[me];
			atomic { !lock -> touch_pool(); got = given[me]; given[me] = false }
		fi;
		won = false;
		if
		:: got
		:: else ->
			atomic {
				won = !done[g];
				done[g] = true
			}
		fi;
#ifdef BUG_BOUND_FIRST
		bound[g] = false;
#endif
		if
		:: won -> atomic { assert(status[g] == WAITING); status[g] = RUNNING }
		:: else -> atomic { status[g] == RUNNABLE -> status[g] = RUNNING }
		fi
	:: atomic { status[g] == READY_EARLY -> runner[g] = 0; status[g] = RUNNING }
	fi;
#ifndef BUG_BOUND_FIRST
	bound[g] = false;
#endif
	got = false;
	won = false
}

proctype M(byte me)
{
	byte g, turn;
	bool got, won, over;
	mtype next;
	bool have = true; /* g is its own, RUNNING */

	g = me - 1;
#ifdef BOUND
	if
	:: bound[g] -> wait_bound(g)
	:: else
	fi;
#endif
	do
	:: have -> execute(g); have = false
	:: !have && over -> break
	:: !have && !over && stopping -> touch_pool(); break
	:: else ->
		atomic {
			touch_pool();
			if
			:: queued[0] -> g = 0; queued[g] = false
			:: queued[1] -> g = 1; queued[g] = false
			:: else -> g = NONE
			fi
		};
		if
		:: g == NONE ->
#ifndef BUG_NOTE_LATE
			note[me] = false;
#endif
			atomic {
				!lock ->
				touch_pool();
				if
				:: !stopping && !queued[0] && !queued[1] -> idle[me] = true
				:: else -> note[me] = true
				fi
#ifdef BUG_NOTE_LATE
				; got = !note[me] || idle[me]
#endif
			};
#ifdef BUG_NOTE_LATE
			if
			:: got -> note[me] = false
			:: else
			fi;
			got = false;
#endif
			note[me];
			atomic { !lock -> touch_pool(); idle[me] = false }
		:: else ->
			if
			:: bound[g] -> /* its thread gets the P */
				atomic {
					!lock ->
					touch_pool();
					if
					:: stopping
					:: else -> given[2] = true; note[2] = true
					fi
				}
			:: else ->
#ifdef BUG_RUN_STORE
				atomic { status[g] = RUNNING; have = true }
#else
				if
				:: atomic { status[g] == RUNNABLE -> status[g] = RUNNING; have = true }
				:: atomic { status[g] != RUNNABLE -> skip }
				fi
#endif
			fi
		fi
	od;
	if
	:: over
	:: else -> atomic { touch_pool(); note[me] = false; given[me] = false }
	fi;
	atomic { g = 0; turn = 0; at[me] = GONE }
}

/* A thread of the program's own, which sends three times. */
proctype F()
{
	byte g, s, sends;
	bool won, in;

	do
	:: sends == 3 -> break
	:: else ->
		sends++;
#ifdef BUG_NO_DOOR
		in = !closed;
#else
#ifdef BUG_DOOR_LOOK
		in = !closed;
		if
		:: in -> count++
		:: else
		fi;
#else
		atomic {
			in = !closed;
			if
			:: in -> count++
			:: else
			fi
		};
#endif
#endif
		if
		:: in ->
			if
			:: atomic { sudog_seq != 0 -> touch_pool(); g = aim; s = sudog_seq; sudog_seq = 0 };
				atomic {
					won = (!done[g] && seq[g] == s);
					if
					:: won -> assert(state[g]); done[g] = true
					:: else
					fi;
					s = 0
				};
				if
				:: won ->
					if
					:: atomic { status[g] == PARKING -> assert(state[g]); status[g] = READY_EARLY }
					:: atomic { status[g] == WAITING -> assert(state[g]); status[g] = RUNNABLE }; link(g)
					:: atomic { status[g] != PARKING && status[g] != WAITING -> assert(false) }
					fi
				:: else
				fi
			:: atomic { true -> touch_pool(); f_waits = true }; /* nobody receives */
				atomic { f_note -> f_note = false }
			fi;
#ifndef BUG_NO_DOOR
			atomic { touch_pool(); count-- }
#endif
		:: else /* GORO_ENDED */
		fi;
		atomic { g = 0; won = false; in = false }
	od
}

inline turn_away()
{
	atomic {
		if
		:: f_waits -> f_waits = false; f_note = true
		:: else
		fi
	}
}

inline end_pool()
{
	atomic { !lock -> touch_pool(); lock = true };
	stopping = true;
	closed = true;
	atomic { note[1] = true; note[2] = true };
	lock = false;
	turn_away();
	g = 1;
	do
	:: g == 3 -> break
	:: g < 3 && (at[g] == GONE || at[g] == OVER) -> g++
#ifdef BUG_SWEEP_HOME
	:: g < 3 && at[g] == HOME -> g++
#endif
#ifndef PATIENT
#ifdef BUG_TAKE_STORE
	:: g < 3 && at[g] == ABROAD -> at[g] = OVER
#else
	:: atomic { g < 3 && at[g] == ABROAD -> at[g] = OVER }
#endif
#endif
	od;
	do
	:: count == 0 -> break
#ifdef BUG_SWEEP_EARLY
	:: true -> break
#endif
#ifndef BUG_TURN_ONCE
	:: f_waits -> turn_away()
#endif
	od;
	owned = true;
#ifndef BUG_NO_DRAIN
	atomic { queued[0] = false; queued[1] = false; queued[2] = false };
#endif
	g = 0;
	do
	:: g < 3 && (status[g] == WAITING || status[g] == RUNNABLE) ->
#ifndef BUG_SWEEP_NO_WIN
		done[g] = true;
#endif
		atomic { assert(state[g] && runner[g] == 0 && !bound[g]); state[g] = false; status[g] = FREE };
		g++
	:: g < 3 && !(status[g] == WAITING || status[g] == RUNNABLE) -> g++
	:: g == 3 -> break
	od;
	g = 0
}

/* The last host, and then the first of the next life. */
proctype H()
{
	byte g;

	end_pool();
	atomic {
		assert(owned && count == 0 && !lock && !idle[1] && !idle[2] && !queued[0] && !queued[1] && !queued[2] && !f_waits);
		if
		:: status[0] == FREE -> g = 0
		:: status[1] == FREE -> g = 1
		:: g = 2
		fi;
		stopping = false;
		owned = false;
		lives++;
		closed = false
	};
	/* The new pool. Its goroutine is run, waits, perhaps is woken, and perhaps run again to its end. */
	atomic {
		assert(!state[g] && runner[g] == 0 && !bound[g]);
#ifdef BUG_SEQ_RESET
		seq[g] = 0;
		done[g] = true;
#endif
		assert(done[g]);
		state[g] = true;
		life[g] = lives;
		status[g] = RUNNING;
		runner[g] = HOST
	};
	atomic { assert(status[g] == RUNNING && state[g] && runner[g] == HOST); status[g] = PARKING; runner[g] = 0; seq[g]++; done[g] = false };
	if
	:: atomic { sudog_seq == 0 -> aim = g; sudog_seq = seq[g] }
	:: true
	fi;
	if
	:: atomic { status[g] == PARKING -> status[g] = WAITING }
	:: atomic { status[g] == READY_EARLY -> assert(sudog_seq == 0 && aim == g); status[g] = RUNNABLE; queued[g] = true }
	:: atomic { status[g] != PARKING && status[g] != READY_EARLY -> assert(false) }
	fi;
	if
	:: atomic { queued[g] -> assert(status[g] == RUNNABLE && runner[g] == 0 && aim == g); queued[g] = false; status[g] = RUNNING; runner[g] = HOST };
		atomic { assert(status[g] == RUNNING && state[g] && runner[g] == HOST); state[g] = false; runner[g] = 0; status[g] = FREE }
	:: true
	fi;
	end_pool()
}

init {
	atomic {
		status[0] = RUNNING;
		state[0] = true;
		life[0] = 1;
		state[1] = true;
		life[1] = 1;
		at[0] = GONE;
#ifdef BOUND
		status[1] = PARKING;
		bound[1] = true;
		aim = 1;
		sudog_seq = 1;
		runner[1] = 2;
		seq[1] = 1;
		done[1] = false;
#else
		status[1] = RUNNING; /* perhaps in foreign C */
#endif
		run M(1);
		run M(2);
		run F();
		run H()
	}
}

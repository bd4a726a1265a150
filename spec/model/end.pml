/* SPDX-License-Identifier: MIT
 *
 * The end of a pool, against threads that run, park, sleep, or sit in foreign C until long after it.
 *
 * WHAT IS MODELLED. The last host H ends the old pool, at any moment, and then opens a new one and runs a goroutine in it, perhaps in
 * the memory of an old one. The old pool's threads: Ms 1 and 2, which run G 0 and G 1, each of which yields, parks, ends, or sits in foreign
 * C for as long as it takes or for ever; or (BOUND) M 2 sleeps with G 1, which is bound to it: it waits where Lua cannot yield. A
 * waker (an M that fires a timer or sends) ends the first wait of G 0 (BOUND: of G 1), perhaps late.
 *
 * The protocol:
 *   halt      lock; stopping := true; wake the notes of all Ms; unlock. Wait until `alive` is 0, or give up. From then on (all left?)
 *             is decided once.
 *   sweep     for each G, having read wait word, status and then `bound`: leave it alone unless it is WAITING or RUNNABLE and not bound. WAITING: win
 *             the wait {seq, 0} -> {seq, 1} that was read; lost: leave it, its winner still comes. Then CAS status -> DEAD; lost: leave it.
 *             Now the state is H's: destroy it. Its memory may serve another G, unless not all have left and it was RUNNABLE (or
 *             is stale): then some M may hold the pointer, just out of a queue, and could not tell the next G from this one by its status.
 *   free      gr_pool := NULL. The pool's memory is freed only if all have left.
 *   M         uses its own pool, never gr_pool. It takes a G out of a queue; bound: hands its P over, under the lock, unless stopping;
 *             else CAS RUNNABLE -> RUNNING; lost: drops it.
 *   yield     status := RUNNABLE, which gives the G away. Then lock; if stopping nothing more, else link it (that writes to the G).
 *   ready     CAS PARKING -> READY_EARLY or WAITING -> RUNNABLE, which gives it away; unless stopping, push the pointer into the own
 *             P's ring: that does not touch the G (when the ring is full: link under the lock, as yield does).
 *   park      PARKING, a new wait, later CAS PARKING -> WAITING; see park.pml.
 *   sleep     clear the note; lock; if stopping: leave; else into the idle list; unlock; sleep.
 *   bound     the thread of a bound G, awake without a P: the pool ends. It wins its wait itself and moves WAITING -> RUNNING; or awaits
 *             its winner and moves RUNNABLE -> RUNNING by CAS. Only when it is RUNNING is `bound` cleared. In that second case a queue
 *             still holds the G, perhaps for a late M to find: it is `stale`, and its memory never serves another, however it ends.
 *   leave     alive--, the last touch of the pool; the last one wakes H's note, which is not in the pool.
 *
 * THE ABSTRACTION. Memory is sequentially consistent. Ps are left out; all queues of the old pool are one set, and a G that was pushed
 * to a ring is in it like one that was linked. Critical sections are one step, but for those of halt and of linking. That a
 * thread sits in C is just that its next step comes late. The new pool's M and its waker are H itself.
 *
 * PROPERTIES. Nobody touches the memory of a freed pool, a destroyed state, a state that another runs, or a G that is free or another pool's;
 * no old thread looks at the new pool. A state is destroyed at most once. A won wait is always readied. H comes to its end, and if it
 * does not give up (PATIENT), all threads leave. Nobody sleeps for ever (no invalid end state). The new goroutine runs once, and nobody
 * else ends its wait.
 *
 * VARIANTS. BOUND: see above. PATIENT: H waits for all, and nobody stays in C for ever. TURNS: how often a goroutine of the old pool is run.
 *
 * SEEDED MISTAKES, each of which must be reported:
 *   BUG_FREE_POOL      the pool freed although a thread is left            -> a late return touches it
 *   BUG_GLOBAL_POOL    a late thread looks at gr_pool                      -> meets none, or the new one
 *   BUG_LEAVE_TOUCHES  H's note is in the pool, woken after alive--        -> touches a freed pool
 *   BUG_SWEEP_NO_WIN   a WAITING G swept without winning its wait          -> its waker readies a dead or a new G
 *   BUG_SWEEP_STORE    the sweep looks at the status, then stores DEAD     -> destroys a state that runs
 *   BUG_SWEEP_PARKING  the sweep takes PARKING for WAITING                 -> destroys a state that its M has not left
 *   BUG_SWEEP_BOUND    the sweep takes bound Gs                            -> destroys the state of a thread that sleeps in it
 *   BUG_REUSE_RUNNABLE memory of a RUNNABLE G reused though threads are left -> an M that holds it runs the new pool's G
 *   BUG_REUSE_STALE    memory reused of a G that its own thread took while it was queued -> the same
 *   BUG_SEQ_RESET      a G in reused memory starts with seq 0 again        -> an old waker ends its wait
 *   BUG_YIELD_LINKS    yield links the G though the pool ends              -> touches a G that was swept
 *   BUG_READY_LINKS    ready looks at stopping, then links without the lock -> touches a G that was swept
 *   BUG_RUN_STORE      an M sets a G that it picked RUNNING by a store     -> runs one that was swept, or that its own thread runs
 *   BUG_BOUND_FIRST    a bound G's thread clears `bound`, then takes it    -> a picker or the sweep takes it too
 *   BUG_STOP_NO_LOCK   stopping set and notes woken without the lock       -> yield, past its look, links a G that was swept
 *   BUG_NOTE_LATE      a note cleared after the look at stopping           -> sleeps for ever
 */

#ifndef TURNS
#define TURNS 2
#endif
#if defined(BUG_BOUND_FIRST) || defined(BUG_SWEEP_BOUND) || defined(BUG_REUSE_STALE)
#define BOUND
#endif
#ifdef BUG_LEAVE_TOUCHES /* only then is the pool freed while somebody is still about */
#ifndef PATIENT
#define PATIENT
#endif
#endif
#define NONE 9

mtype = { FREE, RUNNABLE, RUNNING, PARKING, READY_EARLY, WAITING, DEAD };
mtype = { NOBODYS, OLD, NEW };

/* Goroutines: 0 and 1 begin in the old pool, 2 is free memory. */
mtype status[3] = FREE;
byte seq[3];         /* seq and done are one word */
bool done[3] = true;
bool bound[3];
bool stale[3]; /* a queue may hold it still although it is not RUNNABLE there: its memory is never used again */

/* The old pool. */
bool lock;
bool stopping;
byte alive = 3;
bool queued[3];
bool idle[3];  /* Ms 1 and 2 */
bool note[3];
bool given[3]; /* nextp */

mtype gr_pool = OLD;
bool all_left_note;

/* The waker's sudog: it is for G `aim`; 0: not linked yet. */
byte aim;
byte sudog_seq;

/* What only the properties look at. */
bool pool_freed;
mtype pool_of[3] = NOBODYS; /* whose G it is */
bool state[3];         /* its Lua state exists */
byte runner[3];        /* who is in it */
byte new_g = NONE;

#define touch_pool() assert(!pool_freed)
#define touch_g(g) assert(pool_of[g] == OLD && state[g])

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
inline link_unless_stopping(g)
{
	atomic { !lock -> touch_pool(); lock = true };
	if
#ifndef BUG_YIELD_LINKS
	:: stopping
#endif
	:: atomic {
#ifndef BUG_YIELD_LINKS
		!stopping ->
#endif
		skip };
		atomic { touch_g(g); touch_pool(); assert(!queued[g]); queued[g] = true; wake_idle() }
	fi;
	lock = false
}

inline push_unless_stopping(g)
{
	if
	:: stopping -> touch_pool()
	:: else ->
#ifdef BUG_READY_LINKS
		touch_g(g);
#endif
		atomic { touch_pool(); assert(!queued[g]); queued[g] = true };
		atomic { !lock -> touch_pool(); wake_idle() }
	fi
}

inline leave_pool()
{
	atomic { touch_pool(); alive--; last = (alive == 0) };
	if
	:: last ->
#ifdef BUG_LEAVE_TOUCHES
		touch_pool();
#endif
		all_left_note = true
	:: else
	fi
}

inline stop_running(g)
{
	assert(runner[g] == me);
	runner[g] = 0
}

/* Runs g, which is RUNNING and the caller's, until it yields, parks or ends. */
inline execute(g)
{
	atomic { assert(pool_of[g] == OLD && state[g] && runner[g] == 0 && status[g] == RUNNING); runner[g] = me; turn++ };
	/* in Lua, or in foreign C */
	if
#ifndef PATIENT
	:: true ->
end_in_c:
		false
#endif
	:: true
	fi;
	atomic {
	assert(pool_of[g] == OLD && state[g] && runner[g] == me);
#ifdef BUG_GLOBAL_POOL
	assert(gr_pool == OLD); /* any call into the scheduler */
#else
	touch_pool();
#endif
	if
	:: turn < TURNS -> stop_running(g); status[g] = RUNNABLE; next = RUNNABLE
	:: turn < TURNS ->
		assert(done[g]);
		status[g] = PARKING;
		seq[g]++;
		done[g] = false;
		if
		:: aim == g && sudog_seq == 0 -> sudog_seq = seq[g]
		:: else
		fi;
		next = PARKING
	:: true -> stop_running(g); assert(status[g] == RUNNING); state[g] = false; status[g] = (stale[g] -> DEAD : FREE); pool_of[g] = NOBODYS; next = 0
	fi
	};
	if
	:: next == PARKING ->
		atomic { assert(pool_of[g] == OLD && state[g]); stop_running(g) };
		if
		:: atomic { status[g] == PARKING -> status[g] = WAITING; next = 0 }
		:: atomic { status[g] == READY_EARLY -> status[g] = RUNNABLE; next = RUNNABLE }
		:: atomic { status[g] != PARKING && status[g] != READY_EARLY -> assert(false) }
		fi
	:: else
	fi;
	if
	:: next == RUNNABLE -> next = 0; link_unless_stopping(g)
	:: else
	fi
}

/* Asleep with its goroutine, until it is given a P or the pool ends; then it runs it. */
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
		#ifdef BUG_REUSE_STALE
		:: else -> atomic { status[g] == RUNNABLE -> status[g] = RUNNING }
#else
		:: else -> atomic { status[g] == RUNNABLE -> status[g] = RUNNING; stale[g] = !got }
#endif
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
	bool last, got, won;
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
	:: !have && stopping -> touch_pool(); break
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
	atomic { g = 0; turn = 0; note[me] = false; given[me] = false };
	leave_pool()
}

/* Ends one wait. It has dequeued the sudog at any time before that. */
proctype Waker()
{
	byte g, s;
	bool last, won;

	if
	:: atomic { sudog_seq != 0 -> g = aim; s = sudog_seq };
		atomic {
			won = (!done[g] && seq[g] == s);
			if
			:: won -> touch_g(g); done[g] = true
			:: else
			fi;
			s = 0
		};
		if
		:: won ->
			if
			:: atomic { status[g] == PARKING -> touch_g(g); status[g] = READY_EARLY }
			:: atomic { status[g] == WAITING -> touch_g(g); status[g] = RUNNABLE };
#ifdef BUG_GLOBAL_POOL
				assert(gr_pool == OLD);
#endif
				push_unless_stopping(g)
			:: atomic { status[g] != PARKING && status[g] != WAITING -> assert(false) }
			fi
		:: else
		fi
	:: stopping && sudog_seq == 0
	fi;
	atomic { g = 0; won = false };
	leave_pool()
}

/* The last host, and then the first of the new pool. */
proctype Host()
{
	byte g, s;
	mtype was;
	bool all_left, won, mine;

#ifdef BUG_STOP_NO_LOCK
	stopping = true;
#else
	atomic { !lock -> lock = true };
	stopping = true;
#endif
	atomic { note[1] = true; note[2] = true };
#ifndef BUG_STOP_NO_LOCK
	lock = false;
#endif
	do
	:: all_left_note = false;
		if
		:: alive == 0 -> break
		:: else
		fi;
		if
		:: all_left_note
#ifndef PATIENT
		:: true -> break /* grace is over */
#endif
		fi
	od;
	all_left = (alive == 0);
	do
	:: g < 2 ->
		atomic { s = seq[g]; won = !done[g] };
		was = status[g];
		if
#ifndef BUG_SWEEP_BOUND
		:: bound[g] -> was = FREE
#endif
		:: else
		fi;
		if
#ifdef BUG_SWEEP_PARKING
		:: was == WAITING || was == PARKING ->
#else
		:: was == WAITING ->
#endif
#ifdef BUG_SWEEP_NO_WIN
			won = true
#else
			atomic {
				won = (won && !done[g] && seq[g] == s);
				if
				:: won -> done[g] = true
				:: else
				fi
			}
#endif
		:: was == RUNNABLE -> won = true
		:: else -> won = false
		fi;
		if
		:: won ->
#ifdef BUG_SWEEP_STORE
			mine = (status[g] == was);
			if
			:: mine -> status[g] = DEAD
			:: else
			fi;
#else
			atomic {
				mine = (status[g] == was);
				if
				:: mine -> status[g] = DEAD
				:: else
				fi
			};
#endif
			if
			:: mine ->
				atomic { assert(pool_of[g] == OLD && state[g] && runner[g] == 0); state[g] = false };
				if
#ifdef BUG_REUSE_RUNNABLE
				:: true
#else
				:: (was == WAITING && !stale[g]) || all_left
#endif
					-> atomic { status[g] = FREE; pool_of[g] = NOBODYS }
				:: else
				fi
			:: else
			fi
		:: else
		fi;
		g++
	:: else -> break
	od;
	atomic { gr_pool = NOBODYS; g = 0; s = 0; was = 0; won = false; mine = false };
#ifdef BUG_FREE_POOL
	pool_freed = true;
#else
	if
	:: all_left -> pool_freed = true
	:: else
	fi;
#endif

	/* The new pool. Its goroutine is run, waits, is woken, is run again and ends. */
	atomic {
		if
		:: status[0] == FREE -> g = 0
		:: status[1] == FREE -> g = 1
		:: g = 2
		fi;
		assert(pool_of[g] == NOBODYS && !state[g] && done[g] && runner[g] == 0 && !bound[g]);
		all_left = false;
		gr_pool = NEW;
		new_g = g;
		pool_of[g] = NEW;
		state[g] = true;
#ifdef BUG_SEQ_RESET
		seq[g] = 0;
#endif
		status[g] = RUNNABLE
	};
	atomic { assert(status[g] == RUNNABLE && runner[g] == 0); status[g] = RUNNING; runner[g] = 4 };
	atomic { assert(status[g] == RUNNING && state[g] && runner[g] == 4); status[g] = PARKING; runner[g] = 0; seq[g]++; done[g] = false };
	atomic { assert(status[g] == PARKING); status[g] = WAITING };
	atomic { assert(status[g] == WAITING && !done[g]); done[g] = true; status[g] = RUNNABLE };
	atomic { assert(status[g] == RUNNABLE && runner[g] == 0); status[g] = RUNNING; runner[g] = 4 };
	atomic { assert(status[g] == RUNNING && state[g] && pool_of[g] == NEW && runner[g] == 4); state[g] = false; runner[g] = 0; status[g] = FREE; pool_of[g] = NOBODYS }
}

init {
	atomic {
		status[0] = RUNNING;
		pool_of[0] = OLD;
		state[0] = true;
		pool_of[1] = OLD;
		state[1] = true;
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
		run Waker();
		run Host()
	}
}

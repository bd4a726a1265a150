/* SPDX-License-Identifier: MIT
 *
 * Work exists, so some thread will look: waking threads, and starting them when that may fail.
 *
 * WHAT IS MODELLED. Producers (hosts, threads without a P) queue goroutines; NM threads at most
 * (Ms) look for them, each with one of NP places (Ps). Starting a thread fails at the limit NM,
 * which stays, and FAILS times more, when the system refuses one for a while. A goroutine that runs
 * ends, or it waits once where Lua cannot yield: then its M waits with it, and an event makes it
 * runnable again as a bound one.
 *
 * The protocol (csrc/sched/find.c, poller.c, due.c, m.c, sysmon.c):
 *   queue     the G is queued; then wakep.
 *   wakep     no P is idle, or somebody spins: leave it to those. Else count oneself as the
 *             spinner, take an idle P, start. There is none any more: take the count back, and look
 *             again.
 *   start     an idle M gets the P; else a new M does; else the spinner's count is taken back, and
 *             the P is owed:
 *   owe       in one step: a bound G that is queued gets it (its M waits for nothing else), or an M
 *             that has gone idle meanwhile, or it goes idle; and then whoever sleeps in the poller
 *             is woken.
 *   look      an M with a P takes a queued G. An M that found one after it had been idle wakes the
 *             next one if there is more. Nothing: it gives its P back, stops spinning, and looks
 *             once more; then sleeps in the poller, if it gets the token; else is idle.
 *   poller    with the token in hand it looks again: an idle P and something queued, and it does
 *             not sleep.
 *   idle      the same look, in one step with going into the list.
 *   wait      a G that waits with its thread is counted before it does so; the last M may not:
 *             another is made, or the wait is refused. Its P is handed on: started if anything is
 *             queued or nobody would look, else idle, and another look.
 *   sysmon    sleeps only while every P is idle and nothing is queued; a P that is taken wakes it;
 *             else it calls wakep, again and again.
 *
 * THE ABSTRACTION. Memory is sequentially consistent. Queues are counts (the bound Gs a set): their
 * order plays no part. Timers and events that somebody must sleep for are like queued work here:
 * whoever adds one calls wakep or wakes the poller. What only the pool's lock covers is one step.
 * An attempt of sysmon's that cannot change anything is left out, so that a sleep for ever is seen.
 *
 * PROPERTIES. All that was queued is run, and each wait ends (no invalid end state). At least one M
 * is not in a wait with its thread.
 *
 * VARIANTS. NP, NM, PRODUCERS, ITEMS (of each), WAITS; CS of them sit in C; SYSMON with FAILS.
 * Without sysmon no failure passes, and nothing may need it.
 *
 * SEEDED MISTAKES, each of which must be reported:
 *   BUG_OWE_NO_POKE   a start that failed does not wake the poller   -> it sleeps beside work
 *   BUG_OWE_NO_IDLE   a start that failed does not look for idle Ms  -> one that has just gone idle
 *   BUG_OWE_NO_BOUND  a start that failed does not look for bound Gs -> its own thread waits
 *   BUG_POLL_NO_LOOK  the poller does not look with the token        -> it was woken before
 *   BUG_WAKE_NO_LOOK  who finds the P taken does not look again      -> others relied on it
 *   BUG_STOP_NO_LOOK  who goes idle does not look                    -> the P came back before that
 *   BUG_SPIN_KEPT     a start that failed stays counted as spinning  -> nobody is ever woken again
 *   BUG_KEEP_LAST     the last M may wait with its G                 -> nobody is left to look
 *   BUG_QUIET         sysmon sleeps while all Ps are idle            -> a failure is not made good
 */

#ifdef BUG_QUIET
#define SYSMON
#define FAILS 1
#define PRODUCERS 1
#endif
#ifdef BUG_OWE_NO_BOUND
#define CS 1
#endif
#if defined(BUG_OWE_NO_POKE) || defined(BUG_POLL_NO_LOOK) || defined(BUG_KEEP_LAST)
#define NM 1 /* else a second thread helps out */
#endif
#ifndef NP
#define NP 1
#endif
#ifndef NM
#define NM 2
#endif
#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef ITEMS
#define ITEMS 1
#endif
#ifndef WAITS
#define WAITS 1
#endif
#ifndef FAILS
#define FAILS 0
#endif
#ifndef CS
#define CS 0
#endif

byte work;           /* Gs that are queued */
bool bound[NM + 1];  /* M's own G is queued */
bool waits[NM + 1];  /* M's own G waits for its event */
byte idle_p = NP;
byte spinning;
byte nm;             /* Ms that exist */
byte kept;
bool idle_m[NM + 1];
bool has_p[NM + 1];  /* given by who woke it */
bool as_spinner[NM + 1];
bool started[NM + 1];
bool polling, poked;
bool sysmon_sleeps;
byte fails = FAILS;
byte waits_left = WAITS;
byte cs_left = CS;
byte todo = PRODUCERS * ITEMS; /* Gs that have not ended */

#define BOUND (bound[1] || bound[NM])
#define DUE (work > 0 || BOUND)

/* In one step with what is around it: an idle M gets the P that the caller holds. */
inline give_to_idle(s)
{
	if
	:: idle_m[1] -> idle_m[1] = false; as_spinner[1] = s; has_p[1] = true
	:: !idle_m[1] && idle_m[NM] -> idle_m[NM] = false; as_spinner[NM] = s; has_p[NM] = true
	fi
}

inline give_to_bound()
{
	if
	:: bound[1] -> bound[1] = false; has_p[1] = true
	:: !bound[1] && bound[NM] -> bound[NM] = false; has_p[NM] = true
	fi
}

#define IDLE_M (idle_m[1] || idle_m[NM])

inline owe(s)
{
	if
#ifndef BUG_SPIN_KEPT
	:: s -> spinning--
#endif
	:: else
	fi;
	atomic {
		if
#ifndef BUG_OWE_NO_BOUND
		:: BOUND -> give_to_bound()
#endif
#ifndef BUG_OWE_NO_IDLE
#ifdef BUG_OWE_NO_BOUND
		:: IDLE_M -> give_to_idle(false)
#else
		:: !BOUND && IDLE_M -> give_to_idle(false)
#endif
#endif
		:: else ->
			idle_p++;
			todo_poke = true
		fi
	};
#ifndef BUG_OWE_NO_POKE
	if
	:: todo_poke && polling -> poked = true
	:: else
	fi;
#endif
	todo_poke = false
}

/* With a P that is not idle. */
inline start(s)
{
	atomic {
		if
		:: IDLE_M -> give_to_idle(s); ok = true
		:: else -> ok = false
		fi
	};
	if
	:: !ok ->
		atomic {
			if
			:: nm < NM -> nm++; ok = true; as_spinner[nm] = s; has_p[nm] = true; started[nm] = true
			:: nm < NM && fails > 0 -> fails--
			:: nm == NM
			fi
		};
		if
		:: !ok -> owe(s)
		:: else
		fi
	:: else
	fi;
	ok = false
}

inline take_idle(got)
{
	atomic {
		if
		:: idle_p > 0 -> idle_p--; sysmon_sleeps = false; got = true
		:: else -> got = false
		fi
	}
}

inline wakep()
{
	do
	:: idle_p == 0 || spinning != 0 -> break
	:: else ->
		atomic {
			if
			:: spinning == 0 -> spinning = 1; mine = true
			:: else -> mine = false
			fi
		};
		if
		:: !mine -> break
		:: else
		fi;
		take_idle(mine);
		if
		:: mine -> mine = false; start(true); break
		:: else ->
			spinning--;
#ifdef BUG_WAKE_NO_LOOK
			break
#else
			if
			:: DUE
			:: else -> break
			fi
#endif
		fi
	od
}

proctype Producer()
{
	byte n;
	bool ok, mine, todo_poke;

	do
	:: n < ITEMS ->
		n++;
		work++;
		wakep()
	:: else -> break
	od
}

#define WAITING (waits[1] + (NM > 1 && waits[NM] -> 1 : 0))

/* What an M waits for with its G comes from the others: when all those have ended that do not wait.
 * (With a G in C: at any time.) */
proctype Events()
{
	byte m;
	bool ok, mine, todo_poke;

end_events:
	do
	:: atomic {
		if
		:: waits[1] && (CS > 0 || todo == WAITING) -> m = 1
		:: waits[NM] && (CS > 0 || todo == WAITING) -> m = NM
		fi;
		waits[m] = false;
		bound[m] = true;
		m = 0
	   }
	   wakep()
	od
}

/* The caller's P, which it does not count as its own any more. */
inline hand_on()
{
	if
	:: DUE -> start(false)
	:: else ->
		atomic {
			if
			:: spinning + idle_p == 0 -> spinning = 1; mine = true
			:: else -> idle_p++
			fi
		};
		if
		:: mine -> mine = false; start(true)
		:: else ->
			if
			:: DUE -> wakep()
			:: else
			fi
		fi
	fi
}

proctype M(byte me)
{
	bool ok, mine, todo_poke, p, spins, was_idle, found, over;

end_not_started:
	atomic {
		started[me] ->
		p = has_p[me];
		has_p[me] = false;
		spins = as_spinner[me];
		was_idle = true
	};
	do
	:: !p -> /* it was idle, or slept in the poller, and has none */
		was_idle = true;
		take_idle(p);
		if
		:: p
		:: else -> goto idle
		fi
	:: p ->
		atomic {
			if
			:: work > 0 -> work--; found = true
			:: work == 0 && BOUND -> give_to_bound(); p = false; over = true
			:: else
			fi
		};
		if
		:: (found || over) && (spins || was_idle) ->
			atomic { if :: spins -> spins = false; spinning-- :: else fi };
			was_idle = false;
			if
			:: DUE -> wakep()
			:: else
			fi
		:: else
		fi;
		if
		:: over -> over = false; was_idle = true
		:: found ->
			found = false;
			if
			:: todo--
			:: atomic { waits_left > 0 ->
				waits_left--;
				if
#ifndef BUG_KEEP_LAST
				:: kept + 1 >= nm && nm < NM -> /* another is made, which looks for a P itself */
					nm++;
					kept++;
					started[nm] = true;
					over = true
				:: kept + 1 >= nm && nm == NM /* refused */
				:: kept + 1 < nm -> kept++; over = true
#else
				:: kept++; over = true
#endif
				fi
			   };
			   if
			   :: !over -> todo--
			   :: else ->
				over = false;
				p = false;
				hand_on();
				waits[me] = true;
				has_p[me]; /* not an end: it must come */
				atomic { has_p[me] = false; p = true; kept--; todo-- }
			   fi
			:: atomic { cs_left > 0 -> cs_left--; p = false };
				hand_on();
				!WAITING && !BOUND; /* it is not back before those have run: they must not need it */
				take_idle(p);
				todo--
			fi
		:: else ->
			was_idle = true;
			atomic {
				if
				:: DUE
				:: else -> idle_p++; p = false
				fi
			};
			if
			:: !p ->
				atomic { if :: spins -> spins = false; spinning-- :: else fi };
				if
				:: DUE -> take_idle(p)
				:: else
				fi
			:: else
			fi;
			if
			:: !p ->
				/* the poller */
				atomic {
					if
					:: !polling -> polling = true; mine = true
					:: else
					fi
				};
				if
				:: mine ->
					mine = false;
					if
#ifndef BUG_POLL_NO_LOOK
					:: idle_p > 0 && DUE
#endif
					:: else ->
end_polling:
						poked
					fi;
					atomic { poked = false; polling = false }
				:: else ->
idle:
					atomic {
						if
#ifndef BUG_STOP_NO_LOOK
						:: idle_p > 0 && DUE
#endif
						:: else -> idle_m[me] = true; mine = true
						fi
					};
					if
					:: mine ->
						mine = false;
end_asleep:
						has_p[me];
						atomic { has_p[me] = false; p = true; spins = as_spinner[me]; as_spinner[me] = false }
					:: else
					fi
				fi
			:: else
			fi
		fi
	od
}

#ifdef SYSMON
proctype Sysmon()
{
	bool ok, mine, todo_poke;

end_sysmon:
	do
	:: atomic {
#ifdef BUG_QUIET
		idle_p == NP
#else
		idle_p == NP && !DUE
#endif
		-> sysmon_sleeps = true };
end_asleep:
		!sysmon_sleeps
	:: idle_p > 0 && spinning == 0 && DUE && (nm < NM || IDLE_M || BOUND || polling) -> wakep()
	od
}
#endif

init {
	byte i;
	atomic {
		for (i : 1 .. NM) { run M(i) }
		for (i : 1 .. PRODUCERS) { run Producer() }
		run Events();
#ifdef SYSMON
		run Sysmon()
#endif
	}
	todo == 0; /* not an end: it must come */
}

/* SPDX-License-Identifier: MIT */
/* due.c - what there is to be seen to, and who sees to it, whoever holds the places.
 *
 * One function, gr_due, says what that is: queued Gs, due timers, events that nobody has looked
 * for, and timers or events that nobody sleeps for. Whoever could leave it undone asks that one: an
 * M that goes idle, one that hands its P on, one whose G cannot yield, sysmon before it sleeps. For
 * each source of wake-ups, with all Ps in use by goroutines that never yield of their own will:
 *   - Queued Gs. Sysmon looks every half millisecond while any is queued, and asks a G that has had
 *     its slice. That one yields; or, where it cannot, hands its P on (gr_yield_blocking); or does
 *     not answer, being in C, and its P is taken.
 *   - Timers (sleeps, limits, tickers, deadlines of contexts, of hosts too). A due one shortens
 *     slices to 2 ms, and who is asked fires it. What is overdue by 10 ms, say because no thread
 *     can be had for a P that was taken, sysmon fires itself.
 *   - Events (sockets; signals, ends of children, files that are watched: through libuv's epoll).
 *     An M polls before it runs a G that has only yielded; and sysmon, when nobody has for 10 ms.
 *   - Hosts, and threads that are none of ours, are woken by their note, by whoever ends their
 * wait; their time limits are timers of the pool. They need no P.
 *   - What is posted to a host (a panic) wakes its note.
 *   - The end of all (the deadlock report): who goes idle last says so; when it is a timer's stop
 *     that leaves nobody, a host that waits looks twenty times a second.
 * Sysmon sleeps only while every P is idle and gr_due says nothing; a P that is taken into use
 * wakes it. Modelled, with threads that fail to start, in spec/model/look.pml.
 *
 * When no thread can be had (GOROMAXTHREADS, or the system's limit), the one who wanted it owes it
 * (m.c, owe): first to a bound G, whose thread only waits for a P; then to an M that has gone idle,
 * or fallen asleep in the poller, since. If all threads are in use, sysmon asks again every 10 ms
 * while anything is due. A wait that would keep the last thread, when no other can be made, is
 * refused (GR_CROWDED), when it comes to it and not before: nkept, which counts the Gs that waited
 * with their thread in this round, stays below nm, so that at least one comes back to look for
 * work. (Who waits counts itself, then reads nm; a thread that ends takes itself from nm, then
 * reads nkept.) If that one loops where it cannot yield, others run on top of it: run_on_top. If
 * sysmon itself can have no thread, that is told, each start of a thread tries again, and hosts
 * that wait look in its place. */
#include "sched/pool.h"

/* ---- what is due ---- */

int64_t gr_first_timer(Sched *s) {
  int64_t first = gr_timers_first(&s->timers);
  int32_t n = atomic_load(&s->nps);
  for (int32_t i = 0; i < n; i++) {
    int64_t t = gr_timers_first(&atomic_load(&s->ps[i])->timers);
    if (t < first) first = t;
  }
  return first;
}

unsigned gr_due(Sched *s, int64_t now) {
  unsigned due = gr_work_anywhere(s) ? GR_DUE_WORK : 0;
  int64_t first = gr_first_timer(s);
  if (first <= now) due |= GR_DUE_TIMER;
  bool waited_for = gr_poller->waited_for();
  if (waited_for &&
      now - atomic_load_explicit(&s->polled_at, memory_order_relaxed) > GR_POLL_EVERY_NS)
    due |= GR_DUE_EVENTS;
  if ((waited_for || first != INT64_MAX) && !atomic_load(&s->polling)) due |= GR_DUE_WATCH;
  return due;
}

void gr_fire_due(Sched *s) {
  gr_timers_run(&s->timers);
  int32_t n = atomic_load(&s->nps);
  for (int32_t i = 0; i < n; i++) gr_timers_run(&atomic_load(&s->ps[i])->timers);
}

/* Nobody runs, nobody will: the host that has waited longest is told. Who sleeps for a timer that
 * has been stopped meanwhile counts as idle: awake, it finds nothing either. */
void gr_check_dead_locked(Sched *s) {
  if (atomic_load(&s->nm) - s->nidle - s->nlocked - atomic_load(&s->asleep_in_poll) > 0 ||
      atomic_load(&s->stopping) || gr_work_anywhere(s))
    return;
  if (gr_first_timer(s) != INT64_MAX) return;
  if (gr_poller->waited_for() || gr_foreign_held()) return;
  G *host = gr_host_all_waiting();
  if (host != NULL && gr_wait_win(host, gr_wait_seq(host), GR_CAUSE_DEADLOCK, NULL)) gr_ready(host);
}

void gr_check_dead(Sched *s) {
  gr_lock(&s->lock);
  gr_check_dead_locked(s);
  gr_unlock(&s->lock);
}

/* ---- looking for events ---- */

void gr_timer_added(Sched *s, int64_t when) {
  if (!atomic_load(&s->polling)) gr_wakep(s);
  else if (atomic_load(&s->poll_until) > when) gr_poller->wake();
}

void gr_deliver(M *m) {
  if (m != NULL) m->delivers = true;
  gr_poller->deliver();
  if (m != NULL) m->delivers = false;
}

bool gr_poll_now(Sched *s) {
  if (atomic_exchange(&s->polling, true)) return false;
  atomic_store_explicit(&s->polled_at, gr_coarse_ns(), memory_order_relaxed);
  if (gr_poller->wait(GR_POLL)) gr_deliver(gr_m);
  atomic_store(&s->polling, false);
  return true;
}

bool gr_poll_for_others(Sched *s) {
  if (!gr_poll_now(s)) return false;
  if (atomic_load(&s->nidle_ps) > 0 && (gr_poller->waited_for() || gr_first_timer(s) != INT64_MAX))
    gr_wakep(s);
  return true;
}

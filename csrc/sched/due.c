/* SPDX-License-Identifier: MIT */
/* due.c - what there is to do besides running goroutines, and who does it, whichever goroutines
 * hold the places.
 *
 * gr_due tells what there is: queued Gs, due timers, events that nobody has looked for, and
 * timers or events that nobody sleeps for. Each thread that could leave such work undone asks it
 * first: an M that goes idle, an M that hands its P on, an M whose G cannot yield, and sysmon
 * before it sleeps. For each source of wake-ups the following holds, even while goroutines that
 * never yield of their own will hold all Ps:
 *   - Queued Gs. Sysmon looks every half millisecond while any is queued, and asks a G that has
 *     had its slice to yield. That G yields; or it hands its P on, where it cannot yield
 *     (gr_yield_blocking); or it is in C and does not answer, and its P is taken.
 *   - Timers (sleeps, limits, tickers, deadlines of contexts; a host's too). A due timer shortens
 *     slices to 2 ms, and the G that is asked fires it. Sysmon itself fires a timer that is
 *     overdue by 10 ms, say because no thread can be had for a P that was taken.
 *   - Events (sockets; signals, ends of children, watched files: through epoll). An M polls
 *     before it runs a G that has only yielded. Sysmon polls when nobody has for 10 ms.
 *   - Hosts, and threads of the program's own. The thread that ends their wait wakes their note.
 *     Their time limits are timers of the pool. They need no P.
 *   - A post to a host (a panic) wakes the note of the host.
 *   - The deadlock report. The last M that goes idle makes it. When stopping a timer leaves
 *     nobody who could run, a waiting host finds that out: it looks twenty times a second.
 * Sysmon sleeps only while every P is idle and gr_due returns 0; whoever takes a P into use wakes
 * it. Modelled, with threads that fail to start, in spec/model/look.pml.
 *
 * When no thread can be had (GOROMAXTHREADS, or the system's limit), the M that wanted one for a
 * P passes the P on by m.c, owe: to the thread of a queued bound G, which only waits for a P;
 * else to an M that has gone idle or fallen asleep in the poller since. If all threads are in
 * use, sysmon asks for one again every 10 ms while there is anything to do.
 *
 * A wait that would keep the last thread is refused (GR_CROWDED) when it comes to it. `nkept`
 * counts the Gs that have waited with their thread in this round. It stays below the number of Ms
 * whose thread has started, so at least one M comes back to look for work: a G that is to wait
 * and an M that is to leave compare both numbers under the pool's lock. If the G on that one M
 * loops where it cannot yield, other Gs run on top of it (proc.c, run_on_top). If sysmon can have
 * no thread, the user is told, each start of a thread tries again, and hosts that wait do its
 * work. */
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

/* When no G runs and none ever will, the host that has waited longest is told. An M that sleeps
 * for a timer that has been stopped meanwhile counts as idle: when it wakes up, it finds nothing
 * to do. */
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

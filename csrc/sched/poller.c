/* SPDX-License-Identifier: MIT */
/* poller.c - who looks for events of the system, and who sleeps until the next timer.
 *
 * Events come from a GrPoller: csrc/io's, which asks epoll, or until that is set a plain note.
 * One thread at a time may use the poller. That thread holds the poll token, Sched.polling:
 *
 *                       exchange(polling, true) was false
 *         token free ---------------------------------------> held
 *             ^                                                 |
 *             |   gr_poll_now: look, deliver                    |
 *             +-------------------------------------------------+
 *             |   gr_sleep_in_poll: sleep, look, deliver        |
 *             +-------------------------------------------------+
 *
 * A thread that finds the token taken does not wait for it: the holder looks in its place. These
 * threads try to take it:
 *   - an M that found no work in its queues (gr_poll_now);
 *   - an M without a P, before it sleeps on its note (gr_sleep_in_poll);
 *   - sysmon, or a host in its place, when nobody has looked for 10 ms (gr_poll_for_others).
 *
 * Sleeping with the token has these steps (gr_sleep_in_poll):
 *   1. The M takes the token.
 *   2. It publishes poll_until = INT64_MAX: each new timer is to wake it.
 *   3. It reads the first timer of all heaps, and publishes that time as poll_until.
 *   4. It looks once more: an earlier timer, queued work beside an idle P, or the pool's end keep
 *      it awake.
 *   5. It sleeps in the poller until that time or an event.
 *   6. It takes an idle P if there is one, delivers what has happened, and gives the token back.
 *
 * Whoever arms a timer writes it into a heap first and reads `polling` and poll_until after that
 * (gr_timer_added). The M of the steps above writes poll_until first and reads the heaps after
 * that. Both orders are sequentially consistent. So either the M sees the timer in step 3 or 4,
 * or the other thread sees that it must wake the M.
 *
 * Modelled in spec/model/look.pml. */
#include "sched/pool.h"

/* ---- the default poller: a note ---- */

static GrNote poll_note;

static bool note_wait(int64_t until) {
  if (until == GR_POLL) return false;
  gr_note_sleep(&poll_note, until);
  gr_note_clear(&poll_note);
  return false;
}
static void nothing(void) {}
static void note_wake(void) { gr_note_wake(&poll_note); }
static bool never(void) { return false; }

static const GrPoller note_poller = {note_wait, nothing, note_wake, never, never, nothing};
const GrPoller *gr_poller = &note_poller;

void gr_sched_set_poller(const GrPoller *poller) { gr_poller = poller; }

int gr_sched_poll_wanted(void) {
  Sched *s = &gr_sched;
  if (gr_over() || !gr_pool_enter(gr_m)) return GR_ABORTED;
  int r = gr_pool_need_thread(s);
  if (r == GR_OK && !atomic_load(&s->polling)) gr_wakep(s);
  gr_pool_leave(gr_m);
  return r;
}

void gr_sched_poll(void) {
  if (!gr_pool_enter(gr_m)) return;
  if (!gr_poll_for_others(&gr_sched)) gr_poller->wake();
  gr_pool_leave(gr_m);
}

/* ---- looking for events ---- */

void gr_timer_added(Sched *s, int64_t when) {
  if (!atomic_load(&s->polling)) gr_wakep(s);
  else if (atomic_load(&s->poll_until) > when) gr_poller->wake();
}

static void deliver(M *m) {
  if (m != NULL) m->delivers = true;
  gr_poller->deliver();
  if (m != NULL) m->delivers = false;
}

bool gr_poll_now(Sched *s) {
  if (atomic_exchange(&s->polling, true)) return false;
  atomic_store_explicit(&s->polled_at, gr_coarse_ns(), memory_order_relaxed);
  if (gr_poller->wait(GR_POLL)) deliver(gr_m);
  atomic_store(&s->polling, false);
  return true;
}

bool gr_poll_for_others(Sched *s) {
  if (!gr_poll_now(s)) return false;
  if (atomic_load(&s->nidle_ps) > 0 && (gr_poller->waited_for() || gr_first_timer(s) != INT64_MAX))
    gr_wakep(s);
  return true;
}

bool gr_sleep_in_poll(M *m) {
  Sched *s = &gr_sched;
  bool timers = gr_first_timer(s) != INT64_MAX, waited_for = gr_poller->waited_for();
  if (!timers && !waited_for && !gr_poller->wanted()) return false;
  if (atomic_exchange(&s->polling, true)) return false;
  atomic_store(&s->poll_until, INT64_MAX); /* step 2 */
  int64_t until = gr_first_timer(s);
  atomic_store(&s->poll_until, until);
  atomic_store(&s->asleep_in_poll, 1);
  if (!timers && !waited_for) gr_check_dead(s);
  bool owed = atomic_load(&s->nidle_ps) > 0 && gr_work_anywhere(s);
  bool happened =
      gr_first_timer(s) >= until && !owed && !atomic_load(&s->stopping) && gr_poller->wait(until);
  atomic_store(&s->asleep_in_poll, 0);
  atomic_store_explicit(&s->polled_at, gr_coarse_ns(), memory_order_relaxed);
  if (happened) { /* without a P, m would push all Gs to the global queue and wake another M for
                     them */
    P *p = gr_idle_p_get(s);
    if (p != NULL) gr_m_take_p(m, p);
    deliver(m);
  }
  atomic_store(&s->polling, false);
  return true;
}

/* SPDX-License-Identifier: MIT */
/* signal.c - signals as messages.
 *
 * The handler notes the signal and writes to an eventfd. libuv's loop watches the eventfd, and the
 * thread that polls sends to the channels. Why this is not a uv_signal_t: loop.c.
 *
 * The action that the program had for a signal is read when the first listener comes. It is put
 * back when the last listener goes, unless somebody has set another handler meanwhile. A signal
 * that comes twice before the loop has looked is told once, as the kernel does it.
 *
 * A listener is the feed of its channel: it goes when the channel is closed, or when nobody has the
 * channel. As long as a listener wants any signal, it puts off the deadlock report (gr_poll_hold).
 * When the pool ends, all actions are put back, before sysmon puts back the one that it took
 * (SIGQUIT).
 *
 * The lock has GR_RANK_SYNC; the locks of channels come below it. A channel that is found in the
 * list may have lost its last reference already; its memory stays until it has left the list.
 * gr_share_tryref tells whether it still is a channel. The reference is given back without the
 * lock, for it may be the last one. */
#include "io/signal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/list.h"
#include "base/lock.h"
#include "io/loop.h"
#include "io/poll.h"

typedef struct Listener {
  GrFeed feed; /* first */
  GrList link;
  GrChan *chan; /* without a reference */
  uint64_t set;
  uint64_t seen; /* the last round that has looked at it */
  bool holds;
} Listener;

typedef struct Taken {
  struct sigaction before;
  bool ours;
} Taken;

static void (*make_message)(const char *name, GrMsg *m);
static atomic_int event_fd = -1;
static _Atomic uint64_t pending;

static GrLock lock = GR_LOCK_INIT(GR_RANK_SYNC); /* what follows */
static GrList listeners = {&listeners, &listeners};
static Taken taken[GR_SIGNALS];
static uint64_t rounds;

void gr_signal_init(void (*make)(const char *name, GrMsg *m)) { make_message = make; }

const char *gr_signal_refused(int sig) {
  switch (sig) {
    case SIGKILL:
    case SIGSTOP: return "nobody can catch it";
    case SIGURG: return "goro needs it for itself";
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGSYS: return "it reports a fault, which does not go on";
    default: return NULL;
  }
}

/* ---- the handler ---- */

static void on_signal(int sig) {
  int err = errno;
  uint64_t one = 1;
  atomic_fetch_or(&pending, GR_SIGNAL_BIT(sig));
  if (write(atomic_load(&event_fd), &one, sizeof one) < 0)
    errno = err; /* the counter is full: enough writes are on their way */
  errno = err;
}

static bool is_ours(int sig) {
  struct sigaction now;
  return sigaction(sig, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
         now.sa_handler == on_signal;
}

static int take_locked(int sig) {
  Taken *t = &taken[sig];
  if (t->ours && is_ours(sig)) return GR_OK;
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK}, before;
  sigemptyset(&action.sa_mask);
  if (sigaction(sig, &action, &before) != 0) return gr_sys_result(-errno);
  t->before = before;
  t->ours = true;
  return GR_OK;
}

static void give_back_locked(int sig) {
  Taken *t = &taken[sig];
  if (t->ours && is_ours(sig)) sigaction(sig, &t->before, NULL);
  t->ours = false;
}

static uint64_t wanted_locked(void) {
  uint64_t set = 0;
  for (GrList *l = listeners.next; l != &listeners; l = l->next)
    set |= gr_container_of(l, Listener, link)->set;
  return set;
}

/* Gives back the signals that nobody wants any more. */
static void give_unwanted_back_locked(void) {
  uint64_t set = wanted_locked();
  for (int sig = 1; sig < GR_SIGNALS; sig++)
    if (taken[sig].ours && !(set & GR_SIGNAL_BIT(sig))) give_back_locked(sig);
}

/* ---- listeners ---- */

/* Takes the signals `but` away. True: the caller must give its hold back (gr_poll_hold). */
static bool narrow_locked(Listener *l, uint64_t but) {
  l->set &= ~but;
  bool held = l->holds && l->set == 0;
  if (held) l->holds = false;
  return held;
}

static void end_listener(GrFeed *feed, GrChan *c) {
  (void)c;
  Listener *l = (Listener *)feed;
  gr_lock(&lock);
  gr_list_remove(&l->link);
  bool held = narrow_locked(l, ~(uint64_t)0);
  give_unwanted_back_locked();
  gr_unlock(&lock);
  if (held) gr_poll_hold(-1);
}

static void lost(GrFeed *feed, GrChan *c) {
  if (atomic_load_explicit(&gr_forked, memory_order_relaxed)) return;
  end_listener(feed, c);
  gr_free(feed);
}

/* A channel that wants this signal and that this round has not looked at yet, with a reference.
 * NULL: there is no more. */
static GrChan *next_listener(int sig, uint64_t round) {
  GrChan *c = NULL;
  gr_lock(&lock);
  for (GrList *at = listeners.next; at != &listeners && c == NULL; at = at->next) {
    Listener *l = gr_container_of(at, Listener, link);
    if (!(l->set & GR_SIGNAL_BIT(sig)) || l->seen == round) continue;
    l->seen = round;
    if (gr_share_tryref(gr_chan_share(l->chan))) c = l->chan;
  }
  gr_unlock(&lock);
  return c;
}

static void tell(int sig) {
  char buf[GR_SIGNAL_NAME];
  gr_lock(&lock);
  uint64_t round = ++rounds;
  gr_unlock(&lock);
  for (GrChan *c; (c = next_listener(sig, round)) != NULL;) {
    GrMsg m = GR_MSG_EMPTY;
    make_message(gr_signal_name(sig, buf), &m);
    if (gr_chan_send(NULL, c, &m, GR_POLL, false) != GR_OK) gr_msg_drop(&m);
    gr_share_unref(gr_chan_share(c));
  }
}

static void tell_pending(void) {
  uint64_t set = atomic_exchange(&pending, 0);
  for (int sig = 1; sig < GR_SIGNALS; sig++)
    if (set & GR_SIGNAL_BIT(sig)) tell(sig);
}

/* ---- the loop's side ---- */

static void on_event(int fd) {
  uint64_t n;
  if (read(fd, &n, sizeof n) > 0) tell_pending();
}

/* The pool ends. The holds need not be given back: the poller has forgotten them. */
static void give_all_back(void) {
  gr_lock(&lock);
  for (int sig = 1; sig < GR_SIGNALS; sig++) give_back_locked(sig);
  for (GrList *l = listeners.next; l != &listeners; l = l->next) {
    gr_container_of(l, Listener, link)->set = 0;
    gr_container_of(l, Listener, link)->holds = false;
  }
  gr_unlock(&lock);
}

static GrChan *any_listener(void) {
  GrChan *c = NULL;
  gr_lock(&lock);
  for (GrList *at = listeners.next; at != &listeners && c == NULL; at = at->next) {
    Listener *l = gr_container_of(at, Listener, link);
    if (gr_share_tryref(gr_chan_share(l->chan))) c = l->chan;
  }
  gr_unlock(&lock);
  return c;
}

/* No signal can be told any more. When there was no loop, the channels are closed, so that
 * receivers learn it. At the end of the pool nobody waits. */
static void on_end(int error) {
  if (error == UV_ECANCELED) {
    give_all_back();
    return;
  }
  for (GrChan *c; (c = any_listener()) != NULL; gr_share_unref(gr_chan_share(c))) gr_chan_close(c);
}

static GrLoopFd event = {.fd = -1, .ready = on_event, .ended = on_end};

/* The eventfd stays open until the process ends: a handler may be running on any thread. */
static int make_event(void) {
  int r = gr_poll_start();
  gr_lock(&lock);
  if (r == GR_OK && event.fd < 0) {
    event.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event.fd < 0) r = gr_sys_result(-errno);
    atomic_store(&event_fd, event.fd);
  }
  gr_unlock(&lock);
  return r;
}

/* ---- what programs call ---- */

static int take_all(Listener *l, uint64_t set) {
  int r = GR_OK;
  gr_lock(&lock);
  for (int sig = 1; sig < GR_SIGNALS && r == GR_OK; sig++)
    if (set & GR_SIGNAL_BIT(sig)) r = take_locked(sig);
  if (r == GR_OK) {
    l->set = set;
    gr_list_push_back(&listeners, &l->link);
    gr_chan_set_feed(l->chan, &l->feed);
  } else {
    give_unwanted_back_locked();
  }
  gr_unlock(&lock);
  return r;
}

int gr_signal_notify(GrChan *c, uint64_t set) {
  Listener *l = gr_zalloc(sizeof *l);
  if (l == NULL) return GR_NOMEM;
  *l = (Listener){.feed = {lost, end_listener}, .chan = c, .holds = true};
  int r = make_event();
  /* The hold comes first: it may start the pool, whose first thread takes SIGQUIT. */
  bool held = r == GR_OK && (r = gr_poll_hold(1)) == GR_OK;
  if (held && (r = take_all(l, set)) == GR_OK) return gr_loop_watch(&event);
  if (held) gr_poll_hold(-1);
  gr_free(l);
  return r;
}

bool gr_signal_stop(GrChan *c) {
  Listener *l = (Listener *)gr_chan_feed(c);
  if (l == NULL || l->feed.lost != lost) return false;
  end_listener(&l->feed, c);
  return true;
}

int gr_signal_ignore(uint64_t set) {
  int r = GR_OK, held = 0;
  gr_lock(&lock);
  for (GrList *l = listeners.next; l != &listeners; l = l->next)
    held += narrow_locked(gr_container_of(l, Listener, link), set);
  give_unwanted_back_locked();
  for (int sig = 1; sig < GR_SIGNALS && r == GR_OK; sig++)
    if (set & GR_SIGNAL_BIT(sig) && signal(sig, SIG_IGN) == SIG_ERR) r = gr_sys_result(-errno);
  gr_unlock(&lock);
  for (; held > 0; held--) gr_poll_hold(-1);
  return r;
}

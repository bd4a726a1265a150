/* SPDX-License-Identifier: MIT */
/* watch.c - watching files and folders by inotify.
 *
 * All watches share one inotify descriptor, since a user may have only 128 of them. libuv's loop
 * watches that descriptor. Why this is not a uv_fs_event_t: loop.c.
 *
 * The kernel has one watch for each inode. So two of our watches may share its number; and the
 * second may be told of an event that happened just before it came. The number is given back when
 * the last of them goes.
 *
 * Adding a watch. inotify_add_watch looks a path up, which may take long, so no lock is held
 * meanwhile. Another thread may give a number back at that time, perhaps the very number that the
 * call returns. So when any number was given back meanwhile, the watch is added once more. That
 * returns the same number, unless this number was the one given back.
 *
 * A watch is the feed of its channel, as a signal's listener is (signal.c). It ends when the
 * channel is closed, or when nobody has the channel, and puts off the deadlock report until then.
 *
 * A reader that is too slow must not fill the memory, nor stop other readers. So the last place in
 * the channel is kept for "overflow", and the events after that are lost. "overflow" must not wait
 * for the next event, which may never come: the event that finds only the last place free sends it.
 *
 * The lock has GR_RANK_SYNC. A watch is not freed as long as somebody has a reference to its
 * channel; so the thread that polls, which takes one, uses the watch without the lock. */
#include "io/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/list.h"
#include "base/lock.h"
#include "io/loop.h"
#include "io/poll.h"

enum {
  WANTED = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB |
           IN_DELETE_SELF | IN_MOVE_SELF,
  LAST = IN_IGNORED | IN_MOVE_SELF |
         IN_UNMOUNT, /* the path names something else from now on, or nothing */
};

typedef struct Watch {
  GrFeed feed; /* first */
  GrList link;
  GrChan *chan; /* without a reference */
  int wd;
  bool holds;
  bool missed;   /* events were lost, and the reader has not been told. Of the thread that polls */
  uint64_t seen; /* the last round that has looked at it */
  size_t len;
  char path[];
} Watch;

static bool (*make_message)(const char *path, const char *event, GrMsg *m);

static GrLock lock = GR_LOCK_INIT(GR_RANK_SYNC); /* what follows */
static GrList watches = {&watches, &watches};
static uint64_t rounds, taken_back;

void gr_watch_init(bool (*make)(const char *path, const char *event, GrMsg *m)) {
  make_message = make;
}

static void on_event(int fd);
static void on_end(int error);
static GrLoopFd notes = {.fd = -1, .ready = on_event, .ended = on_end};

/* ---- the end of one ---- */

static bool used_locked(int wd) {
  for (GrList *at = watches.next; at != &watches; at = at->next)
    if (gr_container_of(at, Watch, link)->wd == wd) return true;
  return false;
}

static void take_back_locked(int wd) {
  if (wd < 0 || notes.fd < 0 || used_locked(wd)) return;
  inotify_rm_watch(notes.fd, wd);
  taken_back++;
}

static void end_watch(GrFeed *feed, GrChan *c) {
  (void)c;
  Watch *w = (Watch *)feed;
  gr_lock(&lock);
  gr_list_remove(&w->link);
  bool held = w->holds;
  w->holds = false;
  take_back_locked(w->wd);
  w->wd = -1;
  gr_unlock(&lock);
  if (held) gr_poll_hold(-1);
}

static void lost(GrFeed *feed, GrChan *c) {
  if (atomic_load_explicit(&gr_forked, memory_order_relaxed)) return;
  end_watch(feed, c);
  gr_free(feed);
}

/* ---- telling ---- */

/* A watch of this number (-1: any) that this round has not looked at yet. The caller gets a
 * reference to its channel. NULL: there is no more. */
static Watch *next_watch(int wd, uint64_t round) {
  Watch *found = NULL;
  gr_lock(&lock);
  for (GrList *at = watches.next; at != &watches && found == NULL; at = at->next) {
    Watch *w = gr_container_of(at, Watch, link);
    if ((wd >= 0 && w->wd != wd) || w->seen == round) continue;
    w->seen = round;
    if (gr_share_tryref(gr_chan_share(w->chan))) found = w;
  }
  gr_unlock(&lock);
  return found;
}

static uint64_t new_round(void) {
  gr_lock(&lock);
  uint64_t round = ++rounds;
  gr_unlock(&lock);
  return round;
}

static bool send_event(Watch *w, const char *path, const char *event) {
  GrMsg m = GR_MSG_EMPTY;
  if (!make_message(path, event, &m)) return false;
  bool sent = gr_chan_send(NULL, w->chan, &m, GR_POLL, false) == GR_OK;
  if (!sent) gr_msg_drop(&m);
  return sent;
}

static const char *event_name(uint32_t mask) {
  if (mask & (IN_CREATE | IN_MOVED_TO)) return "create";
  if (mask & (IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))
    return "remove";
  if (mask & IN_MODIFY) return "change";
  return mask & IN_ATTRIB ? "attributes" : NULL;
}

/* Sends "overflow" if that is due. True: an event fits, and the last place stays free. */
static bool tell_of_missed(Watch *w) {
  int64_t room = gr_chan_cap(w->chan) - gr_chan_len(w->chan);
  w->missed = w->missed || room == 1;
  if (w->missed && room > 0) {
    w->missed = !send_event(w, w->path, "overflow");
    room--;
  }
  return room > 1 && !w->missed;
}

static void tell(Watch *w, const char *event, const char *name) {
  char path[PATH_MAX + NAME_MAX + 2];
  bool slash = w->len > 0 && w->path[w->len - 1] == '/';
  snprintf(path, sizeof path, "%s%s%s", w->path, *name == '\0' || slash ? "" : "/", name);
  if (tell_of_missed(w) && !send_event(w, path, event)) w->missed = true;
}

static void tell_all(const struct inotify_event *e) {
  const char *event = e->mask & IN_Q_OVERFLOW ? NULL : event_name(e->mask),
             *name = e->len > 0 ? e->name : "";
  uint64_t round = new_round();
  for (Watch *w; (w = next_watch(e->wd, round)) != NULL;) {
    GrChan *c = w->chan;
    w->missed = w->missed || (e->mask & IN_Q_OVERFLOW) != 0;
    if (event != NULL) tell(w, event, name);
    else tell_of_missed(w);
    if (e->mask & LAST) gr_chan_close(c);
    gr_share_unref(gr_chan_share(c));
  }
}

static void on_event(int fd) {
  _Alignas(struct inotify_event) char buf[16384];
  ssize_t n = read(fd, buf, sizeof buf);
  for (ssize_t at = 0; at < n;) {
    const struct inotify_event *e = (const struct inotify_event *)(const void *)(buf + at);
    tell_all(e);
    at += (ssize_t)(sizeof *e + e->len);
  }
}

/* No event can be told any more: the channels are closed, so that receivers learn it. At the end of
 * the pool nobody waits, and the poller has forgotten the holds. */
static void on_end(int error) {
  gr_lock(&lock);
  close(notes.fd);
  notes.fd = -1;
  for (GrList *at = watches.next; at != &watches; at = at->next) {
    Watch *w = gr_container_of(at, Watch, link);
    w->wd = -1;
    if (error == UV_ECANCELED) w->holds = false;
  }
  gr_unlock(&lock);
  uint64_t round = new_round();
  for (Watch *w; error != UV_ECANCELED && (w = next_watch(-1, round)) != NULL;) {
    GrChan *c = w->chan;
    gr_chan_close(c);
    gr_share_unref(gr_chan_share(c));
  }
}

/* ---- the beginning of one ---- */

static int open_notes(int *fd, uint64_t *before) {
  gr_lock(&lock);
  if (notes.fd < 0) notes.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  int r = notes.fd >= 0 ? GR_OK : gr_sys_result(-errno);
  *fd = notes.fd;
  *before = taken_back;
  gr_unlock(&lock);
  return r;
}

/* From here on its channel has it. False: the number may have been taken back before it was
 * ours. */
static bool keep(Watch *w, int wd, uint64_t before) {
  gr_lock(&lock);
  bool valid = taken_back == before;
  if (valid) {
    w->wd = wd;
    gr_list_push_back(&watches, &w->link);
    gr_chan_set_feed(w->chan, &w->feed);
  }
  gr_unlock(&lock);
  return valid;
}

static int add(Watch *w) {
  int fd, wd;
  uint64_t before;
  do {
    int r = open_notes(&fd, &before);
    if (r != GR_OK) return r;
    wd = inotify_add_watch(fd, w->path, WANTED | IN_EXCL_UNLINK);
    if (wd < 0) return gr_sys_result(-errno);
  } while (!keep(w, wd, before));
  return GR_OK;
}

int gr_watch_start(GrChan *c, const char *path) {
  size_t len = strlen(path);
  if (len >= PATH_MAX) return GR_ERRNO(ENAMETOOLONG);
  Watch *w = gr_zalloc(sizeof *w + len + 1);
  if (w == NULL) return GR_NOMEM;
  w->feed = (GrFeed){lost, end_watch};
  w->chan = c;
  w->holds = true;
  w->len = len;
  memcpy(w->path, path, len + 1);
  int r = gr_poll_start();
  bool held = r == GR_OK && (r = gr_poll_hold(1)) == GR_OK;
  if (held && (r = add(w)) == GR_OK) return gr_loop_watch(&notes);
  if (held) gr_poll_hold(-1);
  gr_free(w);
  return r;
}

/* SPDX-License-Identifier: MIT */
/* setup.c - the list of functions of goro.setup; see setup.h.
 *
 * A goroutine runs the functions that were in the list when it was started. So its list must not
 * change: nobody writes to a list again, each call of goro.setup makes a new one, and all are
 * counted. The functions lie in it packed, and each state unpacks a copy. When there is no list,
 * starting a goroutine costs a look at one pointer.
 *
 * A tool for coverage writes what it saw when the state is closed, and a script that has waited
 * for its goroutines ends the process. So whoever waits for such a goroutine is told after its
 * state was closed. Only of an error it is told before, since the state is needed to tell it. The
 * states of these goroutines are closed one at a time (life.c), since such tools expect to be
 * alone in the process.
 *
 * Locks: `lock` guards `current`, and is held only while a reference is counted. */
#include "run/setup.h"

#include "base/lock.h"

typedef struct Setups {
  atomic_int refs;
  int n;
  GrMsg messages[];
} Setups;

struct GrSetting {
  Setups *list;
  int next;
  bool done, has_end;
  int how;
  GrMsg start, end;
};

static GrLock lock = GR_LOCK_INIT(GR_RANK_LEAF);
static Setups *_Atomic current; /* NULL: none. Counts as a reference */

static void unref(Setups *list) {
  if (list == NULL || atomic_fetch_sub(&list->refs, 1) > 1) return;
  for (int i = 0; i < list->n; i++) gr_msg_drop(&list->messages[i]);
  gr_free(list);
}

static Setups *ref_current(void) {
  if (gr_likely(atomic_load(&current) == NULL)) return NULL;
  gr_lock(&lock);
  Setups *list = atomic_load(&current);
  if (list != NULL) atomic_fetch_add(&list->refs, 1);
  gr_unlock(&lock);
  return list;
}

/* A list of what is in `old`, which may be NULL, and *m, which is taken on success. */
static Setups *longer(const Setups *old, GrMsg *m) {
  int n = old != NULL ? old->n : 0;
  Setups *list = gr_zalloc(sizeof *list + ((size_t)n + 1) * sizeof list->messages[0]);
  if (list == NULL) return NULL;
  atomic_init(&list->refs, 1);
  for (; list->n < n; list->n++) {
    if (gr_msg_copy(&old->messages[list->n], &list->messages[list->n])) continue;
    unref(list);
    return NULL;
  }
  list->messages[list->n++] = *m;
  *m = GR_MSG_EMPTY;
  return list;
}

/* Puts `list` in the place of `old`; false: somebody else has changed it meanwhile. */
static bool replace(Setups *old, Setups *list) {
  gr_lock(&lock);
  bool same = atomic_load(&current) == old;
  if (same) atomic_store(&current, list);
  gr_unlock(&lock);
  if (same) unref(old);
  return same;
}

bool gr_setup_add(GrMsg *m) {
  for (;;) {
    Setups *old = ref_current(), *list = longer(old, m);
    bool done = list != NULL && replace(old, list);
    unref(old);
    if (done) return true;
    if (list == NULL) {
      gr_msg_drop(m);
      return false;
    }
    *m = list->messages[--list->n];
    unref(list);
  }
}

void gr_setup_clear(void) {
  gr_lock(&lock);
  Setups *old = atomic_exchange(&current, NULL);
  gr_unlock(&lock);
  unref(old);
}

bool gr_setting_new(GrSetting **out) {
  Setups *list = ref_current();
  *out = NULL;
  if (gr_likely(list == NULL)) return true;
  GrSetting *s = gr_zalloc(sizeof *s);
  if (s == NULL) {
    unref(list);
    return false;
  }
  s->list = list;
  *out = s;
  return true;
}

void gr_setting_done(GrSetting *s) {
  if (s == NULL) return;
  gr_msg_drop(&s->start);
  s->start = GR_MSG_EMPTY;
  s->done = true;
}

bool gr_setting_runs(const GrSetting *s) { return s != NULL && !s->done; }

void gr_setting_keep_end(GrSetting *s, int how, GrMsg *m) {
  s->has_end = true;
  s->how = how;
  s->end = *m;
  *m = GR_MSG_EMPTY;
}

bool gr_setting_take_end(GrSetting *s, int *how, GrMsg *m) {
  if (s == NULL || !s->has_end) return false;
  s->has_end = false;
  *how = s->how;
  *m = s->end;
  s->end = GR_MSG_EMPTY;
  return true;
}

void gr_setting_free(GrSetting *s) {
  if (s == NULL) return;
  gr_setting_done(s);
  gr_msg_drop(&s->end);
  unref(s->list);
  gr_free(s);
}

void gr_setting_keep(GrSetting *s, GrMsg *start) {
  s->start = *start;
  *start = GR_MSG_EMPTY;
}

const GrMsg *gr_setting_next(GrSetting *s) {
  return s->next < s->list->n ? &s->list->messages[s->next++] : NULL;
}

const GrMsg *gr_setting_start(const GrSetting *s) { return &s->start; }

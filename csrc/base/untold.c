/* SPDX-License-Identifier: MIT */
/* untold.c - errors that nobody has been told of yet: see untold.h.
 *
 * One list has all of them, for the end of the program. The thread that takes a text out of the
 * list, under the lock, prints it; so each text is printed once. */
#include "base/untold.h"

#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "base/lock.h"

struct GrUntold {
  GrList link;
  const void *host;
  char *text; /* NULL: the text has been printed */
  size_t len;
};

static GrLock lock = GR_LOCK_INIT(GR_RANK_LEAF);
static GrList all = GR_LIST_INIT(all);

static void print(const char *text, size_t len) {
  flockfile(stderr);
  fwrite(text, 1, len, stderr);
  fflush(stderr);
  funlockfile(stderr);
}

GrUntold *gr_untold_new(const void *host, const char *text, size_t len) {
  GrUntold *u = gr_malloc(sizeof *u);
  char *copy = u != NULL ? gr_malloc(len) : NULL;
  if (copy == NULL) {
    gr_free(u);
    print(text, len);
    return NULL;
  }
  memcpy(copy, text, len);
  u->host = host;
  u->text = copy;
  u->len = len;
  gr_lock(&lock);
  gr_list_push_back(&all, &u->link);
  gr_unlock(&lock);
  return u;
}

/* The text, now the caller's; NULL: it has been printed. */
static char *take_text_locked(GrUntold *u) {
  char *text = u->text;
  gr_list_remove(&u->link);
  u->text = NULL;
  return text;
}

/* Frees u and returns its text, the caller's. */
static char *free_but_text(GrUntold *u) {
  gr_lock(&lock);
  char *text = take_text_locked(u);
  gr_unlock(&lock);
  gr_free(u);
  return text;
}

void gr_untold_drop(GrUntold *u) {
  if (u != NULL) gr_free(free_but_text(u));
}

void gr_untold_print(GrUntold *u) {
  if (u == NULL) return;
  size_t len = u->len;
  char *text = free_but_text(u);
  if (text != NULL) print(text, len);
  gr_free(text);
}

/* One text of this host (NULL: of any), now the caller's; or NULL. */
static char *next_text(const void *host, size_t *len) {
  char *text = NULL;
  gr_lock(&lock);
  gr_list_each(l, &all) {
    GrUntold *u = gr_container_of(l, GrUntold, link);
    if (host != NULL && u->host != host) continue;
    *len = u->len;
    text = take_text_locked(u);
    break;
  }
  gr_unlock(&lock);
  return text;
}

void gr_untold_print_all(const void *host) {
  size_t len;
  for (char *text; (text = next_text(host, &len)) != NULL; gr_free(text)) print(text, len);
}

/* SPDX-License-Identifier: MIT */
/* list.h - intrusive doubly linked list: a ring through a head. Never allocates, so it never fails.
 */
#ifndef GR_LIST_H
#define GR_LIST_H

#include "base/base.h"

typedef struct GrList {
  struct GrList *next,
      *prev; /* both point to the entry itself: an empty list, or an entry in no list */
} GrList;

/* For static lists: GrList list = GR_LIST_INIT(list). */
#define GR_LIST_INIT(list) \
  { &(list), &(list) }
/* For each entry l of the list. The body may not take l out, unless it then leaves the loop. */
#define gr_list_each(l, head) for (GrList *l = (head)->next; l != (head); l = l->next)

static inline void gr_list_init(GrList *l) { l->next = l->prev = l; }
static inline bool gr_list_empty(const GrList *l) { return l->next == l; }

static inline void gr_list_push_back(GrList *head, GrList *entry) {
  entry->prev = head->prev;
  entry->next = head;
  head->prev->next = entry;
  head->prev = entry;
}

static inline void gr_list_push_front(GrList *head, GrList *entry) {
  gr_list_push_back(head->next, entry);
}

/* Takes the entry out of its list; it may be in none. */
static inline void gr_list_remove(GrList *entry) {
  entry->prev->next = entry->next;
  entry->next->prev = entry->prev;
  gr_list_init(entry);
}

/* Takes the first entry out and returns it, or NULL. */
static inline GrList *gr_list_pop_front(GrList *head) {
  if (gr_list_empty(head)) return NULL;
  GrList *first = head->next;
  gr_list_remove(first);
  return first;
}

#endif

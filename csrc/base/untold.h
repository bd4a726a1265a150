/* SPDX-License-Identifier: MIT */
/* untold.h - errors that nobody has been told of yet.
 *
 * The error of a group's member waits for somebody who asks. Should nobody ever do, it must not be
 * lost: its text goes to stderr when its owner goes, or when the program's Lua state ends before
 * that. The text is made when the error happens, since later there is no Lua state left that could
 * make it. */
#ifndef GR_UNTOLD_H
#define GR_UNTOLD_H

#include "base/base.h"

typedef struct GrUntold GrUntold;

/* An error whose text is copied, in a state that descends from `host` (only compared). The
 * caller's. Without memory for it the text goes to stderr at once: NULL. */
GrUntold *gr_untold_new(const void *host, const char *text, size_t len);
/* Somebody has been told. Takes u; NULL does nothing. */
void gr_untold_drop(GrUntold *u);
/* Nobody can be told any more: to stderr, unless that has happened. Takes u; NULL does nothing. No
 * lock may be held. */
void gr_untold_print(GrUntold *u);
/* All that descend from this host go to stderr, and those of all hosts when it is NULL. They remain
 * their owners'. */
void gr_untold_print_all(const void *host);

#endif

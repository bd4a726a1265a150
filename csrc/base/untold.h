/* SPDX-License-Identifier: MIT */
/* untold.h - errors that nobody has been told of yet.
 *
 * The error of a group's member waits until somebody asks for it. If nobody ever does, the error
 * must not be lost: its text goes to stderr when the group is dropped, or when the Lua state of
 * the program ends before that. The text is made when the error happens; later no Lua state is
 * left to make it. */
#ifndef GR_UNTOLD_H
#define GR_UNTOLD_H

#include "base/base.h"

typedef struct GrUntold GrUntold;

/* A new one, the caller's, with a copy of the text. `host` is only compared: the host that the
 * failed goroutine descends from. NULL: there was no memory for the copy, and the text has gone
 * to stderr. */
GrUntold *gr_untold_new(const void *host, const char *text, size_t len);
/* Somebody has been told of it. Takes u; NULL does nothing. */
void gr_untold_drop(GrUntold *u);
/* Nobody can be told of it any more: the text goes to stderr, unless it has gone there. Takes u;
 * NULL does nothing. The caller holds no lock. */
void gr_untold_print(GrUntold *u);
/* The texts of this host go to stderr; NULL: of all hosts. The owners keep their GrUntold. */
void gr_untold_print_all(const void *host);

#endif

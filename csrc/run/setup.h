/* SPDX-License-Identifier: MIT */
/* setup.h - the functions of goro.setup, which run in each new goroutine before its own. */
#ifndef GR_SETUP_H
#define GR_SETUP_H

#include "copy/pack.h"

/* One goroutine's way through the functions that there were when it was started. Its own function
 * and arguments wait in it as a message, and later its results. */
typedef struct GrSetting GrSetting;

/* For goroutines that are started from now on: one more function (takes *m; false without memory),
 * or none. Any thread. */
bool gr_setup_add(GrMsg *m);
void gr_setup_clear(void);

/* For a goroutine that is started now; *out is NULL when there are no functions. False without
 * memory. */
bool gr_setting_new(GrSetting **out);
/* NULL does nothing. */
void gr_setting_free(GrSetting *s);
/* The goroutine begins: takes its own message. */
void gr_setting_keep(GrSetting *s, GrMsg *start);
/* The next function's message, borrowed, to be copied; NULL: all have run. */
const GrMsg *gr_setting_next(GrSetting *s);
/* The goroutine's own, borrowed. */
const GrMsg *gr_setting_start(const GrSetting *s);
/* None of the functions runs any more: all have run, or the goroutine ends before. NULL does
 * nothing. */
void gr_setting_done(GrSetting *s);
/* Is one of the functions running, or still to run? NULL: no. */
bool gr_setting_runs(const GrSetting *s);
/* How the goroutine ended, for those who are told when its state has been closed. Takes *m. */
void gr_setting_keep_end(GrSetting *s, int how, GrMsg *m);
/* Gives that end back, once. False: there is none. NULL: none. */
bool gr_setting_take_end(GrSetting *s, int *how, GrMsg *m);

#endif

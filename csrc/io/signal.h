/* SPDX-License-Identifier: MIT */
/* signal.h - the process's signals as messages. A set of signals is a bit mask: signal n is bit n -
 * 1. */
#ifndef GR_IO_SIGNAL_H
#define GR_IO_SIGNAL_H

#include "io/error.h"
#include "io/signame.h"
#include "sync/chan.h"

#define GR_SIGNAL_BIT(sig) ((uint64_t)1 << ((sig)-1))

/* Once a process: `make` builds the message that tells of a signal. It needs no memory. */
void gr_signal_init(void (*make)(const char *name, GrMsg *m));
/* Why nobody may take this signal; NULL: it may be taken. */
const char *gr_signal_refused(int sig);
/* From now on the channel c gets each of these signals, as long as anybody has c. c is new and has
 * a capacity > 0. A signal that finds c full is lost for c. After the return the signals have no
 * other effect on the process. If the loop cannot be had (no descriptors are left), c is closed.
 * GR_OK, GR_NOMEM, GR_SYS, GR_NOTHREAD, GR_ABORTED. */
int gr_signal_notify(GrChan *c, uint64_t set);
/* The channel c, closed or not, gets no more signals. A signal to which nobody listens any more
 * gets back the action that it had. False: c never was a channel for signals. */
bool gr_signal_stop(GrChan *c);
/* No channel gets these signals any more, and the process ignores them. GR_OK, GR_SYS. */
int gr_signal_ignore(uint64_t set);

#endif

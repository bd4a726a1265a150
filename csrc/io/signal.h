/* SPDX-License-Identifier: MIT */
/* signal.h - the process's signals as messages. Each set of signals is a bit mask: signal n is bit
 * n - 1. */
#ifndef GR_IO_SIGNAL_H
#define GR_IO_SIGNAL_H

#include "io/error.h"
#include "io/signame.h"
#include "sync/chan.h"

#define GR_SIGNAL_BIT(sig) ((uint64_t)1 << ((sig)-1))

/* Once a process: builds the message that tells of a signal, without memory. */
void gr_signal_init(void (*make)(const char *name, GrMsg *m));
/* NULL, or why nobody may take this signal. */
const char *gr_signal_refused(int sig);
/* c, which is new and of capacity > 0, gets each of these signals from now on, as long as anybody
 * has it. A signal that finds it full is lost to it. From its return on the signals have no other
 * effect. It is closed if it turns out that nothing can be told (no descriptors are left for the
 * loop). GR_OK, GR_NOMEM, GR_SYS, GR_NOTHREAD, GR_ABORTED. */
int gr_signal_notify(GrChan *c, uint64_t set);
/* c, closed or not, gets none any more. A signal that nobody listens to gets the action back that
 * it had. False: c never was for signals. */
bool gr_signal_stop(GrChan *c);
/* Nobody gets these any more, and the process ignores them. GR_OK, GR_SYS. */
int gr_signal_ignore(uint64_t set);

#endif

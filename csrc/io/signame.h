/* SPDX-License-Identifier: MIT */
/* signame.h - names of signals, without SIG. */
#ifndef GR_IO_SIGNAME_H
#define GR_IO_SIGNAME_H

enum { GR_SIGNALS = 65 }; /* all signal numbers are below */

/* "TERM" -> SIGTERM; 0: no signal has this name. */
int gr_signal_number(const char *name);
/* SIGTERM -> "TERM"; real-time signals are "RTMIN", "RTMIN+1", …, written to buf. NULL: no signal
 * has this number. */
enum { GR_SIGNAL_NAME = 16 };
const char *gr_signal_name(int sig, char buf[GR_SIGNAL_NAME]);

#endif

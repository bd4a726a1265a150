/* SPDX-License-Identifier: MIT */
/* nofile.h - the limit of open descriptors: raised for this process, given back to its children. */
#ifndef GR_IO_NOFILE_H
#define GR_IO_NOFILE_H

#include <sys/resource.h>

#include "base/base.h"

/* Raises RLIMIT_NOFILE to its hard limit, once a process. */
void gr_nofile_raise(void);
/* True: a child must get the limit *before, which this process had. False: the limit that the child
 * inherits is right, for goro has raised nothing, or the program has set a limit of its own
 * since. */
bool gr_nofile_of_child(struct rlimit *before);

#endif

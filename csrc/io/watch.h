/* SPDX-License-Identifier: MIT */
/* watch.h - what happens to files and folders, as messages. */
#ifndef GR_IO_WATCH_H
#define GR_IO_WATCH_H

#include "io/error.h"
#include "sync/chan.h"

/* Once a process: `make` builds the message that tells of an event at a path. False without memory.
 */
void gr_watch_init(bool (*make)(const char *path, const char *event, GrMsg *m));
/* From now on the channel c is told what happens to the file at `path`, or to the folder and in it:
 * "create", "remove", "change", "attributes". "overflow" says that the reader was too slow and has
 * missed events. c is new and has a capacity > 0. c is closed when there is nothing left to watch.
 * The watch ends when somebody closes c, or when nobody has c. GR_OK, GR_NOMEM, GR_SYS,
 * GR_NOTHREAD, GR_ABORTED. */
int gr_watch_start(GrChan *c, const char *path);

#endif

/* SPDX-License-Identifier: MIT */
/* watch.h - what happens to files and folders, as messages. */
#ifndef GR_IO_WATCH_H
#define GR_IO_WATCH_H

#include "io/error.h"
#include "sync/chan.h"

/* Once a process: builds the message that tells of an event at a path. False without memory. */
void gr_watch_init(bool (*make)(const char *path, const char *event, GrMsg *m));
/* c, which is new and of capacity > 0, is told what happens to path, or in it when it is a folder:
 * "create", "remove", "change", "attributes"; "overflow": the reader was too slow, and there was
 * more. It is closed when there is nothing to be watched any more; when somebody closes it, or
 * nobody has it, the watch ends. GR_OK, GR_NOMEM, GR_SYS, GR_NOTHREAD, GR_ABORTED. */
int gr_watch_start(GrChan *c, const char *path);

#endif

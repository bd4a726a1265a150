/* SPDX-License-Identifier: MIT */
/* alarm.h - timers that programs hold: they can be stopped and set anew at any moment, by any
 * thread.
 *
 * An alarm sends to a channel, once or again and again, or starts a job once. It is a GrShare, of
 * no type that programs see. */
#ifndef GR_ALARM_H
#define GR_ALARM_H

#include "sync/chan.h"

typedef struct GrAlarm GrAlarm;

/* What an alarm that has no channel does. A job is started or forgotten, once; both take it. */
typedef struct GrJobOps {
  void (*start)(void *job); /* on some M: short, does not block, cannot fail */
  void (*forget)(void *job);
} GrJobOps;

/* For the channel c: new, empty, its first message's memory reserved, of capacity 1. It fires as
 * long as anybody has the channel, and is then stopped; nothing else is counted on it. make(m)
 * builds the message at the moment of firing, without memory. The caller's reference, or NULL
 * without memory. */
GrAlarm *gr_alarm_for_chan(GrChan *c, void (*make)(GrMsg *m));
/* For jobs of this host, with which they end: fires also when nobody refers to it. */
GrAlarm *gr_alarm_for_jobs(const GrJobOps *ops, GrHost *host);
void gr_alarm_unref(GrAlarm *a);

/* Stops it, then sets it: it fires at `until` (GR_POLL: at once; GR_FOREVER: never), and each
 * `period` ns after that when period > 0. Takes `job`, also when it fails. GR_OK, GR_NOMEM,
 * GR_NOTHREAD, GR_ABORTED: then it is stopped. *was as gr_alarm_stop. */
int gr_alarm_set(GrAlarm *a, int64_t until, int64_t period, void *job, bool *was);
/* True: it was set and had not fired; or its message was still to be received, and is dropped. Of
 * one that repeats this says little. Nothing that it had to send can be received any more, no job
 * that it had to start is started. */
bool gr_alarm_stop(GrAlarm *a);

#endif

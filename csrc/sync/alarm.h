/* SPDX-License-Identifier: MIT */
/* alarm.h - timers that programs hold. Any thread may stop an alarm or set it anew at any
 * moment.
 *
 * An alarm either sends to a channel, once or repeatedly, or starts a job once. An alarm is a
 * GrShare, but no type that programs see. */
#ifndef GR_ALARM_H
#define GR_ALARM_H

#include "sync/chan.h"

typedef struct GrAlarm GrAlarm;

/* What an alarm without a channel does. A job is either started or forgotten, exactly once. Both
 * functions take the job. */
typedef struct GrJobOps {
  void (*start)(void *job); /* runs on some M; is short, does not block, cannot fail */
  void (*forget)(void *job);
} GrJobOps;

/* An alarm that sends to the channel c. c is new and empty, has capacity 1, and the memory for
 * its first message is reserved (gr_chan_reserve). The alarm fires as long as anybody has a
 * reference to the channel; when the last one goes, the alarm is stopped. make(m) builds the
 * message at the moment when the alarm fires, and needs no memory for it. Returns the caller's
 * reference, or NULL without memory. */
GrAlarm *gr_alarm_for_chan(GrChan *c, void (*make)(GrMsg *m));
/* An alarm that starts jobs of this host; it ends when the host does. It fires even when nobody
 * has a reference to it. NULL without memory. */
GrAlarm *gr_alarm_for_jobs(const GrJobOps *ops, GrHost *host);
void gr_alarm_unref(GrAlarm *a);

/* Stops the alarm, then sets it: it fires at `until` (GR_POLL: at once; GR_FOREVER: never), and
 * each `period` ns after that when period > 0. Takes `job`, also when it fails. GR_OK. GR_NOMEM,
 * GR_NOTHREAD, GR_ABORTED: the alarm is stopped. *was is what gr_alarm_stop would have returned. */
int gr_alarm_set(GrAlarm *a, int64_t until, int64_t period, void *job, bool *was);
/* True: the alarm was set and had not fired; or its message was still in the channel, and is
 * dropped now. For an alarm that repeats the result says little. After this call nobody can
 * receive a message of the alarm, and the alarm starts no job, until it is set again. */
bool gr_alarm_stop(GrAlarm *a);

#endif

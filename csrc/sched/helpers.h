/* SPDX-License-Identifier: MIT */
/* helpers.h - a few threads for calls that block and for which the system has no event
 * (getaddrinfo).
 *
 * Jobs are done in the order in which they come. When a job finds no idle thread, a new one is
 * started, up to the limit. A thread that has had no job for some seconds ends. Helpers have
 * goro's signal mask and run no Lua. They are not part of the pool, and outlive it. */
#ifndef GR_HELPERS_H
#define GR_HELPERS_H

#include "base/list.h"
#include "base/lock.h"

typedef struct GrJob GrJob;
struct GrJob {
  GrList link;             /* the queue's */
  void (*run)(GrJob *job); /* called on a helper. Takes the job, and may free it */
};

typedef struct GrHelpers {
  const char *name; /* what the system shows for the threads: at most 15 bytes */
  int32_t limit;    /* how many threads; GOROMAXTHREADS when that is less */
  GrLock lock;      /* guards what follows */
  GrList jobs, idle;
  int32_t threads;
} GrHelpers;

/* For the initializer of the static object `self`. */
#define GR_HELPERS_INIT(self, of_name, most) \
  { \
    .name = (of_name), .limit = (most), .lock = GR_LOCK_INIT(GR_RANK_LEAF), \
    .jobs = GR_LIST_INIT((self).jobs), .idle = GR_LIST_INIT((self).idle) \
  }

/* Takes job. GR_OK. GR_NOTHREAD: there is no thread and none can be had; job remains the
 * caller's. The caller may hold any lock of a rank below LEAF; job->run holds none. */
int gr_helpers_do(GrHelpers *h, GrJob *job);
/* job was given to h. True: it was still in the queue, and is the caller's again. */
bool gr_helpers_take_back(GrHelpers *h, GrJob *job);

#endif

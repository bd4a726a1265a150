/* SPDX-License-Identifier: MIT */
/* helpers.h - a few threads for calls that block and that no event can stand in for (getaddrinfo).
 *
 * Jobs queue for them, first come first served. A thread is started when a job finds none idle, up
 * to the limit; one that has had nothing to do for some seconds ends. They have goro's signal mask
 * and run no Lua; they are none of the pool's threads, and outlive it. */
#ifndef GR_HELPERS_H
#define GR_HELPERS_H

#include "base/lock.h"

typedef struct GrJob GrJob;
struct GrJob {
  GrJob *next;
  void (*run)(GrJob *job); /* on a helper. The job is its own from then on: it may free it */
};

typedef struct GrHelpers {
  const char *name; /* of the threads, as the system shows them: at most 15 bytes */
  int32_t limit;    /* of threads; GOROMAXTHREADS when that is less */
  GrLock lock;      /* what follows */
  GrJob *first, *last;
  struct GrHelper *idle;
  int32_t threads;
} GrHelpers;

#define GR_HELPERS_INIT(of_name, most) \
  { .name = (of_name), .limit = (most), .lock = GR_LOCK_INIT(GR_RANK_LEAF) }

/* Takes job. GR_OK; GR_NOTHREAD: there is not one thread to run it, and it remains the caller's.
 * Any lock below LEAF may be held; job->run may take any. */
int gr_helpers_do(GrHelpers *h, GrJob *job);
/* True: job was still in the queue, and is the caller's again. */
bool gr_helpers_take_back(GrHelpers *h, GrJob *job);

#endif

/* SPDX-License-Identifier: MIT */
/* nofile.c - raising the limit of open descriptors, as Go does.
 *
 * The soft limit is low (1,024) for the sake of programs that use select(), which cannot take
 * higher numbers. goro does not use select(), but a child may. So a child gets the limit that this
 * process had before (exec.c). */
#include "io/nofile.h"

static struct rlimit before_raise, after_raise; /* written before `raised` is set */
static atomic_bool raised;

void gr_nofile_raise(void) {
  static atomic_flag done = ATOMIC_FLAG_INIT;
  struct rlimit l;
  if (atomic_flag_test_and_set(&done) || getrlimit(RLIMIT_NOFILE, &l) != 0 ||
      l.rlim_cur == l.rlim_max)
    return;
  before_raise = after_raise = l;
  after_raise.rlim_cur = l.rlim_max;
  atomic_store(
      &raised,
      true); /* before setrlimit: a child that starts between the two compares the limits */
  setrlimit(RLIMIT_NOFILE, &after_raise);
}

bool gr_nofile_of_child(struct rlimit *before) {
  struct rlimit now;
  if (!atomic_load(&raised) || getrlimit(RLIMIT_NOFILE, &now) != 0) return false;
  *before = before_raise;
  return now.rlim_cur == after_raise.rlim_cur && now.rlim_max == after_raise.rlim_max;
}

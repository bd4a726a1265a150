/* SPDX-License-Identifier: MIT */
/* cpus.c - how many CPUs this process may use: by its affinity, and by the quota of its cgroup.
 *
 * A container is mostly given CPU time, not CPUs. The file cpu.max of cgroup v2 says "quota
 * period", in microseconds, or "max period". The quota of a cgroup holds for all cgroups below
 * it, so the least quota counts, from the process's own cgroup up to the root of the hierarchy.
 * It is rounded up, as Go does since 1.25 (internal/cgroup).
 *
 * /proc/self/cgroup says which cgroup the process is in (the line "0::/path");
 * /proc/self/mountinfo says where the hierarchy is mounted. A container without a namespace of
 * cgroups may have only a part of the hierarchy mounted; then the path of the process begins with
 * that part. */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched/pool.h"

int gr_num_cpu(void) {
  enum { FIRST = 1024, MOST = 1 << 20 };
  for (size_t cpus = FIRST; cpus <= MOST; cpus *= 2) {
    cpu_set_t *set = CPU_ALLOC(cpus);
    if (set == NULL) return 1;
    size_t size = CPU_ALLOC_SIZE(cpus);
    int r = sched_getaffinity(0, size, set), err = errno, n = CPU_COUNT_S(size, set);
    CPU_FREE(set);
    if (r == 0) return n > 0 ? n : 1;
    if (err != EINVAL) return 1; /* EINVAL: the kernel knows more CPUs than the set has bits */
  }
  return 1;
}

/* ---- the quota ---- */

/* Calls use for each line of root/path, until it returns true. */
static bool each_line(const char *root, const char *path, bool (*use)(char *line, void *arg),
                      void *arg) {
  char name[PATH_MAX], line[PATH_MAX];
  if (snprintf(name, sizeof name, "%s%s", root, path) >= (int)sizeof name) return false;
  FILE *f = fopen(name, "re");
  if (f == NULL) return false;
  bool done = false;
  while (!done && fgets(line, sizeof line, f) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    done = use(line, arg);
  }
  fclose(f);
  return done;
}

typedef struct Place {
  char path[PATH_MAX];  /* of the process's cgroup in the hierarchy */
  char part[PATH_MAX];  /* which part of the hierarchy is mounted */
  char mount[PATH_MAX]; /* where */
} Place;

static bool own_cgroup(char *line, void *arg) {
  Place *place = arg;
  if (strncmp(line, "0::/", 4) != 0) return false;
  strcpy(place->path, line + 3);
  return true;
}

/* "36 35 98:0 /part /mount options … - cgroup2 source options" */
static bool hierarchy(char *line, void *arg) {
  Place *place = arg;
  const char *type = strstr(line, " - ");
  if (type == NULL || strncmp(type + 3, "cgroup2 ", 8) != 0) return false;
  char *rest = line, *field = NULL;
  for (int i = 0; i < 5 && (field = strsep(&rest, " ")) != NULL; i++) {
    if (i == 3) strcpy(place->part, field);
    if (i == 4) strcpy(place->mount, field);
  }
  return field != NULL;
}

/* The path below the mount. */
static const char *below(const Place *place) {
  size_t n = strlen(place->part);
  if (n > 1 && strncmp(place->path, place->part, n) == 0 &&
      (place->path[n] == '/' || place->path[n] == '\0'))
    return place->path + n;
  return place->path;
}

static bool read_quota(char *line, void *arg) {
  int *least = arg;
  char *end;
  errno = 0;
  long long quota = strtoll(line, &end, 10), period = *end == ' ' ? strtoll(end, NULL, 10) : 0;
  if (end == line || errno != 0 || quota <= 0 || period <= 0) return true; /* "max …" */
  long long cpus = quota / period + (quota % period != 0);
  if (cpus < *least) *least = (int)cpus;
  return true;
}

int gr_cpu_quota(const char *root) {
  int least = INT_MAX;
  Place *place = gr_zalloc(sizeof *place);
  char *at = place != NULL ? gr_malloc(2 * PATH_MAX + 16) : NULL;
  if (at != NULL && each_line(root, "/proc/self/cgroup", own_cgroup, place) &&
      each_line(root, "/proc/self/mountinfo", hierarchy, place)) {
    size_t top = strlen(place->mount), n;
    snprintf(at, 2 * PATH_MAX, "%s%s", place->mount, below(place));
    for (n = strlen(at); n > top && at[n - 1] == '/'; n--) {}
    for (;;) {
      strcpy(at + n, "/cpu.max");
      each_line(root, at, read_quota, &least);
      if (n <= top) break;
      while (n > top && at[n - 1] != '/') n--;
      while (n > top && at[n - 1] == '/') n--;
    }
  }
  gr_free(at);
  gr_free(place);
  return least;
}

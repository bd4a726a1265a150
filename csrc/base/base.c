/* SPDX-License-Identifier: MIT */
/* base.c - dying, memory with a fault injector, clocks. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static void say(const char *kind, const char *fmt, va_list args) {
  flockfile(stderr);
  fprintf(stderr, "goro: %s", kind);
  vfprintf(stderr, fmt, args);
  fputc('\n', stderr);
  funlockfile(stderr);
}

void gr_fatal(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  say("", fmt, args);
  va_end(args);
  _Exit(1);
}

void gr_throw(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  say("internal error: ", fmt, args);
  va_end(args);
  abort();
}

#ifdef GORO_TESTING
static atomic_bool injecting;
static atomic_int_fast64_t countdown;
static atomic_int_fast64_t in_a_row;
static atomic_int_fast64_t made, live;

bool gr_mem_must_fail(void) {
  if (gr_likely(!atomic_load_explicit(&injecting, memory_order_relaxed))) return false;
  atomic_fetch_add(&made, 1);
  int64_t left = atomic_fetch_sub(&countdown, 1);
  return left <= 1 && left > 1 - atomic_load(&in_a_row);
}

int64_t gr_mem_fail_at(int64_t n, int64_t many) {
  atomic_store(&injecting, false);
  int64_t since = atomic_exchange(&made, 0);
  atomic_store(&in_a_row, many);
  atomic_store(&countdown, n);
  atomic_store(&injecting, n > 0);
  return since;
}

int64_t gr_mem_live(void) { return atomic_load(&live); }
#define count_live(n) atomic_fetch_add_explicit(&live, (n), memory_order_relaxed)
#else
#define count_live(n) ((void)0)
#endif

void gr_mem_count(int delta) {
  count_live(delta);
  (void)delta;
}

void *gr_malloc(size_t size) {
  void *p = gr_mem_must_fail() ? NULL : malloc(size);
  if (p != NULL) count_live(1);
  return p;
}

void *gr_zalloc(size_t size) {
  void *p = gr_mem_must_fail() ? NULL : calloc(1, size);
  if (p != NULL) count_live(1);
  return p;
}

void *gr_realloc(void *p, size_t size) {
  if (p == NULL) return gr_malloc(size);
  return gr_mem_must_fail() ? NULL : realloc(p, size);
}

void gr_free(void *p) {
  if (p == NULL) return;
  count_live(-1);
  free(p);
}

int64_t gr_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t gr_coarse_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double gr_wall_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int64_t gr_deadline(double seconds) {
  if (seconds <= 0) return GR_POLL;
  if (seconds >= 9e9) return GR_FOREVER; /* 285 years, and no overflow */
  return gr_now_ns() + (int64_t)(seconds * 1e9) + 1;
}

/* Each thread has a generator of its own, which the system has seeded. A system call for each
 * goroutine would take half as long as all else at its start. */
uint64_t gr_rand_seed(void) {
  static atomic_uint_fast64_t counter = 0x9e3779b97f4a7c15ULL;
  static GR_TLS uint64_t state;
  if (gr_unlikely(state == 0)) {
    if (getrandom(&state, sizeof state, GRND_NONBLOCK) != (ssize_t)sizeof state)
      state = (uint64_t)gr_now_ns();
    state ^= atomic_fetch_add(&counter, 0x9e3779b97f4a7c15ULL);
  }
  return gr_rand(&state);
}

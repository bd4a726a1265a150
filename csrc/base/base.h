/* SPDX-License-Identifier: MIT */
/* base.h - what every file of goro includes: types, attributes, the two ways to die, memory. */
#ifndef GR_BASE_H
#define GR_BASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GR_API __attribute__((visibility("default")))
#define GR_NORETURN __attribute__((noreturn))
#define GR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define GR_INLINE inline __attribute__((always_inline)) /* the hot path, though called twice */
#define gr_likely(x) __builtin_expect(!!(x), 1)
#define gr_unlikely(x) __builtin_expect(!!(x), 0)
#define gr_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Thread-local without a call: the module reserves a few bytes of static TLS. */
#define GR_TLS _Thread_local __attribute__((tls_model("initial-exec")))

/* Results of core functions: 0 or one of these. */
enum {
  GR_OK = 0,
  GR_PARK = 1,      /* the caller is linked as a waiter: park now, then call the matching _finish */
  GR_AGAIN = 2,     /* not yet: it would have to wait, or to be tried again */
  GR_NOMEM = -1,    /* nothing has changed */
  GR_TIMEOUT = -2,  /* the time is over, or a call that was not to wait found nothing ready */
  GR_CLOSED = -3,   /* the object is closed */
  GR_ABORTED = -4,  /* the wait was ended from outside: the _finish tells the cause */
  GR_NOTHREAD = -5, /* the system (or GOROMAXTHREADS) gives no more threads */
  GR_CROWDED = -6,  /* the wait would keep its thread, and none would be left to run others */
};

/* The user's doing: says what to change, and ends the process with status 1. */
GR_NORETURN GR_PRINTF(1, 2) void gr_fatal(const char *fmt, ...);
/* A bug of goro's: prints and aborts. */
GR_NORETURN GR_PRINTF(1, 2) void gr_throw(const char *fmt, ...);

/* The memory of everything in goro, Lua states included. All three return NULL when there is
 * none; gr_realloc then leaves the old block alone. gr_free(NULL) does nothing. Any thread may
 * call them. */
void *gr_malloc(size_t size);
void *gr_zalloc(size_t size);
void *gr_realloc(void *p, size_t size);
void gr_free(void *p);

/* For allocators that do not call gr_malloc for each block: must this allocation fail? */
#ifdef GORO_TESTING
bool gr_mem_must_fail(void);
#else
static inline bool gr_mem_must_fail(void) { return false; }
#endif
/* The fault injector of GORO_TESTING builds, for specs: `many` allocations fail in a row, from
 * the n-th one from now on (n >= 1; 0: none). Returns how many allocations were made since the
 * last call. */
int64_t gr_mem_fail_at(int64_t n, int64_t many);
/* For such an allocator: counts its blocks, for gr_mem_live. */
void gr_mem_count(int delta);
/* How many blocks are allocated and not yet freed; -1 without GORO_TESTING. */
int64_t gr_mem_live(void);

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t gr_now_ns(void);
/* The same clock, up to a few milliseconds behind, at a quarter of the price. */
int64_t gr_coarse_ns(void);
/* Seconds since the epoch. */
double gr_wall_s(void);

/* Time limits are absolute gr_now_ns() values; these two are special. */
#define GR_FOREVER INT64_MAX /* no limit */
#define GR_POLL INT64_MIN    /* do not wait at all */

/* A time limit from seconds: infinity gives GR_FOREVER, 0 and less give GR_POLL. NaN must be
 * refused before. */
int64_t gr_deadline(double seconds);

/* A cheap counter of time, to tell short from long. Its unit is between a fraction of a
 * nanosecond and a few nanoseconds. */
static inline uint64_t gr_ticks(void) {
#if defined(__x86_64__) || defined(__i386__)
  return __builtin_ia32_rdtsc();
#else
  return (uint64_t)gr_now_ns();
#endif
}

/* Tells the CPU that this is a spin loop. */
static inline void gr_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* wyrand (Wang Yi): one multiplication for each number. `state` is the caller's. */
static inline uint64_t gr_rand(uint64_t *state) {
  *state += 0xa0761d6478bd642fULL;
  __extension__ unsigned __int128 product =
      (unsigned __int128)*state * (*state ^ 0xe7037ed1a0b428dbULL);
  return (uint64_t)(product >> 64) ^ (uint64_t)product;
}
/* Uniform in [0, n), n >= 1 (Lemire's multiplication; bias below 2^-32 for n < 2^32). */
static inline uint32_t gr_rand_below(uint64_t *state, uint32_t n) {
  return (uint32_t)(((gr_rand(state) >> 32) * n) >> 32);
}
/* A seed that differs between calls and processes. */
uint64_t gr_rand_seed(void);

#endif

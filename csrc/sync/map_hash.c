/* SPDX-License-Identifier: MIT */
/* map_hash.c - the hash of a map's keys.
 *
 * Keys come from outside: a server's paths, a client's names. So the hash has a seed, which the
 * process makes at random. Nobody outside knows which keys get the same hash. The hashes of
 * base/hash.h have no seed, for they serve goro's own values. */
#include <string.h>

#include "sync/map.h"

/* After wyhash (Wang Yi). */
static uint64_t mix(uint64_t a, uint64_t b) {
  __extension__ unsigned __int128 product = (unsigned __int128)a * b;
  return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

static uint64_t read8(const char *s) {
  uint64_t v;
  memcpy(&v, s, sizeof v);
  return v;
}

static uint64_t read4(const char *s) {
  uint32_t v;
  memcpy(&v, s, sizeof v);
  return v;
}

static uint64_t hash_bytes(const char *s, size_t n, uint64_t h) {
  static const uint64_t k = 0xe7037ed1a0b428dbULL;
  uint64_t a = 0, b = 0;
  h ^= n;
  for (; n > 16; s += 16, n -= 16) h = mix(read8(s) ^ k, read8(s + 8) ^ h);
  if (n >= 8) {
    a = read8(s);
    b = read8(s + n - 8);
  } else if (n >= 4) {
    a = read4(s);
    b = read4(s + n - 4);
  } else if (n > 0) {
    a = (uint64_t)(uint8_t)s[0] << 16 | (uint64_t)(uint8_t)s[n / 2] << 8 | (uint8_t)s[n - 1];
  }
  return mix(mix(a ^ k, b ^ h), 0x9fb21c651e98df25ULL);
}

static uint64_t seed(void) {
  static _Atomic uint64_t made;
  uint64_t s = atomic_load_explicit(&made, memory_order_relaxed);
  if (gr_likely(s != 0)) return s;
  uint64_t fresh = gr_rand_seed() | 1;
  return atomic_compare_exchange_strong(&made, &s, fresh) ? fresh : s;
}

void gr_map_hash(GrKey *k) {
  uint64_t h = seed() + k->kind;
  if (k->kind == GR_KEY_STRING) k->hash = hash_bytes(k->s, k->u.len, h);
  else
    k->hash =
        mix(mix((uint64_t)k->u.i ^ 0x8ebc6af09c88c6e3ULL, h ^ k->view), 0x9fb21c651e98df25ULL);
}

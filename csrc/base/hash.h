/* SPDX-License-Identifier: MIT */
/* hash.h - hashing of words, bytes and addresses. */
#ifndef GR_HASH_H
#define GR_HASH_H

#include <string.h>

#include "base/base.h"

/* Mixes a word into h. For a fixed h it is a bijection of the word, and for a fixed word of h; so
 * a change of a single word always shows. */
static inline uint64_t gr_hash_word(uint64_t h, uint64_t word) {
  h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
  return h ^ h >> 32;
}

static inline uint64_t gr_hash_bytes(const char *s, size_t len) {
  uint64_t h = len, word;
  for (; len >= sizeof word; s += sizeof word, len -= sizeof word) {
    memcpy(&word, s, sizeof word);
    h = gr_hash_word(h, word);
  }
  word = 0;
  memcpy(&word, s, len);
  return gr_hash_word(h, word);
}

/* The low bits of the result are as good as the high ones. */
static inline size_t gr_hash_address(const void *p) {
  return (size_t)(((uintptr_t)p * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

#endif

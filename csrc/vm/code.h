/* SPDX-License-Identifier: MIT */
/* code.h - reading a dumped Lua function: which globals does its code name, which methods does it
 * call, to which captured variables does it assign? */
#ifndef GR_CODE_H
#define GR_CODE_H

#include "base/base.h"

typedef enum GrCodeKind {
  GR_CODE_GLOBAL, /* it takes or sets the name in its _ENV */
  GR_CODE_METHOD, /* it calls a method of that name */
  GR_CODE_ENV,    /* it takes or sets _ENV itself (it has more than 255 constants, or uses _ENV as a
                     value), so any name may be meant. No name is told */
  GR_CODE_ASSIGNED, /* it assigns to that upvalue of the outermost function */
} GrCodeKind;

typedef struct GrCodeUse {
  GrCodeKind kind;
  const char *name; /* in the dump */
  size_t len;
  int upvalue, line; /* from 1; 0: the code has no lines */
} GrCodeUse;

/* Calls `found` for what the function, or one inside it, uses; `env` is the index of the upvalue of
 * the outer function that is _ENV, or -1. With GR_CODE_ENV all its string constants are told as
 * globals. False: the dump is in no format known here. A use may come several times. */
bool gr_code_read(const char *dump, size_t size, int env,
                  void (*found)(void *arg, const GrCodeUse *use), void *arg);

#endif

/* SPDX-License-Identifier: MIT */
/* code.h - reading a dumped Lua function: which globals does its code name? */
#ifndef GR_CODE_H
#define GR_CODE_H

#include "base/base.h"

/* Calls `found` for each name that the function, or one inside it, takes from its _ENV; `env` is the index of the upvalue of the outer
 * function that is _ENV, or -1. A function that takes _ENV itself into a register (it has more than 255 constants, or uses _ENV as a value): all its
 * string constants are reported. False: the dump is in no format known here. A name may come several times. */
bool gr_code_globals(const char *dump, size_t size, int env, void (*found)(void *arg, const char *name, size_t len), void *arg);

#endif

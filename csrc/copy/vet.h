/* SPDX-License-Identifier: MIT */
/* vet.h - warnings, on stderr, of functions that change what is a copy (goro.vet). */
#ifndef GR_VET_H
#define GR_VET_H

#include <lua.h>

#include "copy/code.h"

struct Draft;

/* Shall starting a goroutine warn? */
extern atomic_bool gr_vet;

/* A goroutine starts with the function at that index, whose code it is and whose upvalue `env`
 * (from 1; 0: none) is _ENV: warns, once for each code. May raise, and run Lua; the code is held by
 * the caller. */
void gr_vet_function(lua_State *L, struct Draft *d, const GrCode *code, int function, int env);

#endif

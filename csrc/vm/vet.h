/* SPDX-License-Identifier: MIT */
/* vet.h - warnings, on stderr, of functions that change what is a copy (goro.vet). */
#ifndef GR_VET_H
#define GR_VET_H

#include <lua.h>

#include "vm/codes.h"

/* Shall starting a goroutine warn? */
extern atomic_bool gr_vet;

/* A goroutine starts with the function at that index, whose code it is and whose upvalue `env`
 * (from 1; 0: none) is _ENV: warns, once for each code. */
void gr_vet_function(lua_State *L, const GrCode *code, int function, int env);

#endif

/* SPDX-License-Identifier: MIT */
/* vet.c - warnings of what a goroutine's function does to its copies. */
#include "vm/vet.h"

#include <stdio.h>

atomic_bool gr_vet;

/* Warns once for each code of a goroutine that assigns to what it has captured. */
void gr_vet_function(lua_State *L, const GrCode *code, int function, int env) {
  lua_Debug ar;
  if (!gr_codes_vet(code)) return;
  lua_pushvalue(L, function);
  lua_getinfo(L, ">Su", &ar);
  for (int i = 1; i <= ar.nups; i++) {
    const char *name = code->lines[i - 1] != 0 && i != env ? lua_getupvalue(L, function, i) : NULL;
    if (name == NULL) continue;
    lua_pop(L, 1);
    if (code->lines[i - 1] > 0)
      fprintf(stderr, "%s:%d: assigns to captured variable '%s', which is a copy\n", ar.short_src,
              code->lines[i - 1], name);
    else
      fprintf(stderr, "%s: assigns to captured variable '%s', which is a copy\n", ar.short_src,
              name);
  }
}

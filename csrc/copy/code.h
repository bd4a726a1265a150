/* SPDX-License-Identifier: MIT */
/* code.h - what is known about the code of functions, once for the process.
 *
 * A function has no identity that outlives its state, and Lua makes a new closure each time that
 * it evaluates a function expression. What stays the same is the dump of the function. So the hash
 * of a dump finds what was learnt when the same code was sent before: which standard globals the
 * code needs, which names it takes. The code of goroutines that are started again and again gets
 * an image, too (image.h), in which the code is loaded already. */
#ifndef GR_CODE_H
#define GR_CODE_H

#include "heap/image.h"

typedef struct GrCode {
  GrNeed need;       /* of the standard globals */
  bool known;        /* its form is known; else it may name anything */
  uint32_t nnames;   /* names that it takes from its _ENV, or sets there */
  const char *names; /* one after the other: u32 length, text, '\0' */
  const char *bytes; /* the dump */
  size_t len;
} GrCode;

/* What is known of this dump, of a function whose upvalue `env` (from 1; 0: none) is _ENV. The
 * result stays until this thread asks again. NULL without memory. */
const GrCode *gr_code_find(const char *dump, size_t len, int env);
/* Keeps it longer. */
void gr_code_ref(const GrCode *code);
void gr_code_unref(const GrCode *code);
/* A goroutine is started with this code: returns the image for such goroutines, which has the
 * function on its stack; NULL: there is none (yet). The image stays for good. */
const GrImage *gr_code_start(const GrCode *code);
/* True at the first call for this code, so that goro.vet looks at it once. */
bool gr_code_vet(const GrCode *code);
/* Bytes of all images of code. */
size_t gr_code_image_bytes(void);

#endif

/* SPDX-License-Identifier: MIT */
/* code.h - reading a dumped Lua function: what does it say of the functions in it, which globals
 * does its code name, which methods does it call? */
#ifndef GR_CODE_H
#define GR_CODE_H

#include "base/base.h"

/* A string in the dump; s is NULL: there is none. */
typedef struct GrCodeText {
  const char *s;
  size_t len;
} GrCodeText;

enum { GR_CODE_NAMED = 256 }; /* constants that an instruction can name */

/* A function in the dump, the outermost or one inside another. */
typedef struct GrCodeFunction {
  struct GrCodeFunction *outer;
  const char *code; /* instructions of 4 bytes, perhaps not aligned */
  const char *constants;
  const char *upvalues; /* 3 bytes each: is it a variable of the encloser's, its register or its
                           number among the encloser's upvalues, its kind */
  size_t ncode, nconstants, nupvalues;
  int env;             /* which upvalue is _ENV; -1: none */
  size_t line, nlines; /* lines: of the function itself; how many instructions have one */
  const char *lines, *absolute;
  const char *end;         /* of the dump */
  unsigned char marks[32]; /* a bit for each register: the caller's, 0 at first */
} GrCodeFunction;

/* Reads all functions of the dump; `env` is the index of the upvalue of the outermost one that is
 * _ENV, or -1. `enter` is called with each before those in it, and knows nothing of lines; `leave`
 * afterwards. Either may be NULL. False: the dump is in no format known here. */
bool gr_code_walk(const char *dump, size_t size, int env,
                  void (*enter)(void *arg, GrCodeFunction *f),
                  void (*leave)(void *arg, GrCodeFunction *f), void *arg);

/* The constants that are strings, of those that an instruction can name; returns how many constants
 * there are of these. */
size_t gr_code_texts(const GrCodeFunction *f, GrCodeText k[GR_CODE_NAMED]);
/* The number of the outermost function's upvalue that upvalue i of f is; -1: it is a variable of a
 * function in between, *at, in that register. */
int gr_code_outermost(GrCodeFunction *f, uint32_t i, GrCodeFunction **at, uint32_t *reg);

/* Lines of one instruction after the other. */
typedef struct GrCodeLines {
  const GrCodeFunction *f;
  size_t i, line;
  const char *absolute;
} GrCodeLines;
GrCodeLines gr_code_lines(const GrCodeFunction *f);
/* 0: the code has no lines. */
int gr_code_next_line(GrCodeLines *l);

typedef enum GrCodeKind {
  GR_CODE_GLOBAL, /* it takes or sets the name in its _ENV */
  GR_CODE_METHOD, /* it calls a method of that name */
  GR_CODE_ENV,    /* it takes or sets _ENV itself (it has more than 255 constants, or uses _ENV as a
                     value), so any name may be meant. No name is told */
} GrCodeKind;

typedef struct GrCodeUse {
  GrCodeKind kind;
  GrCodeText name;
} GrCodeUse;

/* Calls `found` for what the functions use. With GR_CODE_ENV all string constants of the function
 * are told as globals. False as gr_code_walk. A use may come several times. */
bool gr_code_read(const char *dump, size_t size, int env,
                  void (*found)(void *arg, const GrCodeUse *use), void *arg);

#endif

/* SPDX-License-Identifier: MIT */
/* bytecode.h - reading a dumped Lua function: what does it say of the functions in it, which
 * globals does its code name, which methods does it call? */
#ifndef GR_BYTECODE_H
#define GR_BYTECODE_H

#include "base/base.h"

/* A string in the dump; s is NULL: there is none. */
typedef struct GrBytecodeText {
  const char *s;
  size_t len;
} GrBytecodeText;

enum { GR_BYTECODE_NAMED = 256 }; /* constants that an instruction can name */

/* A function in the dump, the outermost or one inside another. */
typedef struct GrBytecodeFunction {
  struct GrBytecodeFunction *outer;
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
} GrBytecodeFunction;

/* Reads all functions of the dump. `env`: which upvalue of the outermost function is _ENV; -1:
 * none. `enter` is called with each function before the functions in it, when its lines are not
 * known yet; `leave` is called after them. Either may be NULL. False: the dump is in no format
 * known here. */
bool gr_bytecode_walk(const char *dump, size_t size, int env,
                      void (*enter)(void *arg, GrBytecodeFunction *f),
                      void (*leave)(void *arg, GrBytecodeFunction *f), void *arg);

/* Fills k with the constants that an instruction can name, of which only strings have a text;
 * returns how many there are. */
size_t gr_bytecode_texts(const GrBytecodeFunction *f, GrBytecodeText k[GR_BYTECODE_NAMED]);
/* Which upvalue of the outermost function is upvalue i of f? -1: it is a variable of a function in
 * between, which is *at, in register *reg. */
int gr_bytecode_outermost(GrBytecodeFunction *f, uint32_t i, GrBytecodeFunction **at,
                          uint32_t *reg);

/* Lines of one instruction after the other. */
typedef struct GrBytecodeLines {
  const GrBytecodeFunction *f;
  size_t i, line;
  const char *absolute;
} GrBytecodeLines;
GrBytecodeLines gr_bytecode_lines(const GrBytecodeFunction *f);
/* 0: the code has no lines. */
int gr_bytecode_next_line(GrBytecodeLines *l);

typedef enum GrBytecodeKind {
  GR_BYTECODE_GLOBAL, /* it takes or sets the name in its _ENV */
  GR_BYTECODE_METHOD, /* it calls a method of that name */
  GR_BYTECODE_ENV, /* it takes or sets _ENV itself (it has more than 255 constants, or uses _ENV as
                  a value), so any name may be meant. No name is told */
} GrBytecodeKind;

typedef struct GrBytecodeUse {
  GrBytecodeKind kind;
  GrBytecodeText name;
} GrBytecodeUse;

/* Calls `found` for what the functions use. With GR_BYTECODE_ENV all string constants of the
 * function are told as globals. False as gr_bytecode_walk. A use may come several times. */
bool gr_bytecode_read(const char *dump, size_t size, int env,
                      void (*found)(void *arg, const GrBytecodeUse *use), void *arg);

#endif

/* SPDX-License-Identifier: MIT */
/* vet.c - warnings when a goroutine's function changes what is a copy.
 *
 * The instructions of the function, and of the functions in it, are gone through once, in their
 * order. For each register it is known whether it holds something that leads to a captured
 * variable or a global, and by which way: `cfg.list` is a field of the variable cfg. Some
 * instructions set a field of what such a register holds, or pass it to a stock function that does
 * (`table.insert`). There the way is followed in the sender's own values. If all of it leads
 * through tables that are plain data, there is a warning. So nothing is said about goro's objects,
 * classes and their objects, modules, and tables that the goroutine makes itself.
 *
 * At a jump forward, what is known goes along to its target. Where two ways meet, known is what
 * both know. A jump back brings nothing new, since the first round through a loop is a round. What
 * is not known raises no warning: a table that went through another function, or came out of a
 * call. */
#include "copy/vet.h"

#include <stdio.h>
#include <string.h>

#include "copy/bytecode.h"
#include "copy/class.h"
#include "copy/draft.h"
#include "copy/opcodes.h"
#include "heap/modules.h"
#include "heap/names.h"
#include "heap/raise.h"

atomic_bool gr_vet;

enum { REGISTERS = 256, WAYS = 200, STEPS_MOST = 8, JUMPS = 32, WARNINGS = 64 };

typedef enum WayKind {
  W_NONE,     /* the way 0 */
  W_VARIABLE, /* captured: `number`, from 1 */
  W_GLOBAL,   /* `name` */
  W_ENV,      /* the globals themselves */
  W_FIELD,    /* `name` of what way `from` leads to */
  W_INDEX,    /* `number` of it */
  W_ANY,      /* it depends */
} WayKind;

typedef struct Way {
  uint8_t kind, from, steps;
  int number;
  GrBytecodeText name;
} Way;

typedef struct Jump {
  size_t target;
  uint8_t registers[REGISTERS];
} Jump;

typedef struct Warning {
  Way root;
  bool assigned; /* itself, not a field */
  int line;      /* 0: unknown */
} Warning;

typedef struct Vet {
  lua_State *L;
  Draft *d;
  int function, environment; /* stack indices */
  Warning warnings[WARNINGS];
  int nwarnings;
  /* of the function in it that is gone through */
  GrBytecodeFunction *f;
  GrBytecodeText texts[GR_BYTECODE_NAMED];
  size_t ntexts, at;
  int line;
  Way ways[WAYS]; /* the first is none */
  uint8_t nways;
  uint8_t registers[REGISTERS]; /* ways */
  bool reached;                 /* by the instruction before */
  Jump jumps[JUMPS];
  int njumps;
  size_t blind; /* there were too many jumps: nothing is known until there */
} Vet;

/* ---- ways ---- */

static bool same_text(GrBytecodeText a, GrBytecodeText b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.s, b.s, a.len) == 0);
}

/* The number of the way; 0 when there are too many. */
static uint8_t way(Vet *v, WayKind kind, uint8_t from, int number, GrBytecodeText name) {
  unsigned steps = v->ways[from].steps + 1U;
  for (uint8_t i = 1; i < v->nways; i++) {
    const Way *w = &v->ways[i];
    if (w->kind == kind && w->from == from && w->number == number && same_text(w->name, name))
      return i;
  }
  if (v->nways == WAYS || steps > STEPS_MOST) return 0;
  v->ways[v->nways] = (Way){(uint8_t)kind, from, (uint8_t)steps, number, name};
  return v->nways++;
}

static const GrBytecodeText no_name = {"", 0};

static uint8_t variable(Vet *v, int upvalue) { return way(v, W_VARIABLE, 0, upvalue + 1, no_name); }

/* Pushes what the way leads to in the sender, or nil. */
static void push_end(Vet *v, uint8_t number) {
  lua_State *L = v->L;
  const Way *w = &v->ways[number];
  switch ((WayKind)w->kind) {
    case W_VARIABLE: lua_getupvalue(L, v->function, w->number); return;
    case W_ENV: lua_pushvalue(L, v->environment); return;
    case W_GLOBAL:
      lua_pushlstring(L, w->name.s, w->name.len);
      gr_carry_look_up(L, v->environment, lua_gettop(L));
      break;
    case W_FIELD:
    case W_INDEX:
    case W_ANY:
      push_end(v, w->from);
      if (!lua_istable(L, -1)) lua_pushnil(L);
      else if (w->kind == W_INDEX) lua_rawgeti(L, -1, w->number);
      else if (w->kind == W_FIELD) lua_pushlstring(L, w->name.s, w->name.len), lua_rawget(L, -2);
      else if (lua_pushnil(L), lua_next(L, -2) != 0) lua_remove(L, -2);
      else lua_pushnil(L);
      break;
    default: lua_pushnil(L); return;
  }
  lua_remove(L, -2);
}

static bool is_globals(Vet *v, uint8_t number) {
  if (number == 0) return false;
  push_end(v, number);
  bool globals = lua_istable(v->L, -1) && lua_topointer(v->L, -1) == v->d->globals_table;
  lua_pop(v->L, 1);
  return globals || v->ways[number].kind == W_ENV;
}

/* `name.s` may be NULL: the key is no string. */
static uint8_t field(Vet *v, uint8_t from, GrBytecodeText name) {
  if (from == 0) return 0;
  if (is_globals(v, from)) return name.s != NULL ? way(v, W_GLOBAL, 0, 0, name) : 0;
  return name.s != NULL ? way(v, W_FIELD, from, 0, name) : way(v, W_ANY, from, 0, no_name);
}

/* ---- what is plain data ---- */

/* Is the value on top a table that is plain data: copied, without a metatable, no module and no
 * class? */
static bool is_table_of_data(Vet *v) {
  lua_State *L = v->L;
  int table = lua_gettop(L);
  if (!lua_istable(L, table) || lua_topointer(L, table) == v->d->globals_table) return false;
  if (lua_getmetatable(L, table)) {
    lua_settop(L, table);
    return false;
  }
  gr_draft_need_index(L, v->d);
  bool module = gr_modules_find(L, table, v->d->index) && lua_isnil(L, -1);
  lua_settop(L, table);
  return !module && !gr_class_has_metamethod(L, table);
}

static bool is_data(Vet *v) {
  int type = lua_type(v->L, -1);
  return type == LUA_TBOOLEAN || type == LUA_TNUMBER || type == LUA_TSTRING || is_table_of_data(v);
}

/* ---- warnings ---- */

/* One warning for each variable or global: for the first line. */
static void warn(Vet *v, const Way *root, bool assigned) {
  Warning new = {*root, assigned, v->line};
  for (int i = 0; i < v->nwarnings; i++) {
    Warning *w = &v->warnings[i];
    if (w->root.kind != root->kind || w->root.number != root->number ||
        !same_text(w->root.name, root->name))
      continue;
    if (new.line < w->line) *w = new;
    return;
  }
  if (v->nwarnings < WARNINGS) v->warnings[v->nwarnings++] = new;
}

/* No warning when the way leads through an object, a module or a class: what these hold is not
 * plain data. */
static void changes(Vet *v, uint8_t number) {
  uint8_t root = 0;
  for (; number != 0; number = v->ways[number].from) {
    push_end(v, number);
    bool data = is_table_of_data(v);
    lua_pop(v->L, 1);
    if (!data) return;
    root = number;
  }
  if (root != 0) warn(v, &v->ways[root], false);
}

static void assigns_global(Vet *v, GrBytecodeText name) {
  Way w = {.kind = W_GLOBAL, .name = name};
  int top = lua_gettop(v->L);
  if (name.s == NULL) return;
  lua_pushlstring(v->L, name.s, name.len);
  gr_carry_look_up(v->L, v->environment, top + 1);
  bool standard = gr_modules_is_standard(v->L, top + 2, lua_tostring(v->L, top + 1));
  if (!standard && is_data(v)) warn(v, &w, true);
  lua_settop(v->L, top);
}

static void changes_field(Vet *v, uint8_t number, GrBytecodeText name) {
  if (is_globals(v, number)) assigns_global(v, name);
  else changes(v, number);
}

/* Which argument does this stock function change? 0: none. */
static int changed_argument(lua_CFunction f, uint32_t nargs) {
  static const char *const functions[][2] = {
      {"table", "insert"}, {"table", "remove"}, {"table", "sort"}, {"_G", "rawset"}};
  const char *module, *name;
  if (f == NULL || !gr_names_stock(f, &module, &name)) return 0;
  if (strcmp(module, "table") == 0 && strcmp(name, "move") == 0) return nargs >= 5 ? 5 : 1;
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
    if (strcmp(module, functions[i][0]) == 0 && strcmp(name, functions[i][1]) == 0) return 1;
  return 0;
}

/* `b` is the number of arguments plus one; 0: the last argument is a call. */
static void calls(Vet *v, uint32_t a, uint32_t b) {
  if (v->registers[a] == 0) return;
  push_end(v, v->registers[a]);
  uint32_t arg = (uint32_t)changed_argument(lua_tocfunction(v->L, -1), b > 0 ? b - 1 : 1);
  lua_pop(v->L, 1);
  if (arg > 0 && (b == 0 || arg < b) && a + arg < REGISTERS) changes(v, v->registers[a + arg]);
}

/* ---- control ---- */

static void jumps(Vet *v, size_t target) {
  if (target <= v->at) return;
  Jump *j = v->jumps;
  while (j < v->jumps + v->njumps && j->target != target) j++;
  if (j < v->jumps + v->njumps) {
    for (int r = 0; r < REGISTERS; r++)
      if (j->registers[r] != v->registers[r]) j->registers[r] = 0;
  } else if (v->njumps < JUMPS) {
    v->njumps++;
    j->target = target;
    memcpy(j->registers, v->registers, sizeof j->registers);
  } else if (target > v->blind) {
    v->blind = target;
  }
}

/* What is known when the instruction begins. */
static void arrive(Vet *v) {
  if (!v->reached) memset(v->registers, 0, sizeof v->registers);
  for (int i = 0; i < v->njumps; i++) {
    Jump *j = &v->jumps[i];
    if (j->target != v->at) continue;
    for (int r = 0; r < REGISTERS; r++)
      if (!v->reached) v->registers[r] = j->registers[r];
      else if (v->registers[r] != j->registers[r]) v->registers[r] = 0;
    *j = v->jumps[--v->njumps];
    break;
  }
  v->reached = true;
  if (v->at < v->blind) memset(v->registers, 0, sizeof v->registers);
}

/* ---- instructions ---- */

/* A register that an inner function assigns to may hold anything at any time. */
static void set(Vet *v, uint32_t reg, uint8_t number) {
  if (reg >= REGISTERS) return;
  bool marked = (v->f->marks[reg / 8] >> reg % 8 & 1) != 0;
  v->registers[reg] = marked ? 0 : number;
}

static void forget(Vet *v, uint32_t reg, uint32_t n) {
  for (; n > 0 && reg < REGISTERS; n--) v->registers[reg++] = 0;
}

static GrBytecodeText text(const Vet *v, uint32_t constant) {
  return constant < v->ntexts ? v->texts[constant] : (GrBytecodeText){NULL, 0};
}

/* The way of upvalue i. */
static uint8_t upvalue(Vet *v, uint32_t i) {
  GrBytecodeFunction *at;
  uint32_t reg;
  if ((int)i == v->f->env) return way(v, W_ENV, 0, 0, no_name);
  int outermost = gr_bytecode_outermost(v->f, i, &at, &reg);
  return outermost >= 0 ? variable(v, outermost) : 0;
}

static void assigns_upvalue(Vet *v, uint32_t i) {
  GrBytecodeFunction *at;
  uint32_t reg;
  int outermost = gr_bytecode_outermost(v->f, i, &at, &reg);
  if (outermost >= 0 && (int)i != v->f->env)
    warn(v, &(Way){.kind = W_VARIABLE, .number = outermost + 1}, true);
  else if (outermost < 0 && at != NULL && reg < REGISTERS)
    at->marks[reg / 8] |= (unsigned char)(1 << reg % 8);
}

static bool is_test(uint32_t op) { return op >= OP_EQ && op <= OP_TESTSET; }

/* `before`: the instruction before, which decides whether this jump is taken. */
static void jump(Vet *v, uint32_t word, uint32_t before) {
  size_t target = v->at + 1 + (size_t)(ptrdiff_t)GR_OP_SJ(word);
  uint32_t a = GR_OP_A(before);
  uint8_t kept = v->registers[a];
  if (GR_OP(before) == OP_TESTSET) set(v, a, v->registers[GR_OP_B(before)]);
  jumps(v, target);
  v->registers[a] = kept;
  v->reached = is_test(GR_OP(before));
}

/* Loops and calls: what else they do to registers. False: it is another instruction. */
static bool step_over(Vet *v, uint32_t word) {
  uint32_t a = GR_OP_A(word), b = GR_OP_B(word), c = GR_OP_C(word);
  switch (GR_OP(word)) {
    case OP_LOADNIL: forget(v, a, b + 1); return true;
    case OP_CONCAT: forget(v, a, b); return true;
    case OP_CALL:
    case OP_TAILCALL:
      calls(v, a, b);
      forget(v, a, REGISTERS);
      return true;
    case OP_RETURN:
    case OP_RETURN0:
    case OP_RETURN1: v->reached = false; return true;
    case OP_FORPREP:
      forget(v, a, 4);
      jumps(v, v->at + GR_OP_BX(word) + 2);
      return true;
    case OP_TFORPREP:
      forget(v, a + 3, 1);
      jumps(v, v->at + GR_OP_BX(word) + 1);
      return true;
    case OP_FORLOOP: forget(v, a, 4); return true;
    case OP_TFORCALL: forget(v, a + 4, REGISTERS); return true;
    case OP_TFORLOOP: forget(v, a + 2, 1); return true;
    case OP_VARARG: forget(v, a, c > 0 ? c - 1 : REGISTERS); return true;
    case OP_MMBIN:
    case OP_MMBINI:
    case OP_MMBINK:
    case OP_CLOSE:
    case OP_TBC:
    case OP_SETLIST:
    case OP_VARARGPREP:
    case OP_EXTRAARG: return true;
    default: return is_test(GR_OP(word)); /* TESTSET's effect is that of its jump */
  }
}

static void step(Vet *v, uint32_t word, uint32_t before) {
  uint32_t a = GR_OP_A(word), b = GR_OP_B(word), c = GR_OP_C(word);
  switch (GR_OP(word)) {
    case OP_MOVE: set(v, a, v->registers[b]); break;
    case OP_GETUPVAL: set(v, a, upvalue(v, b)); break;
    case OP_GETTABUP: set(v, a, field(v, upvalue(v, b), text(v, c))); break;
    case OP_GETFIELD: set(v, a, field(v, v->registers[b], text(v, c))); break;
    case OP_GETTABLE: set(v, a, field(v, v->registers[b], (GrBytecodeText){NULL, 0})); break;
    case OP_GETI:
      set(v, a, v->registers[b] != 0 ? way(v, W_INDEX, v->registers[b], (int)c, no_name) : 0);
      break;
    case OP_SELF:
      set(v, a + 1, v->registers[b]);
      forget(v, a, 1);
      break;
    case OP_SETUPVAL: assigns_upvalue(v, b); break;
    case OP_SETTABUP: changes_field(v, upvalue(v, a), text(v, b)); break;
    case OP_SETFIELD: changes_field(v, v->registers[a], text(v, b)); break;
    case OP_SETTABLE:
    case OP_SETI: changes(v, v->registers[a]); break;
    case OP_JMP: jump(v, word, before); break;
    default:
      if (!step_over(v, word)) forget(v, a, 1);
  }
}

/* A function's code; those in it have been gone through. */
static void go_through(void *arg, GrBytecodeFunction *f) {
  Vet *v = arg;
  GrBytecodeLines lines = gr_bytecode_lines(f);
  uint32_t word = OP_EXTRAARG, before;
  v->f = f;
  v->ntexts = gr_bytecode_texts(f, v->texts);
  v->nways = 1;
  v->njumps = 0;
  v->blind = 0;
  v->reached = false;
  for (v->at = 0; v->at < f->ncode; v->at++) {
    before = word;
    memcpy(&word, f->code + 4 * v->at, 4);
    v->line = gr_bytecode_next_line(&lines);
    arrive(v);
    step(v, word, before);
  }
}

/* ---- telling ---- */

static void tell(Vet *v, const Warning *w, const char *source) {
  static const char *const texts[2][2] = {{"changes global table", "changes captured table"},
                                          {"assigns to global", "assigns to captured variable"}};
  lua_State *L = v->L;
  bool captured = w->root.kind == W_VARIABLE;
  if (!captured) lua_pushlstring(L, w->root.name.s, w->root.name.len);
  else lua_pushstring(L, lua_getupvalue(L, v->function, w->root.number));
  if (w->line > 0) lua_pushfstring(L, "%s:%d", source, w->line);
  else lua_pushstring(L, source);
  fprintf(stderr, "%s: %s '%s', which is a copy\n", lua_tostring(L, -1),
          texts[w->assigned][captured], lua_tostring(L, -2));
}

/* In the order of lines. */
static void tell_all(Vet *v) {
  lua_Debug ar;
  int top = lua_gettop(v->L);
  lua_pushvalue(v->L, v->function);
  lua_getinfo(v->L, ">S", &ar);
  for (; v->nwarnings > 0; lua_settop(v->L, top)) {
    Warning *first = v->warnings;
    for (int i = 1; i < v->nwarnings; i++)
      if (v->warnings[i].line < first->line) first = &v->warnings[i];
    tell(v, first, ar.short_src);
    v->nwarnings--;
    memmove(first, first + 1, (size_t)(v->warnings + v->nwarnings - first) * sizeof *first);
  }
}

void gr_vet_function(lua_State *L, Draft *d, const GrCode *code, int function, int env) {
  int top = lua_gettop(L);
  if (!gr_code_vet(code)) return;
  gr_check_stack(L, 40);
  Vet *v = lua_newuserdatauv(L, sizeof *v, 0);
  memset(v, 0, sizeof *v);
  v->L = L;
  v->d = d;
  v->function = function;
  if (env == 0 || lua_getupvalue(L, function, env) == NULL) lua_pushglobaltable(L);
  v->environment = lua_gettop(L);
  gr_bytecode_walk(code->bytes, code->len, env - 1, NULL, go_through, v);
  tell_all(v);
  lua_settop(L, top);
}

/* SPDX-License-Identifier: MIT */
/* module.c - the modules of this library, and the check that a process has only one copy of it.
 *
 * Opening. goro.time and the other submodules are in the library that is loaded already, so nothing
 * has to be searched for. This file opens them in every state, when a program first uses them.
 * Rejected: a search through package.cpath. That needs a free descriptor, `require`, and the folder
 * that was current when the program began. The search failed where one of these was missing, and
 * where the path led to another copy of the library, it loaded that copy.
 *
 * One copy. There are two copies when a second file is loaded, or when the file was replaced while
 * the program ran. Each copy would have a scheduler of its own, and neither could use the other's
 * objects. A library that is loaded by dlopen cannot be found through symbols, but dl_iterate_phdr
 * shows it. So each copy carries an ELF note. dl_iterate_phdr lists the objects of a process in the
 * order in which they were loaded. The first object with such a note is the copy that counts; every
 * other copy refuses to be opened. No copy is ever unloaded, so the answer is always the same. */
#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "lib/core/lib.h"
#include "heap/modules.h"
#include "heap/names.h"

/* ---- the one copy ---- */

enum { NOTE_KIND = 0x676f726f };
static const char note_name[] = "goro";

typedef struct Note {
  ElfW(Nhdr) header;
  char name[8]; /* the size is a multiple of four */
  uint32_t version;
} Note;

__attribute__((used, section(".note.goro"), aligned(4))) static const Note note = {
    {sizeof note_name, sizeof note.version, NOTE_KIND}, "goro", 1};

typedef struct Copy {
  const Note *note;
  const char *path; /* borrowed from the loader */
} Copy;

static size_t aligned(size_t n) { return (n + 3) & ~(size_t)3; }

static const Note *note_in(const char *at, const char *end) {
  while (at + sizeof(ElfW(Nhdr)) <= end) {
    const ElfW(Nhdr) *h = (const void *)at;
    const char *name = at + sizeof *h;
    if (h->n_type == NOTE_KIND && h->n_namesz == sizeof note_name &&
        memcmp(name, note_name, sizeof note_name) == 0)
      return (const void *)at;
    at = name + aligned(h->n_namesz) + aligned(h->n_descsz);
  }
  return NULL;
}

static int look_at(struct dl_phdr_info *object, size_t size, void *arg) {
  (void)size;
  Copy *first = arg;
  for (int i = 0; i < object->dlpi_phnum && first->note == NULL; i++) {
    const ElfW(Phdr) *p = &object->dlpi_phdr[i];
    if (p->p_type != PT_NOTE) continue;
    const char *start = (const char *)(object->dlpi_addr + p->p_vaddr);
    first->note = note_in(start, start + p->p_memsz);
    first->path = object->dlpi_name;
  }
  return first->note != NULL;
}

void gr_refuse_second_copy(lua_State *L) {
  static atomic_bool is_first;
  if (gr_likely(atomic_load_explicit(&is_first, memory_order_relaxed))) return;
  Copy first = {NULL, ""};
  Dl_info self;
  dl_iterate_phdr(look_at, &first);
  if (first.note == NULL || first.note == &note) {
    atomic_store(&is_first, true);
    return;
  }
  const char *path = dladdr(&note, &self) != 0 ? self.dli_fname : "goro.so";
  luaL_error(L,
             "'%s' is a second copy of goro: this process has loaded '%s' already, and can have "
             "only one (see package.cpath)",
             path, *first.path != '\0' ? first.path : "the program's own");
}

/* ---- opening ---- */

static GrState *open_goro(lua_State *L) {
  GrState *st = gr_state_find(L);
  if (gr_likely(st != NULL)) return st;
  lua_pushcfunction(L, luaopen_goro);
  lua_pushliteral(L, "goro");
  lua_call(L, 1, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_insert(L, -2);
  lua_setfield(L, -2, "goro");
  lua_pop(L, 1);
  return gr_state_find(L);
}

int gr_open_submodule(lua_State *L, const luaL_Reg *functions) {
  gr_refuse_second_copy(L);
  GrState *st = open_goro(L);
  int n = 0;
  while (functions[n].name != NULL) n++;
  lua_createtable(L, 0, n);
  gr_setfuncs(L, st, functions);
  return 1;
}

/* ---- the list of modules ---- */

static const luaL_Reg modules[] = {
    {"goro", luaopen_goro},
    {"goro.time", luaopen_goro_time},
    {"goro.sync", luaopen_goro_sync},
    {"goro.context", luaopen_goro_context},
    {"goro.net", luaopen_goro_net},
    {"goro.fs", luaopen_goro_fs},
    {"goro.process", luaopen_goro_process},
    {"goro.signal", luaopen_goro_signal},
    {"goro.runtime", luaopen_goro_runtime},
    {NULL, NULL},
};

enum { PREFIX = sizeof "goro." - 1 };

void gr_module_names(void) {
  for (const luaL_Reg *m = modules; m->name != NULL; m++) gr_names_own_module(m->name, m->func);
#ifdef GORO_TESTING
  gr_names_own_module("goro.testing", luaopen_goro_testing);
#endif
}

bool gr_module_push_field(lua_State *L, const char *field) {
  for (const luaL_Reg *m = modules + 1; m->name != NULL; m++)
    if (strcmp(m->name + PREFIX, field) == 0) return gr_modules_push_own(L, m->name);
  return false;
}

void gr_module_set_fields(lua_State *L, int idx) {
  for (const luaL_Reg *m = modules + 1; m->name != NULL; m++) {
    lua_pushstring(L, m->name + PREFIX);
    if (lua_rawget(L, idx) == LUA_TNIL) {
      lua_pushstring(L, m->name + PREFIX);
      gr_modules_push_own(L, m->name);
      lua_rawset(L, idx);
    }
    lua_pop(L, 1);
  }
}

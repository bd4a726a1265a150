/* SPDX-License-Identifier: MIT */
/* code.c - the process's table of code; see code.h.
 *
 * Memory is bounded: the code that was not used for longest goes first (base/lru.h). Each thread
 * keeps the few codes that it asked for last, with a reference of its own, and looks there first,
 * without a lock: a goroutine that starts others has one or two kinds of them. A code that was
 * found by its hash is compared byte by byte, so nothing depends on the hash.
 *
 * The image of a code is made at its START_OFTEN-th start, by the thread that starts it (some 100
 * us), and is never freed: messages lead to it without a reference. So a code that has an image
 * stays, too. IMAGE_BYTES bounds all images together. */
#include "copy/code.h"

#include <pthread.h>
#include <string.h>

#include <lauxlib.h>

#include "base/hash.h"
#include "base/lru.h"
#include "copy/bytecode.h"
#include "heap/need.h"
#include "heap/raise.h"

enum {
  NEAR = 16,
  CACHE_BYTES = 8 << 20,
  IMAGE_BYTES = 8 << 20,
  START_OFTEN = 64,
  NAMES_COMPARED = 256,
  IMAGE_CODE_MOST = 32 << 10
};

typedef struct Entry Entry;
struct Entry {
  GrCode code; /* first */
  GrLruEntry lru;
  int env;
  atomic_uint starts;
  const GrImage *_Atomic image;
  atomic_bool vetted;
};

static atomic_size_t image_bytes;

/* ---- reading ---- */

typedef struct Notes {
  Entry *e; /* NULL: names are counted */
  size_t size;
  char *end; /* of the names */
} Notes;

static bool is_noted(const Notes *n, const char *name, size_t len) {
  uint32_t l;
  for (const char *at = n->e->code.names; at < n->end; at += sizeof l + l + 1) {
    memcpy(&l, at, sizeof l);
    if (l == len && memcmp(at + sizeof l, name, len) == 0) return true;
  }
  return false;
}

static void note_name(Notes *n, const char *name, size_t len) {
  uint32_t l = (uint32_t)len;
  if (n->e == NULL) {
    n->size += sizeof l + len + 1;
    return;
  }
  n->e->code.need |= gr_need_global(name, len);
  if (n->e->code.nnames < NAMES_COMPARED && is_noted(n, name, len)) return;
  memcpy(n->end, &l, sizeof l);
  memcpy(n->end + sizeof l, name, len);
  n->end[sizeof l + len] = '\0';
  n->end += sizeof l + len + 1;
  n->e->code.nnames++;
}

static void found(void *arg, const GrBytecodeUse *use) {
  Notes *n = arg;
  if (use->kind == GR_BYTECODE_GLOBAL) note_name(n, use->name.s, use->name.len);
  if (n->e == NULL) return;
  GrCode *code = &n->e->code;
  if (use->kind == GR_BYTECODE_ENV) code->need = GR_NEED_ALL;
  if (use->kind == GR_BYTECODE_METHOD) code->need |= gr_need_method(use->name.s, use->name.len);
}

/* An entry is one block: itself, the names, the dump. */
static Entry *read(const char *dump, size_t len, int env, uint64_t hash) {
  Notes n = {NULL, 0, NULL};
  bool known = gr_bytecode_read(dump, len, env - 1, found, &n);
  size_t size = sizeof(Entry) + n.size + len;
  Entry *e = gr_zalloc(size);
  if (e == NULL) return NULL;
  n = (Notes){e, n.size, (char *)(e + 1)};
  e->code.names = n.end;
  e->code.bytes = n.end + n.size;
  e->code.len = len;
  e->code.known = known;
  e->code.need = known ? 0 : GR_NEED_ALL;
  memcpy((char *)e->code.bytes, dump, len);
  if (known) gr_bytecode_read(e->code.bytes, len, env - 1, found, &n);
  e->env = env;
  e->lru.hash = hash;
  e->lru.size = size;
  return e;
}

/* ---- the table ---- */

typedef struct Key {
  const char *dump;
  size_t len;
  int env;
} Key;

static Entry *of(const GrLruEntry *e) { return gr_container_of(e, Entry, lru); }

static bool is_it(const GrLruEntry *lru, const void *key) {
  const Entry *e = of(lru);
  const Key *k = key;
  return e->env == k->env && e->code.len == k->len && memcmp(e->code.bytes, k->dump, k->len) == 0;
}

static bool has_image(const GrLruEntry *e) { return atomic_load(&of(e)->image) != NULL; }

static void free_entry(GrLruEntry *e) { gr_free(of(e)); }

static GrLru table = GR_LRU_INIT(table, CACHE_BYTES, is_it, has_image, free_entry);

static void unref(Entry *e) {
  if (e != NULL) gr_lru_unref(&table, &e->lru);
}

/* A reference, the caller's. */
static Entry *get(const Key *key, uint64_t hash) {
  GrLruEntry *e = gr_lru_get(&table, hash, key);
  if (e != NULL) return of(e);
  Entry *mine = read(key->dump, key->len, key->env, hash);
  return mine != NULL ? of(gr_lru_enter(&table, &mine->lru, key)) : NULL;
}

/* ---- what a thread has near ---- */

typedef struct Near {
  Entry *entries[NEAR];
} Near;

static GR_TLS Near *near;
static pthread_key_t near_key;

static void thread_ends(void *arg) {
  Near *n = arg;
  near = NULL;
  for (int i = 0; i < NEAR; i++) unref(n->entries[i]);
  gr_free(n);
}

static void make_key(void) { pthread_key_create(&near_key, thread_ends); }

static Near *my_near(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  if (gr_likely(near != NULL)) return near;
  pthread_once(&once, make_key);
  Near *n = gr_zalloc(sizeof *n);
  if (n != NULL && pthread_setspecific(near_key, n) != 0) {
    gr_free(n);
    n = NULL;
  }
  return near = n;
}

const GrCode *gr_code_find(const char *dump, size_t len, int env) {
  Near *n = my_near();
  if (n == NULL) return NULL;
  uint64_t hash = gr_hash_bytes(dump, len);
  Key key = {dump, len, env};
  Entry **at = &n->entries[hash % NEAR];
  if (*at != NULL && (*at)->lru.hash == hash && is_it(&(*at)->lru, &key)) return &(*at)->code;
  Entry *e = get(&key, hash);
  if (e == NULL) return NULL;
  unref(*at);
  *at = e;
  return &e->code;
}

void gr_code_ref(const GrCode *code) { gr_lru_ref(&gr_container_of(code, Entry, code)->lru); }

void gr_code_unref(const GrCode *code) { unref(gr_container_of(code, Entry, code)); }

bool gr_code_vet(const GrCode *code) {
  return !atomic_exchange(&gr_container_of(code, Entry, code)->vetted, true);
}

/* ---- images ---- */

typedef struct Plan {
  GrImagePlan image; /* first */
  GrHeap owner;
  const GrCode *code;
} Plan;

static int fill(lua_State *L) {
  Plan *plan = gr_check_pointer(L, 1);
  plan->owner.have = plan->image.before;
  gr_need_open(L, &plan->owner, plan->image.need);
  lua_settop(L, 0);
  if (luaL_loadbufferx(L, plan->code->bytes, plan->code->len, "=goro", "b") != LUA_OK)
    return lua_error(L);
  return 1;
}

static const GrImage *make_image(const GrCode *code) {
  if (code->len > IMAGE_CODE_MOST || atomic_load(&image_bytes) > IMAGE_BYTES) return NULL;
  Plan plan = {.image = {.need = code->need, .fill = fill, .room = 8192 + 8 * code->len},
               .code = code};
  plan.image.owner = &plan.owner;
  const GrImage *image = gr_image_extend(&plan.image);
  if (image != NULL) atomic_fetch_add(&image_bytes, gr_image_bytes(image));
  return image;
}

const GrImage *gr_code_start(const GrCode *code) {
  Entry *e = gr_container_of(code, Entry, code);
  const GrImage *image = atomic_load_explicit(&e->image, memory_order_acquire);
  if (image != NULL || atomic_load_explicit(&e->starts, memory_order_relaxed) >= START_OFTEN)
    return image;
  if (atomic_fetch_add_explicit(&e->starts, 1, memory_order_relaxed) + 1 == START_OFTEN)
    atomic_store(&e->image, make_image(code));
  return atomic_load(&e->image);
}

size_t gr_code_image_bytes(void) { return atomic_load(&image_bytes); }

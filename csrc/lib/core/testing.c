/* SPDX-License-Identifier: MIT */
/* testing.c - goro.testing, for specs: makes allocations fail, tells how much messages weigh, and
 * damages messages. In GORO_TESTING builds only.
 *
 * A message is damaged while it is between two goroutines. Bytes are changed, cut off, taken out,
 * or put in twice. Numbers in an item or in the head of the message are changed. Afterwards the
 * buffers have exactly the size that the message claims, so a sanitizer sees every read past their
 * ends. Some parts are left alone, since nobody can check them (verify.c says so): code, addresses,
 * and messages within the message, whose functions are called. */
#include "lib/core/lib.h"

#ifdef GORO_TESTING

#include <limits.h>
#include <string.h>

#include "io/exec.h"
#include "copy/class.h"
#include "copy/code.h"
#include "heap/foreign.h"
#include "copy/pack.h"
#include "copy/wire.h"

/* fail_at(n [, many = 1]) -> how many allocations goro has made since the last call. From now on,
 * `many` allocations fail, beginning with the n-th (0: none fails). After one failure, Lua collects
 * its garbage and asks again. Only two failures in a row mean to Lua that there is no memory. */
static int l_fail_at(lua_State *L) {
  lua_pushinteger(L, gr_mem_fail_at(luaL_checkinteger(L, 1), luaL_optinteger(L, 2, 1)));
  return 1;
}

/* live() -> how many blocks are allocated and not freed */
static int l_live(lua_State *L) {
  lua_pushinteger(L, gr_mem_live());
  return 1;
}

/* weigh(v) -> bytes, items, classes, links of a message with this value: how many bytes it takes,
 * how many items it has, how many items are classes, and how many are links to classes */
static int l_weigh(lua_State *L) {
  GrMsg m;
  luaL_checkany(L, 1);
  gr_pack(L, 1, 1, GR_NAME_MESSAGE, 0, &m);
  const GrPack *p = m.kind == M_PACK ? m.u.p : NULL;
  uint32_t nitems = p != NULL ? p->nitems : 0, classes = 0, links = 0;
  for (uint32_t i = 0; i < nitems; i++) {
    classes += p->items[i].kind == I_CLASS;
    links += p->items[i].kind == I_LINK;
  }
  lua_pushinteger(
      L, (lua_Integer)(sizeof m + (m.kind == M_LONG ? m.w[0]
                                   : p != NULL      ? sizeof *p + nitems * sizeof(Item) + p->nbytes
                                                    : 0)));
  lua_pushinteger(L, nitems);
  lua_pushinteger(L, classes);
  lua_pushinteger(L, links);
  gr_msg_drop(&m);
  return 4;
}

/* closed() -> how many states of goroutines Lua has closed; the other states were dropped in one
 * piece */
static int l_closed(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)atomic_load(&gr_states_closed));
  return 1;
}

/* image_bytes() -> how many bytes all images of code take */
static int l_image_bytes(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)gr_code_image_bytes());
  return 1;
}

/* no_pidfds(without): true: goro behaves from now on as on a system without descriptors of
 * processes; no results */
static int l_no_pidfds(lua_State *L) {
  gr_exec_without_pidfds(lua_toboolean(L, 1));
  return 0;
}

#ifdef GORO_HOSTILE

typedef struct Damage {
  GrPack *p;
  char *code; /* one for each byte of the message: is the byte code? */
  uint64_t rand;
} Damage;

static void *need_memory(size_t size) {
  void *block = gr_malloc(size);
  if (block == NULL) gr_fatal("not enough memory for a test");
  return block;
}

/* Copies the items and the bytes into blocks of their own. From then on the message uses these. */
static void begin_damage(Damage *d, GrMsg *m) {
  GrPack *p = m->u.p, *apart = need_memory(sizeof *apart);
  *apart = *p;
  apart->items = memcpy(need_memory(p->nitems * sizeof(Item)), p->items, p->nitems * sizeof(Item));
  apart->bytes = memcpy(need_memory(p->nbytes), p->bytes, p->nbytes);
  apart->apart = true;
  apart->size = 0;
  p->nitems = 0;
  gr_pack_free(p);
  m->u.p = d->p = p = apart;
  d->code = memset(need_memory(p->nbytes), 0, p->nbytes);
  for (uint32_t i = 0; i < p->nitems; i++)
    if (p->items[i].kind == I_FUNCTION) memset(d->code + p->items[i].at, 1, p->items[i].len);
}

/* Another number: one near n, one that looks like a length or a tag, or any number. */
static uint64_t another(Damage *d, uint64_t n) {
  switch (gr_rand_below(&d->rand, 4)) {
    case 0: return n + 1;
    case 1: return n - 1;
    case 2: return gr_rand_below(&d->rand, 40);
    default: return gr_rand(&d->rand) >> gr_rand_below(&d->rand, 64);
  }
}

static size_t below(Damage *d, size_t n) { return gr_rand_below(&d->rand, (uint32_t)n); }

static void damage_byte(Damage *d) {
  if (d->p->nbytes == 0) return;
  size_t at = below(d, d->p->nbytes);
  if (!d->code[at]) d->p->bytes[at] = (char)another(d, (uint8_t)d->p->bytes[at]);
}

/* Returns a copy of `block` in which n bytes from `from` on replace the `gone` bytes at `at`. Frees
 * `block`. */
static char *spliced(char *block, size_t size, size_t at, size_t gone, size_t from, size_t n) {
  char *copy = need_memory(size - gone + n);
  memcpy(copy, block, at);
  memcpy(copy + at, block + from, n);
  memcpy(copy + at + n, block + at + gone, size - at - gone);
  gr_free(block);
  return copy;
}

/* Takes bytes out, puts bytes in twice, or puts them over others. In two of three cases, the places
 * behind them are corrected, so that the receiver still finds what follows. */
static void damage_order(Damage *d) {
  GrPack *p = d->p;
  size_t size = p->nbytes, at = below(d, size + 1), from = below(d, size + 1);
  size_t gone = below(d, (size - at < 30 ? size - at : 30) + 1),
         n = below(d, (size - from < 30 ? size - from : 30) + 1);
  if (memchr(d->code + at, 1, gone) != NULL || memchr(d->code + from, 1, n) != NULL ||
      (at > 0 && at < size && d->code[at - 1] && d->code[at]))
    return;
  p->bytes = spliced(p->bytes, size, at, gone, from, n);
  d->code = spliced(d->code, size, at, gone, from, n);
  p->nbytes = size - gone + n;
  if (below(d, 3) == 0) return;
  for (uint32_t i = 0; i < p->nitems; i++)
    if (p->items[i].at >= at + gone) p->items[i].at += n - gone;
  if (p->globals >= at + gone) p->globals += n - gone;
}

static void damage_end(Damage *d) {
  size_t size = below(d, d->p->nbytes + 1);
  d->p->bytes = spliced(d->p->bytes, d->p->nbytes, size, d->p->nbytes - size, 0, 0);
  d->p->nbytes = size;
}

/* Changes the kind of an item. An item that holds a reference gives it up first. With nothing to
 * hold, the item may get its old kind again. */
static void damage_kind(Damage *d, Item *item) {
  if (item->kind == I_OBJECT || item->kind == I_LINK) gr_share_unref(item->u.share);
  if (item->kind == I_MADE && item->u.made != NULL) gr_pack_free(item->u.made);
  memset(&item->u, 0, sizeof item->u);
  item->kind = (uint8_t)another(d, item->kind);
}

static void damage_item(Damage *d) {
  if (d->p->nitems == 0) return;
  Item *item = &d->p->items[below(d, d->p->nitems)];
  switch (below(d, 8)) {
    case 0: item->narr = (uint32_t)another(d, item->narr); break;
    case 1: item->nrec = (uint32_t)another(d, item->nrec); break;
    case 2: item->nups = (uint8_t)another(d, item->nups); break;
    case 3: item->view = (uint32_t)another(d, item->view); break;
    case 4: item->id = another(d, item->id); break;
    case 5: item->at = another(d, item->at); break;
    case 6: item->len = another(d, item->len); break;
    default: damage_kind(d, item);
  }
}

static void damage_head(Damage *d) {
  GrPack *p = d->p;
  switch (below(d, 5)) {
    case 0: p->nroots = (uint32_t)another(d, p->nroots); break;
    case 1: p->globals = another(d, p->globals); break;
    case 2: p->need = another(d, p->need); break;
    case 3: p->start = !p->start; break;
    default: p->classes = !p->classes;
  }
}

/* Makes the receiver forget the classes of the message, as if it had never met them. */
static void forget_classes(lua_State *L, const GrPack *p) {
  for (uint32_t i = 0; i < p->nitems; i++)
    if (p->items[i].kind == I_CLASS || p->items[i].kind == I_LINK)
      gr_class_forget(L, p->items[i].id);
}

/* damage(seed, …) -> what the values have become: packs the values, damages the message in a few
 * places, unpacks it; may raise */
static int l_damage(lua_State *L) {
  static void (*const ways[])(Damage * d) = {damage_byte,  damage_byte,  damage_byte,
                                             damage_order, damage_order, damage_item,
                                             damage_item,  damage_head,  damage_end};
  Damage d = {.rand = (uint64_t)luaL_checkinteger(L, 1)};
  GrMsg m;
  gr_pack(L, 2, lua_gettop(L) - 1, GR_NAME_MESSAGE, 0, &m);
  if (m.kind != M_PACK) return gr_unpack(L, &m);
  if (below(&d, 2) == 0) forget_classes(L, m.u.p);
  begin_damage(&d, &m);
  for (size_t n = 1 + below(&d, 4); n > 0; n--) ways[below(&d, sizeof ways / sizeof ways[0])](&d);
  gr_free(d.code);
  return gr_unpack(L, &m);
}

#endif

/* cpu_quota(folder) -> how many CPUs the cgroup files in this folder allow; nothing when they set
 * no limit */
static int l_cpu_quota(lua_State *L) {
  int quota = gr_cpu_quota(luaL_checkstring(L, 1));
  if (quota == INT_MAX) return 0;
  lua_pushinteger(L, quota);
  return 1;
}

int luaopen_goro_testing(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"fail_at", l_fail_at},
      {"live", l_live},
      {"image_bytes", l_image_bytes},
      {"cpu_quota", l_cpu_quota},
      {"weigh", l_weigh},
      {"closed", l_closed},
      {"no_pidfds", l_no_pidfds},
#ifdef GORO_HOSTILE
      {"damage", l_damage},
#endif
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  return 1;
}

#endif

/* SPDX-License-Identifier: MIT */
/* record.c - a class that is sent again is not packed again, as long as it has not changed.
 *
 * A class goes along with its objects, since a sender cannot know who will receive them, and
 * whether the receiver has the class already. To pack twenty methods takes ten times as long as to
 * pack an object. So when a state sends a class for the second time, it packs the class alone.
 * That message is the record. It is counted and never changes. From then on messages hold a
 * reference to the record, a link, in place of the class. A receiver that has the class looks no
 * further; another one first unpacks a copy of the record.
 *
 *   message   | TABLE 0, metatable: REF 1 | LINK 1 |
 *                                              | a reference
 *                                              v
 *                                          Record: GrPack of the class | addresses of its parts
 *
 * Nobody may see the difference. So a record must be what packing would give now: a receiver that
 * meets the class for the first time gets it as it is when it is sent, not as it was when the
 * record was made. Lua tells nobody that a table was written to. So a sum is taken over everything
 * that the record was made of, by address or bits: tables, metatables, captured variables, the
 * globals that functions name, what modules own. The sum is taken again for each message. That
 * takes about 30 ns for each value, where packing a method takes a microsecond. The step from one
 * partial sum to the next is a bijection, so a single change is always seen. Several changes at
 * once are missed with probability 2^-64. Addresses stay meaningful: the list over which the sum
 * is taken holds all values, and hangs on the class alone (as an ephemeron).
 *
 * When the sum differs, the record is made anew. A class that changes all the time goes along in
 * each message, as it did before; a record of it is tried ever more rarely. Some classes cannot be
 * a record, and go along in each message as well: those with something that cannot be sent, that
 * has __goro (which could change what is being recorded), or that is weak (the list would hold
 * it), with globals that only an __index of the globals knows, or that are too large.
 *
 * There is one difference: to a receiver that knows the class, globals that its methods name are
 * not brought again.
 *
 * Shape. What a message reaches both directly and through a class must be one thing in the
 * receiver: a table in two places, a variable that two functions capture. When all is written, the
 * addresses in each record are looked up among the message's. If one is found, the link is taken
 * back: the class goes along, and all is one message. That happens for most functions that capture
 * their class, and hardly ever for objects. Two records may share something as well. Then both
 * classes get one record together, in which the shared part is once, until that record becomes too
 * large.
 *
 * The message that starts a goroutine has no links, since a new state knows no class. A record
 * includes other classes (a base class) whole. It has no links either, so nothing here is deep or
 * recursive, and a receiver that has the base class leaves it out as ever.
 *
 * While a record is made, no Lua code runs. The collector stands still, so that no finalizer
 * changes anything between the packing and the sum.
 *
 * Rejected: not to look for changes (a class that is extended or configured after its first
 * objects were sent is common, and a goroutine that starts later must see that); records that link
 * to records, with lists of what they share by which the receiver would join the parts (three
 * times the code). */
#include "copy/record.h"

#include <string.h>

#include "base/hash.h"
#include "copy/class.h"
#include "heap/modules.h"
#include "heap/raise.h"

enum {
  BYTES_MOST = 1 << 18,
  CLASSES_MOST = 16, /* with one record */
  KNOWN_MOST = 256,  /* classes of one state that have records: each has its base classes in it, and
                        may be any object's own metatable */
  PATIENCE = 3,      /* records in a row that were of no use */
  TRIES_MOST = 12,
};

typedef struct Record {
  GrShare share; /* first */
  GrPack *pack;
  uint32_t n;
  const void *identities[]; /* of tables, functions, variables, in the state that made it and
                               nowhere else */
} Record;

/* What a record was made of: a list (objects, functions and tables that modules own, names of
 * globals) in which each value is also a key, to be held. */
typedef struct Source {
  uint32_t nobjects, nowned;
  uint64_t sum;
} Source;

/* A userdata, whose user value is the list. */
typedef struct Known {
  GrKeep keep;    /* first */
  Record *record; /* or NULL */
  uint64_t id;    /* of the class, when the record was made */
  uint32_t root;  /* which of the record's classes it is */
  uint32_t misses, skip;
  Source source;
} Known;

static const char known_key; /* registry: class -> Known */

/* ---- records ---- */

static void destroy(GrShare *s) {
  Record *r = gr_container_of(s, Record, share);
  if (r->pack != NULL) gr_pack_free(r->pack);
  gr_free(r);
}

static bool has_identity(const Item *item) {
  return item->kind == I_TABLE || item->kind == I_CLASS || item->kind == I_FUNCTION ||
         item->kind == I_CELL;
}

/* Of what the draft has written; its pack is still to come. NULL without memory. */
static Record *new_record(const Draft *d) {
  static const GrShareType type = {"goro.class", destroy, false};
  Record *r = gr_malloc(sizeof *r + d->p.nitems * sizeof r->identities[0]);
  if (r == NULL) return NULL;
  gr_share_init(&r->share, &type);
  r->pack = NULL;
  r->n = 0;
  for (uint32_t i = 0; i < d->nslots; i++)
    if (d->slots[i].round == d->round && has_identity(&d->p.items[d->slots[i].item]))
      r->identities[r->n++] = d->slots[i].identity;
  return r;
}

GrPack *gr_record_copy(const GrShare *record) {
  return gr_pack_copy(gr_container_of(record, const Record, share)->pack);
}

uint32_t gr_record_classes(const GrShare *record) {
  return gr_container_of(record, const Record, share)->pack->nroots;
}

/* ---- sums ---- */

typedef struct Sum {
  uint64_t sum;
  int held; /* stack index of a table whose keys hold the values; 0: they are held */
  bool fit;
} Sum;

static void mix(Sum *s, uint64_t bits) { s->sum = gr_hash_word(s->sum, bits); }

static void add(lua_State *L, Sum *s, int idx) {
  int type = lua_type(L, idx);
  uint64_t bits = 0;
  if (type == LUA_TNUMBER && !lua_isinteger(L, idx)) {
    lua_Number n = lua_tonumber(L, idx);
    memcpy(&bits, &n, sizeof n);
    type = LUA_NUMTYPES;
  } else if (type == LUA_TNUMBER) {
    bits = (uint64_t)lua_tointeger(L, idx);
  } else if (type == LUA_TBOOLEAN) {
    bits = (uint64_t)lua_toboolean(L, idx);
  } else if (type != LUA_TNIL) {
    bits = (uintptr_t)lua_topointer(L, idx);
  }
  mix(s, bits);
  mix(s, (uint64_t)type);
  if (s->held == 0 || type == LUA_TNIL || type == LUA_TBOOLEAN || type == LUA_TNUMBER ||
      type == LUA_NUMTYPES)
    return;
  lua_pushvalue(L, idx);
  lua_pushboolean(L, 1);
  lua_rawset(L, s->held);
}

static bool is_weak(lua_State *L, int metatable) {
  lua_pushliteral(L, "__mode");
  bool weak = lua_rawget(L, metatable) != LUA_TNIL;
  lua_pop(L, 1);
  return weak;
}

static void add_table(lua_State *L, Sum *s, int table) {
  if (lua_getmetatable(L, table)) s->fit = s->fit && (s->held == 0 || !is_weak(L, table + 1));
  else lua_pushnil(L);
  add(L, s, table + 1);
  lua_settop(L, table);
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_settop(L, table + 1)) {
    add(L, s, table + 1);
    add(L, s, table + 2);
  }
}

static void add_function(lua_State *L, Sum *s, int function) {
  for (int i = 1; lua_getupvalue(L, function, i) != NULL; i++, lua_settop(L, function)) {
    mix(s, (uintptr_t)lua_upvalueid(L, function, i));
    add(L, s, function + 1);
  }
}

/* The names come after the first `from` values of the list. What an __index of the globals gives
 * cannot be told without calling it. */
static void add_globals(lua_State *L, Sum *s, int list, lua_Integer from) {
  int top = lua_gettop(L);
  lua_pushglobaltable(L);
  if (!lua_getmetatable(L, top + 1)) lua_pushnil(L);
  add(L, s, top + 2);
  for (lua_Integer i = from + 1, n = (lua_Integer)lua_rawlen(L, list); i <= n;
       i++, lua_settop(L, top + 2)) {
    lua_rawgeti(L, list, i);
    if (lua_rawget(L, top + 1) == LUA_TNIL && !lua_isnil(L, top + 2)) s->fit = false;
    add(L, s, top + 3);
  }
  lua_settop(L, top);
}

/* True: it may be recorded. `taking`: the list shall hold all values. */
static bool sum_up(lua_State *L, Draft *d, const Source *source, int list, bool taking,
                   uint64_t *sum) {
  Sum s = {.held = taking ? list : 0, .fit = true};
  int top = lua_gettop(L);
  gr_draft_need_index(L, d); /* another table when modules came or went */
  add(L, &s, d->index);
  for (lua_Integer i = 1; i <= source->nobjects; i++, lua_settop(L, top)) {
    if (lua_rawgeti(L, list, i) == LUA_TTABLE) add_table(L, &s, top + 1);
    else add_function(L, &s, top + 1);
    mix(&s, (uint64_t)i);
  }
  lua_Integer from = (lua_Integer)source->nobjects + source->nowned;
  for (lua_Integer i = (lua_Integer)source->nobjects + 1; s.fit && i <= from;
       i++, lua_settop(L, top)) {
    lua_rawgeti(L, list, i);
    s.fit = gr_modules_find(L, top + 1, d->index);
  }
  if (from < (lua_Integer)lua_rawlen(L, list)) add_globals(L, &s, list, from);
  *sum = s.sum;
  return s.fit;
}

/* ---- making ---- */

void gr_record_name(lua_State *L, Draft *d, int environment, const char *name, size_t len) {
  if (lua_topointer(L, environment) != d->globals_table) d->failed = true;
  lua_pushlstring(L, name, len);
  lua_pushboolean(L, 1);
  lua_rawset(L, d->recording);
}

static void append(lua_State *L, int list) {
  lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
}

/* Appends items of the draft to the list. `names`: values that modules own, but for stock
 * functions; else values that have contents. */
static uint32_t append_items(lua_State *L, Draft *d, int list, bool names) {
  int top = lua_gettop(L);
  lua_Integer before = (lua_Integer)lua_rawlen(L, list);
  for (uint32_t i = 0; i < d->p.nitems; i++, lua_settop(L, top)) {
    uint8_t kind = d->p.items[i].kind;
    if (names ? kind != I_NAME : kind != I_TABLE && kind != I_CLASS && kind != I_FUNCTION) continue;
    lua_rawgeti(L, d->values, (lua_Integer)i + 1);
    if (names && (lua_isstring(L, -1) || !gr_modules_find(L, top + 1, d->index))) continue;
    lua_settop(L, top + 1);
    append(L, list);
  }
  return (uint32_t)((lua_Integer)lua_rawlen(L, list) - before);
}

typedef struct Recording {
  Record *record; /* out: a reference, or NULL */
  Source source;
} Recording;

/* Pushes the list. */
static bool take_source(lua_State *L, Draft *d, Source *source) {
  lua_newtable(L);
  int list = lua_gettop(L);
  gr_draft_need_index(L, d);
  source->nobjects = append_items(L, d, list, false);
  source->nowned = append_items(L, d, list, true);
  for (lua_pushnil(L); lua_next(L, d->recording) != 0; lua_settop(L, list + 1)) {
    lua_pushvalue(L, list + 1);
    append(L, list);
  }
  return sum_up(L, d, source, list, true, &source->sum);
}

/* (Recording *, class…) -> list. What it has made is the caller's also when it raises. */
static int make(lua_State *L) {
  Recording *m = gr_check_pointer(L, 1);
  int last = lua_gettop(L);
  lua_newtable(L);
  Draft *d = gr_draft_new(L, GR_NAME_MESSAGE, 0);
  d->recording = last + 1;
  d->p.nroots = (uint32_t)last - 1;
  for (int i = 2; i <= last; i++) {
    lua_pushvalue(L, i);
    gr_pack_metatable(L, d, 0);
    Slot *slot = gr_draft_find(d, lua_topointer(L, i));
    d->failed |= slot == NULL || d->p.items[slot->item].kind != I_CLASS;
  }
  gr_pack_items(L, d);
  if (!d->failed) gr_carry_globals(L, d);
  if (!d->failed && d->p.nbytes <= BYTES_MOST && take_source(L, d, &m->source))
    m->record = new_record(d);
  if (m->record == NULL) {
    gr_draft_give_up(L, d);
    return 0;
  }
  m->record->pack = gr_draft_finish(L, d);
  return 1;
}

/* Makes one record of the n classes on top, which are popped. True: there is a record, and the list
 * is pushed. Without memory there is no record, as for classes that cannot have one. */
static bool make_in_peace(lua_State *L, Recording *m, int n) {
  bool running = lua_gc(L, LUA_GCISRUNNING) == 1;
  *m = (Recording){.record = NULL};
  gr_check_stack(L, 10);
  lua_pushcfunction(L, make);
  lua_insert(L, -n - 1);
  lua_pushlightuserdata(L, m);
  lua_insert(L, -n - 1);
  if (running) lua_gc(L, LUA_GCSTOP);
  bool ok = lua_pcall(L, n + 1, 1, 0) == LUA_OK && m->record != NULL;
  if (running) lua_gc(L, LUA_GCRESTART);
  if (ok) return true;
  if (m->record != NULL) gr_share_unref(&m->record->share);
  lua_pop(L, 1);
  return false;
}

/* ---- what a state has records of ---- */

static void forget(Known *known) {
  if (known->record != NULL) gr_share_unref(&known->record->share);
  known->record = NULL;
}

static void release(GrKeep *keep) { forget(gr_container_of(keep, Known, keep)); }

static void push_all_known(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &known_key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &known_key);
}

static bool is_full(lua_State *L, int all) {
  int n = 0;
  for (lua_pushnil(L); lua_next(L, all) != 0; lua_pop(L, 1)) n++;
  return n >= KNOWN_MOST;
}

/* Pushes what is known of the class, or nil: there is too much. */
static Known *push_known(lua_State *L, int class) {
  static const GrKeepType type = {release, NULL};
  push_all_known(L);
  int all = lua_gettop(L);
  lua_pushvalue(L, class);
  if (lua_rawget(L, all) == LUA_TNIL && !is_full(L, all)) {
    lua_pop(L, 1);
    gr_keep_new_lasting(L, sizeof(Known), &type);
    lua_pushvalue(L, class);
    lua_pushvalue(L, -2);
    lua_rawset(L, all);
  }
  lua_remove(L, all);
  return lua_touserdata(L, -1);
}

/* (class, …, Known at `at`, …, list): the list is popped. */
static void learn(lua_State *L, Known *known, int class, int at, const Recording *m,
                  uint32_t root) {
  forget(known);
  known->id = gr_class_id(L, class);
  gr_share_ref(&m->record->share);
  known->record = m->record;
  known->root = root;
  known->source = m->source;
  lua_setiuservalue(L, at, 1);
}

/* The Known is on top. Is its record what packing the class, of that identity, would give now? */
static bool holds(lua_State *L, Draft *d, const Known *known, uint64_t id) {
  int at = lua_gettop(L);
  uint64_t sum = 0;
  if (known->record == NULL || known->id != id) return false;
  gr_check_stack(L, 20);
  lua_getiuservalue(L, at, 1);
  bool ok = sum_up(L, d, &known->source, at + 1, false, &sum) && sum == known->source.sum;
  lua_settop(L, at);
  return ok;
}

/* The Known is on top. There was no record, or one that held no more. */
static bool renew(lua_State *L, Known *known, int class) {
  int at = lua_gettop(L);
  Recording m;
  if (known->record != NULL && known->misses < TRIES_MOST) known->misses++;
  bool enough = known->record != NULL && known->misses >= PATIENCE;
  forget(known);
  lua_pushnil(L);
  lua_setiuservalue(L, at, 1);
  lua_pushvalue(L, class);
  if (!enough && make_in_peace(L, &m, 1)) {
    learn(L, known, class, at, &m, 0);
    gr_share_unref(&m.record->share);
    return true;
  }
  lua_settop(L, at);
  if (!enough)
    known->misses = known->misses < PATIENCE     ? PATIENCE
                    : known->misses < TRIES_MOST ? known->misses + 1
                                                 : TRIES_MOST;
  known->skip = 1U << known->misses;
  return false;
}

/* The Known is on top. */
static bool has_record(lua_State *L, Draft *d, Known *known, int class, uint64_t id) {
  if (known->skip > 0) {
    known->skip--;
    return false;
  }
  if (!holds(L, d, known, id)) return renew(L, known, class);
  known->misses = 0;
  return true;
}

static void set_link(Draft *d, uint32_t number, Record *r, uint32_t root) {
  Item *item = &d->p.items[number];
  GrShare *before = item->kind == I_LINK ? item->u.share : NULL;
  gr_share_ref(&r->share);
  item->kind = I_LINK;
  item->view = root;
  item->u.share = &r->share;
  gr_share_unref(before);
}

bool gr_record_link(lua_State *L, Draft *d, uint32_t number) {
  int class = lua_gettop(L);
  if (d->p.start || d->recording != 0 || !gr_class_sent(L, class, d->p.items[number].id))
    return false;
  Known *known = push_known(L, class);
  bool ok = known != NULL && has_record(L, d, known, class, d->p.items[number].id);
  if (ok) {
    set_link(d, number, known->record, known->root);
    d->links = true;
  }
  lua_settop(L, class);
  return ok;
}

/* ---- shape ---- */

/* Does the message reach a part of the record without it? */
static bool is_met(Draft *d, const Record *r) {
  for (uint32_t i = 0; i < r->n; i++) {
    const Slot *slot = gr_draft_find(d, r->identities[i]);
    if (slot != NULL && d->p.items[slot->item].kind != I_LINK) return true;
  }
  return false;
}

/* ---- records that share ---- */

typedef struct Part {
  const void *identity;
  uint32_t link; /* whose record it is of: item number */
} Part;

static const Record *record_of(const Draft *d, uint32_t link) {
  return gr_container_of(d->p.items[link].u.share, const Record, share);
}

/* Enters the parts of the link's record. Returns the link of another record that has one of them
 * too; else `link`. */
static uint32_t enter_parts(const Draft *d, Part *parts, size_t mask, uint32_t link) {
  const Record *r = record_of(d, link);
  for (uint32_t i = 0; i < r->n; i++) {
    size_t at = gr_hash_address(r->identities[i]) & mask;
    while (parts[at].identity != NULL && parts[at].identity != r->identities[i])
      at = (at + 1) & mask;
    if (parts[at].identity == NULL) parts[at] = (Part){r->identities[i], link};
    else if (record_of(d, parts[at].link) != r) return parts[at].link;
  }
  return link;
}

/* Are there two links whose records share? */
static bool find_clash(lua_State *L, Draft *d, uint32_t *a, uint32_t *b) {
  size_t n = 0, mask = 63;
  uint32_t nlinks = 0;
  for (uint32_t i = 0; i < d->p.nitems; i++) {
    if (d->p.items[i].kind != I_LINK) continue;
    n += record_of(d, i)->n;
    nlinks++;
  }
  if (nlinks < 2) return false;
  while (mask < 2 * n) mask = 2 * mask + 1;
  Part *parts = gr_zalloc((mask + 1) * sizeof *parts);
  if (parts == NULL) gr_draft_no_memory(L, d);
  for (*a = *b = 0; *b < d->p.nitems; ++*b)
    if (d->p.items[*b].kind == I_LINK && (*a = enter_parts(d, parts, mask, *b)) != *b) break;
  gr_free(parts);
  return *b < d->p.nitems;
}

/* Pushes the classes of the link's record that are not among the `n` classes on top; returns how
 * many there are then. */
static int push_classes(lua_State *L, Draft *d, uint32_t link, int n) {
  int first = lua_gettop(L) - n + 1;
  lua_rawgeti(L, d->values, (lua_Integer)link + 1);
  const Known *known = push_known(L, first + n);
  uint32_t nclasses = known->record != NULL ? known->record->pack->nroots
                                            : 0; /* a finalizer may have sent it meanwhile */
  lua_getiuservalue(L, -1, 1);
  lua_replace(L, first + n);
  lua_settop(L, first + n);
  for (uint32_t i = 1; i <= nclasses; i++) {
    bool there = false;
    lua_rawgeti(L, first + n, i); /* they are its first objects */
    for (int j = 0; !there && j < n; j++) there = lua_rawequal(L, -1, first + j);
    if (there) lua_pop(L, 1);
    else lua_insert(L, first + n++);
  }
  lua_pop(L, 1);
  return n;
}

/* The stack has (class…, list) from `first` on. The record becomes that of all these classes, and
 * the message's links to them refer to it. */
static void learn_all(lua_State *L, Draft *d, int first, int n, const Recording *m) {
  for (int i = 0; i < n; i++, lua_settop(L, first + n)) {
    Known *known = push_known(L, first + i);
    lua_pushvalue(L, first + n);
    learn(L, known, first + i, first + n + 1, m, (uint32_t)i);
    const Slot *slot = gr_draft_find(d, lua_topointer(L, first + i));
    if (slot != NULL && d->p.items[slot->item].kind == I_LINK)
      set_link(d, slot->item, m->record, (uint32_t)i);
  }
}

/* The classes of both links get one record. */
static bool unite(lua_State *L, Draft *d, uint32_t a, uint32_t b) {
  int top = lua_gettop(L);
  Recording m;
  gr_check_stack(L, 2 * CLASSES_MOST + 20);
  int n = push_classes(L, d, b, push_classes(L, d, a, 0));
  bool ok = n > 1 && n <= CLASSES_MOST;
  for (int i = 0; ok && i < n; i++) lua_pushvalue(L, top + 1 + i);
  ok = ok && make_in_peace(L, &m, n);
  if (ok) {
    learn_all(L, d, top + 1, n, &m);
    gr_share_unref(&m.record->share);
  }
  lua_settop(L, top);
  return ok;
}

bool gr_record_settle(lua_State *L, Draft *d) {
  if (!d->links) return false;
  bool more = false;
  uint32_t a, b, n = d->p.nitems;
  do {
    for (uint32_t i = 0; i < n; i++) {
      if (d->p.items[i].kind != I_LINK || !is_met(d, record_of(d, i))) continue;
      gr_pack_unlink(L, d, i);
      more = true;
    }
    if (more || !find_clash(L, d, &a, &b)) return more;
  } while (unite(L, d, a, b));
  gr_pack_unlink(L, d, b);
  return true;
}

/* SPDX-License-Identifier: MIT */
/* record.c - a class is packed for its second message, and then no more.
 *
 * A class goes along with every object of it, since the sender cannot know whether the receiver has it already. Packing its methods costs far more than the
 * object. So the second time that a state sends a class it packs it alone: that message is the record. From then on messages carry a reference to it, a link;
 * a receiver that knows the class looks no further, another one reads the record as if it were part of the message (wire.h).
 *
 * A record must be as good as packing anew. So it comes with stamps of all that it was made of (stamp.h), and they are compared once for each message: tens of
 * nanoseconds for each field or variable, where packing takes hundreds. If anything has changed the record is made anew; a class that has changed MISSES times
 * running is packed in each message for ever, like one that cannot be a record: one with something in it that cannot be sent or has __goro, one that is too large,
 * or whose functions look globals up by running Lua. A record holds goro's objects of its class until the class is sent again or collected.
 *
 * Shape: what a message reaches both by itself and through a record, or through two records, has to be one in the receiver. A class's record holds all that
 * the class leads to, so whoever reaches a part of it reaches all behind that part as well. So the message is written as if there were no record, and each
 * identity that turns up twice (a table, a function, a shared variable) is noted as a pair. Only who reads the records looks at the pairs.
 *
 * Classes within classes have records of their own, linked likewise: objects of two subclasses have the base class once. Classes that lead to each
 * other in a circle share one record. They are found as the strongly connected parts of a graph are: a class that leads back to one whose record is being made
 * gives up and becomes a part of that; it is not tried again until the outermost is done. A record holds its own classes only, so they die together.
 *
 * While a record is made no Lua runs: the collector stands still, so that no finalizer changes anything between packing and the stamps.
 *
 * Rejected: a message for each method (more references than bytes saved); to send the class inline when anything is shared (methods and what captures their
 * class nearly always share the variable that holds it); to ask the receiver first (messages wait in channels for receivers that do not exist yet). */
#include "vm/record.h"

#include "vm/class.h"
#include "vm/links.h"
#include "vm/need.h"
#include "vm/stamp.h"

enum {
  MISSES = 3,
  BYTES_MOST = 1 << 20,
  NESTED_MOST = 8, /* records that are made while others are */
  DEPTH_MOST = 16, /* records that link to others */
  FIRST_SLOTS = 16,
  SLOTS_MOST = 4096
};

/* A userdata, whose user value is the list of its stamps; classes in a circle share one. In the table of bodies: class -> body; false: it shall have none. */
typedef struct Body {
  GrKeep keep; /* first */
  GrRecord *record;
  Stamps stamps;
  int misses;         /* how often running it did not hold */
  bool itself;        /* item 0 is a class wherever it is met */
  bool holds;         /* as was found at this time: */
  uint64_t checked;   /* a time of GrKnown's clock */
  int depth;          /* being made: how deep in others; else 0 */
  struct Body *outer; /* in which it is made */
  struct Body *part;  /* of which body this class is a part, */
  uint64_t epoch;     /* as was found in this epoch of GrKnown's */
} Body;

/* A userdata in the registry of a state that has records; its user value is the table of bodies. */
struct GrKnown {
  GrKeep keep;        /* first */
  const void **slots; /* addresses of classes that have a body, perhaps: open addressing */
  uint32_t nslots, used;
  uint64_t clock; /* counts checks: what was found at this time need not be asked again */
  uint64_t epoch; /* counts outermost records */
  Body *making;   /* the innermost record in the making */
};
typedef struct GrKnown Known;

typedef struct GrRecording {
  Body *body;
  int owned, names; /* stack indices: a list; a set */
  bool unfit;
  Body *part; /* it is a part of this body */
} Recording;

static const char known_key; /* registry */

/* ---- which tables may have a record ---- */

static size_t slot_of(const void *address, uint32_t nslots) { return (size_t)(((uintptr_t)address * 0x9e3779b97f4a7c15ULL) >> 32) & (nslots - 1); }

static bool may_have(const Known *known, const void *address) {
  if (known == NULL || known->nslots == 0) return false;
  for (size_t at = slot_of(address, known->nslots); known->slots[at] != NULL; at = (at + 1) & (known->nslots - 1))
    if (known->slots[at] == address) return true;
  return false;
}

static void enter(const void **slots, uint32_t nslots, const void *address) {
  size_t at = slot_of(address, nslots);
  while (slots[at] != NULL) at = (at + 1) & (nslots - 1);
  slots[at] = address;
}

/* Those of dead classes stay until there are too many; then all go, and come again when they are met. Without memory it is as if they had none. */
static void note_address(Known *known, const void *address) {
  if (may_have(known, address)) return;
  if ((known->used + 1) * 2 > known->nslots) {
    bool full = known->nslots == SLOTS_MOST;
    uint32_t n = known->nslots == 0 ? FIRST_SLOTS : full ? FIRST_SLOTS : known->nslots * 2;
    const void **slots = gr_zalloc(n * sizeof *slots);
    if (slots == NULL) return;
    for (uint32_t i = 0; !full && i < known->nslots; i++)
      if (known->slots[i] != NULL) enter(slots, n, known->slots[i]);
    gr_free(known->slots);
    known->slots = slots;
    known->nslots = n;
    if (full) known->used = 0;
  }
  enter(known->slots, known->nslots, address);
  known->used++;
}

static void release_known(GrKeep *keep) {
  Known *known = gr_container_of(keep, Known, keep);
  gr_free(known->slots);
  known->slots = NULL;
  known->nslots = 0;
}

struct GrKnown *gr_record_known(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &known_key);
  Known *known = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return known;
}

void gr_record_tick(struct GrKnown *known) { known->clock++; }

/* Pushes the table of bodies. */
static Known *push_bodies(lua_State *L) {
  static const GrKeepType type = {release_known, NULL};
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &known_key) == LUA_TNIL) {
    lua_pop(L, 1);
    gr_keep_new(L, sizeof(Known), &type);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_setiuservalue(L, -2, 1);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &known_key);
  }
  Known *known = lua_touserdata(L, -1);
  lua_getiuservalue(L, -1, 1);
  lua_remove(L, -2);
  return known;
}

/* ---- bodies ---- */

static void empty(Body *b) {
  gr_record_unref(b->record);
  b->record = NULL;
  gr_stamps_free(&b->stamps);
}

static void release_body(GrKeep *keep) { empty(gr_container_of(keep, Body, keep)); }

static void set_body(lua_State *L, int bodies, int class, int value) {
  lua_pushvalue(L, class);
  lua_pushvalue(L, value);
  lua_rawset(L, bodies);
}

/* bodies[class] = false */
static void refuse(lua_State *L, int bodies, int class) {
  lua_pushvalue(L, class);
  lua_pushboolean(L, 0);
  lua_rawset(L, bodies);
}

/* Pushes bodies[class], made if there is none; NULL: there shall be none. */
static Body *push_body(lua_State *L, int bodies, int class) {
  static const GrKeepType type = {release_body, NULL};
  lua_pushvalue(L, class);
  if (lua_rawget(L, bodies) == LUA_TNIL) {
    lua_pop(L, 1);
    gr_keep_new(L, sizeof(Body), &type);
    set_body(L, bodies, class, lua_gettop(L));
  }
  return lua_touserdata(L, -1);
}

static uint32_t root_of(const GrRecord *r, const void *class) {
  uint32_t i = 0;
  while (i < r->pack->nitems && (r->identities[i] != class || r->pack->items[i].kind != I_CLASS)) i++;
  return i;
}

static bool holds(lua_State *L, Packer *k, Known *known, int bodies, Body *b, int list);

/* The body is on top. Do the records that this one links to, and these still belong to their classes? */
static bool linked_hold(lua_State *L, Packer *k, Known *known, int bodies, const Body *b, int list) {
  const GrLinks *links = b->record->pack->links;
  int top = lua_gettop(L);
  bool ok = true;
  for (uint32_t i = 0; ok && links != NULL && i < links->nlinks; i++, lua_settop(L, top)) {
    lua_rawgeti(L, list, (lua_Integer)b->stamps.nobjects + i + 1);
    lua_rawget(L, bodies);
    Body *linked = lua_touserdata(L, -1);
    ok = linked != NULL && linked->record == links->records[links->links[i].record];
    if (!ok) break;
    lua_getiuservalue(L, -1, 1);
    ok = holds(L, k, known, bodies, linked, top + 2);
  }
  lua_settop(L, top);
  return ok;
}

static bool holds(lua_State *L, Packer *k, Known *known, int bodies, Body *b, int list) {
  if (b->checked == known->clock) return b->holds;
  luaL_checkstack(L, 10, NULL);
  b->holds = gr_stamps_hold(L, k, &b->stamps, list) && linked_hold(L, k, known, bodies, b, list);
  b->checked = known->clock;
  return b->holds;
}

/* ---- making ---- */

void gr_record_unfit(Packer *k) {
  k->recording->unfit = true;
  k->failed = true;
}

void gr_record_names(lua_State *L, Packer *k, int environment, const char *name, size_t len) {
  if (lua_topointer(L, environment) != k->globals_table) {
    gr_record_unfit(k);
    return;
  }
  lua_pushlstring(L, name, len);
  lua_pushboolean(L, 1);
  lua_rawset(L, k->recording->names);
}

/* What a module had, and has lost or changed, would be the module's again if it were put back. */
void gr_record_owned(lua_State *L, Packer *k, int idx, bool owned) {
  int list = k->recording->owned;
  lua_pushvalue(L, idx);
  if (owned) {
    lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
    return;
  }
  if (lua_rawget(L, k->index) != LUA_TNIL) gr_record_unfit(k);
  lua_pop(L, 1);
}

/* By which address is an item met elsewhere? */
static void note_identities(const Packer *k, GrRecord *r) {
  for (uint32_t i = 0; i < k->nslots; i++) {
    const Slot *slot = &k->slots[i];
    if (slot->round != k->round) continue;
    uint8_t kind = k->p.items[slot->item].kind;
    if (kind == I_TABLE || kind == I_CLASS || kind == I_FUNCTION || kind == I_CELL) r->identities[slot->item] = slot->identity;
  }
}

/* The classes in a circle with the one that it was made for are this body's too. The body is at an index, as is the table of bodies. */
static void share_body(lua_State *L, const Packer *k, Known *known, int bodies, int body) {
  for (uint32_t i = 0; i < k->p.nitems; i++) {
    if (k->p.items[i].kind != I_CLASS || (i > 0 && !(k->p.items[i].view & CLASS_PART))) continue;
    lua_rawgeti(L, k->values, (lua_Integer)i + 1);
    set_body(L, bodies, lua_gettop(L), body);
    note_address(known, lua_topointer(L, -1));
    lua_pop(L, 1);
  }
}

/* What the packer has written becomes the body's record, if it may. */
static bool complete(lua_State *L, Packer *k, Known *known, int bodies, int body) {
  Body *b = lua_touserdata(L, body);
  b->itself = k->p.items[0].kind == I_CLASS;
  if (!b->itself && k->p.items[0].kind != I_TABLE) return false;
  if (!b->itself) gr_pack_class(L, k, 0, body - 1);
  if (k->p.nbytes > BYTES_MOST || !gr_stamps_take(L, k, &b->stamps, k->recording->owned, k->recording->names)) return false;
  lua_setiuservalue(L, body, 1);
  b->record = gr_record_new(k->p.nitems);
  if (b->record == NULL) gr_packer_no_memory(L, k);
  note_identities(k, b->record);
  b->record->depth = gr_links_depth(k) + 1;
  share_body(L, k, known, bodies, body);
  b->record->pack = gr_packer_finish(L, k);
  return true;
}

typedef enum Outcome { MADE, NEVER, PART } Outcome;

/* (class, body) are at body - 1, body. */
static Outcome make(lua_State *L, Known *known, int bodies, int body) {
  int top = lua_gettop(L);
  Body *b = lua_touserdata(L, body);
  luaL_checkstack(L, 10, NULL);
  b->depth = known->making != NULL ? known->making->depth + 1 : 1;
  b->outer = known->making;
  known->making = b;
  lua_newtable(L);
  lua_newtable(L);
  Packer *k = gr_packer_new(L, GR_NAME_MESSAGE, 0);
  Recording rec = {.body = b, .owned = top + 1, .names = top + 2};
  k->recording = &rec;
  k->trying = true;
  k->p.nroots = 1;
  gr_pack_value(L, k, body - 1, &(Origin){.kind = O_ROOT});
  gr_pack_items(L, k);
  if (!k->failed) gr_carry_globals(L, k);
  bool made = !k->failed && complete(L, k, known, bodies, body);
  k->recording = NULL;
  if (!made) {
    gr_packer_give_up(L, k);
    empty(b);
  }
  b->depth = 0;
  known->making = b->outer;
  b->part = rec.part;
  b->epoch = known->epoch;
  b->checked = known->clock;
  b->holds = made;
  lua_settop(L, top);
  return made ? MADE : rec.part != NULL && !rec.unfit ? PART : NEVER;
}

/* (class, table of bodies, body) -> outcome */
static int make_outermost(lua_State *L) {
  lua_insert(L, 1);
  lua_pushinteger(L, make(L, gr_record_known(L), 1, 3));
  return 1;
}

/* The same with the collector stopped. What is left undone for want of memory is as if it had not been tried. */
static Outcome make_in_peace(lua_State *L, Known *known, int class, int bodies, int body) {
  bool running = lua_gc(L, LUA_GCISRUNNING) == 1;
  int top = lua_gettop(L);
  luaL_checkstack(L, 10, NULL);
  known->epoch++;
  lua_pushcfunction(L, make_outermost);
  lua_pushvalue(L, class);
  lua_pushvalue(L, body);
  lua_pushvalue(L, bodies);
  if (running) lua_gc(L, LUA_GCSTOP);
  int status = lua_pcall(L, 3, 1, 0);
  for (; known->making != NULL; known->making = known->making->outer) {
    known->making->depth = 0;
    empty(known->making);
  }
  if (running) lua_gc(L, LUA_GCRESTART);
  Outcome outcome = status == LUA_OK ? (Outcome)lua_tointeger(L, -1) : PART;
  lua_settop(L, top);
  if (outcome == MADE) gr_pack_charge(L, ((Body *)lua_touserdata(L, body))->record->pack->nbytes);
  return outcome;
}

/* The body that is being made of which b's class is a part, or NULL. */
static Body *whole_of(const Known *known, Body *b) {
  while (b != NULL && b->depth == 0) b = known->making != NULL && b->epoch == known->epoch ? b->part : NULL;
  return b;
}

/* A class was met that is a part of `whole`: of the record that this packer makes, or of one around it; then this one is, too. */
static void join(Packer *k, uint32_t number, Body *whole) {
  if (whole == k->recording->body) {
    k->p.items[number].view |= CLASS_PART;
  } else {
    k->recording->part = whole;
    k->failed = true;
  }
}

/* The body of the class, with a record that holds, or NULL. Leaves things on the stack. */
static Body *find(lua_State *L, Packer *k, Known *known, uint32_t number, int class, int bodies) {
  int body = lua_gettop(L) + 1;
  Body *b = push_body(L, bodies, class);
  if (b != NULL && b->record != NULL && root_of(b->record, lua_topointer(L, class)) == b->record->pack->nitems) {
    lua_pushnil(L); /* it was in a circle with others, and is no more */
    set_body(L, bodies, class, body + 1);
    lua_settop(L, body - 1);
    b = push_body(L, bodies, class);
  }
  if (b == NULL || b->keep.next == NULL) return NULL;
  Body *whole = whole_of(known, b);
  if (whole != NULL) {
    join(k, number, whole);
    return NULL;
  }
  lua_getiuservalue(L, body, 1);
  if (b->record != NULL && holds(L, k, known, bodies, b, body + 1)) {
    b->misses = 0;
    return b;
  }
  lua_settop(L, body);
  if (known->making != NULL && known->making->depth >= NESTED_MOST) return NULL;
  bool again = b->record != NULL;
  empty(b);
  if (again && ++b->misses >= MISSES) {
    refuse(L, bodies, class);
    return NULL;
  }
  lua_pushvalue(L, class);
  lua_pushvalue(L, body);
  Outcome outcome = known->making != NULL ? make(L, known, bodies, body + 2) : make_in_peace(L, known, class, bodies, body);
  if (outcome == MADE) return b;
  if (outcome == NEVER) refuse(L, bodies, class);
  else if ((whole = whole_of(known, b)) != NULL) join(k, number, whole);
  return NULL;
}

/* ---- the interface ---- */

static bool link_class(lua_State *L, Packer *k, uint32_t number, bool is_class) {
  int class = lua_gettop(L);
  luaL_checkstack(L, 20, NULL);
  Known *known = push_bodies(L);
  if (k->known == NULL) known->clock++; /* as gr_packer_new does from now on */
  k->known = known;
  if (number == 0 && k->recording != NULL) { /* the one that the record is made for */
    lua_settop(L, class);
    return false;
  }
  const Body *b = find(L, k, known, number, class, class + 1);
  lua_settop(L, class);
  if (b == NULL) return false;
  uint32_t root = root_of(b->record, lua_topointer(L, class));
  if (root == b->record->pack->nitems || (!is_class && root == 0 && !b->itself)) return false;
  if (k->recording != NULL && b->record->depth >= DEPTH_MOST) return false;
  gr_links_add(L, k, number, b->record, root);
  return true;
}

bool gr_record_link(lua_State *L, Packer *k, uint32_t number) { return link_class(L, k, number, true); }

bool gr_record_link_value(lua_State *L, Packer *k, uint32_t number) {
  return may_have(k->known, lua_topointer(L, -1)) && link_class(L, k, number, false);
}

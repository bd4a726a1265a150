/* SPDX-License-Identifier: MIT */
/* map.c - the concurrent map of sync.map: shards, each a hash table with a lock.
 *
 *   GrMap                  Shard
 *   +----------+           +------+
 *   | shard 0  |           | lock |
 *   | shard 1  |---------->| now  |--> slot 0 --> entry --> entry
 *   |   ...    |           |      |    slot 1 --> entry
 *   +----------+           | old  |--> the table before, while the shard is resized: the slots
 *                          +------+    below `moved` are empty, their entries are in `now`
 *
 * The low bits of a key's hash choose the shard, the high half chooses the slot. An entry is a
 * block of memory of its own. It never moves, and is freed when it is deleted.
 *
 * Resizing. A table doubles or halves step by step: each change of the shard moves a few slots
 * of `old` to `now`. Nobody ever waits until millions of entries have moved. At each moment
 * exactly one slot is right for a hash (slot_of).
 *
 * Snapshots. The slots are in the order of the hashes, whatever their number is. So a walk that
 * has reached some hash can release the lock, after some hundred entries, and go on from that
 * hash later. It meets each entry once, even if the table has been resized meanwhile.
 *
 * Claims. A key may belong to one goroutine (gr_map_acquire). The owner computes the next value
 * without a lock, while other goroutines wait for the key:
 *
 *   entry, held                     the owner's claim              the claims of waiting goroutines
 *   +------------+                  +---------+
 *   | value.u.p  |----------------->| value   |
 *   +------------+                  | waiters |---> sudog ------------> sudog
 *                                   +---------+       | object            | object
 *                                                     v                   v
 *                                                   claim               claim
 *
 * The claim holds the key's value. The value may be empty: then the key is absent, and the entry
 * only stands for the claim. Such an entry is deleted when the key is released without a value.
 * The goroutine that releases the key hands it to the first waiter whose wait it can win. That
 * waiter owns the key from then on, even before it is awake. If it never wakes (the pool ends),
 * the closing of its state releases its claim like any other.
 *
 * Values and entries that go are dropped after the lock has been released, for they may hold
 * references to anything. When there is no memory for a larger table, the chains get longer, and
 * no call fails.
 *
 * Rejected: open addressing (entries of 56 bytes and strings of any length would move, and the
 * holes of deleted entries stay); one lock for the whole map (two goroutines on two cores were
 * slower than one); reading without a lock, as Go's sync.Map does (the memory of an entry would
 * have to wait for its readers). */
#include "sync/map.h"

#include <string.h>

#include "sync/queue.h"

typedef struct GrMapEntry Entry;
typedef struct GrMapShard Shard;

struct GrMapEntry {
  Entry *next;
  uint32_t hash; /* the high half of the key's hash */
  uint8_t kind, view;
  bool held; /* value.u.p is the owner's claim */
  union {
    int64_t i;
    double n;
    void *p;
    GrShare *share;
    size_t len;
  } u;
  GrMsg value;
  char bytes[]; /* a string's bytes */
};

typedef struct Table {
  Entry **slots; /* 1 << bits slots; NULL: there is no table */
  uint32_t bits;
} Table;

struct GrMapShard {
  GrLock lock;
  Table now, old; /* old.slots is NULL when the table is not being resized */
  size_t moved;   /* how many slots of `old`, from the first on, are empty for good */
  size_t n, len;  /* the number of entries, and of those that have a value */
  char apart[128 - sizeof(GrLock) - 2 * sizeof(Table) -
             3 * sizeof(size_t)]; /* no two shards in one line of the cache */
};

struct GrMap {
  GrShare share;
  char apart[128 - sizeof(GrShare)]; /* claims count in `share`; all threads read what follows */
  uint32_t mask;                     /* number of shards - 1 */
  Shard shards[];
};

enum { BITS_MIN = 2, BITS_MAX = 31, MOVE = 8, SHARDS_MIN = 16, SHARDS_MAX = 256 };

/* A message that assignment may not copy. */
typedef struct Box {
  atomic_int_fast64_t refs;
  GrMsg m;
} Box;

/* ---- values ---- */

static bool is_box(const GrMsg *v) { return v->kind == 0 && v->u.p != NULL; }
static bool is_empty(const GrMsg *v) { return v->kind == 0 && v->u.p == NULL; }

bool gr_map_value(GrMsg *m, bool plain) {
  if (plain) return true;
  Box *b = gr_malloc(sizeof *b);
  if (b == NULL) {
    gr_msg_drop(m);
    return false;
  }
  atomic_init(&b->refs, 1);
  b->m = *m;
  *m = GR_MSG_EMPTY;
  m->u.p = b;
  return true;
}

const GrMsg *gr_map_message(const GrMsg *v) {
  if (v->kind != 0) return v;
  return v->u.p != NULL ? &((const Box *)v->u.p)->m : NULL;
}

static GrMsg value_ref(const GrMsg *v) {
  if (is_box(v)) atomic_fetch_add_explicit(&((Box *)v->u.p)->refs, 1, memory_order_relaxed);
  return *v;
}

void gr_map_drop(GrMsg *v) {
  if (is_box(v)) {
    Box *b = v->u.p;
    if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1) {
      gr_msg_drop(&b->m);
      gr_free(b);
    }
  }
  *v = GR_MSG_EMPTY;
}

/* ---- keys ---- */

static uint32_t high(const GrKey *k) { return (uint32_t)(k->hash >> 32); }

static bool is_key(const Entry *e, const GrKey *k) {
  if (e->hash != high(k) || e->kind != k->kind || e->u.i != k->u.i || e->view != k->view)
    return false;
  return k->kind != GR_KEY_STRING || memcmp(e->bytes, k->s, k->u.len) == 0;
}

/* A new entry with an empty value. NULL without memory. */
static Entry *entry_new(const GrKey *k) {
  size_t len = k->kind == GR_KEY_STRING ? k->u.len : 0;
  Entry *e = gr_malloc(sizeof *e + len);
  if (e == NULL) return NULL;
  e->hash = high(k);
  e->kind = k->kind;
  e->view = k->view;
  e->held = false;
  e->u.i = k->u.i;
  e->value = GR_MSG_EMPTY;
  if (len > 0) memcpy(e->bytes, k->s, len);
  if (k->kind == GR_KEY_OBJECT) gr_share_ref(k->u.share);
  return e;
}

/* Frees an entry whose value has been taken out. NULL does nothing. */
static void entry_free(Entry *e) {
  if (e == NULL) return;
  if (e->kind == GR_KEY_OBJECT) gr_share_unref(e->u.share);
  gr_free(e);
}

/* ---- one shard, under its lock ---- */

static Entry **slot_in(const Table *t, uint32_t hash) {
  return &t->slots[(uint64_t)hash >> (32 - t->bits)];
}

/* The slot for entries of this hash. NULL: there is no table yet. */
static Entry **slot_of(Shard *s, uint32_t hash) {
  if (gr_unlikely(s->old.slots != NULL)) {
    Entry **slot = slot_in(&s->old, hash);
    if ((size_t)(slot - s->old.slots) >= s->moved) return slot;
  }
  return s->now.slots != NULL ? slot_in(&s->now, hash) : NULL;
}

static Entry *find(Shard *s, const GrKey *k) {
  Entry **slot = slot_of(s, high(k)), *e = slot != NULL ? *slot : NULL;
  while (e != NULL && !is_key(e, k)) e = e->next;
  return e;
}

static void move_slots(Shard *s) {
  size_t end = (size_t)1 << s->old.bits;
  for (int i = 0; i < MOVE && s->moved < end; i++) {
    Entry *e = s->old.slots[s->moved];
    s->old.slots[s->moved++] = NULL;
    for (Entry *next; e != NULL; e = next) {
      Entry **slot = slot_in(&s->now, e->hash);
      next = e->next;
      e->next = *slot;
      *slot = e;
    }
  }
  if (s->moved < end) return;
  gr_free(s->old.slots);
  s->old = (Table){NULL, 0};
}

/* Each change of the shard calls this: it goes on with a resize, or begins one if needed. */
static void resize(Shard *s) {
  if (s->old.slots != NULL) {
    move_slots(s);
    return;
  }
  uint32_t bits = s->now.bits;
  if (s->now.slots == NULL) bits = BITS_MIN;
  else if (s->n >> bits > 0 && bits < BITS_MAX) bits++;
  else if (s->n < (size_t)1 << bits >> 2 && bits > BITS_MIN) bits--;
  else return;
  Entry **slots = gr_zalloc(sizeof *slots << bits);
  if (slots == NULL) return;
  s->old = s->now;
  s->now = (Table){slots, bits};
  s->moved = 0;
}

/* Adds an entry with an empty value. NULL without memory. */
static Entry *add(Shard *s, const GrKey *k) {
  resize(s);
  Entry **slot = slot_of(s, high(k)), *e = slot != NULL ? entry_new(k) : NULL;
  if (e == NULL) return NULL;
  e->next = *slot;
  *slot = e;
  s->n++;
  return e;
}

/* Takes e out of its slot. The caller frees e. */
static void unlink_entry(Shard *s, Entry *e) {
  Entry **at = slot_of(s, e->hash);
  while (*at != e) at = &(*at)->next;
  *at = e->next;
  s->n--;
  resize(s);
}

/* May g use the entry at once? GR_OK, GR_CLOSED or GR_AGAIN: see map.h. */
static int check_free(const Entry *e, const G *g) {
  if (gr_likely(!e->held)) return GR_OK;
  const GrClaim *owner = e->value.u.p;
  return owner->g == g ? GR_CLOSED : GR_AGAIN;
}

/* ---- the map ---- */

GrMap *gr_map_new(const GrShareType *type) {
  uint32_t n = SHARDS_MIN;
  while (n < SHARDS_MAX && n < (uint32_t)gr_num_cpu() * 8) n *= 2;
  GrMap *m = gr_zalloc(sizeof *m + n * sizeof m->shards[0]);
  if (m == NULL) return NULL;
  gr_share_init(&m->share, type);
  m->mask = n - 1;
  for (uint32_t i = 0; i < n; i++) gr_lock_init(&m->shards[i].lock, GR_RANK_SYNC);
  return m;
}

GrShare *gr_map_share(GrMap *m) { return &m->share; }
GrMap *gr_map_of(GrShare *s) { return gr_container_of(s, GrMap, share); }

static void free_table(Table *t) {
  for (size_t i = 0; t->slots != NULL && i < (size_t)1 << t->bits; i++)
    for (Entry *e = t->slots[i], *next; e != NULL; e = next) {
      next = e->next;
      gr_map_drop(&e->value);
      entry_free(e);
    }
  gr_free(t->slots);
}

/* No key has an owner now, for each claim holds a reference to the map. */
void gr_map_destroy(GrShare *share) {
  GrMap *m = gr_map_of(share);
  for (uint32_t i = 0; i <= m->mask; i++) {
    free_table(&m->shards[i].now);
    free_table(&m->shards[i].old);
  }
  gr_free(m);
}

static Shard *shard_of(GrMap *m, const GrKey *k) { return &m->shards[(uint32_t)k->hash & m->mask]; }

int gr_map_get(GrMap *m, const GrKey *k, G *g, GrMsg *v) {
  Shard *s = shard_of(m, k);
  int r = GR_OK;
  *v = GR_MSG_EMPTY;
  gr_lock(&s->lock);
  Entry *e = find(s, k);
  if (e != NULL && (r = check_free(e, g)) == GR_OK) *v = value_ref(&e->value);
  gr_unlock(&s->lock);
  return r;
}

/* Stores *v under the key of e, or under k when e is NULL. *v becomes the value before. *dead
 * becomes an entry that the caller frees after it has unlocked. */
static int put(Shard *s, Entry *e, const GrKey *k, GrMsg *v, Entry **dead) {
  if (is_empty(v)) {
    if (e == NULL) return GR_OK;
    s->len--;
    *dead = e;
    *v = e->value;
    unlink_entry(s, e);
    return GR_OK;
  }
  if (e == NULL) {
    if ((e = add(s, k)) == NULL) return GR_NOMEM;
    s->len++;
  }
  GrMsg before = e->value;
  e->value = *v;
  *v = before;
  return GR_OK;
}

int gr_map_set(GrMap *m, const GrKey *k, G *g, GrMsg *v) {
  Shard *s = shard_of(m, k);
  Entry *dead = NULL;
  int r = GR_OK;
  gr_lock(&s->lock);
  Entry *e = find(s, k);
  if (e != NULL) r = check_free(e, g);
  if (r == GR_OK) r = put(s, e, k, v, &dead);
  gr_unlock(&s->lock);
  entry_free(dead);
  return r;
}

int gr_map_get_or_set(GrMap *m, const GrKey *k, G *g, GrMsg *v, bool *there) {
  Shard *s = shard_of(m, k);
  Entry *dead = NULL;
  GrMsg unused = GR_MSG_EMPTY;
  int r = GR_OK;
  gr_lock(&s->lock);
  Entry *e = find(s, k);
  *there = e != NULL;
  if (e == NULL) {
    r = put(s, NULL, k, v, &dead);
  } else if ((r = check_free(e, g)) == GR_OK) {
    unused = *v;
    *v = value_ref(&e->value);
  }
  gr_unlock(&s->lock);
  gr_map_drop(&unused);
  return r;
}

int64_t gr_map_len(GrMap *m) {
  size_t len = 0;
  for (uint32_t i = 0; i <= m->mask; i++) {
    gr_lock(&m->shards[i].lock);
    len += m->shards[i].len;
    gr_unlock(&m->shards[i].lock);
  }
  return (int64_t)len;
}

/* ---- a key for one goroutine alone ---- */

static void claim(GrClaim *c, GrMap *m, Shard *s, Entry *e, G *g) {
  gr_share_ref(&m->share);
  c->map = m;
  c->shard = s;
  c->entry = e;
  c->g = g;
  c->owns = false;
  c->value = GR_MSG_EMPTY;
  gr_list_init(&c->waiters);
}

static void own(GrClaim *c, Entry *e, GrMsg value) {
  c->owns = true;
  c->value = value;
  e->held = true;
  e->value.u.p = c;
}

/* After a wait that was not won through the sudog. */
static void leave(G *g) {
  GrClaim *c = g->one.object;
  gr_lock(&c->shard->lock);
  gr_list_remove(&g->one.link);
  gr_unlock(&c->shard->lock);
}

static const GrWaitType updating = {"map update", leave};

int gr_map_acquire(G *g, GrMap *m, const GrKey *k, GrClaim *c, bool blocks) {
  Shard *s = shard_of(m, k);
  int r = GR_OK;
  gr_lock(&s->lock);
  Entry *e = find(s, k);
  if (e != NULL) r = check_free(e, g);
  else if ((e = add(s, k)) == NULL) r = GR_NOMEM;
  if (r == GR_OK) {
    claim(c, m, s, e, g);
    own(c, e, e->value);
  } else if (r == GR_AGAIN && (r = gr_queue_start(g, &updating, GR_FOREVER, blocks)) == GR_OK) {
    GrClaim *owner = e->value.u.p;
    claim(c, m, s, e, g);
    gr_queue_link(&g->one, g, c, &owner->waiters, 0);
    r = GR_PARK;
  }
  gr_unlock(&s->lock);
  return r;
}

static void unclaim(GrClaim *c) {
  GrMap *m = c->map;
  c->map = NULL;
  gr_share_unref(&m->share);
}

int gr_map_acquire_finish(G *g, GrClaim *c, GrCause *cause) {
  *cause = gr_wait_finish(g);
  if (*cause == GR_CAUSE_SUDOG) return GR_OK;
  leave(g);
  unclaim(c);
  return GR_ABORTED;
}

GrMsg gr_map_owned(const GrClaim *c) { return value_ref(&c->value); }

static void take_waiters(GrList *to, GrList *from) {
  if (gr_list_empty(from)) return;
  *to = *from;
  to->next->prev = to->prev->next = to;
  gr_list_init(from);
}

/* Hands the key of c to the first waiter, or makes it free. Returns the waiter's G, which the
 * caller readies, or NULL. */
static G *hand_over(Shard *s, GrClaim *c, Entry **dead) {
  Entry *e = c->entry;
  GSudog *sg = gr_queue_win(&c->waiters);
  if (sg != NULL) {
    GrClaim *next = sg->object;
    take_waiters(&next->waiters, &c->waiters);
    own(next, e, c->value);
    return sg->g;
  }
  e->held = false;
  e->value = c->value;
  if (is_empty(&e->value)) {
    unlink_entry(s, e);
    *dead = e;
  }
  return NULL;
}

void gr_map_release(GrClaim *c, GrMsg *v) {
  if (c->map == NULL) return;
  Shard *s = c->shard;
  Entry *dead = NULL;
  GrMsg before = GR_MSG_EMPTY;
  G *wake = NULL;
  gr_lock(&s->lock);
  if (c->owns) {
    if (v != NULL) {
      if (is_empty(&c->value)) s->len++;
      if (is_empty(v)) s->len--;
      before = c->value;
      c->value = *v;
      *v = GR_MSG_EMPTY;
    }
    wake = hand_over(s, c, &dead);
    c->owns = false;
  }
  gr_unlock(&s->lock);
  if (wake != NULL) gr_ready(wake);
  gr_map_drop(&before);
  entry_free(dead);
  unclaim(c);
}

/* ---- snapshots ---- */

enum { AT_ONCE = 256 }; /* how many entries are copied before other threads get the lock */

static bool grow(void **block, size_t *cap, size_t size, size_t wanted) {
  if (*cap >= wanted) return true;
  size_t n = *cap * 2 > wanted ? *cap * 2 : wanted;
  void *p = gr_realloc(*block, n * size);
  if (p == NULL) return false;
  *block = p;
  *cap = n;
  return true;
}

typedef struct Walk {
  uint64_t from;   /* entries with hashes below `from` are copied; 1 << 32: all are */
  size_t n, bytes; /* how many more items and bytes the snapshot needs room for */
} Walk;

/* Copies e. False: there is no room, and *walk counts the room that is missing. */
static bool snap_entry(GrSnap *snap, Walk *walk, const Entry *e) {
  const GrMsg *v = e->held ? &((const GrClaim *)e->value.u.p)->value : &e->value;
  if (e->hash < walk->from || is_empty(v)) return true;
  size_t len = e->kind == GR_KEY_STRING ? e->u.len : 0;
  if (snap->n == snap->cap || snap->bytes_cap - snap->nbytes < len) {
    walk->n++;
    walk->bytes += len;
    return false;
  }
  GrSnapItem *item = &snap->items[snap->n++];
  item->kind = e->kind;
  item->view = e->view;
  item->at = snap->nbytes;
  item->u.i = e->u.i;
  item->value = value_ref(v);
  if (len > 0) memcpy(snap->bytes + snap->nbytes, e->bytes, len);
  snap->nbytes += len;
  if (e->kind == GR_KEY_OBJECT) gr_share_ref(e->u.share);
  return true;
}

/* Copies the entries of one table with hashes from `first` on, below `end`. */
static bool snap_range(GrSnap *snap, Walk *walk, const Table *t, uint64_t first, uint64_t end) {
  bool room = true;
  if (t->slots == NULL) return true;
  for (uint64_t i = first >> (32 - t->bits); i < end >> (32 - t->bits); i++)
    for (const Entry *e = t->slots[i]; e != NULL; e = e->next) room &= snap_entry(snap, walk, e);
  return room;
}

/* Takes the items of a range that did not fit completely out of the snapshot again. */
static void snap_back(GrSnap *snap, size_t n, size_t nbytes) {
  for (; snap->n > n; snap->n--) {
    GrSnapItem *item = &snap->items[snap->n - 1];
    gr_map_drop(&item->value); /* never the last reference: the map has one */
    if (item->kind == GR_KEY_OBJECT) gr_share_unref(item->u.share);
  }
  snap->nbytes = nbytes;
}

/* Copies about AT_ONCE entries, or as many as there is room for. It goes range by range; a range
 * is one slot of the smaller table. */
static void snap_some(Shard *s, GrSnap *snap, Walk *walk) {
  size_t enough = snap->n + AT_ONCE;
  gr_lock(&s->lock);
  uint32_t bits = s->old.slots != NULL && s->old.bits < s->now.bits ? s->old.bits : s->now.bits;
  if (s->n == 0) walk->from = (uint64_t)1 << 32;
  while (walk->from < (uint64_t)1 << 32 && snap->n < enough) {
    size_t n = snap->n, nbytes = snap->nbytes;
    uint64_t first = walk->from >> (32 - bits) << (32 - bits),
             end = first + ((uint64_t)1 << (32 - bits));
    bool room = snap_range(snap, walk, &s->now, first, end);
    room &= snap_range(snap, walk, &s->old, first, end);
    if (!room) {
      walk->n += snap->n - n;
      walk->bytes += snap->nbytes - nbytes;
      snap_back(snap, n, nbytes);
      break;
    }
    walk->from = end;
  }
  gr_unlock(&s->lock);
}

static bool snap_shard(Shard *s, GrSnap *snap) {
  for (Walk walk = {0, 0, 0}; walk.from < (uint64_t)1 << 32;) {
    snap_some(s, snap, &walk);
    void *items = snap->items, *bytes = snap->bytes;
    bool room = grow(&items, &snap->cap, sizeof *snap->items, snap->n + walk.n);
    room = room && grow(&bytes, &snap->bytes_cap, 1, snap->nbytes + walk.bytes);
    snap->items = items;
    snap->bytes = bytes;
    if (!room) return false;
    walk.n = walk.bytes = 0;
  }
  return true;
}

int gr_map_snap(GrMap *m, GrSnap *snap) {
  for (uint32_t i = 0; i <= m->mask; i++)
    if (!snap_shard(&m->shards[i], snap)) return GR_NOMEM;
  return GR_OK;
}

void gr_snap_drop(GrSnap *snap) {
  for (size_t i = snap->next; i < snap->n; i++) {
    gr_map_drop(&snap->items[i].value);
    if (snap->items[i].kind == GR_KEY_OBJECT) gr_share_unref(snap->items[i].u.share);
  }
  gr_free(snap->items);
  gr_free(snap->bytes);
  *snap = (GrSnap){0};
}

/* SPDX-License-Identifier: MIT */
/* map.c - goro.sync.map: a table that goroutines share. Values are copied into it and out of it.
 *
 * A call that finds its key free needs one call of the core. If an update in another goroutine owns
 * the key, the call must first acquire the key. update itself always acquires the key. To acquire
 * it, a call has a claim (sync/map.h), in a userdata in slot 4. The userdata is a to-be-closed
 * variable, so that the key is released whichever way the call is left: by a return, an error,
 * goexit, the end of the pool, or coroutine.close.
 *
 * No lock is held while Lua code runs. Values are packed before the core is called. The core
 * returns a reference to a value, which is unpacked afterwards. While the function of update runs,
 * the goroutine owns the key and nothing else.
 *
 * A state keeps its claim for its next update. Otherwise a third of the cost of an update would be
 * the making of the claim. */
#include <math.h>

#include "lib/core/call.h"
#include "sync/map.h"
#include "heap/keep.h"
#include "heap/names.h"
#include "copy/pack.h"

static void open_map(lua_State *L, const GrObjectType *type, uint32_t view);
static const GrObjectType map_type = {{GR_TYPE_MAP, gr_map_destroy, false}, open_map};

static GrMap *check_map(lua_State *L) { return gr_map_of(gr_object_check(L, 1, &map_type)->share); }

enum { SLOT_KEY = 2, SLOT_VALUE = 3, SLOT_CLAIM = 4 };

/* ---- keys ---- */

static void number_key(lua_State *L, GrKey *k) {
  int is_integer;
  k->kind = GR_KEY_INTEGER;
  k->u.i = lua_tointegerx(L, SLOT_KEY, &is_integer);
  if (is_integer) return;
  k->kind = GR_KEY_FLOAT;
  k->u.n = lua_tonumber(L, SLOT_KEY);
  luaL_argcheck(L, !isnan(k->u.n), SLOT_KEY, "key is nan");
}

static void object_key(lua_State *L, GrKey *k) {
  GrObject *o = gr_object_test(L, SLOT_KEY);
  if (o == NULL) {
    luaL_argerror(
        L, SLOT_KEY,
        lua_pushfstring(
            L, "key must be a string, number, boolean, light userdata or object of goro, got %s",
            gr_type_name(L, SLOT_KEY)));
    return;
  }
  k->kind = GR_KEY_OBJECT;
  k->view = (uint8_t)o->view;
  k->u.share = o->share;
}

static void check_key(lua_State *L, GrKey *k) {
  *k = (GrKey){0};
  switch (lua_type(L, SLOT_KEY)) {
    case LUA_TNUMBER: number_key(L, k); break;
    case LUA_TSTRING:
      k->kind = GR_KEY_STRING;
      k->s = lua_tolstring(L, SLOT_KEY, &k->u.len);
      break;
    case LUA_TBOOLEAN:
      k->kind = GR_KEY_BOOLEAN;
      k->u.i = lua_toboolean(L, SLOT_KEY);
      break;
    case LUA_TLIGHTUSERDATA:
      k->kind = GR_KEY_POINTER;
      k->u.p = lua_touserdata(L, SLOT_KEY);
      break;
    case LUA_TNONE:
    case LUA_TNIL: luaL_argerror(L, SLOT_KEY, "key is nil"); break;
    default: object_key(L, k); break;
  }
  gr_map_hash(k);
}

static void push_key(lua_State *L, const GrSnap *snap, const GrSnapItem *item) {
  switch (item->kind) {
    case GR_KEY_BOOLEAN: lua_pushboolean(L, item->u.i != 0); break;
    case GR_KEY_INTEGER: lua_pushinteger(L, item->u.i); break;
    case GR_KEY_FLOAT: lua_pushnumber(L, item->u.n); break;
    case GR_KEY_POINTER: lua_pushlightuserdata(L, item->u.p); break;
    case GR_KEY_STRING: lua_pushlstring(L, snap->bytes + item->at, item->u.len); break;
    default: gr_object_push(L, item->u.share, item->view); break;
  }
}

/* ---- values ---- */

/* Packs the value at idx in the form of the map. nil becomes GR_MSG_EMPTY. */
static void pack_value(lua_State *L, int idx, GrMsg *v) {
  *v = GR_MSG_EMPTY;
  if (lua_isnil(L, idx)) return;
  gr_pack_msg(L, idx, v);
  if (!gr_map_value(v, gr_msg_is_plain(v))) gr_raise_code(L, GR_NOMEM);
}

/* Pushes a copy of the value in a box. Consumes the reference *v. */
static void push_boxed(lua_State *L, GrMsg *v) {
  const GrMsg *m = gr_map_message(v);
  GrMsg copy = GR_MSG_EMPTY;
  int status = m != NULL ? gr_unpack_string(L, m) : LUA_OK;
  bool copied = status >= 0 || gr_msg_copy(m, &copy);
  gr_map_drop(v);
  if (m == NULL) lua_pushnil(L);
  else if (!copied) gr_raise_code(L, GR_NOMEM);
  else if (status > LUA_OK) lua_error(L);
  else if (status < 0) gr_unpack(L, &copy);
}

static void push_value(lua_State *L, GrMsg *v) {
  if (!gr_unpack_scalar(L, v)) push_boxed(L, v);
}

/* ---- claims ---- */

typedef struct Claim {
  GrKeep keep; /* first */
  GrClaim c;
} Claim;

static void release(GrKeep *k) {
  Claim *claim = gr_container_of(k, Claim, keep);
  gr_map_release(&claim->c, NULL);
}

/* The block of the claim is left. The userdata is at 1, as __close gets it, and the state keeps it
 * for its next update. */
static void left(lua_State *L, GrKeep *k, bool failed) {
  (void)failed;
  release(k);
  lua_pushvalue(L, 1);
  gr_keep_set(L, GR_KEEP_CLAIM);
}

/* Pushes a claim as a to-be-closed variable: the claim that the state keeps, or a new one. While a
 * call uses the claim, the state does not keep it. So when the call's coroutine is collected, the
 * claim is collected too. */
static Claim *push_claim(lua_State *L) {
  gr_keep_take(L, GR_KEEP_CLAIM);
  Claim *claim = lua_touserdata(L, -1);
  if (claim == NULL || !gr_keep_is_held(&claim->keep)) {
    lua_pop(L, 1);
    static const GrKeepType type = {release, left};
    claim = gr_keep_new(L, sizeof *claim, &type);
  }
  lua_toclose(L, -1);
  return claim;
}

/* ---- what each method does when the call owns the key: returns the number of results ---- */

static int set_owned(lua_State *L, GrClaim *c) {
  GrMsg v;
  pack_value(L, SLOT_VALUE, &v);
  gr_map_release(c, &v);
  return 0;
}

static int take_owned(lua_State *L, GrClaim *c, bool clear) {
  GrMsg v = gr_map_owned(c), nothing = GR_MSG_EMPTY;
  gr_map_release(c, clear ? &nothing : NULL);
  push_value(L, &v);
  return 1;
}

static int get_owned(lua_State *L, GrClaim *c) { return take_owned(L, c, false); }
static int delete_owned(lua_State *L, GrClaim *c) { return take_owned(L, c, true); }

static int get_or_set_owned(lua_State *L, GrClaim *c) {
  GrMsg v = gr_map_owned(c);
  bool there = gr_map_message(&v) != NULL;
  if (there) {
    gr_map_release(c, NULL);
    push_value(L, &v);
  } else {
    set_owned(L, c);
    lua_pushvalue(L, SLOT_VALUE);
  }
  lua_pushboolean(L, there);
  return 2;
}

static int updated(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  Claim *claim = lua_touserdata(L, SLOT_CLAIM);
  GrMsg v;
  pack_value(L, -1, &v);
  gr_map_release(&claim->c, &v);
  return 1;
}

static int update_owned(lua_State *L, GrClaim *c) {
  GrMsg v = gr_map_owned(c);
  lua_pushvalue(L, SLOT_VALUE);
  push_value(L, &v);
  lua_callk(L, 1, 1, 0, updated);
  return updated(L, LUA_OK, 0);
}

/* ---- acquiring a key; the stack: map, key, value, the claim ---- */

typedef struct Op {
  int (*owned)(lua_State *L, GrClaim *c);
} Op;
static const Op get_op = {get_owned}, set_op = {set_owned}, delete_op = {delete_owned},
                get_or_set_op = {get_or_set_owned}, update_op = {update_owned};

static int acquired(lua_State *L, GrStep *s, int r) {
  if (r != GR_OK) return r;
  const Op *op = s->call->with;
  s->n = op->owned(L, &((Claim *)lua_touserdata(L, SLOT_CLAIM))->c);
  return GR_OK;
}

static int acquire_begin(lua_State *L, GrStep *s) {
  Claim *claim = lua_touserdata(L, SLOT_CLAIM);
  GrKey k;
  check_key(L, &k);
  return acquired(L, s, gr_map_acquire(s->st->g, check_map(L), &k, &claim->c, s->blocks));
}

static int acquire_finish(lua_State *L, GrStep *s) {
  Claim *claim = lua_touserdata(L, SLOT_CLAIM);
  return acquired(L, s, gr_map_acquire_finish(s->st->g, &claim->c, &s->cause));
}

static int acquire_failed(lua_State *L, int r) {
  if (r == GR_CLOSED) return luaL_argerror(L, SLOT_KEY, "this goroutine is updating the key");
  gr_raise_code(L, r);
}

#define ACQUIRE(op) \
  { .begin = acquire_begin, .finish = acquire_finish, .failed = acquire_failed, .with = &(op) }
static const GrCall get_call = ACQUIRE(get_op), set_call = ACQUIRE(set_op),
                    delete_call = ACQUIRE(delete_op), get_or_set_call = ACQUIRE(get_or_set_op),
                    update_call = ACQUIRE(update_op);

/* The core returned r: the call has not got the key. GR_AGAIN: waits for it. */
static int wait_for_key(lua_State *L, GrState *st, const GrCall *call, int r) {
  if (r != GR_AGAIN) return acquire_failed(L, r);
  lua_settop(L, SLOT_VALUE);
  push_claim(L);
  return gr_call(L, st, call);
}

/* ---- methods ---- */

/* get(k) -> v, or nil */
static int map_get(lua_State *L) {
  GrState *st = gr_state(L);
  GrMap *m = check_map(L);
  GrKey k;
  GrMsg v;
  check_key(L, &k);
  gr_enter(L, st);
  int r = gr_map_get(m, &k, st->g, &v);
  if (gr_unlikely(r != GR_OK)) return wait_for_key(L, st, &get_call, r);
  push_value(L, &v);
  return 1;
}

/* set(k, v); no results. nil deletes. */
static int map_set(lua_State *L) {
  GrState *st = gr_state(L);
  GrMap *m = check_map(L);
  GrKey k;
  GrMsg v;
  check_key(L, &k);
  luaL_checkany(L, SLOT_VALUE);
  gr_enter(L, st);
  pack_value(L, SLOT_VALUE, &v);
  int r = gr_map_set(m, &k, st->g, &v);
  gr_map_drop(&v);
  return gr_likely(r == GR_OK) ? 0 : wait_for_key(L, st, &set_call, r);
}

/* delete(k) -> the value before, or nil */
static int map_delete(lua_State *L) {
  GrState *st = gr_state(L);
  GrMap *m = check_map(L);
  GrKey k;
  GrMsg v = GR_MSG_EMPTY;
  check_key(L, &k);
  gr_enter(L, st);
  int r = gr_map_set(m, &k, st->g, &v);
  if (gr_unlikely(r != GR_OK)) return wait_for_key(L, st, &delete_call, r);
  push_value(L, &v);
  return 1;
}

/* get_or_set(k, v) -> the value before, true; v, false when there was no value */
static int map_get_or_set(lua_State *L) {
  GrState *st = gr_state(L);
  GrMap *m = check_map(L);
  GrKey k;
  GrMsg v;
  bool there = false;
  check_key(L, &k);
  luaL_checkany(L, SLOT_VALUE);
  gr_enter(L, st);
  pack_value(L, SLOT_VALUE, &v);
  int r = gr_map_get_or_set(m, &k, st->g, &v, &there);
  if (gr_unlikely(r != GR_OK)) {
    gr_map_drop(&v);
    return wait_for_key(L, st, &get_or_set_call, r);
  }
  if (there) push_value(L, &v);
  else lua_pushvalue(L, SLOT_VALUE);
  lua_pushboolean(L, there);
  return 2;
}

/* update(k, f) -> f(old value), which is the new value */
static int map_update(lua_State *L) {
  GrState *st = gr_state(L);
  GrMap *m = check_map(L);
  GrKey k;
  check_key(L, &k);
  luaL_checktype(L, SLOT_VALUE, LUA_TFUNCTION);
  lua_settop(L, SLOT_VALUE);
  gr_enter(L, st);
  GrClaim *c = &push_claim(L)->c;
  bool blocks = gr_must_block(L, st);
  int r = gr_map_acquire(st->g, m, &k, c, blocks);
  return gr_likely(r == GR_OK) ? update_owned(L, c) : gr_call_begun(L, st, &update_call, blocks, r);
}

/* len() -> how many values there are; also #m */
static int map_len(lua_State *L) {
  lua_pushinteger(L, gr_map_len(check_map(L)));
  return 1;
}

/* ---- pairs ---- */

typedef struct Snap {
  GrKeep keep; /* first */
  GrSnap snap;
} Snap;

static void release_snap(GrKeep *k) { gr_snap_drop(&gr_container_of(k, Snap, keep)->snap); }

static void left_snap(lua_State *L, GrKeep *k, bool failed) {
  (void)L, (void)failed;
  gr_keep_release(k);
}

static const GrKeepType snap_type = {release_snap, left_snap};

/* (snapshot) -> key, value; nil at the end. Only pairs gives out a snapshot, a userdata. */
static int next_pair(lua_State *L) {
  Snap *s = gr_keep_check(L, 1, &snap_type, "iterator of a map");
  GrSnap *snap = &s->snap;
  if (snap->next < snap->n) push_key(L, snap, &snap->items[snap->next]);
  if (snap->next >= snap->n) { /* a finalizer may have closed the snapshot in push_key */
    lua_pushnil(L);
    return 1;
  }
  GrSnapItem item = snap->items[snap->next++];
  if (item.kind == GR_KEY_OBJECT) gr_share_unref(item.u.share);
  push_value(L, &item.value);
  return 2;
}

/* pairs() -> next, snapshot, nil, snapshot. The last one is closed when the loop ends early. */
static int map_pairs(lua_State *L) {
  GrState *st = gr_state(L);
  GrMap *m = check_map(L);
  gr_enter(L, st);
  gr_pushcfunction(L, st, next_pair);
  Snap *s = gr_keep_new_lasting(L, sizeof *s, &snap_type);
  int r = gr_map_snap(m, &s->snap);
  if (r != GR_OK) {
    gr_keep_release(&s->keep);
    gr_raise_code(L, r);
  }
  lua_pushnil(L);
  lua_pushvalue(L, -2);
  return 4;
}

static const luaL_Reg methods[] = {
    {"get", map_get},       {"set", map_set},
    {"delete", map_delete}, {"get_or_set", map_get_or_set},
    {"update", map_update}, {"len", map_len},
    {"pairs", map_pairs},   {NULL, NULL},
};

/* __index for a key that is not a method; the argument is the table of methods. Raises: m[k] does
 * not look up k, and nil would look like an answer. */
static int no_index(lua_State *L) {
  return luaL_error(L, "attempt to index a " GR_TYPE_MAP " (use map:get(k) and map:set(k, v))");
}

static int no_newindex(lua_State *L) {
  check_map(L);
  return no_index(L);
}

static void open_map(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  GrState *st = gr_state_find(L);
  static const luaL_Reg meta[] = {{"__len", map_len}, {"__pairs", map_pairs}, {NULL, NULL}};
  gr_setfuncs(L, st, meta);
  lua_pushcfunction(L, no_newindex);
  lua_setfield(L, -2, "__newindex");
  lua_createtable(L, 0, sizeof methods / sizeof *methods - 1);
  gr_setfuncs(L, st, methods);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, no_index);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_setfield(L, -2, "__index");
}

void gr_map_names(void) {
  gr_methods_names(methods);
  gr_names_native(next_pair);
}

/* map() -> map */
int gr_lib_map(lua_State *L) {
  gr_check_inbox(L, gr_state(L));
  GrMap *m = gr_map_new(&map_type.share);
  if (m == NULL) gr_raise_code(L, GR_NOMEM);
  return gr_push_owned(L, gr_map_share(m));
}

/* SPDX-License-Identifier: MIT */
/* instead.c - what goes along instead of a value that is not copied itself: what its __goro gives,
 * or a placeholder.
 *
 * A value that cannot be sent raises, with its path. In a global that comes along (carry.c) a
 * placeholder stands for it, and a record (record.c) is given up. */
#include "copy/draft.h"
#include "copy/placeholder.h"
#include "heap/object.h"
#include "heap/raise.h"

/* Item `number`, an object, is the placeholder of the value at idx; the origin is the item's, or
 * has its key still. */
void gr_draft_put_placeholder(lua_State *L, Draft *d, uint32_t number, int idx,
                              const Origin *origin, const char *what) {
  gr_draft_push_text(L, d, origin, number, what);
  GrShare *share = gr_placeholder_of(L, idx);
  if (share == NULL) gr_draft_no_memory(L, d);
  gr_share_ref(share);
  d->p.items[number].u.share = share;
  lua_pop(L, 1);
}

/* The value at idx, of the kind `what`, cannot be sent. */
void gr_draft_refuse(lua_State *L, Draft *d, int idx, const Origin *origin, const char *what) {
  uint32_t number = d->p.nitems;
  if (d->recording != 0) {
    d->failed = true;
    return;
  }
  if (d->carrying == 0) gr_draft_cannot_send(L, d, origin, what);
  gr_draft_put_ref(L, d, number);
  gr_draft_item(L, d, I_OBJECT, lua_topointer(L, idx), idx, origin);
  gr_draft_put_placeholder(L, d, number, idx, origin, what);
}

/* Has the value at idx got a placeholder in this message? */
bool gr_draft_is_refused(lua_State *L, Draft *d, int idx) {
  if (d->carrying == 0) return false;
  const Slot *slot = gr_draft_find(d, lua_topointer(L, idx));
  return slot != NULL && d->p.items[slot->item].kind == I_OBJECT && gr_object_test(L, idx) == NULL;
}

/* Metamethod __goro of the value at idx: its function and arguments become a message of their own.
 */
static int call_goro(lua_State *L) {
  GrMsg *made = gr_check_pointer(L, 1);
  lua_remove(L, 1); /* __goro, v */
  lua_call(L, 1, LUA_MULTRET);
  int n = lua_gettop(L);
  if (n == 0 || !lua_isfunction(L, 1))
    return luaL_error(L, "'__goro' must return a function and its arguments");
  gr_pack(L, 1, n, GR_NAME_MESSAGE, 0, made);
  return 0;
}

bool gr_draft_push_metafield(lua_State *L, int idx, const char *name) {
  if (!lua_getmetatable(L, idx)) return false;
  lua_pushstring(L, name);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (!lua_isnil(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

/* Pushes __name of the value at idx, or its type. */
void gr_draft_push_kind(lua_State *L, int idx) {
  if (gr_draft_push_metafield(L, idx, "__name")) {
    if (lua_type(L, -1) == LUA_TSTRING) return;
    lua_pop(L, 1);
  }
  lua_pushstring(L, luaL_typename(L, idx));
}

/* A value whose __goro is being called: on the C stack, in a list of the state. */
typedef struct GrMaking {
  const struct GrMaking *outer;
  const void *value;
  int depth;
} GrMaking;

enum { MAKING_MOST = 2 };

/* What a __goro gives is a message of its own, with the globals that its functions name. A value
 * with a __goro in these globals gives one more message, and so on. Without a limit, ten values in
 * a table that their own functions name would give 10! messages. */
static bool is_too_deep(const Draft *d, const GrMaking *outer) {
  return d->carrying != 0 && outer != NULL && outer->depth >= MAKING_MOST;
}

static bool is_being_made(const GrMaking *outer, const void *value) {
  while (outer != NULL && outer->value != value) outer = outer->outer;
  return outer != NULL;
}

/* The metamethod is on top; popped. */
void gr_draft_make(lua_State *L, Draft *d, int idx, const void *identity, const Origin *origin) {
  GrMsg made = GR_MSG_EMPTY;
  GrHeap *h = gr_heap_find(L);
  uint32_t number = d->p.nitems;
  if (d->recording != 0) {
    d->failed = true; /* it might change what is being recorded */
    return;
  }
  bool again = is_being_made(h->making, identity);
  if (again || is_too_deep(d, h->making)) {
    gr_draft_push_kind(L, idx);
    if (again) lua_pushliteral(L, " whose __goro leads to itself"), lua_concat(L, 2);
    gr_draft_refuse(L, d, idx, origin, lua_tostring(L, -1));
    lua_pop(L, 2);
    return;
  }
  gr_draft_put_ref(L, d, number);
  gr_draft_item(L, d, I_MADE, identity, idx, origin)->u.made = NULL;
  lua_pushcfunction(L, call_goro);
  lua_insert(L, -2);
  lua_pushlightuserdata(L, &made);
  lua_insert(L, -2);
  lua_pushvalue(L, idx);
  GrMaking making = {h->making, identity, h->making != NULL ? h->making->depth + 1 : 1};
  h->making = &making;
  int status = lua_pcall(L, 3, 0, 0);
  h->making = making.outer;
  if (status == LUA_OK) {
    d->p.items[number].u.made = made.u.p; /* a function at least: always a GrPack */
  } else if (d->carrying != 0 && status != LUA_ERRMEM) {
    lua_pop(L, 1);
    d->p.items[number].kind = I_OBJECT;
    gr_draft_push_kind(L, idx);
    gr_draft_put_placeholder(L, d, number, idx, origin, lua_tostring(L, -1));
    lua_pop(L, 1);
  } else {
    gr_draft_give_up(L, d);
    lua_error(L);
  }
}

/* SPDX-License-Identifier: MIT */
/* capi.c - the table of functions behind goro.h.
 *
 * A thread that does not belong to goro waits as a host does. For the time of one call it has a G
 * of its own, which belongs to no host (sched.h, gr_foreign_open). */
#include "lib/goro.h"

#include <string.h>

#include "lib/core/lib.h"
#include "copy/pack.h"

/* ---- blocking regions ---- */

static void *block_begin(lua_State *L) {
  GrState *st = gr_state_find(L);
  if (st == NULL) return NULL;
  gr_block_begin(st->g);
  return st;
}

static void block_end(void *region) {
  if (region != NULL) gr_block_end(((GrState *)region)->g);
}

/* ---- shared objects ---- */

typedef struct Type {
  GrObjectType ours; /* first */
  const goro_Type *theirs;
  struct Type *next;
} Type;

typedef struct Object {
  GrShare share; /* first; share.type points to a Type */
  void *object;
} Object;

static Type *_Atomic types; /* one for each goro_Type that was ever used, never freed: the
                               metatables in all states are found by the address of the Type */

static void destroy(GrShare *s) {
  Object *o = (Object *)s;
  const Type *type = (const Type *)(const void *)s->type;
  type->theirs->destroy(o->object);
  gr_free(o);
}

static void open_type(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)view;
  const luaL_Reg *methods = ((const Type *)(const void *)type)->theirs->methods;
  if (methods == NULL) return;
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
}

/* Finds the Type of a goro_Type, or makes it. NULL without memory. */
static const Type *type_of(const goro_Type *theirs) {
  Type *first = atomic_load(&types);
  for (;;) {
    for (Type *t = first; t != NULL; t = t->next)
      if (t->theirs == theirs) return t;
    Type *type = gr_zalloc(sizeof *type);
    if (type == NULL) return NULL;
    type->ours = (GrObjectType){{theirs->name, destroy, true}, open_type};
    type->theirs = theirs;
    type->next = first;
    if (atomic_compare_exchange_strong(&types, &first, type)) return type;
    gr_free(type);
  }
}

static void object_push(lua_State *L, const goro_Type *theirs, void *object) {
  const Type *type = type_of(theirs);
  Object *o = type != NULL ? gr_malloc(sizeof *o) : NULL;
  if (o == NULL) {
    theirs->destroy(object);
    gr_raise_code(L, GR_NOMEM);
  }
  gr_share_init(&o->share, &type->ours.share);
  o->object = object;
  gr_push_owned(L, &o->share);
}

static void *object_check(lua_State *L, int arg, const goro_Type *theirs) {
  GrObject *o = gr_object_test(L, arg);
  const Type *type = o != NULL && o->share->type->destroy == destroy
                         ? (const Type *)(const void *)o->share->type
                         : NULL;
  if (type == NULL || type->theirs != theirs) luaL_typeerror(L, arg, theirs->name);
  return ((Object *)o->share)->object;
}

/* ---- channels ---- */

/* A handle is good for one life of the pool. In a later life, nobody is left who could receive. */
struct goro_Chan {
  GrChan *chan; /* a reference */
  uint32_t life;
};

/* Makes a handle. The channel is on the Lua stack, which keeps it alive meanwhile. */
static goro_Chan *hold(lua_State *L, GrChan *c) {
  goro_Chan *handle = gr_malloc(sizeof *handle);
  if (handle == NULL) gr_raise_code(L, GR_NOMEM);
  gr_share_ref(gr_chan_share(c));
  *handle = (goro_Chan){c, gr_foreign_hold()};
  return handle;
}

static goro_Chan *chan_new(lua_State *L, lua_Integer capacity) {
  if (capacity < 0 || capacity > GR_CHAN_CAP_MAX)
    luaL_error(L, "capacity %I is out of range", (LUAI_UACINT)capacity);
  return hold(L, gr_push_chan(L, capacity));
}

static goro_Chan *chan_get(lua_State *L, int arg) {
  return hold(L, gr_check_chan(L, arg, GR_VIEW_SEND));
}

static void chan_release(goro_Chan *handle) {
  if (atomic_load(&gr_forked)) return;
  gr_share_unref(gr_chan_share(handle->chan));
  gr_foreign_unhold(handle->life);
  gr_free(handle);
}

static int code(int r) {
  switch (r) {
    case GR_OK: return GORO_OK;
    case GR_NOMEM: return GORO_NOMEM;
    case GR_TIMEOUT: return GORO_TIMEOUT;
    case GR_CLOSED: return GORO_CLOSED;
    case GR_NOTHREAD: return GORO_NOTHREAD;
    default: return GORO_ENDED;
  }
}

static int make(const goro_Value *v, GrMsg *m) {
  switch (v->kind) {
    case GORO_NIL: *m = gr_msg_nil(); return GR_OK;
    case GORO_BOOLEAN: *m = gr_msg_boolean(v->u.boolean != 0); return GR_OK;
    case GORO_INTEGER: *m = gr_msg_integer(v->u.integer); return GR_OK;
    case GORO_NUMBER: *m = gr_msg_float(v->u.number); return GR_OK;
    default: return gr_msg_string(v->u.string.bytes, v->u.string.len, m) ? GR_OK : GR_NOMEM;
  }
}

static int wait_and_send(GrChan *c, GrMsg *m, int64_t until) {
  G *g = gr_foreign_open();
  if (g == NULL) return GR_NOMEM;
  GrCause cause;
  int r = gr_chan_send(g, c, m, until, true);
  if (r == GR_PARK) {
    while (!gr_wait_block(g, GR_FOREVER)) {}
    r = gr_chan_send_finish(g, &cause);
  }
  gr_foreign_close(g);
  return r;
}

/* Enters goro for the time of one call. False: no host is open, or the pool of this handle has
 * ended. */
static bool enter(const goro_Chan *handle) {
  if (atomic_load(&gr_forked) || !gr_foreign_enter()) return false;
  if (handle->life == gr_sched_life()) return true;
  gr_foreign_leave();
  return false;
}

static int chan_send(goro_Chan *handle, const goro_Value *value, double timeout) {
  GrMsg m;
  int r = make(value, &m);
  if (r != GR_OK) return code(r);
  if (enter(handle)) {
    r = wait_and_send(handle->chan, &m, gr_deadline(timeout));
    gr_foreign_leave();
  } else {
    r = GR_ABORTED;
  }
  if (r != GR_OK) gr_msg_drop(&m);
  return code(r);
}

static int chan_close(goro_Chan *handle) {
  if (!enter(handle)) return GORO_ENDED;
  int r = gr_chan_close(handle->chan);
  gr_foreign_leave();
  return code(r);
}

/* ---- the table ---- */

static const goro_Api api = {
    .version = GORO_API_VERSION,
    .block_begin = block_begin,
    .block_end = block_end,
    .object_push = object_push,
    .object_check = object_check,
    .chan_new = chan_new,
    .chan_get = chan_get,
    .chan_release = chan_release,
    .chan_send = chan_send,
    .chan_close = chan_close,
};

void gr_capi_open(lua_State *L) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)&api);
  lua_setfield(L, LUA_REGISTRYINDEX, GORO_API_KEY);
}

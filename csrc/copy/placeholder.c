/* SPDX-License-Identifier: MIT */
/* placeholder.c - a userdata that raises an error whatever is done with it, and says why.
 *
 * Globals come along because a function names them; nobody has asked for them. So a value in them
 * that cannot be sent raises no error when the message is packed: the function may never touch the
 * value. If it were nil in the goroutine instead, the error would be "attempt to index a nil
 * value", far from its reason. A program can pass a placeholder on and compare it; every
 * metamethod raises the placeholder's text, at the line of Lua that used it. A placeholder is one
 * of goro's objects, so messages need nothing for it.
 *
 * Two things have a reference count. One is the identity of the value that stayed behind. The
 * sender remembers it as long as the value lives, and a receiver has one userdata for it, whatever
 * message brought it. The other is the placeholder itself: an identity with a text. The text names
 * the way to the value, and tomorrow the same value may be reached by another way.
 *
 * A stock function that checks its argument (`coroutine.resume`, `io.close`) calls no metamethod,
 * but names the type of what it got, by __name. So each placeholder has a metatable of its own,
 * whose __name is the text; but no more than NAMED_MOST in a state, since a table of ten thousand
 * sockets must not become ten thousand metatables. */
#include "copy/placeholder.h"

#include "copy/class.h"

#include <string.h>

#include <lauxlib.h>

#include "heap/keep.h"
#include "heap/object.h"
#include "heap/raise.h"

enum { NAMED_MOST = 64 }; /* metatables of their own in one state */

typedef struct Placeholder {
  GrShare share;  /* first */
  GrShare *value; /* the identity of what it stands for: a reference */
  char text[];
} Placeholder;

static void open_placeholder(lua_State *L, const GrObjectType *type, uint32_t view);
static void destroy(GrShare *s);
static const GrObjectType placeholder_type = {{"goro.placeholder", destroy, false},
                                              open_placeholder};

/* registry: values -> Memo, weak keys; (address of an identity) -> userdata, weak values. */
static const char memos_key, known_key;

static Placeholder *of(const GrShare *s) { return gr_container_of(s, Placeholder, share); }

bool gr_placeholder_is(const GrShare *share) { return share->type == &placeholder_type.share; }

/* ---- made by the sender ---- */

static void destroy_value(GrShare *s) { gr_free(s); }

static void destroy(GrShare *s) {
  Placeholder *p = of(s);
  gr_share_unref(p->value);
  gr_free(p);
}

static GrShare *new_value(void) {
  static const GrShareType type = {"goro.lost", destroy_value, false};
  GrShare *s = gr_malloc(sizeof *s);
  if (s != NULL) gr_share_init(s, &type);
  return s;
}

/* Takes the reference to `value`; NULL is passed on. */
static GrShare *new_placeholder(GrShare *value, const char *text) {
  size_t size = strlen(text) + 1;
  Placeholder *p = value != NULL ? gr_malloc(sizeof *p + size) : NULL;
  if (p == NULL) {
    gr_share_unref(value);
    return NULL;
  }
  gr_share_init(&p->share, &placeholder_type.share);
  p->value = value;
  memcpy(p->text, text, size);
  return &p->share;
}

/* What a state remembers of a value of its own: the placeholder that it sent last. */
typedef struct Memo {
  GrKeep keep; /* first */
  GrShare *share;
} Memo;

static void release(GrKeep *keep) {
  Memo *memo = gr_container_of(keep, Memo, keep);
  gr_share_unref(memo->share);
  memo->share = NULL;
}

static Memo *find_memo(lua_State *L, int idx) {
  static const GrKeepType type = {release, NULL};
  int top = lua_gettop(L);
  gr_class_push_weak(L, &memos_key, "k");
  lua_pushvalue(L, idx);
  if (lua_rawget(L, top + 1) == LUA_TNIL) {
    lua_pushvalue(L, idx);
    gr_keep_new_lasting(L, sizeof(Memo), &type);
    lua_pushvalue(L, -1);
    lua_replace(L, top + 2);
    lua_rawset(L, top + 1);
  }
  Memo *memo = lua_touserdata(L, top + 2);
  lua_settop(L, top);
  return memo;
}

GrShare *gr_placeholder_of(lua_State *L, int idx) {
  gr_check_stack(L, 10);
  const char *text = lua_tostring(L, -1);
  Memo *memo = find_memo(L, idx);
  if (memo->share != NULL && strcmp(of(memo->share)->text, text) == 0) return memo->share;
  GrShare *value = memo->share != NULL ? of(memo->share)->value : new_value();
  if (memo->share != NULL) gr_share_ref(value);
  GrShare *share = new_placeholder(value, text);
  if (share == NULL) return NULL;
  gr_share_unref(memo->share);
  return memo->share = share;
}

/* ---- met in the receiver ---- */

/* Pushes the position of the innermost Lua code, which may have called the C function that touched
 * the placeholder. */
static void push_where(lua_State *L) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) continue;
    lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
    return;
  }
  lua_pushliteral(L, "");
}

/* In a binary operation, either operand may be the placeholder. */
static int raise(lua_State *L) {
  for (int i = 1; i <= 2; i++) {
    const GrObject *o = gr_object_test(L, i);
    if (o == NULL || !gr_placeholder_is(o->share)) continue;
    push_where(L);
    lua_pushstring(L, of(o->share)->text);
    lua_concat(L, 2);
    return lua_error(L);
  }
  return luaL_typeerror(L, 1, placeholder_type.share.name);
}

static void open_placeholder(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)type, (void)view;
  static const char *const events[] = {
      "__index", "__newindex", "__call", "__tostring", "__len",  "__concat", "__close", "__pairs",
      "__lt",    "__le",       "__add",  "__sub",      "__mul",  "__div",    "__mod",   "__pow",
      "__unm",   "__idiv",     "__band", "__bor",      "__bxor", "__shl",    "__shr",   "__bnot"};
  for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
    lua_pushcfunction(L, raise);
    lua_setfield(L, -2, events[i]);
  }
}

/* The userdata is on top: its metatable is a copy of the common one, but for the name. */
static void set_name(lua_State *L, const char *name) {
  int object = lua_gettop(L);
  lua_getmetatable(L, object);
  lua_createtable(L, 0, 32);
  for (lua_pushnil(L); lua_next(L, object + 1) != 0;) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, object + 2);
  }
  lua_pushstring(L, name);
  lua_setfield(L, object + 2, "__name");
  lua_setmetatable(L, object);
  lua_settop(L, object);
}

void gr_placeholder_push(lua_State *L, GrShare *share) {
  const GrShare *value = of(share)->value;
  gr_check_stack(L, 12);
  gr_class_push_weak(L, &known_key, "v");
  int known = lua_gettop(L);
  if (lua_rawgetp(L, known, value) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_rawgeti(L, known, 1);
    lua_Integer named = lua_tointeger(L, -1);
    lua_pop(L, 1);
    gr_object_push(L, share, 0);
    if (named < NAMED_MOST) {
      set_name(L, of(share)->text);
      lua_pushinteger(L, named + 1);
      lua_rawseti(L, known, 1);
    }
    lua_pushvalue(L, -1);
    lua_rawsetp(L, known, value);
  }
  lua_remove(L, known);
}

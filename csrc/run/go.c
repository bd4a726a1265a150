/* SPDX-License-Identifier: MIT */
/* go.c - starting goroutines: the function and its arguments are packed by whoever starts it, and a
 * G takes them to the thread that runs it first (life.c). */
#include "run/go.h"

#include <string.h>

#include "base/chunk.h"
#include "copy/pack.h"
#include "run/inherit.h"
#include "run/life.h"
#include "run/panic.h"
#include "run/setup.h"
#include "run/warn.h"

static void say_created(lua_State *L, GrState *st, const char *verb) {
  lua_Debug ar;
  st->verb = verb;
  if (!lua_getstack(L, 1, &ar) || !lua_getinfo(L, "Sl", &ar) || ar.currentline <= 0) return;
  st->line = ar.currentline;
  memcpy(st->source, ar.short_src, sizeof st->source);
}

static GrHost *host_of(GrState *st) { return st->is_host ? st->host : st->g->host; }

/* What does not depend on when it starts. Takes *start. */
static GrState *new_child(lua_State *L, GrState *st, const char *verb, GrMsg *start) {
  GrState *child = gr_chunk_get(sizeof *child);
  if (child == NULL) {
    gr_msg_drop(start);
    gr_raise_nomem(L);
  }
  memset(child, 0, sizeof *child);
  child->start = *start;
  child->inherited = gr_inherit_ref(st->inherited);
  child->warns = gr_warn_is_on(st);
  say_created(L, child, verb);
  return child;
}

static int give_g(GrState *child, GrHost *host) {
  int err = GR_NOMEM;
  child->g = gr_g_new(&gr_life_ops, child, host, &err);
  child->rand = gr_rand_seed();
  return child->g != NULL ? GR_OK : err;
}

void gr_go(lua_State *L, GrState *st, int n, const char *verb, const GrJoin *join) {
  gr_life_init();
  GrMsg start = GR_MSG_EMPTY;
  gr_inherit_prepare(L, st);
  gr_pack_start(L, 1, n, 1, &start);
  GrState *child = new_child(L, st, verb, &start);
  int r = GR_NOMEM;
  /* one that a function of goro.setup starts would start another, and so on */
  if (gr_setting_runs(st->setting) || gr_setting_new(&child->setting))
    r = give_g(child, host_of(st));
  if (r != GR_OK) {
    gr_go_discard(child);
    gr_raise_code(L, r);
  }
  gr_go_start(child, join);
}

/* ---- starting one later ---- */

GrState *gr_go_model(lua_State *L, GrState *st, int idx, int n, const char *verb) {
  gr_life_init();
  GrMsg start = GR_MSG_EMPTY;
  gr_inherit_prepare(L, st);
  gr_pack_start(L, idx, n, idx, &start);
  GrState *model = new_child(L, st, verb, &start);
  model->host = host_of(st);
  gr_host_ref(model->host);
  return model;
}

GrState *gr_go_prepare(const GrState *model, int *err) {
  GrState *child = gr_chunk_get(sizeof *child);
  *err = GR_NOMEM;
  if (child == NULL) return NULL;
  *child = *model;
  child->host = NULL;
  gr_inherit_ref(child->inherited);
  if (gr_msg_copy(&model->start, &child->start) && gr_setting_new(&child->setting) &&
      (*err = give_g(child, model->host)) == GR_OK)
    return child;
  gr_go_discard(child);
  return NULL;
}

void gr_go_start(GrState *prepared, const GrJoin *join) {
  if (join != NULL) {
    prepared->join = *join;
    gr_share_ref(join->object);
    if (join->ops->begin != NULL) join->ops->begin(join->object);
  }
  gr_spawn(prepared->g);
}

void gr_go_discard(GrState *st) {
  if (st->g != NULL) gr_g_discard(st->g);
  if (st->host != NULL) gr_host_unref(st->host);
  gr_msg_drop(&st->start);
  gr_inherit_unref(st->inherited);
  gr_setting_free(st->setting);
  gr_chunk_put(st, sizeof *st);
}

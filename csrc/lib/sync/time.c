/* SPDX-License-Identifier: MIT */
/* time.c - goro.time: clocks, timers, tickers, after_func; and goro.after.
 *
 * What programs see as a timer is a Clock. A Clock is an alarm with a channel. For after_func, it
 * is an alarm with a model of the goroutine that it starts.
 *
 * The program gets a receive-only view of the channel, so that it cannot send to the channel or
 * close it. The channel lives on without the Clock.
 *
 * Nothing may fail when a timer of after_func fires. So the goroutine is prepared each time the
 * timer is set, in the state that sets it. There a lack of memory can be raised as an error. */
#include <math.h>
#include <string.h>

#include "lib/core/lib.h"
#include "sync/alarm.h"
#include "run/go.h"

typedef struct Clock {
  GrShare share;
  GrAlarm *alarm;
  GrChan *chan;   /* or NULL. A reference */
  GrState *model; /* or NULL */
} Clock;

static void destroy(GrShare *s);
static void open_timer(lua_State *L, const GrObjectType *type, uint32_t view);
static void open_ticker(lua_State *L, const GrObjectType *type, uint32_t view);
static const GrObjectType timer_type = {{GR_TYPE_TIMER, destroy, false}, open_timer};
static const GrObjectType ticker_type = {{GR_TYPE_TICKER, destroy, false}, open_ticker};

static void destroy(GrShare *s) {
  Clock *c = gr_container_of(s, Clock, share);
  if (c->alarm != NULL) gr_alarm_unref(c->alarm);
  if (c->chan != NULL) gr_share_unref(gr_chan_share(c->chan));
  if (c->model != NULL) gr_go_discard(c->model);
  gr_free(c);
}

static Clock *check(lua_State *L, const GrObjectType *type) {
  return gr_container_of(gr_object_check(L, 1, type)->share, Clock, share);
}

/* Pushes a new Clock. The result is borrowed from the userdata. */
static Clock *push_clock(lua_State *L, const GrObjectType *type) {
  Clock *c = gr_zalloc(sizeof *c);
  if (c == NULL) gr_raise_code(L, GR_NOMEM);
  gr_share_init(&c->share, &type->share);
  gr_push_owned(L, &c->share);
  return c;
}

/* Makes an alarm for the channel c. The reference is the caller's. */
static GrAlarm *alarm_for(lua_State *L, GrChan *c) {
  GrAlarm *a = gr_alarm_for_chan(c, gr_msg_wall);
  if (a == NULL) gr_raise_code(L, GR_NOMEM);
  return a;
}

/* Makes a Clock with a channel, and leaves its userdata on top of the stack. */
static Clock *push_chan_clock(lua_State *L, const GrObjectType *type) {
  GrChan *chan = gr_push_mailbox(L);
  Clock *c = push_clock(L, type);
  gr_share_ref(gr_chan_share(chan));
  c->chan = chan;
  c->alarm = alarm_for(L, chan);
  return c;
}

/* ---- timers ---- */

static void job_start(void *job) { gr_go_start(job, NULL); }
static void job_forget(void *job) { gr_go_discard(job); }
static const GrJobOps job_ops = {job_start, job_forget};

/* Sets the timer. Returns whether it was still to fire. Raises. */
static bool set_timer(lua_State *L, Clock *c, int64_t until) {
  int r = GR_OK;
  bool was = false;
  GrState *job = c->model != NULL ? gr_go_prepare(c->model, &r) : NULL;
  if (r == GR_OK) r = gr_alarm_set(c->alarm, until, 0, job, &was);
  if (r != GR_OK) gr_raise_code(L, r);
  return was;
}

/* timer(seconds) -> timer */
static int l_timer(lua_State *L) {
  int64_t until = gr_check_seconds(L, 1, 1, "");
  gr_enter(L, gr_state(L));
  set_timer(L, push_chan_clock(L, &timer_type), until);
  return 1;
}

/* after_func(seconds, f, ...) -> timer */
static int l_after_func(lua_State *L) {
  GrState *st = gr_state(L);
  int64_t until = gr_check_seconds(L, 1, 1, "");
  luaL_checktype(L, 2, LUA_TFUNCTION);
  gr_enter(L, st);
  int n = lua_gettop(L) - 1;
  Clock *c = push_clock(L, &timer_type);
  c->model = gr_go_model(L, st, 2, n, "goro.time.after_func");
  if ((c->alarm = gr_alarm_for_jobs(&job_ops, c->model->host)) == NULL) gr_raise_code(L, GR_NOMEM);
  set_timer(L, c, until);
  return 1;
}

/* stop() -> was the timer still to fire, or its value still to be received? */
static int timer_stop(lua_State *L) {
  Clock *c = check(L, &timer_type);
  gr_enter(L, gr_state(L));
  lua_pushboolean(L, gr_alarm_stop(c->alarm));
  return 1;
}

/* reset(seconds) -> as stop() */
static int timer_reset(lua_State *L) {
  Clock *c = check(L, &timer_type);
  int64_t until = gr_check_seconds(L, 2, 2, "");
  gr_enter(L, gr_state(L));
  lua_pushboolean(L, set_timer(L, c, until));
  return 1;
}

/* after(seconds) -> a channel that receives the time once */
int gr_lib_after(lua_State *L) {
  int64_t until = gr_check_seconds(L, 1, 1, "");
  gr_enter(L, gr_state(L));
  GrChan *chan = gr_push_mailbox(L);
  if (until == GR_FOREVER) return 1;
  GrAlarm *a = alarm_for(L, chan);
  bool was;
  int r = gr_alarm_set(a, until, 0, NULL, &was);
  gr_alarm_unref(a);
  if (r != GR_OK) gr_raise_code(L, r);
  return 1;
}

/* ---- tickers ---- */

/* Converts argument `arg`, a number of seconds, to nanoseconds, at least 1. GR_FOREVER: the period
 * is so long that no tick ever comes. */
static int64_t check_period(lua_State *L, int arg) {
  gr_check_seconds(L, arg, arg, "");
  double s = lua_tonumber(L, arg);
  luaL_argcheck(L, s > 0, arg, "period must be positive");
  if (gr_deadline(s) == GR_FOREVER) return GR_FOREVER;
  return (int64_t)ceil(s * 1e9);
}

static void set_ticker(lua_State *L, Clock *c, int64_t period) {
  bool was, never = period == GR_FOREVER;
  int r = gr_alarm_set(c->alarm, never ? GR_FOREVER : gr_now_ns() + period, never ? 0 : period,
                       NULL, &was);
  if (r != GR_OK) gr_raise_code(L, r);
}

/* ticker(seconds) -> ticker */
static int l_ticker(lua_State *L) {
  int64_t period = check_period(L, 1);
  gr_enter(L, gr_state(L));
  set_ticker(L, push_chan_clock(L, &ticker_type), period);
  return 1;
}

/* reset(seconds); no results */
static int ticker_reset(lua_State *L) {
  Clock *c = check(L, &ticker_type);
  int64_t period = check_period(L, 2);
  gr_enter(L, gr_state(L));
  set_ticker(L, c, period);
  return 0;
}

/* stop(); no results */
static int ticker_stop(lua_State *L) {
  Clock *c = check(L, &ticker_type);
  gr_enter(L, gr_state(L));
  gr_alarm_stop(c->alarm);
  return 0;
}

/* ---- clocks ---- */

/* now() -> seconds since 1970, by the wall clock */
static int l_now(lua_State *L) {
  lua_pushnumber(L, gr_wall_s());
  return 1;
}

/* mono() -> seconds since some moment, by a clock that never goes back */
static int l_mono(lua_State *L) {
  lua_pushnumber(L, (lua_Number)gr_now_ns() * 1e-9);
  return 1;
}

/* ---- registration ---- */

/* __index(clock, key) -> the channel for "c" (nil for after_func), else the method. Upvalue 1 is
 * the table of methods, upvalue 2 the type. */
static int clock_index(lua_State *L) {
  GrObject *o = gr_object_check(L, 1, lua_touserdata(L, lua_upvalueindex(2)));
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (strcmp(key, "c") != 0) {
    lua_settop(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
  }
  GrChan *chan = gr_container_of(o->share, Clock, share)->chan;
  if (chan != NULL) gr_object_push(L, gr_chan_share(chan), GR_VIEW_RECV);
  else lua_pushnil(L);
  return 1;
}

/* __close(): stops the timer or ticker when the block is left */
static int leave(lua_State *L) {
  GrObject *o = gr_object_test(L, 1);
  if (o == NULL || (o->share->type != &timer_type.share && o->share->type != &ticker_type.share))
    return luaL_typeerror(L, 1, "timer");
  gr_alarm_stop(gr_container_of(o->share, Clock, share)->alarm);
  return 0;
}

static const luaL_Reg timer_methods[] = {
    {"stop", timer_stop}, {"reset", timer_reset}, {NULL, NULL}};
static const luaL_Reg ticker_methods[] = {
    {"stop", ticker_stop}, {"reset", ticker_reset}, {NULL, NULL}};

static void open_clock(lua_State *L, const GrObjectType *type, const luaL_Reg *methods) {
  lua_pushcfunction(L, leave);
  lua_setfield(L, -2, "__close");
  lua_createtable(L, 0, 2);
  gr_setfuncs(L, gr_state_find(L), methods);
  lua_pushlightuserdata(L, (void *)(uintptr_t)type);
  lua_pushcclosure(L, clock_index, 2);
  lua_setfield(L, -2, "__index");
}

static void open_timer(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)view;
  open_clock(L, type, timer_methods);
}

static void open_ticker(lua_State *L, const GrObjectType *type, uint32_t view) {
  (void)view;
  open_clock(L, type, ticker_methods);
}

void gr_time_names(void) {
  gr_methods_names(timer_methods);
  gr_methods_names(ticker_methods);
}

int luaopen_goro_time(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"now", l_now},
      {"mono", l_mono},
      {"timer", l_timer},
      {"ticker", l_ticker},
      {"after_func", l_after_func},
      {NULL, NULL},
  };
  return gr_open_submodule(L, functions);
}

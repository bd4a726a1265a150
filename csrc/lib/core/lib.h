/* SPDX-License-Identifier: MIT */
/* lib.h - what the bindings share. A binding checks its arguments, makes one core call, pushes
 * results; nothing else is decided here. */
#ifndef GR_LIB_H
#define GR_LIB_H

#include <lauxlib.h>
#include <lua.h>

#include "lib/core/types.h"
#include "sync/context.h"
#include "heap/object.h"
#include "run/panic.h"
#include "run/state.h"

extern const GrObjectType gr_chan_type, gr_context_type;

/* The three forms of a channel object. */
enum { GR_VIEW_BOTH, GR_VIEW_SEND, GR_VIEW_RECV };

/* Argument `arg`: seconds -> absolute limit. nil or none: for ever. NaN is misuse. */
int64_t gr_check_timeout(lua_State *L, int arg);
/* The same for a number already known to be one, at a field of a table argument: `what` names it in
 * the error. */
int64_t gr_check_seconds(lua_State *L, int idx, int arg, const char *what);

/* check.c. As luaL_checkinteger and the others, but a string is no number, and NaN is none either.
 */
lua_Integer gr_check_integer(lua_State *L, int arg);
lua_Integer gr_opt_integer(lua_State *L, int arg, lua_Integer otherwise);
lua_Number gr_check_number(lua_State *L, int arg);
lua_Number gr_opt_number(lua_State *L, int arg, lua_Number otherwise);

/* Are there options at arg, a table whose keys are all among the known names (a list that NULL
 * ends, not empty)? False for nil and none. Anything else, and any other key, is misuse, which
 * names the known option that is nearest. */
bool gr_check_options(lua_State *L, int arg, const char *const *known);
#define GR_OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})
/* The misuse: the key at idx is none of the known options of argument `arg`, or of a part of it
 * that `where` names ("case 2: "). */
GR_NORETURN void gr_unknown_option(lua_State *L, int idx, int arg, const char *where,
                                   const char *const *known);

/* The channel at arg, which must be able to do `need` (GR_VIEW_SEND or GR_VIEW_RECV; GR_VIEW_BOTH:
 * anything), else misuse. */
GrChan *gr_check_chan(lua_State *L, int arg, uint32_t need);

/* The context at arg, or misuse. */
GrContext *gr_check_context(lua_State *L, int arg);

/* Pushes an object that the caller has just made, and takes its reference, also when it raises.
 * Returns 1. */
int gr_push_owned(lua_State *L, GrShare *share);
int gr_push_owned_view(lua_State *L, GrShare *share, uint32_t view);

/* Pushes a new channel of this capacity, at most GR_CHAN_CAP_MAX. Borrowed from the userdata. */
GrChan *gr_push_chan(lua_State *L, int64_t cap);
/* Pushes a new channel of capacity 1, into which the first send cannot fail. Borrowed from the
 * userdata. */
GrChan *gr_push_mailbox(lua_State *L);

/* Pushes a received message; consumes it. */
void gr_push_msg(lua_State *L, GrMsg *m);
/* Packs the value at idx as a message. Raises, naming it `message`. */
void gr_pack_msg(lua_State *L, int idx, GrMsg *m);

struct GrGroup;
/* The first error of a group is raised, with its value and traceback. Raises. */
GR_NORETURN void gr_group_raise(lua_State *L, struct GrGroup *gr);
/* The option `limit` of the options at arg, which have been checked, or `fallback`. */
int64_t gr_check_limit(lua_State *L, int arg, int64_t fallback);

/* gr_check_inbox for calls that take less time than it. */
static inline void gr_enter(lua_State *L, GrState *st) {
  if (gr_unlikely(st->is_host || atomic_load_explicit(&gr_forked, memory_order_relaxed)))
    gr_check_inbox(L, st);
}

/* Register the names of goro's functions (heap/names.h), once a process. */
void gr_chan_names(void);
void gr_map_names(void);
void gr_group_names(void);
void gr_map_list_names(void);
void gr_context_names(void);
void gr_time_names(void);
void gr_sync_names(void);

/* module.c. Raises in a second copy of the library. */
void gr_refuse_second_copy(lua_State *L);
/* Pushes a submodule of these functions, and returns 1: what is left to a luaopen_* function. A
 * state that has not required goro gets it. Raises. */
int gr_open_submodule(lua_State *L, const luaL_Reg *functions);
/* Tells names.c which modules are goro's own. Once a process, at start. */
void gr_module_names(void);
/* Pushes the submodule that is the field of that name, opened if it was not. False: there is none,
 * and nothing was pushed. Raises. */
bool gr_module_push_field(lua_State *L, const char *field);
/* All submodules become fields of the module goro, at idx (absolute). Raises. */
void gr_module_set_fields(lua_State *L, int idx);

GR_API int luaopen_goro(lua_State *L);
GR_API int luaopen_goro_context(lua_State *L);
GR_API int luaopen_goro_fs(lua_State *L);
GR_API int luaopen_goro_net(lua_State *L);
GR_API int luaopen_goro_process(lua_State *L);
GR_API int luaopen_goro_runtime(lua_State *L);
GR_API int luaopen_goro_signal(lua_State *L);
GR_API int luaopen_goro_sync(lua_State *L);
GR_API int luaopen_goro_time(lua_State *L);
#ifdef GORO_TESTING
GR_API int luaopen_goro_testing(lua_State *L);
#endif

/* goro.h's table into the registry. */
void gr_capi_open(lua_State *L);

int gr_lib_chan(lua_State *L);     /* goro.chan */
int gr_lib_select(lua_State *L);   /* goro.select */
int gr_lib_after(lua_State *L);    /* goro.after */
int gr_lib_group(lua_State *L);    /* goro.group */
int gr_lib_map_list(lua_State *L); /* goro.map */
int gr_lib_map(lua_State *L);      /* goro.sync.map */

#endif

/* SPDX-License-Identifier: MIT */
/* lib.h - what the bindings share. A binding checks its arguments, makes one core call, and pushes
 * the results. A binding decides nothing else. */
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

/* The three views of a channel: one sends and receives, one only sends, one only receives. */
enum { GR_VIEW_BOTH, GR_VIEW_SEND, GR_VIEW_RECV };

/* Converts argument `arg`, a number of seconds, to an absolute time limit. nil or none: GR_FOREVER.
 * NaN is misuse. */
int64_t gr_check_timeout(lua_State *L, int arg);
/* The same for the value at idx, which may be a field of the table at `arg`, and must be a number.
 * `what` begins the error message: it names the field. */
int64_t gr_check_seconds(lua_State *L, int idx, int arg, const char *what);

/* check.c. Like luaL_checkinteger and its relatives, but a string does not count as a number, and
 * neither does NaN. */
lua_Integer gr_check_integer(lua_State *L, int arg);
lua_Integer gr_opt_integer(lua_State *L, int arg, lua_Integer otherwise);
lua_Number gr_check_number(lua_State *L, int arg);
lua_Number gr_opt_number(lua_State *L, int arg, lua_Number otherwise);

/* Checks the table of options at arg: all its keys must be among the known names (a list that NULL
 * ends, not empty). Returns false for nil and none. Any other value or key is misuse; the error
 * names the nearest known option. */
bool gr_check_options(lua_State *L, int arg, const char *const *known);
#define GR_OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})
/* Raises the misuse: the key at idx is not among the known options of argument `arg`. `where`
 * begins the message; it names the part of the argument ("case 2: "). */
GR_NORETURN void gr_unknown_option(lua_State *L, int idx, int arg, const char *where,
                                   const char *const *known);

/* Returns the channel at arg. Misuse when its view cannot do `need` (GR_VIEW_SEND or GR_VIEW_RECV;
 * with GR_VIEW_BOTH every view is right). */
GrChan *gr_check_chan(lua_State *L, int arg, uint32_t need);

/* Returns the context at arg; anything else is misuse. */
GrContext *gr_check_context(lua_State *L, int arg);

/* Pushes an object that the caller has just made. Takes the caller's reference, even when it
 * raises. Returns 1. */
int gr_push_owned(lua_State *L, GrShare *share);
int gr_push_owned_view(lua_State *L, GrShare *share, uint32_t view);

/* Pushes a new channel of this capacity, which is at most GR_CHAN_CAP_MAX. The result is borrowed
 * from the userdata. */
GrChan *gr_push_chan(lua_State *L, int64_t cap);
/* Pushes a new channel of capacity 1, with memory for the first message: the first send cannot
 * fail. The result is borrowed from the userdata. */
GrChan *gr_push_mailbox(lua_State *L);

/* Pushes a received message. Consumes *m. */
void gr_push_msg(lua_State *L, GrMsg *m);
/* Packs the value at idx as a message. Raises when the value cannot be sent; the error calls the
 * value `message`. */
void gr_pack_msg(lua_State *L, int idx, GrMsg *m);

struct GrGroup;
/* Raises the first error of a group, with its value and traceback. */
GR_NORETURN void gr_group_raise(lua_State *L, struct GrGroup *gr);
/* Returns the option `limit` of the options at arg, which have been checked, or `fallback`. */
int64_t gr_check_limit(lua_State *L, int arg, int64_t fallback);

/* gr_check_inbox, for calls that take less time than a call of that function. It is needed only in
 * a host, which alone has an inbox, and in a child of fork. */
static inline void gr_enter(lua_State *L, GrState *st) {
  if (gr_unlikely(st->is_host || atomic_load_explicit(&gr_forked, memory_order_relaxed)))
    gr_check_inbox(L, st);
}

/* Each registers the names of goro's functions in its file (heap/names.h). Called once per
 * process. */
void gr_chan_names(void);
void gr_map_names(void);
void gr_group_names(void);
void gr_map_list_names(void);
void gr_context_names(void);
void gr_time_names(void);
void gr_sync_names(void);

/* module.c. Raises when this library is the second copy of goro in the process. */
void gr_refuse_second_copy(lua_State *L);
/* Pushes a submodule with these functions, and returns 1, so that a luaopen_* function can end with
 * it. Opens goro in a state that has not required it. Raises. */
int gr_open_submodule(lua_State *L, const luaL_Reg *functions);
/* Tells names.c which modules are goro's own. Once per process, at the start. */
void gr_module_names(void);
/* Pushes the submodule goro.<field>, and opens it first when needed. False: there is no such
 * submodule, and nothing was pushed. Raises. */
bool gr_module_push_field(lua_State *L, const char *field);
/* Makes all submodules fields of the module goro, which is at idx (absolute). Raises. */
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

/* Puts the table of goro.h into the registry. */
void gr_capi_open(lua_State *L);

int gr_lib_chan(lua_State *L);     /* goro.chan */
int gr_lib_select(lua_State *L);   /* goro.select */
int gr_lib_after(lua_State *L);    /* goro.after */
int gr_lib_group(lua_State *L);    /* goro.group */
int gr_lib_map_list(lua_State *L); /* goro.map */
int gr_lib_map(lua_State *L);      /* goro.sync.map */

#endif

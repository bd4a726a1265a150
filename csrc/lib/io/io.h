/* SPDX-License-Identifier: MIT */
/* io.h - what the bindings of csrc/io share: failures, limits, connections. */
#ifndef GR_LIB_IO_H
#define GR_LIB_IO_H

#include "io/stream.h"
#include "lib/core/call.h"
#include "heap/keep.h"

/* Pushes nil, "CODE: reason: subject", "CODE" and returns 3. `why` is the reason; NULL: the text of
 * the code. `subject` may be NULL. A result that the world outside has no part in (no memory, no
 * thread, the end of the pool) is raised instead. */
int gr_push_failure(lua_State *L, int r, const char *why, const char *subject, size_t len);

/* Puts an absolute time limit into the slot, as an integer, and cuts the stack above it. */
void gr_set_limit(lua_State *L, int slot, int64_t until);
/* The limit that is in the slot. */
int64_t gr_limit_at(lua_State *L, int slot);

/* A userdata that owns a GrResolve until that has its addresses. */
typedef struct GrResolveBox {
  GrKeep keep; /* first */
  GrResolve *resolve;
} GrResolveBox;
/* Pushes one; its resolve is NULL, for the caller to set. */
GrResolveBox *gr_push_resolve_box(lua_State *L);
/* gr_push_failure for a call with an address: the reason is the one that `resolve` (or NULL) knows.
 */
int gr_push_refusal(lua_State *L, int r, const GrResolve *resolve, const char *address, size_t len);

extern const GrObjectType gr_conn_type;
GrStream *gr_check_conn(lua_State *L, int arg);
void gr_conn_names(void);
void gr_net_names(void);
void gr_udp_names(void);
void gr_process_names(void);
void gr_signal_names(void);
/* net.udp */
int gr_lib_udp(lua_State *L);

#endif

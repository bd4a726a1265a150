/* SPDX-License-Identifier: MIT */
/* net.h - listeners, UDP sockets, options of sockets. Calls that wait have the two halves of
 * poll.h. */
#ifndef GR_IO_NET_H
#define GR_IO_NET_H

#include "base/share.h"
#include "io/addr.h"
#include "io/poll.h"

/* ---- listeners ---- */

typedef struct GrListener GrListener;

/* Listens at the first of these addresses at which that is possible. `unlinks`: closing the
 * listener removes the path of a Unix socket. type->destroy must be gr_listener_destroy. GR_NOMEM,
 * GR_SYS. */
int gr_listen(const GrAddr *list, uint32_t n, bool unlinks, const GrShareType *type,
              GrListener **out);
void gr_listener_destroy(GrShare *s);
GrShare *gr_listener_share(GrListener *l);
GrListener *gr_listener_of(GrShare *s);
/* Where l listens; also after it was closed. */
const GrAddr *gr_listener_addr(const GrListener *l);
/* Takes a connection. GR_OK: *fd, non-blocking and close-on-exec, is the caller's; GR_PARK,
 * GR_CLOSED, GR_TIMEOUT. GR_SYS(UV_EMFILE) and such: the connection stays in the system's queue,
 * and the next accept tries again after a pause. The pauses grow from 5 ms to 1 s. */
int gr_listener_accept(GrListener *l, G *g, int *fd, GrAddr *peer, int64_t until, bool blocks,
                       bool fresh);
int gr_listener_awake(GrListener *l, G *g, int64_t until, GrCause *cause);
void gr_listener_quit(GrListener *l, G *g);
/* Closes l, wakes everybody who waits, and removes the path of a Unix socket if it still is the one
 * that l made. GR_OK, GR_CLOSED. */
int gr_listener_close(GrListener *l);

/* ---- UDP ---- */

/* A socket that is bound to the first of these addresses that is free. n = 0: a socket of `family`
 * that is not bound. */
int gr_udp_open(const GrAddr *list, uint32_t n, int family, GrFd **out);
enum { GR_DATAGRAM_MAX = 65536 };
int gr_udp_send(GrFd *f, G *g, const void *data, size_t len, const GrAddr *to, int64_t until,
                bool blocks, bool fresh);
/* `buf` has GR_DATAGRAM_MAX bytes. */
int gr_udp_recv(GrFd *f, G *g, void *buf, size_t *len, GrAddr *from, int64_t until, bool blocks,
                bool fresh);

/* ---- sockets ---- */

/* TCP_NODELAY. GR_OK, GR_SYS. */
int gr_socket_nodelay(GrFd *f, bool on);
/* The system sends probes after so many seconds of silence; 0: it sends none. */
int gr_socket_keepalive(GrFd *f, int seconds);
/* Sets both as each new TCP connection has them: no delay, and probes after 15 s, as in Go. A
 * connection that is accepted inherits its listener's options. */
void gr_socket_defaults(int fd);
/* Allows datagrams to broadcast addresses, as for each UDP socket in Go. */
void gr_socket_broadcast(int fd);
int gr_socket_local(GrFd *f, GrAddr *a);
int gr_socket_remote(GrFd *f, GrAddr *a);

#endif

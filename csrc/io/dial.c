/* SPDX-License-Identifier: MIT */
/* dial.c - connecting: several addresses, one after the other and side by side.
 *
 * RFC 8305 ("happy eyeballs"). The addresses come with their families in turn. The dial tries the
 * first address. If that has neither answered nor refused within 250 ms, the dial tries the next
 * one beside it, and so on. An address that refuses makes the next attempt start at once. The first
 * connection wins, and the other attempts are closed. So a host whose IPv6 leads nowhere costs a
 * quarter of a second, not a minute.
 *
 * A dial waits for all its sockets in one wait. The limit of that wait is the time of the next
 * attempt, or the caller's limit, whichever is earlier.
 *
 * Unix sockets. connect says EAGAIN when the listener's queue is full, and no event tells when that
 * changes. So the dial tries again every 2 ms.
 *
 * TCP. A socket that dials a port of this machine on which nobody listens may be given just that
 * port for itself; it then connects to itself. Such a connection is refused, as in Go. */
#include "io/dial.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "io/net.h"

enum { AT_ONCE = 16, NEXT_NS = 250000000, FULL_NS = 2000000 };

struct GrDial {
  const GrNetwork *net;
  GrAddr *list;
  uint32_t n, next; /* how many addresses; the first that has not been tried */
  int64_t next_at;  /* when it will be tried */
  GrFd *fds[AT_ONCE];
  uint32_t of[AT_ONCE]; /* which address each of them is connecting to */
  uint32_t open;
  int refused; /* the first refusal, or GR_OK */
};

GrDial *gr_dial_new(const GrNetwork *net, GrAddr *list, uint32_t n) {
  GrDial *d = gr_zalloc(sizeof *d);
  if (d == NULL) {
    gr_free(list);
    return NULL;
  }
  d->net = net;
  d->list = list;
  d->n = n;
  d->next_at = GR_POLL;
  return d;
}

static void drop(GrDial *d, uint32_t i) {
  gr_fd_free(d->fds[i]);
  d->open--;
  d->fds[i] = d->fds[d->open];
  d->of[i] = d->of[d->open];
}

void gr_dial_free(GrDial *d) {
  if (d == NULL) return;
  while (d->open > 0) drop(d, 0);
  gr_free(d->list);
  gr_free(d);
}

static void note_refusal(GrDial *d, int r) {
  if (d->refused == GR_OK) d->refused = r;
}

static bool to_itself(int fd, const GrAddr *peer) {
  GrAddr self = {.len = sizeof self.u};
  if (peer->u.any.sa_family == AF_UNIX || getsockname(fd, &self.u.any, &self.len) != 0)
    return false;
  if (self.u.any.sa_family != peer->u.any.sa_family) return false;
  if (self.u.any.sa_family == AF_INET)
    return self.u.in.sin_port == peer->u.in.sin_port &&
           self.u.in.sin_addr.s_addr == peer->u.in.sin_addr.s_addr;
  return self.u.in6.sin6_port == peer->u.in6.sin6_port &&
         memcmp(&self.u.in6.sin6_addr, &peer->u.in6.sin6_addr, sizeof self.u.in6.sin6_addr) == 0;
}

/* 0: connected; EINPROGRESS: not yet; else why not. */
static int outcome(int fd, const GrAddr *peer) {
  int err = 0;
  socklen_t len = sizeof err;
  GrAddr any = {.len = sizeof any.u};
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0) return errno;
  if (err != 0) return err;
  if (getpeername(fd, &any.u.any, &any.len) != 0) return errno == ENOTCONN ? EINPROGRESS : errno;
  return to_itself(fd, peer) ? ECONNREFUSED : 0;
}

/* Tries the next address: adds a socket to d->fds, or notes the refusal. */
static int start_next(GrDial *d) {
  const GrAddr *a = &d->list[d->next];
  int fd = socket(a->u.any.sa_family, d->net->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    note_refusal(d, gr_sys_result(-errno));
    d->next++;
    return GR_OK;
  }
  if (d->net->type == SOCK_DGRAM) gr_socket_broadcast(fd);
  int err;
  while ((err = connect(fd, &a->u.any, a->len) == 0 ? 0 : errno) == EINTR) {}
  int r = err == 0 || err == EINPROGRESS ? gr_fd_new(fd, &d->fds[d->open]) : GR_OK;
  if (r != GR_OK || (err != 0 && err != EINPROGRESS)) {
    close(fd);
    if (err == EAGAIN) { /* a Unix socket's listener is busy */
      d->next_at = gr_now_ns() + FULL_NS;
      return GR_OK;
    }
    if (r == GR_OK) note_refusal(d, gr_sys_result(-err));
    d->next++;
    return r;
  }
  d->of[d->open++] = d->next++;
  d->next_at = gr_now_ns() + NEXT_NS;
  return GR_OK;
}

/* The index of an attempt that is connected, or -1. Attempts that were refused are dropped, and the
 * next address is due then. */
static int look(GrDial *d) {
  for (uint32_t i = 0; i < d->open;) {
    int err = outcome(gr_fd_number(d->fds[i]), &d->list[d->of[i]]);
    if (err == 0) return (int)i;
    if (err == EINPROGRESS) {
      i++;
      continue;
    }
    note_refusal(d, gr_sys_result(-err));
    drop(d, i);
    d->next_at = GR_POLL;
  }
  return -1;
}

static const GrWaitType dialling = {"dial", NULL};

int gr_dial_step(GrDial *d, G *g, int64_t until, bool blocks, GrFd **out, GrAddr *peer) {
  for (;;) {
    int i = look(d);
    if (i >= 0) {
      *out = d->fds[i];
      *peer = d->list[d->of[i]];
      d->open--;
      d->fds[i] = d->fds[d->open];
      d->of[i] = d->of[d->open];
      return GR_OK;
    }
    if (d->next < d->n && d->open < AT_ONCE && gr_now_ns() >= d->next_at) {
      int r = start_next(d);
      if (r != GR_OK) return r;
      continue;
    }
    bool more = d->next < d->n && d->open < AT_ONCE;
    if (d->open == 0 && !more) return d->refused;
    int64_t limit = more ? gr_earlier(d->next_at, until) : until;
    int r = gr_fds_await(d->fds, d->open, GR_WRITE, g, &dialling, limit, blocks);
    if (r == GR_TIMEOUT && limit < until) continue;
    if (r != GR_OK) return r;
  }
}

int gr_dial_awake(GrDial *d, G *g, int64_t until, GrCause *cause) {
  return gr_poll_finish_attempt(gr_fds_awake(d->fds, d->open, GR_WRITE, g, cause), until);
}

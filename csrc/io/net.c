/* SPDX-License-Identifier: MIT */
/* net.c - listeners, UDP, options.
 *
 * accept takes one connection a call, and does not wait as long as the system's queue holds any. A
 * connection whose peer has gone already is skipped.
 *
 * When the process has no descriptor left (EMFILE), or the system refuses for another reason that
 * may last, the caller is told, and the connection stays in the queue. A program that calls accept
 * in a loop would then be told again and again, at full speed. So each further try comes after a
 * pause: 5 ms at first, then twice as long each time, up to 1 s. A new connection ends the pause;
 * the first success sets it back. The pause is a wait for the listener's descriptor, so a close
 * ends it too, and the call's time limit holds.
 *
 * Closing a Unix listener removes its path, as in Go; an abstract name goes by itself. By then the
 * program may be in another folder, or a new server may have taken the name over. So the listener
 * remembers what it made: the absolute path, the device and the inode, and it removes nothing else.
 * It looks before it closes the descriptor, which keeps the inode's number from being given to
 * another file. */
#include "io/net.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 4096, PAUSE_MIN_NS = 5000000, PAUSE_MAX_NS = 1000000000 };

struct GrListener {
  GrShare share;
  GrFd *fd;
  GrAddr addr;
  int64_t pause;      /* how long the last pause was, or 0; of the turn to read */
  int64_t not_before; /* when the next try may come; of the turn to read */
  char *path;         /* what close removes, absolute; NULL: nothing */
  dev_t dev;
  ino_t ino;
  atomic_bool path_left; /* the path has been dealt with */
};

/* ---- options of a descriptor's number ---- */

static int set_option(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0 ? GR_OK : gr_sys_result(-errno);
}

static int nodelay(int fd, int on) { return set_option(fd, IPPROTO_TCP, TCP_NODELAY, on); }

static int keepalive(int fd, int seconds) {
  int r = set_option(fd, SOL_SOCKET, SO_KEEPALIVE, seconds > 0);
  if (r == GR_OK && seconds > 0) r = set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
  if (r == GR_OK && seconds > 0) r = set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds);
  return r;
}

void gr_socket_defaults(int fd) {
  nodelay(fd, 1);
  keepalive(fd, 15);
}

/* ---- listeners ---- */

static void say_yes(int fd, int level, int option) {
  int one = 1;
  setsockopt(fd, level, option, &one, sizeof one);
}

void gr_socket_broadcast(int fd) { say_yes(fd, SOL_SOCKET, SO_BROADCAST); }

/* A bound socket, or -1 and errno. */
static int bound_socket(const GrAddr *a, int type) {
  int fd = socket(a->u.any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), zero = 0;
  if (fd < 0) return -1;
  bool any6 = a->u.any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->u.in6.sin6_addr);
  if (a->u.any.sa_family == AF_INET6) {
    if (any6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    else say_yes(fd, IPPROTO_IPV6, IPV6_V6ONLY);
  }
  if (a->u.any.sa_family != AF_UNIX && type == SOCK_STREAM) say_yes(fd, SOL_SOCKET, SO_REUSEADDR);
  if (bind(fd, &a->u.any, a->len) == 0) return fd;
  int err = errno;
  close(fd);
  errno = err;
  return -1;
}

static int listen_at(const GrAddr *a, GrListener *l) {
  int fd = bound_socket(a, SOCK_STREAM);
  if (fd < 0) return gr_sys_result(-errno);
  l->addr.len = sizeof l->addr.u;
  if (a->u.any.sa_family != AF_UNIX) gr_socket_defaults(fd);
  int r = listen(fd, BACKLOG) == 0 && getsockname(fd, &l->addr.u.any, &l->addr.len) == 0
              ? gr_fd_new(fd, &l->fd)
              : gr_sys_result(-errno);
  if (r != GR_OK) close(fd);
  return r;
}

static bool has_path(const GrAddr *a) {
  return a->u.any.sa_family == AF_UNIX && a->len > offsetof(struct sockaddr_un, sun_path) &&
         a->u.un.sun_path[0] != '\0';
}

/* When the working folder has no path any more, close leaves a relative path alone. */
static int remember_path(GrListener *l) {
  char text[GR_ADDR_TEXT], folder[PATH_MAX] = "";
  struct stat st;
  gr_addr_text(&l->addr, text);
  if (lstat(text, &st) != 0 || (text[0] != '/' && getcwd(folder, sizeof folder) == NULL))
    return GR_OK;
  size_t size = strlen(folder) + strlen(text) + 2;
  if ((l->path = gr_malloc(size)) == NULL) return GR_NOMEM;
  snprintf(l->path, size, "%s%s%s", folder, folder[0] != '\0' ? "/" : "", text);
  l->dev = st.st_dev;
  l->ino = st.st_ino;
  return GR_OK;
}

static void take_path_away(GrListener *l) {
  struct stat st;
  if (l->path == NULL || atomic_load_explicit(&gr_forked, memory_order_relaxed) ||
      atomic_exchange(&l->path_left, true))
    return;
  if (lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino) unlink(l->path);
}

int gr_listen(const GrAddr *list, uint32_t n, bool unlinks, const GrShareType *type,
              GrListener **out) {
  GrListener *l = gr_zalloc(sizeof *l);
  if (l == NULL) return GR_NOMEM;
  gr_share_init(&l->share, type);
  int first = GR_OK, r = GR_OK;
  for (uint32_t i = 0; i < n; i++) {
    if ((r = listen_at(&list[i], l)) == GR_OK) {
      r = unlinks && has_path(&l->addr) ? remember_path(l) : GR_OK;
      if (r == GR_OK) *out = l;
      else gr_listener_destroy(&l->share);
      return r;
    }
    if (first == GR_OK) first = r;
    if (gr_sys_errno(r) != EAFNOSUPPORT && gr_sys_errno(r) != EADDRNOTAVAIL) break;
  }
  gr_free(l);
  return gr_sys_errno(r) == EAFNOSUPPORT ? first : r;
}

void gr_listener_destroy(GrShare *s) {
  GrListener *l = gr_listener_of(s);
  gr_listener_close(l);
  gr_fd_free(l->fd);
  gr_free(l->path);
  gr_free(l);
}

GrShare *gr_listener_share(GrListener *l) { return &l->share; }
GrListener *gr_listener_of(GrShare *s) { return gr_container_of(s, GrListener, share); }
const GrAddr *gr_listener_addr(const GrListener *l) { return &l->addr; }

int gr_listener_close(GrListener *l) {
  take_path_away(l);
  return gr_fd_close(l->fd);
}

typedef enum Accepted { TAKEN, NONE, SHORT, BROKEN } Accepted;

/* NONE: the queue is empty; SHORT: the system refuses, for a reason that may last (no descriptors,
 * a filter); BROKEN: this is no listener any more. The errors in the first list say that a
 * connection was there and has gone: they concern that connection alone. The list is
 * accept(2)'s. */
static Accepted accept_one(int listener, int *fd, GrAddr *peer) {
  for (;;) {
    peer->len = sizeof peer->u;
    *fd = accept4(listener, &peer->u.any, &peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (*fd >= 0) return TAKEN;
    switch (errno) {
      case EAGAIN: return NONE;
      case EINTR:
      case ECONNABORTED:
      case ECONNRESET:
      case EPROTO:
      case ENOPROTOOPT:
      case ENETDOWN:
      case ENETUNREACH:
      case EHOSTDOWN:
      case EHOSTUNREACH:
      case ENONET:
      case ETIMEDOUT: break;
      case EINVAL:
      case EBADF:
      case ENOTSOCK:
      case EOPNOTSUPP:
      case EFAULT: return BROKEN;
      default: return SHORT;
    }
  }
}

static const GrWaitType accepting = {"accept", NULL};

int gr_listener_accept(GrListener *l, G *g, int *fd, GrAddr *peer, int64_t until, bool blocks,
                       bool fresh) {
  int r = gr_fd_enter(l->fd, GR_READ, g, &accepting, until, blocks, fresh);
  while (r == GR_OK) {
    int64_t limit = until;
    bool pausing = fresh && l->not_before != 0 && gr_now_ns() < l->not_before;
    Accepted a = pausing ? NONE : accept_one(gr_fd_number(l->fd), fd, peer);
    if (a == TAKEN) l->pause = l->not_before = 0;
    if (a == SHORT) {
      r = GR_ERRNO(errno); /* ENOMEM too is told by its name: it may last, as the others */
      l->pause = l->pause == 0 ? PAUSE_MIN_NS : gr_earlier(l->pause * 2, PAUSE_MAX_NS);
      l->not_before = gr_now_ns() + l->pause;
    }
    if (a == BROKEN) r = GR_ERRNO(errno);
    if (a != NONE) {
      gr_fd_leave(l->fd, GR_READ, g, false);
      return r;
    }
    if (pausing) limit = gr_earlier(until, l->not_before);
    fresh = false;
    r = gr_fd_await(l->fd, GR_READ, g, &accepting, limit, blocks, false);
    if (r == GR_TIMEOUT && limit < until)
      r = gr_fd_enter(l->fd, GR_READ, g, &accepting, until, blocks, false);
  }
  return r;
}

int gr_listener_awake(GrListener *l, G *g, int64_t until, GrCause *cause) {
  return gr_poll_finish_attempt(gr_fd_awake(l->fd, GR_READ, g, cause), until);
}
void gr_listener_quit(GrListener *l, G *g) { gr_fd_quit(l->fd, GR_READ, g); }

/* ---- UDP ---- */

int gr_udp_open(const GrAddr *list, uint32_t n, int family, GrFd **out) {
  int fd = -1, r = GR_OK;
  if (n == 0) fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  for (uint32_t i = 0; i < n && fd < 0; i++) fd = bound_socket(&list[i], SOCK_DGRAM);
  if (fd < 0) return gr_sys_result(-errno);
  gr_socket_broadcast(fd);
  if ((r = gr_fd_new(fd, out)) != GR_OK) close(fd);
  return r;
}

/* The system call has failed. GR_OK: since it would have to wait. */
static int refused(void) { return errno == EAGAIN ? GR_OK : gr_sys_result(-errno); }

int gr_udp_send(GrFd *f, G *g, const void *data, size_t len, const GrAddr *to, int64_t until,
                bool blocks, bool fresh) {
  int r = gr_fd_enter(f, GR_WRITE, g, &gr_fd_writing, until, blocks, fresh);
  while (r == GR_OK) {
    ssize_t n;
    do n = sendto(gr_fd_number(f), data, len, MSG_NOSIGNAL, &to->u.any, to->len);
    while (n < 0 && errno == EINTR);
    if (n >= 0 || (r = refused()) != GR_OK) {
      gr_fd_leave(f, GR_WRITE, g, false);
      return r;
    }
    r = gr_fd_await(f, GR_WRITE, g, &gr_fd_writing, until, blocks, false);
  }
  return r;
}

int gr_udp_recv(GrFd *f, G *g, void *buf, size_t *len, GrAddr *from, int64_t until, bool blocks,
                bool fresh) {
  int r = gr_fd_enter(f, GR_READ, g, &gr_fd_reading, until, blocks, fresh);
  while (r == GR_OK) {
    ssize_t n;
    from->len = sizeof from->u;
    do n = recvfrom(gr_fd_number(f), buf, GR_DATAGRAM_MAX, 0, &from->u.any, &from->len);
    while (n < 0 && errno == EINTR);
    if (n >= 0 || (r = refused()) != GR_OK) {
      gr_fd_leave(f, GR_READ, g, false);
      if (n >= 0) *len = (size_t)n;
      return r;
    }
    r = gr_fd_await(f, GR_READ, g, &gr_fd_reading, until, blocks, false);
  }
  return r;
}

/* ---- options ---- */

static int with_number(GrFd *f, int (*set)(int fd, int value), int value) {
  if (!gr_fd_pin(f)) return GR_ERRNO(EBADF);
  int r = set(gr_fd_number(f), value);
  gr_fd_unpin(f);
  return r;
}

int gr_socket_nodelay(GrFd *f, bool on) { return with_number(f, nodelay, on); }
int gr_socket_keepalive(GrFd *f, int seconds) { return with_number(f, keepalive, seconds); }

typedef int NameCall(int fd, struct sockaddr *name, socklen_t *len);

static int name_of(GrFd *f, NameCall *call, GrAddr *a) {
  if (!gr_fd_pin(f)) return GR_ERRNO(EBADF);
  a->len = sizeof a->u;
  int r = call(gr_fd_number(f), &a->u.any, &a->len) == 0 ? GR_OK : gr_sys_result(-errno);
  gr_fd_unpin(f);
  return r;
}

int gr_socket_local(GrFd *f, GrAddr *a) { return name_of(f, getsockname, a); }
int gr_socket_remote(GrFd *f, GrAddr *a) { return name_of(f, getpeername, a); }

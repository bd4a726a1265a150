/* SPDX-License-Identifier: MIT */
/* stream.c - reading and writing of connections.
 *
 * A read goes through three stages, and each of them may end it:
 *
 *   1. The buffer holds what is wanted: hand it out.
 *   2. The buffer is empty: one system call into the caller's scratch. If those bytes complete what
 *      is wanted (a packet that holds the line), hand them out; only what follows them goes into
 *      the buffer. Otherwise all of them go there.
 *   3. From then on the system calls fill the buffer directly.
 *
 * So a program that reads packets, or lines that arrive whole, never needs a buffer, and an idle
 * connection has none.
 *
 * The buffer (bytes.h) doubles as bytes arrive, up to the size that is wanted. It grows by what has
 * arrived, not by what was asked for: read(1 << 40) costs nothing before a peer sends that much. A
 * small count takes from the system everything that is there, as a line does. So messages that
 * arrived together cost one call, and a message that arrived alone leaves the socket spent, so that
 * the next read waits without asking. A count larger than the scratch takes no more than it wants,
 * so that the buffer itself can be handed out.
 *
 * Gathered writes lie in `out`. A write that would fill `out` sends what it holds, and the write's
 * own bytes behind it, in one system call. A reader that is about to wait sends `out` too, for the
 * peer may not send anything before it has got those bytes. The reader does not wait for room: if
 * the socket has none, it parks for both ways at once. For the peer may be one that does not read
 * before we have read what it sends.
 *
 * The reader may find that another goroutine has the turn to write. So it sets `wanted` before it
 * tries to take the turn. The goroutine that has the turn looks at `wanted` before it leaves, and
 * once more after it has left. So one of the two sends.
 *
 * Owners. `in` belongs to the goroutine that has the turn to read; `out` and out_error to the one
 * that has the turn to write. The atomics may be used by anybody at any time.
 *
 * Sockets are written to with MSG_NOSIGNAL. Pipes have no such flag: see sigpipe.h. */
#include "io/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/bytes.h"
#include "io/sigpipe.h"

enum { BUFFER_MIN = 4096, LINE_MAX_DEFAULT = 16 << 20 };

struct GrStream {
  GrShare share;
  GrFd *fd;
  GrBuffer in; /* of the turn to read */
  _Atomic int64_t timeout;
  _Atomic uint64_t line_max;
  GrBuffer out;  /* this and out_error: of the turn to write */
  int out_error; /* why gathered bytes could not be sent, until a call reports it; or GR_OK */
  _Atomic size_t out_max;  /* how many bytes are gathered before they are sent; 0: none */
  _Atomic size_t out_held; /* the length of `out`, to be read without the turn */
  atomic_bool wanted;      /* a reader waits, and could not send `out` itself */
  uint8_t kind;
  uint8_t peer_len;
  char peer[sizeof(struct sockaddr_in6)];
  bool lost; /* bytes are missing after what the buffer holds */
};

int gr_stream_over(GrFd *f, GrStreamKind kind, const GrShareType *type, GrStream **out) {
  GrStream *s = gr_zalloc(sizeof *s);
  if (s == NULL) return GR_NOMEM;
  gr_share_init(&s->share, type);
  s->fd = f;
  s->kind = (uint8_t)kind;
  atomic_init(&s->timeout, GR_FOREVER);
  atomic_init(&s->line_max, LINE_MAX_DEFAULT);
  *out = s;
  return GR_OK;
}

int gr_stream_new(int fd, GrStreamKind kind, const GrShareType *type, GrStream **out) {
  GrFd *f;
  int r = gr_fd_new(fd, &f);
  if (r != GR_OK) return r;
  r = gr_stream_over(f, kind, type, out);
  if (r != GR_OK) gr_fd_forget(f);
  return r;
}

static void send_last(GrStream *s);

void gr_stream_destroy(GrShare *share) {
  GrStream *s = gr_stream_of(share);
  send_last(s);
  gr_fd_free(s->fd);
  gr_buffer_free(&s->in);
  gr_buffer_free(&s->out);
  gr_free(s);
}

GrShare *gr_stream_share(GrStream *s) { return &s->share; }
GrStream *gr_stream_of(GrShare *s) { return gr_container_of(s, GrStream, share); }
GrFd *gr_stream_fd(GrStream *s) { return s->fd; }
void gr_stream_set_peer(GrStream *s, const GrAddr *peer) {
  if (peer->u.any.sa_family != AF_INET && peer->u.any.sa_family != AF_INET6) return;
  s->peer_len = (uint8_t)peer->len;
  memcpy(s->peer, &peer->u, peer->len);
}

bool gr_stream_peer(const GrStream *s, GrAddr *peer) {
  peer->len = s->peer_len;
  memcpy(&peer->u, s->peer, s->peer_len);
  return s->peer_len > 0;
}

GrStreamKind gr_stream_kind(const GrStream *s) { return (GrStreamKind)s->kind; }

/* ---- the buffer ---- */

static size_t held(const GrStream *s) { return gr_buffer_len(&s->in); }

/* When there is no memory for bytes that have arrived, they are lost. So nothing may be read after
 * them. */
static bool append(GrStream *s, const char *data, size_t n) {
  s->lost = !gr_buffer_add(&s->in, data, n, BUFFER_MIN);
  return !s->lost;
}

static void drop(GrStream *s, size_t n) {
  gr_buffer_drop(&s->in, n);
  if (held(s) == 0) gr_buffer_free(&s->in);
}

/* Takes the first `take` bytes out of the buffer, and hands out the first `give` of them. Without
 * memory the buffer is as before. */
static int hand_out(GrStream *s, size_t take, size_t give, char *scratch, GrGot *got) {
  const char *from = s->in.data + s->in.start;
  *got = (GrGot){.data = scratch, .len = give};
  if (give <= GR_SCRATCH) {
    if (give > 0) memcpy(scratch, from, give);
  } else if (take == held(s)) {
    got->block = s->in.data;
    got->data = from;
    s->in = (GrBuffer){0};
    return GR_OK;
  } else {
    char *copy = gr_malloc(give);
    if (copy == NULL) return GR_NOMEM;
    got->data = got->block = memcpy(copy, from, give);
  }
  drop(s, take);
  return GR_OK;
}

/* ---- is it complete? ---- */

typedef struct End {
  bool complete;
  size_t take, give;
} End;

static bool is_line(const GrWant *want) {
  return want->kind == GR_WANT_LINE || want->kind == GR_WANT_LINE_KEEP;
}

/* Looks for the end of what is wanted. */
static End find_end(const GrWant *want, GrBuffer *b) {
  size_t n = gr_buffer_len(b), some = n < GR_SCRATCH ? n : GR_SCRATCH;
  End end = {0};
  if (is_line(want))
    end.complete = gr_buffer_line(b, want->kind == GR_WANT_LINE_KEEP, &end.take, &end.give);
  else if (want->kind == GR_WANT_SOME) end = (End){n > 0, some, some};
  else if (want->kind == GR_WANT_COUNT && want->n == 0) end.complete = n > 0;
  else if (want->kind == GR_WANT_COUNT) end = (End){n >= want->n, (size_t)want->n, (size_t)want->n};
  return end;
}

/* The stream has ended: the reader gets what the buffer holds. */
static int at_end(GrStream *s, const GrWant *want, char *scratch, GrGot *got) {
  size_t n = held(s);
  if (n > 0 || want->kind == GR_WANT_ALL) return hand_out(s, n, n, scratch, got);
  *got = (GrGot){.data = NULL};
  return GR_OK;
}

static bool too_long(GrStream *s, const GrWant *want, size_t n) {
  return is_line(want) && n > atomic_load_explicit(&s->line_max, memory_order_relaxed);
}

/* ---- read ---- */

static ssize_t receive(GrStream *s, char *to, size_t n) {
  ssize_t r;
  int fd = gr_fd_number(s->fd);
  do r = s->kind == GR_STREAM_PIPE ? read(fd, to, n) : recv(fd, to, n, 0);
  while (r < 0 && errno == EINTR);
  return r;
}

typedef struct Read {
  const GrWant *want;
  char *scratch;
  GrGot *got;
  /* The read will not wait, so no event will tell it that there is something: it must ask. */
  bool polls;
  /* The last system call gave less than it could, so the next would say EAGAIN. True for TCP only:
   * others stop short for reasons of their own (passed descriptors, lines of a terminal). */
  bool spent;
} Read;

enum { AGAIN = 2, WAIT = 3 }; /* beside GR_OK (0): make the step again; nothing is there, wait */

/* The system call has failed. */
static int refused(void) { return errno == EAGAIN ? WAIT : gr_sys_result(-errno); }

/* The buffer is empty: one system call into the scratch. */
static int read_scratch(GrStream *s, Read *rd) {
  const GrWant *want = rd->want;
  ssize_t n = receive(s, rd->scratch, GR_SCRATCH);
  if (n < 0) return refused();
  if (s->kind == GR_STREAM_DATAGRAM) {
    *rd->got = (GrGot){.data = rd->scratch, .len = (size_t)n};
    return GR_OK;
  }
  if (n == 0) return at_end(s, want, rd->scratch, rd->got);
  rd->spent = s->kind == GR_STREAM_TCP && (size_t)n < GR_SCRATCH;
  End end = find_end(want, &(GrBuffer){.data = rd->scratch, .end = (size_t)n});
  if (end.complete && too_long(s, want, end.give)) end.complete = false;
  size_t rest_at = end.complete ? end.take : 0;
  if (!append(s, rd->scratch + rest_at, (size_t)n - rest_at)) return GR_NOMEM;
  if (!end.complete) return AGAIN;
  *rd->got = (GrGot){.data = rd->scratch, .len = end.give};
  return GR_OK;
}

/* One system call into the buffer, behind what it holds. */
static int read_buffer(GrStream *s, Read *rd) {
  const GrWant *want = rd->want;
  size_t room = held(s) < GR_SCRATCH ? GR_SCRATCH : held(s);
  if (want->kind == GR_WANT_COUNT && want->n > GR_SCRATCH && want->n - held(s) < room)
    room = (size_t)(want->n - held(s));
  GrBuffer *in = &s->in;
  if (in->cap - in->end < room && in->cap - in->end < BUFFER_MIN &&
      !gr_buffer_room(in, room < BUFFER_MIN ? BUFFER_MIN : room, BUFFER_MIN))
    return GR_NOMEM;
  if (in->cap - in->end < room) room = in->cap - in->end;
  ssize_t n = receive(s, in->data + in->end, room);
  if (n < 0) return refused();
  if (n == 0) return at_end(s, want, rd->scratch, rd->got);
  rd->spent = s->kind == GR_STREAM_TCP && (size_t)n < room;
  in->end += (size_t)n;
  return AGAIN;
}

static int read_step(GrStream *s, Read *rd) {
  if (held(s) > 0) {
    End end = find_end(rd->want, &s->in);
    if (too_long(s, rd->want, end.complete ? end.give : held(s))) return GR_ERRNO(EMSGSIZE);
    if (end.complete) return hand_out(s, end.take, end.give, rd->scratch, rd->got);
  }
  if (gr_unlikely(s->lost)) return GR_NOMEM;
  if (rd->spent || (!rd->polls && gr_fd_spent(s->fd, GR_READ))) return WAIT;
  return held(s) > 0 ? read_buffer(s, rd) : read_scratch(s, rd);
}

/* ---- write ---- */

ssize_t gr_pipe_write(int fd, struct iovec *iov, int n) {
  GrNoPipe quiet = gr_no_pipe_begin();
  ssize_t r = writev(fd, iov, n);
  gr_no_pipe_end(&quiet, r < 0 && errno == EPIPE);
  return r;
}

static ssize_t send_some(GrStream *s, struct iovec *iov, int n) {
  ssize_t r;
  int fd = gr_fd_number(s->fd);
  struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};
  do {
    if (s->kind == GR_STREAM_PIPE) r = gr_pipe_write(fd, iov, n);
    else if (n == 1) r = send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
    else r = sendmsg(fd, &m, MSG_NOSIGNAL);
  } while (r < 0 && errno == EINTR);
  return r;
}

/* What a call still has to write, after what was gathered. */
typedef struct Rest {
  struct iovec *iov;
  int n;
  uint64_t *done;
} Rest;

static size_t gathered(const GrStream *s) { return gr_buffer_len(&s->out); }

static void note_gathered(GrStream *s) {
  if (gathered(s) == 0) {
    gr_buffer_free(&s->out);
    atomic_store(&s->wanted, false);
  }
  atomic_store(&s->out_held, gathered(s));
}

static void drop_gathered(GrStream *s) {
  gr_buffer_drop(&s->out, gathered(s));
  note_gathered(s);
}

/* One system call with what was gathered and the rest. */
static ssize_t send_both(GrStream *s, const Rest *rest) {
  struct iovec all[GR_IOVS + 1];
  if (gathered(s) == 0) return send_some(s, rest->iov, rest->n);
  all[0] = (struct iovec){.iov_base = s->out.data + s->out.start, .iov_len = gathered(s)};
  if (rest->n > 0) memcpy(all + 1, rest->iov, (size_t)rest->n * sizeof *all);
  return send_some(s, all, rest->n + 1);
}

static void take_sent(GrStream *s, Rest *rest, size_t sent) {
  size_t first = sent < gathered(s) ? sent : gathered(s);
  if (first > 0) {
    gr_buffer_drop(&s->out, first);
    note_gathered(s);
  }
  *rest->done += sent - first;
  if (s->kind != GR_STREAM_DATAGRAM) gr_iov_skip(&rest->iov, &rest->n, sent - first);
}

/* GR_OK: everything was sent; WAIT: there is no room; or an error, and `out` is empty. */
static int write_step(GrStream *s, Rest *rest) {
  bool datagram = s->kind == GR_STREAM_DATAGRAM;
  while (gathered(s) > 0 || rest->n > 0 || datagram) {
    ssize_t sent = send_both(s, rest);
    if (sent < 0) {
      int r = refused();
      if (r != WAIT) drop_gathered(s);
      return r;
    }
    take_sent(s, rest, (size_t)sent);
    if (datagram) break;
  }
  return GR_OK;
}

/* Sends what was gathered, without waiting. False: there was no room for all of it. */
static bool send_gathered(GrStream *s) {
  uint64_t done = 0;
  int r = write_step(s, &(Rest){.done = &done});
  if (r != GR_OK && r != WAIT) s->out_error = r;
  return r != WAIT;
}

/* A reader is about to wait. True: there was no room for all of `out`, and the reader has the turn
 * to write. */
static bool send_before_wait(GrStream *s, G *g) {
  if (gr_likely(atomic_load(&s->out_held) == 0)) return false;
  atomic_store(&s->wanted, true);
  if (!gr_fd_try_enter(s->fd, GR_WRITE, g)) return false; /* its owner looks at `wanted` */
  if (!send_gathered(s)) return true;
  gr_fd_leave(s->fd, GR_WRITE, g, false);
  return false;
}

/* Nobody has the stream any more. */
static void send_last(GrStream *s) {
  if (gathered(s) == 0 || !gr_fd_pin(s->fd)) return;
  send_gathered(s);
  gr_fd_unpin(s->fd);
}

int gr_stream_read(GrStream *s, G *g, const GrWant *want, char *scratch, GrGot *got, int64_t until,
                   bool blocks, bool fresh) {
  Read rd = {.want = want, .scratch = scratch, .got = got, .polls = until == GR_POLL};
  int r = gr_fd_enter(s->fd, GR_READ, g, &gr_fd_reading, until, blocks, fresh);
  if (r != GR_OK) return r;
  for (;;) {
    r = read_step(s, &rd);
    if (r == AGAIN) continue;
    if (r != WAIT) break;
    bool spent = rd.spent || gr_fd_spent(s->fd, GR_READ);
    r = send_before_wait(s, g)
            ? gr_fd_await_both(s->fd, g, &gr_fd_reading, until, blocks, spent)
            : gr_fd_await(s->fd, GR_READ, g, &gr_fd_reading, until, blocks, spent);
    rd.spent = false;
    if (r != GR_OK) return r;
  }
  gr_fd_leave(s->fd, GR_READ, g, rd.spent);
  return r;
}

/* ---- calls that write ---- */

/* Writes everything, and waits for room. *has_turn becomes false when the call parks, or has waited
 * in vain: the turn is not the caller's any more. */
static int write_all(GrStream *s, G *g, Rest *rest, int64_t until, bool blocks, bool *has_turn) {
  int r;
  while ((r = write_step(s, rest)) == WAIT) {
    r = gr_fd_await(s->fd, GR_WRITE, g, &gr_fd_writing, until, blocks, false);
    *has_turn = r == GR_OK;
    if (r != GR_OK) return r;
  }
  return r;
}

/* Gives the turn up. True: the caller has taken it again, since a reader waits for what was
 * gathered to be sent. */
static bool leave_writing(GrStream *s, G *g, int r) {
  gr_fd_leave(s->fd, GR_WRITE, g, false);
  return r == GR_OK && atomic_load(&s->wanted) && gr_fd_try_enter(s->fd, GR_WRITE, g);
}

/* Why gathered bytes could not be sent; reported once. */
static int take_error(GrStream *s) {
  int r = s->out_error;
  s->out_error = GR_OK;
  return r;
}

/* False without memory. */
static bool gather(GrStream *s, Rest *rest, size_t size) {
  enum { OUT_MIN = 512 };
  if (!gr_buffer_room(&s->out, size, OUT_MIN)) return false;
  gr_buffer_put(&s->out, rest->iov, rest->n);
  rest->n = 0;
  note_gathered(s);
  *rest->done += size;
  return true;
}

static int write_or_gather(GrStream *s, G *g, Rest *rest, int64_t until, bool blocks,
                           bool *has_turn) {
  size_t max = atomic_load_explicit(&s->out_max, memory_order_relaxed);
  if (max == 0) return write_all(s, g, rest, until, blocks, has_turn);
  size_t size = gr_iov_size(rest->iov, rest->n);
  if (size > max || gathered(s) + size >= max)
    return write_all(s, g, rest, until, blocks, has_turn);
  bool memory = size == 0 || gather(s, rest, size);
  return memory && !atomic_load(&s->wanted) ? GR_OK
                                            : write_all(s, g, rest, until, blocks, has_turn);
}

int gr_stream_write(GrStream *s, G *g, struct iovec *iov, int n, uint64_t *done, int64_t until,
                    bool blocks, bool fresh) {
  int r = gr_fd_enter(s->fd, GR_WRITE, g, &gr_fd_writing, until, blocks, fresh);
  if (r != GR_OK) return r;
  Rest rest = {iov, n, done};
  if (s->kind != GR_STREAM_DATAGRAM) gr_iov_skip(&rest.iov, &rest.n, (size_t)*done);
  bool has_turn = true;
  if ((r = take_error(s)) == GR_OK) r = write_or_gather(s, g, &rest, until, blocks, &has_turn);
  while (has_turn && (has_turn = leave_writing(s, g, r)))
    r = write_all(s, g, &rest, until, blocks, &has_turn);
  return r;
}

/* Takes the turn, and sends what was gathered. GR_OK: the caller still has the turn. */
static int enter_and_flush(GrStream *s, G *g, int64_t until, bool blocks, bool fresh) {
  int r = gr_fd_enter(s->fd, GR_WRITE, g, &gr_fd_writing, until, blocks, fresh);
  if (r != GR_OK) return r;
  uint64_t done = 0;
  bool has_turn = true;
  if ((r = take_error(s)) == GR_OK && gathered(s) > 0)
    r = write_all(s, g, &(Rest){.done = &done}, until, blocks, &has_turn);
  if (r != GR_OK && has_turn) gr_fd_leave(s->fd, GR_WRITE, g, false);
  return r;
}

int gr_stream_flush(GrStream *s, G *g, int64_t until, bool blocks, bool fresh) {
  int r = enter_and_flush(s, g, until, blocks, fresh);
  if (r == GR_OK) gr_fd_leave(s->fd, GR_WRITE, g, false);
  return r;
}

int gr_stream_gather(GrStream *s, G *g, size_t size, int64_t until, bool blocks, bool fresh) {
  int r = enter_and_flush(s, g, until, blocks, fresh);
  if (r != GR_OK) return r;
  atomic_store_explicit(&s->out_max, size, memory_order_relaxed);
  gr_fd_leave(s->fd, GR_WRITE, g, false);
  return GR_OK;
}

static int shut_down(GrStream *s) {
  if (s->kind == GR_STREAM_PIPE) return gr_stream_close(s) == GR_OK ? GR_OK : GR_ERRNO(EBADF);
  if (!gr_fd_pin(s->fd)) return GR_ERRNO(EBADF);
  int r = shutdown(gr_fd_number(s->fd), SHUT_WR) == 0 ? GR_OK : gr_sys_result(-errno);
  gr_fd_unpin(s->fd);
  return r;
}

bool gr_stream_gathers(GrStream *s) {
  return atomic_load(&s->out_max) > 0 || atomic_load(&s->out_held) > 0;
}

int gr_stream_shutdown(GrStream *s, G *g, int64_t until, bool blocks, bool fresh) {
  if (!gr_stream_gathers(s)) return shut_down(s);
  int r = enter_and_flush(s, g, until, blocks, fresh);
  if (r != GR_OK) return r;
  r = shut_down(s);
  gr_fd_leave(s->fd, GR_WRITE, g, false);
  return r;
}

int gr_stream_finish(GrStream *s, G *g, int64_t until, bool blocks, bool fresh) {
  int r = GR_OK;
  if (gr_stream_gathers(s) && (!fresh || gr_fd_try_enter(s->fd, GR_WRITE, g))) {
    if (fresh) gr_fd_unpin(s->fd); /* enter_and_flush pins it again */
    r = enter_and_flush(s, g, until, blocks, false);
    if (r == GR_PARK) return r;
    if (r == GR_OK) gr_fd_leave(s->fd, GR_WRITE, g, false);
  }
  gr_stream_close(s);
  return r;
}

int gr_stream_awake(GrStream *s, GrWay way, G *g, GrCause *cause) {
  return gr_fd_awake(s->fd, way, g, cause);
}

/* ---- the rest ---- */

int gr_stream_close(GrStream *s) { return gr_fd_close(s->fd); }

void gr_stream_set_timeout(GrStream *s, int64_t ns) {
  atomic_store_explicit(&s->timeout, ns, memory_order_relaxed);
}
int64_t gr_stream_timeout(GrStream *s) {
  return atomic_load_explicit(&s->timeout, memory_order_relaxed);
}
void gr_stream_set_line_max(GrStream *s, uint64_t n) {
  atomic_store_explicit(&s->line_max, n, memory_order_relaxed);
}

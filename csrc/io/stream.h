/* SPDX-License-Identifier: MIT */
/* stream.h - connections: bytes in both directions over a non-blocking descriptor (TCP, Unix
 * socket, pipe), and datagrams of a connected UDP socket.
 *
 * Reads and writes are tried at once on the caller's thread and have the two halves of poll.h:
 *
 *   r = gr_stream_read(s, g, &want, scratch, &got, until, blocks, true);
 *   r == GR_PARK: park; r = gr_stream_awake(s, GR_READ, g, &cause); r == GR_OK: read again, with
 * fresh = false
 *
 * Nothing that has arrived is lost when a read ends early (its limit, an interruption): it stays in
 * the stream's buffer for the next one. A write that ends early has written `done` bytes; nobody
 * else's bytes come between those of one write.
 *
 * The buffer exists only while it holds bytes that were read and not yet asked for (the rest of a
 * packet after a line, the beginning of a line).
 *
 * Writes may be gathered (gr_stream_gather): then small ones lie in a second buffer until there is
 * enough, until a flush, a shutdown, a close, or until a read of this stream is about to wait. What
 * goes wrong with them then is told by the next call that writes, flushes, shuts down or closes. */
#ifndef GR_IO_STREAM_H
#define GR_IO_STREAM_H

#include <sys/uio.h>

#include "base/share.h"
#include "io/addr.h"
#include "io/poll.h"

typedef enum GrStreamKind {
  GR_STREAM_TCP,
  GR_STREAM_SOCKET,   /* any other stream socket */
  GR_STREAM_DATAGRAM, /* a socket: each read is one datagram, which may be empty */
  GR_STREAM_PIPE,     /* no socket: written to by writev, without SIGPIPE */
} GrStreamKind;

typedef struct GrStream GrStream;

/* A stream over fd, which is non-blocking and close-on-exec. Takes fd when it returns GR_OK. `type`
 * names its class; its destroy must be gr_stream_destroy. GR_NOMEM, GR_SYS. */
int gr_stream_new(int fd, GrStreamKind kind, const GrShareType *type, GrStream **out);
/* The same over a descriptor that waits were made on already. */
int gr_stream_over(GrFd *f, GrStreamKind kind, const GrShareType *type, GrStream **out);
void gr_stream_destroy(GrShare *s);
GrShare *gr_stream_share(GrStream *s);
GrStream *gr_stream_of(GrShare *s);
GrFd *gr_stream_fd(GrStream *s);
GrStreamKind gr_stream_kind(const GrStream *s);

/* The peer's address, of IPv4 and IPv6: kept beyond the connection's end. Before s is shared.
 * Others are not kept. */
void gr_stream_set_peer(GrStream *s, const GrAddr *peer);
/* False: it has none. */
bool gr_stream_peer(const GrStream *s, GrAddr *peer);

/* What is wanted. */
typedef enum GrWantKind {
  GR_WANT_SOME,  /* what is there, at least a byte */
  GR_WANT_COUNT, /* n bytes, fewer only at the end; 0: nothing, unless the stream has ended */
  GR_WANT_LINE,  /* without its newline */
  GR_WANT_LINE_KEEP,
  GR_WANT_ALL,
} GrWantKind;
typedef struct GrWant {
  GrWantKind kind;
  uint64_t n;
} GrWant;

enum { GR_SCRATCH = 65536 };
/* What a read gives: in the caller's scratch, or in a block that is the caller's to gr_free. */
typedef struct GrGot {
  const char *data; /* NULL: the stream has ended before it */
  size_t len;
  void *block;
} GrGot;

/* scratch: GR_SCRATCH bytes. GR_OK; GR_PARK; GR_SYS(UV_EMSGSIZE): the line is longer than the
 * limit; GR_CLOSED, GR_TIMEOUT, GR_NOMEM, … */
int gr_stream_read(GrStream *s, G *g, const GrWant *want, char *scratch, GrGot *got, int64_t until,
                   bool blocks, bool fresh);
/* Writes the n vectors (which it changes) from byte *done on, and counts there what has been
 * written, or gathered. After a park: again with all vectors as they were at first, the same *done,
 * and fresh = false. A datagram's are one datagram. GR_OK: all is written. */
enum { GR_IOVS = 64 }; /* n at most */
int gr_stream_write(GrStream *s, G *g, struct iovec *iov, int n, uint64_t *done, int64_t until,
                    bool blocks, bool fresh);
/* These three have the halves of a write. The first: what was gathered goes out. */
int gr_stream_flush(GrStream *s, G *g, int64_t until, bool blocks, bool fresh);
/* From now on writes are gathered until there are `size` bytes; 0: what was gathered goes out, and
 * later writes go out at once, as at first. Not of datagrams. */
int gr_stream_gather(GrStream *s, G *g, size_t size, int64_t until, bool blocks, bool fresh);
/* What was gathered goes out; then no more will be written, the peer reads an end. Of a pipe:
 * closes it. */
int gr_stream_shutdown(GrStream *s, G *g, int64_t until, bool blocks, bool fresh);
/* What was gathered goes out, unless somebody else is at writing; then it is closed, whatever comes
 * of that, GR_PARK excepted. GR_OK also when it was closed before. */
int gr_stream_finish(GrStream *s, G *g, int64_t until, bool blocks, bool fresh);
/* After a park in either. As gr_fd_awake. */
int gr_stream_awake(GrStream *s, GrWay way, G *g, GrCause *cause);

/* writev on a pipe, without SIGPIPE. */
ssize_t gr_pipe_write(int fd, struct iovec *iov, int n);

/* May a shutdown or a finish have something to send, or to tell? Else they do not wait. */
bool gr_stream_gathers(GrStream *s);
/* Closes it at once: wakes all, drops what was gathered. GR_OK, GR_CLOSED. */
int gr_stream_close(GrStream *s);

/* How long each call may take that brings no limit of its own: ns, GR_FOREVER: no limit; <= 0: it
 * may not wait. */
void gr_stream_set_timeout(GrStream *s, int64_t ns);
int64_t gr_stream_timeout(GrStream *s);
/* How long a line may be, in bytes: 16 MB until it is set. */
void gr_stream_set_line_max(GrStream *s, uint64_t n);

#endif

/* SPDX-License-Identifier: MIT */
/* stream.h - connections: bytes in both directions over a non-blocking descriptor (TCP, Unix
 * socket, pipe), and the datagrams of a connected UDP socket.
 *
 * Reads and writes are tried at once, on the caller's thread. They have the two halves of poll.h:
 *
 *   r = gr_stream_read(s, g, &want, scratch, &got, until, blocks, true);
 *   r is GR_PARK: park, then r = gr_stream_awake(s, GR_READ, g, &cause);
 *   r is GR_OK:   gr_stream_read again, with fresh = false.
 *
 * A read that ends early (its time is over, or it was interrupted) loses nothing: what has arrived
 * stays in the stream's buffer for the next read. A write that ends early has written `done` bytes.
 * The bytes of one write stay together: no other write's bytes come between them.
 *
 * The read buffer exists only while it holds bytes that were read and not asked for yet: the rest
 * of a packet after a line, or the beginning of a line.
 *
 * gr_stream_gather makes a stream gather its writes. Small writes then collect in a second buffer.
 * They go out when there is enough, and at a flush, a shutdown, a close, or when a read of this
 * stream is about to wait. If that fails, the next call that writes, flushes, shuts down or closes
 * reports the failure. */
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

/* A stream over fd, which is non-blocking and close-on-exec. GR_OK: the stream owns fd; GR_NOMEM,
 * GR_SYS. `type` names its class; type->destroy must be gr_stream_destroy. */
int gr_stream_new(int fd, GrStreamKind kind, const GrShareType *type, GrStream **out);
/* The same over a descriptor on which somebody has waited already (a dial). */
int gr_stream_over(GrFd *f, GrStreamKind kind, const GrShareType *type, GrStream **out);
void gr_stream_destroy(GrShare *s);
GrShare *gr_stream_share(GrStream *s);
GrStream *gr_stream_of(GrShare *s);
GrFd *gr_stream_fd(GrStream *s);
GrStreamKind gr_stream_kind(const GrStream *s);

/* Remembers the peer's address beyond the end of the connection, if it is one of IPv4 or IPv6.
 * Called before s is shared. */
void gr_stream_set_peer(GrStream *s, const GrAddr *peer);
/* False: none is remembered. */
bool gr_stream_peer(const GrStream *s, GrAddr *peer);

/* What is wanted. */
typedef enum GrWantKind {
  GR_WANT_SOME,      /* the bytes that are there: at least one */
  GR_WANT_COUNT,     /* n bytes; fewer only at the end. n = 0: tells whether the stream has ended */
  GR_WANT_LINE,      /* a line, without its newline */
  GR_WANT_LINE_KEEP, /* a line, with its newline */
  GR_WANT_ALL,       /* everything up to the end */
} GrWantKind;
typedef struct GrWant {
  GrWantKind kind;
  uint64_t n;
} GrWant;

enum { GR_SCRATCH = 65536 };
/* What a read gives. The bytes are in the caller's scratch, or in a block that the caller must
 * gr_free. */
typedef struct GrGot {
  const char *data; /* NULL: the stream had ended, there are no bytes */
  size_t len;
  void *block;
} GrGot;

/* `scratch` has GR_SCRATCH bytes. GR_OK; GR_PARK; GR_SYS(UV_EMSGSIZE): the line is longer than
 * gr_stream_set_line_max allows; GR_CLOSED, GR_TIMEOUT, GR_NOMEM, … */
int gr_stream_read(GrStream *s, G *g, const GrWant *want, char *scratch, GrGot *got, int64_t until,
                   bool blocks, bool fresh);
/* Writes the n vectors, from byte *done on, and adds to *done how many bytes were written or
 * gathered. It changes the vectors. After a park the caller calls again with all vectors as they
 * were at first, with the same *done, and with fresh = false. On a socket of datagrams the vectors
 * are one datagram. GR_OK: everything is written. */
enum { GR_IOVS = 64 }; /* n at most */
int gr_stream_write(GrStream *s, G *g, struct iovec *iov, int n, uint64_t *done, int64_t until,
                    bool blocks, bool fresh);
/* This and the next three have the two halves of a write. Sends what was gathered. */
int gr_stream_flush(GrStream *s, G *g, int64_t until, bool blocks, bool fresh);
/* Sends what was gathered. From then on writes are gathered until there are `size` bytes; 0: they
 * go out at once, as at first. Not for datagrams. */
int gr_stream_gather(GrStream *s, G *g, size_t size, int64_t until, bool blocks, bool fresh);
/* Sends what was gathered; then ends the writing, and the peer reads an end. Closes a pipe. */
int gr_stream_shutdown(GrStream *s, G *g, int64_t until, bool blocks, bool fresh);
/* Sends what was gathered, unless another goroutine is writing. Then, whatever the sending
 * returned, closes the stream; only with GR_PARK it is still open. GR_OK also when it was closed
 * before. */
int gr_stream_finish(GrStream *s, G *g, int64_t until, bool blocks, bool fresh);
/* After a park in a read or a write. As gr_fd_awake. */
int gr_stream_awake(GrStream *s, GrWay way, G *g, GrCause *cause);

/* writev on a pipe, which raises no SIGPIPE. */
ssize_t gr_pipe_write(int fd, struct iovec *iov, int n);

/* May a shutdown or a finish have bytes to send, or a failure to report? If not, it does not
 * wait. */
bool gr_stream_gathers(GrStream *s);
/* Closes s at once: wakes everybody who waits, drops what was gathered. GR_OK; GR_CLOSED: s was
 * closed before. */
int gr_stream_close(GrStream *s);

/* How long a call may take that has no limit of its own, in ns. GR_FOREVER: no limit; <= 0: such a
 * call does not wait. */
void gr_stream_set_timeout(GrStream *s, int64_t ns);
int64_t gr_stream_timeout(GrStream *s);
/* How long a line may be, in bytes. 16 MB until this is called. */
void gr_stream_set_line_max(GrStream *s, uint64_t n);

#endif

/* SPDX-License-Identifier: MIT */
/* bytes.h - bytes that grow: a string (GrBytes), a queue (GrBuffer), and the end of a line in
 * one. */
#ifndef GR_IO_BYTES_H
#define GR_IO_BYTES_H

#include <sys/uio.h>

#include "base/base.h"

/* ---- a string ---- */

/* It may begin in memory of the caller's; what does not fit there goes to the heap. All zeros is an
 * empty one. */
typedef struct GrBytes {
  char *data;
  size_t len, cap;
  bool heap; /* data is gr_malloc'd */
} GrBytes;

static inline GrBytes gr_bytes_in(char *data, size_t cap) { return (GrBytes){data, 0, cap, false}; }
/* Makes room for n more bytes. False without memory; nothing has changed then. */
bool gr_bytes_room(GrBytes *b, size_t n);
bool gr_bytes_add(GrBytes *b, const char *data, size_t n);
void gr_bytes_free(GrBytes *b);

/* ---- a queue ---- */

/* Readers take from the start, writers add at the end. All zeros is an empty one.
 *
 *   data: | taken … | start: bytes … end | room … cap | */
typedef struct GrBuffer {
  char *data; /* gr_malloc'd, or NULL */
  size_t start, end, cap;
  size_t scanned; /* this many bytes from the start on hold no newline */
} GrBuffer;

static inline size_t gr_buffer_len(const GrBuffer *b) { return b->end - b->start; }
/* Makes room for n bytes behind the end. A block that has to be allocated for it has at least
 * `least` bytes. False without memory; nothing has changed then. */
bool gr_buffer_room(GrBuffer *b, size_t n, size_t least);
bool gr_buffer_add(GrBuffer *b, const char *data, size_t n, size_t least);
/* Adds the vectors, for which there is room. */
void gr_buffer_put(GrBuffer *b, const struct iovec *iov, int n);
/* Takes the first n bytes away. The memory stays. */
void gr_buffer_drop(GrBuffer *b, size_t n);
void gr_buffer_free(GrBuffer *b);

/* The first line in the buffer: its first `give` bytes are the line, its first `take` bytes are the
 * line with its newline. `keep`: the newline belongs to the line. False: there is no newline; both
 * are all bytes then, and the next search begins behind them. */
bool gr_buffer_line(GrBuffer *b, bool keep, size_t *take, size_t *give);

/* ---- vectors ---- */

size_t gr_iov_size(const struct iovec *iov, int n);
/* Takes the first `skip` bytes away. */
void gr_iov_skip(struct iovec **iov, int *n, size_t skip);

#endif

/* SPDX-License-Identifier: MIT */
/* bytes.c - bytes that grow: see bytes.h.
 *
 * Two types, for two uses. A GrBytes collects a result, which becomes one string in the end; a
 * small result never leaves the C stack. A GrBuffer holds what has arrived or has been written, and
 * goes on existing: streams (stream.c) and open files (fsfile.c) have one for each direction.
 *
 * Both find the end of a line by gr_buffer_line. What they do with half a line differs, and must. A
 * stream leaves the half in its buffer, since the read may end by its limit, and the next read gets
 * those bytes. A file has no limits: it passes each half on to the result and reads on, so that its
 * buffer never grows. */
#include "io/bytes.h"

#include <string.h>

/* ---- a string ---- */

bool gr_bytes_room(GrBytes *b, size_t n) {
  if (b->cap - b->len >= n) return true;
  if (n > PTRDIFF_MAX - b->len) return false;
  size_t cap = b->len + n > b->cap * 2 ? b->len + n : b->cap * 2;
  char *data = b->heap ? gr_realloc(b->data, cap) : gr_malloc(cap);
  if (data == NULL) return false;
  if (!b->heap && b->len > 0) memcpy(data, b->data, b->len);
  b->data = data;
  b->cap = cap;
  b->heap = true;
  return true;
}

bool gr_bytes_add(GrBytes *b, const char *data, size_t n) {
  if (!gr_bytes_room(b, n)) return false;
  if (n > 0) memcpy(b->data + b->len, data, n);
  b->len += n;
  return true;
}

void gr_bytes_free(GrBytes *b) {
  if (b->heap) gr_free(b->data);
  *b = (GrBytes){0};
}

/* ---- a queue ---- */

/* A new block has room for as much again as it holds, so that a byte is copied twice on average. */
static bool move_to_new(GrBuffer *b, size_t n, size_t least) {
  size_t len = gr_buffer_len(b), cap = len + (len > n ? len : n);
  char *data = gr_malloc(cap = cap < least ? least : cap);
  if (data == NULL) return false;
  if (len > 0) memcpy(data, b->data + b->start, len);
  gr_free(b->data);
  b->data = data;
  b->cap = cap;
  return true;
}

bool gr_buffer_room(GrBuffer *b, size_t n, size_t least) {
  if (b->cap - b->end >= n) return true;
  size_t len = gr_buffer_len(b);
  if (b->start > 0 && len + n <= b->cap && len <= b->cap / 2)
    memmove(b->data, b->data + b->start, len);
  else if (!move_to_new(b, n, least)) return false;
  b->start = 0;
  b->end = len;
  return true;
}

bool gr_buffer_add(GrBuffer *b, const char *data, size_t n, size_t least) {
  if (n == 0) return true;
  if (!gr_buffer_room(b, n, least)) return false;
  memcpy(b->data + b->end, data, n);
  b->end += n;
  return true;
}

void gr_buffer_put(GrBuffer *b, const struct iovec *iov, int n) {
  for (int i = 0; i < n; i++) {
    if (iov[i].iov_len > 0) memcpy(b->data + b->end, iov[i].iov_base, iov[i].iov_len);
    b->end += iov[i].iov_len;
  }
}

void gr_buffer_drop(GrBuffer *b, size_t n) {
  b->start += n;
  b->scanned = 0;
  if (b->start == b->end) b->start = b->end = 0;
}

void gr_buffer_free(GrBuffer *b) {
  gr_free(b->data);
  *b = (GrBuffer){0};
}

bool gr_buffer_line(GrBuffer *b, bool keep, size_t *take, size_t *give) {
  size_t len = gr_buffer_len(b), from = b->scanned;
  const char *start = b->data + b->start;
  const char *newline = len > from ? memchr(start + from, '\n', len - from) : NULL;
  *take = newline != NULL ? (size_t)(newline - start) + 1 : len;
  *give = newline != NULL && !keep ? *take - 1 : *take;
  if (newline == NULL) b->scanned = len;
  return newline != NULL;
}

/* ---- vectors ---- */

size_t gr_iov_size(const struct iovec *iov, int n) {
  size_t size = 0;
  for (int i = 0; i < n; i++) size += iov[i].iov_len;
  return size;
}

void gr_iov_skip(struct iovec **iov, int *n, size_t skip) {
  while (*n > 0 && skip >= (*iov)->iov_len) {
    skip -= (*iov)->iov_len;
    ++*iov;
    --*n;
  }
  if (*n == 0) return;
  (*iov)->iov_base = (char *)(*iov)->iov_base + skip;
  (*iov)->iov_len -= skip;
}

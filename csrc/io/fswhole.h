/* SPDX-License-Identifier: MIT */
/* fswhole.h - files as wholes: read, written, replaced, copied. Results and `g` are those of
 * fs.h. */
#ifndef GR_IO_FSWHOLE_H
#define GR_IO_FSWHOLE_H

#include "io/bytes.h"
#include "io/fs.h"

int gr_fs_read_file(G *g, const char *path, GrBytes *out);

typedef struct GrWrite {
  const char *data;
  size_t len;
  bool append, atomic;
  int64_t mode; /* of a new file; -1: 0666, less the umask */
} GrWrite;
int gr_fs_write_file(G *g, const char *path, const GrWrite *w);

/* The contents and the permissions; an existing file is overwritten. */
int gr_fs_copy(G *g, const char *from, const char *to);

#endif

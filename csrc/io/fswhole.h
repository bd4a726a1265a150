/* SPDX-License-Identifier: MIT */
/* fswhole.h - files as wholes: read, written, replaced, copied. Results and `g` are as in fs.h. */
#ifndef GR_IO_FSWHOLE_H
#define GR_IO_FSWHOLE_H

#include "io/bytes.h"
#include "io/fs.h"

int gr_fs_read_file(G *g, const char *path, GrBytes *out);

typedef struct GrWrite {
  const char *data;
  size_t len;
  bool append, atomic;
  int64_t mode; /* the permissions of a new file; -1: 0666, less the umask */
} GrWrite;
int gr_fs_write_file(G *g, const char *path, const GrWrite *w);

/* Copies the contents and the permissions. An existing file is overwritten. */
int gr_fs_copy(G *g, const char *from, const char *to);

#endif

/* SPDX-License-Identifier: MIT */
/* fstree.h - folders and what is below them: list, walk, remove. Results and `g` are as in fs.h. */
#ifndef GR_IO_FSTREE_H
#define GR_IO_FSTREE_H

#include "io/bytes.h"
#include "io/fs.h"

/* The names in a folder, sorted by their bytes. at[i] says where in `text` the name i begins: a
 * byte, which is its GrFileType, then a C string. */
typedef struct GrListing {
  GrBytes text;
  size_t *at;
  size_t n, cap;
} GrListing;
/* `names` is all zeros before. The caller frees it afterwards, whatever this returns. */
int gr_fs_list(const char *path, GrListing *names);
void gr_listing_free(GrListing *names);

/* Goes through everything below a folder. */
typedef struct GrWalk GrWalk;
typedef struct GrWalkItem {
  const char *path; /* owned by the walk, valid until the next step */
  GrFileType type;
  int err; /* why the folder `path` cannot be looked into, or 0 */
} GrWalkItem;
int gr_walk_open(const char *path, GrWalk **walk);
/* 1: an item; 0: the end; -ENOMEM. */
int gr_walk_next(GrWalk *w, GrWalkItem *item);
void gr_walk_free(GrWalk *w);

/* Removes the tree, or the file, at `path`. A link is removed itself; what it leads to is left
 * alone. Everything that can be removed is removed. The first failure is returned, and `where`,
 * which the caller frees, is the path that it concerns. */
int gr_fs_remove_tree(G *g, const char *path, GrBytes *where);

#endif

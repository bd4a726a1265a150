/* SPDX-License-Identifier: MIT */
/* fstree.h - folders and what is below them: list, walk, remove. Results and `g` are those of
 * fs.h. */
#ifndef GR_IO_FSTREE_H
#define GR_IO_FSTREE_H

#include "io/bytes.h"
#include "io/fs.h"

/* The names in a folder, sorted by their bytes: each is its type, a byte, and a C string. */
typedef struct GrListing {
  GrBytes text;
  size_t *at;
  size_t n, cap;
} GrListing;
/* names is all zeros before, and to be freed afterwards whatever happened. */
int gr_fs_list(const char *path, GrListing *names);
void gr_listing_free(GrListing *names);

/* What is below a folder. */
typedef struct GrWalk GrWalk;
typedef struct GrWalkItem {
  const char *path; /* the walk's, until the next step */
  GrFileType type;
  int err; /* why the folder `path` cannot be looked into, or 0 */
} GrWalkItem;
int gr_walk_open(const char *path, GrWalk **walk);
/* 1: an item; 0: the end; or without memory. */
int gr_walk_next(GrWalk *w, GrWalkItem *item);
void gr_walk_free(GrWalk *w);

/* The tree, or file, at path, never what a link in it leads to. What can be is removed; the first
 * failure is returned, and `where` says what it was about, and is to be freed. */
int gr_fs_remove_tree(G *g, const char *path, GrBytes *where);

#endif

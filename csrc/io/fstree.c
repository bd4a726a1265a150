/* SPDX-License-Identifier: MIT */
/* fstree.c - folders and trees: list, walk, remove.
 *
 * A list is read whole and sorted by bytes, so that it is the same in every locale.
 *
 * A walk is not sorted. It holds one open folder for each level below the root, and of each folder
 * only the block of names that the kernel gave last. So a million files take no more memory than
 * ten; the price is that the names of a folder come in no order. A folder is opened when the walk
 * meets it, relative to the folder above it, and never through a link. So neither a long path nor
 * somebody who moves folders about leads the walk astray. A folder that cannot be opened (no
 * permission, gone, no descriptor left) is reported with the reason, and skipped.
 *
 * Removing a tree has one folder open at a time, however deep the tree is. From a folder that is
 * done it goes back through "..", and compares device and inode with the folder from which it came.
 * If somebody has moved the tree meanwhile, it stops, rather than empty another folder. Everything
 * that is no folder is unlinked in its folder. A folder is opened with O_NOFOLLOW. So a link that
 * somebody puts in a folder's place at the last moment is removed itself.
 *
 * What cannot be removed stays, with the folders above it. All the rest goes, and the first failure
 * is reported, as in rm -rf and in Go. A folder is read again and again, until a pass over it has
 * removed nothing more. That pass notes the names of the folders in it; then each of them is
 * entered once. So no name is met twice, however many names stay. The memory that this takes is for
 * the names of the folders that are still to be done, on each level above. */
#include "io/fstree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK };

static bool is_dots(const char *name) {
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* The next entry that is neither "." nor "..". NULL with *err 0: the end. */
static struct dirent *next_entry(DIR *dir, int *err) {
  struct dirent *e;
  do {
    errno = 0;
    e = readdir(dir);
  } while (e != NULL && is_dots(e->d_name));
  *err = e == NULL ? -errno : 0;
  return e;
}

static GrFileType type_of(DIR *dir, const struct dirent *e) {
  if (e->d_type != DT_UNKNOWN) return gr_file_type((uint32_t)DTTOIF(e->d_type));
  struct stat st;
  return fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? gr_file_type(st.st_mode)
                                                                       : GR_FT_UNKNOWN;
}

/* Opens the folder `name` in the folder `at`. NULL: *err says why not. */
static DIR *open_folder(int at, const char *name, int flags, int *err) {
  int fd = openat(at, name, OPEN_FOLDER | flags);
  DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
  *err = dir == NULL ? -errno : 0;
  if (dir == NULL && fd >= 0) close(fd);
  return dir;
}

/* ---- list ---- */

static bool add_name(GrListing *names, GrFileType type, const char *name) {
  if (names->n == names->cap) {
    size_t cap = names->cap > 0 ? names->cap * 2 : 64;
    size_t *at = gr_realloc(names->at, cap * sizeof *at);
    if (at == NULL) return false;
    names->at = at;
    names->cap = cap;
  }
  size_t len = strlen(name) + 1;
  if (!gr_bytes_room(&names->text, len + 1)) return false;
  names->at[names->n++] = names->text.len;
  names->text.data[names->text.len++] = (char)type;
  return gr_bytes_add(&names->text, name, len);
}

static int by_name(const void *a, const void *b, void *text) {
  return strcmp((char *)text + *(const size_t *)a + 1, (char *)text + *(const size_t *)b + 1);
}

int gr_fs_list(const char *path, GrListing *names) {
  int err;
  DIR *dir = open_folder(AT_FDCWD, path, 0, &err);
  if (dir == NULL) return err;
  for (struct dirent *e; err == 0 && (e = next_entry(dir, &err)) != NULL;)
    if (!add_name(names, type_of(dir, e), e->d_name)) err = -ENOMEM;
  closedir(dir);
  if (names->n > 1) qsort_r(names->at, names->n, sizeof *names->at, by_name, names->text.data);
  return err;
}

void gr_listing_free(GrListing *names) {
  gr_bytes_free(&names->text);
  gr_free(names->at);
  *names = (GrListing){0};
}

/* ---- walk ---- */

typedef struct Level {
  DIR *dir;
  size_t len; /* of its path */
} Level;

struct GrWalk {
  Level *levels;
  size_t depth, cap;
  GrBytes path;
};

void gr_walk_free(GrWalk *w) {
  if (w == NULL) return;
  while (w->depth > 0) closedir(w->levels[--w->depth].dir);
  gr_free(w->levels);
  gr_bytes_free(&w->path);
  gr_free(w);
}

/* Makes path.data a C string of this length. False without memory. */
static bool cut(GrBytes *path, size_t len) {
  path->len = len;
  if (!gr_bytes_room(path, 1)) return false;
  path->data[len] = '\0';
  return true;
}

static bool join(GrBytes *path, size_t len, const char *name) {
  path->len = len;
  if (len > 0 && path->data[len - 1] != '/' && !gr_bytes_add(path, "/", 1)) return false;
  return gr_bytes_add(path, name, strlen(name)) && cut(path, path->len);
}

static bool room_for_level(GrWalk *w) {
  if (w->depth < w->cap) return true;
  size_t cap = w->cap > 0 ? w->cap * 2 : 8;
  Level *levels = gr_realloc(w->levels, cap * sizeof *levels);
  if (levels == NULL) return false;
  w->levels = levels;
  w->cap = cap;
  return true;
}

int gr_walk_open(const char *path, GrWalk **walk) {
  GrWalk *w = gr_zalloc(sizeof *w);
  int err = -ENOMEM;
  if (w != NULL && room_for_level(w) && join(&w->path, 0, path)) {
    DIR *dir = open_folder(AT_FDCWD, path, 0, &err);
    if (dir != NULL) w->levels[w->depth++] = (Level){dir, w->path.len};
  }
  if (err != 0) gr_walk_free(w);
  else *walk = w;
  return err;
}

/* Enters the folder that the walk has met. */
static int go_down(GrWalk *w, DIR *above, const char *name) {
  if (!room_for_level(w)) return -ENOMEM;
  int err;
  DIR *dir = open_folder(dirfd(above), name, O_NOFOLLOW, &err);
  if (dir != NULL) w->levels[w->depth++] = (Level){dir, w->path.len};
  return err;
}

static int leave_level(GrWalk *w, int err, GrWalkItem *item) {
  Level *l = &w->levels[--w->depth];
  closedir(l->dir);
  w->path.data[l->len] = '\0';
  *item = (GrWalkItem){w->path.data, GR_FT_DIRECTORY, err};
  return err != 0;
}

int gr_walk_next(GrWalk *w, GrWalkItem *item) {
  while (w->depth > 0) {
    Level *l = &w->levels[w->depth - 1];
    int err;
    struct dirent *e = next_entry(l->dir, &err);
    if (e == NULL) {
      if (leave_level(w, err, item) != 0) return 1;
      continue;
    }
    if (!join(&w->path, l->len, e->d_name)) return -ENOMEM;
    *item = (GrWalkItem){w->path.data, type_of(l->dir, e), 0};
    if (item->type == GR_FT_DIRECTORY) item->err = go_down(w, l->dir, e->d_name);
    return 1;
  }
  return 0;
}

/* ---- removing a tree ---- */

typedef struct Folder {
  dev_t dev;
  ino_t ino;
  size_t len;   /* of its path */
  size_t names; /* where in `names` those of the folders in it begin */
} Folder;

typedef struct Removal {
  GrBytes path; /* of the open folder, which is the last one of `levels` */
  GrBytes levels;
  GrBytes names; /* folders that are to be entered, each with a zero at its end */
  DIR *dir;
  int err; /* the first failure */
  GrBytes where;
} Removal;

static Folder last_level(const Removal *r) {
  Folder l;
  memcpy(&l, r->levels.data + r->levels.len - sizeof l, sizeof l);
  return l;
}

/* Notes the first failure: it concerns the path r->path. 0: go on. */
static int note_failure(Removal *r, int err) {
  if (err == 0 || r->err != 0) return 0;
  r->err = err;
  return gr_bytes_add(&r->where, r->path.data, r->path.len) ? 0 : -ENOMEM;
}

/* The same for `name` in the open folder. */
static int note_failure_of(Removal *r, const char *name, int err) {
  if (err == 0 || r->err != 0) return 0;
  size_t len = r->path.len;
  if (!join(&r->path, len, name)) return -ENOMEM;
  err = note_failure(r, err);
  return cut(&r->path, len) ? err : -ENOMEM;
}

/* Makes `dir`, whose path is r->path, the open folder. 0: it has taken `dir`. */
static int enter_folder(Removal *r, DIR *dir) {
  struct stat st;
  if (fstat(dirfd(dir), &st) != 0) return -errno;
  Folder l = {st.st_dev, st.st_ino, r->path.len, r->names.len};
  if (!gr_bytes_add(&r->levels, (char *)&l, sizeof l)) return -ENOMEM;
  if (r->dir != NULL) closedir(r->dir);
  r->dir = dir;
  return 0;
}

/* Removes one entry, or notes the name of a folder. An entry that somebody else has removed
 * meanwhile is no failure. When the open folder may not be written to, the error of unlink does not
 * tell that the entry is a folder, so its type is looked up. 0: go on. */
static int remove_entry(Removal *r, const struct dirent *e, bool *removed) {
  if (unlinkat(dirfd(r->dir), e->d_name, 0) == 0) {
    *removed = true;
    return 0;
  }
  int err = -errno;
  if (err == -ENOENT) return 0;
  if (err != -EISDIR && type_of(r->dir, e) != GR_FT_DIRECTORY)
    return note_failure_of(r, e->d_name, err);
  return gr_bytes_add(&r->names, e->d_name, strlen(e->d_name) + 1) ? 0 : -ENOMEM;
}

/* Removes everything in the open folder but folders, and notes their names. 0: go on. */
static int clear_folder(Removal *r) {
  size_t names = last_level(r).names;
  int err = 0, read_err;
  bool removed;
  do {
    removed = false;
    r->names.len = names;
    rewinddir(r->dir);
    for (struct dirent *e; err == 0 && (e = next_entry(r->dir, &read_err)) != NULL;)
      err = remove_entry(r, e, &removed);
    if (err == 0) err = note_failure(r, read_err);
  } while (err == 0 && removed);
  return err;
}

/* Removes an entry that could not be opened as a folder: it may be an empty folder, or no folder.
 */
static int remove_unopened(Removal *r, const char *name, int why) {
  bool folder = why != -ENOTDIR && why != -ELOOP;
  if (unlinkat(dirfd(r->dir), name, folder ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT) return 0;
  return note_failure_of(r, name, folder ? why : -errno);
}

/* Enters and clears the folder whose name was noted last. 0: go on. */
static int step_down(Removal *r) {
  const Folder at = last_level(r);
  size_t start = r->names.len - 1;
  while (start > at.names && r->names.data[start - 1] != '\0') start--;
  const char *name = r->names.data + start;
  int err;
  DIR *dir = open_folder(dirfd(r->dir), name, O_NOFOLLOW, &err);
  if (dir == NULL) {
    r->names.len = start;
    return err == -ENOMEM ? err : remove_unopened(r, name, err);
  }
  if (!join(&r->path, at.len, name)) err = -ENOMEM;
  r->names.len = start;
  if (err == 0) err = enter_folder(r, dir);
  if (err == 0) return clear_folder(r);
  closedir(dir);
  return err;
}

/* Goes back to the folder above, and removes the one that was open, if it is empty. 0: go on. */
static int step_up(Removal *r) {
  struct stat st;
  int err;
  r->levels.len -= sizeof(Folder);
  const Folder above = last_level(r);
  DIR *dir = open_folder(dirfd(r->dir), "..", O_NOFOLLOW, &err);
  if (dir == NULL) return err;
  closedir(r->dir);
  r->dir = dir;
  if (fstat(dirfd(dir), &st) != 0) return -errno;
  if (st.st_dev != above.dev || st.st_ino != above.ino) return -ESTALE;
  const char *name = r->path.data + above.len;
  if (unlinkat(dirfd(dir), *name == '/' ? name + 1 : name, AT_REMOVEDIR) != 0 && errno != ENOENT)
    err = note_failure(r, -errno);
  return cut(&r->path, above.len) ? err : -ENOMEM;
}

/* Removes everything in and below the folder that can be removed. Another result than 0: it had to
 * stop. */
static int empty_folder(Removal *r, DIR *dir) {
  int err = enter_folder(r, dir);
  if (err != 0) {
    closedir(dir);
    return err;
  }
  err = clear_folder(r);
  while (err == 0) {
    if (r->names.len > last_level(r).names) err = step_down(r);
    else if (r->levels.len > sizeof(Folder)) err = step_up(r);
    else break;
  }
  closedir(r->dir);
  return err;
}

/* Takes the path without the slashes at its end, which would lead through a link. */
static int take_path(Removal *r, const char *path) {
  size_t len = strlen(path);
  while (len > 1 && path[len - 1] == '/') len--;
  if (len == 1 && path[0] == '/') return -EBUSY;
  if (!gr_bytes_add(&r->path, path, len) || !cut(&r->path, len)) return -ENOMEM;
  const char *slash = strrchr(r->path.data, '/');
  return is_dots(slash != NULL ? slash + 1 : r->path.data) ? -EINVAL : 0;
}

/* 0, or the first failure, which concerns r->where. */
static int remove_tree(Removal *r, const char *path) {
  int err = take_path(r, path);
  if (err != 0) return err;
  err = gr_fs_remove(r->path.data);
  if (err == 0 || err == -ENOENT) return err;
  int open_err;
  DIR *dir = open_folder(AT_FDCWD, r->path.data, O_NOFOLLOW, &open_err);
  if (dir == NULL) return err == -ENOTEMPTY || err == -EEXIST ? open_err : err;
  err = empty_folder(r, dir);
  if (r->err == 0 && err == 0) return gr_fs_remove(r->path.data);
  return err == -ENOMEM || note_failure(r, err) != 0 ? -ENOMEM : r->err;
}

int gr_fs_remove_tree(G *g, const char *path, GrBytes *where) {
  Removal r = {0};
  gr_block_begin(g);
  int err = remove_tree(&r, path);
  gr_block_end(g);
  gr_bytes_free(&r.levels);
  gr_bytes_free(&r.names);
  *where = r.where.len > 0 ? r.where : r.path;
  if (r.where.len > 0) gr_bytes_free(&r.path);
  else gr_bytes_free(&r.where);
  return err;
}

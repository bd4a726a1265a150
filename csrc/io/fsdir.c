/* SPDX-License-Identifier: MIT */
/* fsdir.c - folders and trees: list, walk, remove.
 *
 * A list is read whole and sorted by bytes, so that it is the same in every locale. A walk is not:
 * it holds one open folder for each level that it is below the root, and of each no more than the
 * block that the kernel gave last, so a million files take no more memory than ten. What it gives
 * up for that is an order among the names of a folder. A folder is opened when it is met, relative
 * to the one above it and never through a link, so neither a long path nor somebody who moves
 * folders about leads the walk astray; one that cannot be opened (no right to, gone, no descriptor
 * left) is told of with the reason, and passed over.
 *
 * Removing a tree has one folder open at a time, however deep it is. From a folder that has become
 * empty it goes back through "..", and looks whether that is the folder it came from, by device and
 * inode: if somebody has moved the tree meanwhile, it stops rather than empty another. What is not
 * a folder is unlinked in its folder; a folder is opened with O_NOFOLLOW. So a link that is put in
 * a folder's place at the last moment is removed itself. It stops at the first failure. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/fs.h"

enum { OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK };

static bool is_dots(const char *name) {
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* The next that is neither "." nor "..". NULL and 0 in *err: the end. */
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

/* The folder `name` in the folder `at`. NULL and *err. */
static DIR *open_folder(int at, const char *name, int flags, int *err) {
  int fd = openat(at, name, OPEN_FOLDER | flags);
  DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
  *err = dir == NULL ? -errno : 0;
  if (dir == NULL && fd >= 0) close(fd);
  return dir;
}

/* ---- list ---- */

static bool add_name(GrNames *names, GrFileType type, const char *name) {
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

int gr_fs_list(const char *path, GrNames *names) {
  int err;
  DIR *dir = open_folder(AT_FDCWD, path, 0, &err);
  if (dir == NULL) return err;
  for (struct dirent *e; err == 0 && (e = next_entry(dir, &err)) != NULL;)
    if (!add_name(names, type_of(dir, e), e->d_name)) err = -ENOMEM;
  closedir(dir);
  if (names->n > 1) qsort_r(names->at, names->n, sizeof *names->at, by_name, names->text.data);
  return err;
}

void gr_names_free(GrNames *names) {
  gr_bytes_free(&names->text);
  gr_free(names->at);
  *names = (GrNames){0};
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

/* path.data becomes a C string of this length. */
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

/* Into the folder that has been met. */
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

typedef struct Above {
  dev_t dev;
  ino_t ino;
  size_t len; /* of its path */
} Above;

typedef struct Removal {
  GrBytes path; /* of the open folder, or of what is in the way */
  GrBytes aboves;
  DIR *dir;
} Removal;

static size_t depth(const Removal *r) { return r->aboves.len / sizeof(Above); }

/* The open folder is noted, and the one of this name in it opened; *path is its own by now. */
static int step_down(Removal *r, size_t len, const char *name) {
  struct stat st;
  int err;
  if (fstat(dirfd(r->dir), &st) != 0) return -errno;
  Above above = {st.st_dev, st.st_ino, len};
  if (!gr_bytes_room(&r->aboves, sizeof above)) return -ENOMEM;
  DIR *dir = open_folder(dirfd(r->dir), name, O_NOFOLLOW, &err);
  if (dir == NULL) return err;
  gr_bytes_add(&r->aboves, (char *)&above, sizeof above);
  closedir(r->dir);
  r->dir = dir;
  return 0;
}

/* Back to the folder above, in which the one that was open, empty now, is removed. */
static int step_up(Removal *r) {
  Above above;
  struct stat st;
  int err;
  memcpy(&above, r->aboves.data + r->aboves.len - sizeof above, sizeof above);
  DIR *dir = open_folder(dirfd(r->dir), "..", O_NOFOLLOW, &err);
  if (dir == NULL) return err;
  closedir(r->dir);
  r->dir = dir;
  if (fstat(dirfd(dir), &st) != 0) return -errno;
  if (st.st_dev != above.dev || st.st_ino != above.ino) return -ESTALE;
  const char *name = r->path.data + above.len;
  if (unlinkat(dirfd(dir), *name == '/' ? name + 1 : name, AT_REMOVEDIR) != 0) return -errno;
  r->aboves.len -= sizeof above;
  r->path.data[above.len] = '\0';
  r->path.len = above.len;
  return 0;
}

/* What is no folder is unlinked; a folder, of which unlink says so, is gone into. What somebody
 * else has removed meanwhile is as well gone. */
static int remove_entry(Removal *r, const char *name) {
  size_t len = r->path.len;
  if (!join(&r->path, len, name)) return -ENOMEM;
  int err = unlinkat(dirfd(r->dir), name, 0) == 0 ? 0 : -errno;
  if (err == -EISDIR || err == -EPERM) {
    int inside = step_down(r, len, name);
    if (inside != -ENOENT) return inside == -ENOTDIR ? err : inside;
    err = 0;
  }
  if (err != 0 && err != -ENOENT) return err;
  return cut(&r->path, len) ? 0 : -ENOMEM;
}

/* Everything in the open folder and below. What was passed already is gone, so each folder is read
 * from its beginning. */
static int empty_folder(Removal *r) {
  for (;;) {
    int err;
    struct dirent *e = next_entry(r->dir, &err);
    if (e == NULL && err == 0) {
      if (depth(r) == 0) return 0;
      err = step_up(r);
    } else if (e != NULL) err = remove_entry(r, e->d_name);
    if (err != 0) return err;
  }
}

/* The path without slashes at its end, which would lead through a link. */
static int take_path(Removal *r, const char *path) {
  size_t len = strlen(path);
  while (len > 1 && path[len - 1] == '/') len--;
  if (len == 1 && path[0] == '/') return -EBUSY;
  if (!gr_bytes_add(&r->path, path, len) || !cut(&r->path, len)) return -ENOMEM;
  const char *slash = strrchr(r->path.data, '/');
  return is_dots(slash != NULL ? slash + 1 : r->path.data) ? -EINVAL : 0;
}

static int remove_tree(Removal *r, const char *path) {
  int err = take_path(r, path);
  if (err != 0) return err;
  err = gr_fs_remove(r->path.data);
  if (err != -ENOTEMPTY && err != -EEXIST) return err;
  r->dir = open_folder(AT_FDCWD, r->path.data, O_NOFOLLOW, &err);
  if (r->dir == NULL) return err;
  err = empty_folder(r);
  closedir(r->dir);
  return err != 0 ? err : gr_fs_remove(r->path.data);
}

int gr_fs_remove_tree(G *g, const char *path, GrBytes *where) {
  Removal r = {0};
  gr_fs_block(g);
  int err = remove_tree(&r, path);
  gr_fs_unblock(g);
  gr_bytes_free(&r.aboves);
  *where = r.path;
  return err;
}

/* SPDX-License-Identifier: MIT */
/* fs.c - calls by path.
 *
 * They are libuv's synchronous file calls. Without a callback such a call needs no loop; it is done
 * when it returns, on the thread that made it. What libuv cannot do here, the system is asked
 * directly: loop.c. */
#include "io/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

/* ---- descriptors ---- */

int gr_fs_open(const char *path, int flags, uint32_t mode) {
  int fd;
  while ((fd = open(path, flags | O_CLOEXEC, mode)) < 0 && errno == EINTR) {}
  return fd >= 0 ? fd : -errno;
}

int gr_fs_close(int fd) { return close(fd) == 0 || errno == EINTR ? 0 : -errno; }

int64_t gr_fs_read(int fd, void *data, size_t n) {
  ssize_t r;
  while ((r = read(fd, data, n)) < 0 && errno == EINTR) {}
  return r >= 0 ? r : -errno;
}

/* ---- what a path is ---- */

const char *gr_file_type_name(GrFileType type) {
  static const char *const names[] = {"unknown", "file",   "directory", "link",
                                      "fifo",    "socket", "char",      "block"};
  return names[type];
}

GrFileType gr_file_type(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return GR_FT_FILE;
    case S_IFDIR: return GR_FT_DIRECTORY;
    case S_IFLNK: return GR_FT_LINK;
    case S_IFIFO: return GR_FT_FIFO;
    case S_IFSOCK: return GR_FT_SOCKET;
    case S_IFCHR: return GR_FT_CHAR;
    case S_IFBLK: return GR_FT_BLOCK;
    default: return GR_FT_UNKNOWN;
  }
}

static double seconds(uv_timespec_t t) { return (double)t.tv_sec + (double)t.tv_nsec / 1e9; }

static int stat_result(uv_fs_t *req, GrStat *st) {
  const uv_stat_t *s = &req->statbuf;
  if (req->result == 0)
    *st = (GrStat){
        .type = gr_file_type((uint32_t)s->st_mode),
        .mode = (uint32_t)s->st_mode & 07777,
        .size = (int64_t)s->st_size,
        .ino = (int64_t)s->st_ino,
        .dev = (int64_t)s->st_dev,
        .nlink = (int64_t)s->st_nlink,
        .uid = (int64_t)s->st_uid,
        .gid = (int64_t)s->st_gid,
        .mtime = seconds(s->st_mtim),
        .atime = seconds(s->st_atim),
        .ctime = seconds(s->st_ctim),
    };
  uv_fs_req_cleanup(req);
  return (int)req->result;
}

int gr_fs_stat(const char *path, GrStat *st) {
  uv_fs_t req;
  uv_fs_stat(NULL, &req, path, NULL);
  return stat_result(&req, st);
}

int gr_fs_lstat(const char *path, GrStat *st) {
  uv_fs_t req;
  uv_fs_lstat(NULL, &req, path, NULL);
  return stat_result(&req, st);
}

int gr_fs_fstat(int fd, GrStat *st) {
  uv_fs_t req;
  uv_fs_fstat(NULL, &req, fd, NULL);
  return stat_result(&req, st);
}

static int done(uv_fs_t *req) {
  uv_fs_req_cleanup(req);
  return (int)req->result;
}

int gr_fs_exists(const char *path) {
  uv_fs_t req;
  uv_fs_access(NULL, &req, path, F_OK, NULL);
  return done(&req);
}

/* ---- changes ---- */

int gr_fs_mkdir(const char *path) {
  uv_fs_t req;
  uv_fs_mkdir(NULL, &req, path, 0777, NULL);
  return done(&req);
}

/* A folder that exists already, or that somebody else makes at the same moment, will do. */
static int mkdir_or_there(const char *path) {
  int err = gr_fs_mkdir(path);
  if (err == 0 || err == -ENOENT) return err;
  GrStat st;
  return gr_fs_stat(path, &st) == 0 && st.type == GR_FT_DIRECTORY ? 0 : err;
}

int gr_fs_mkdirs(const char *path) {
  int err = mkdir_or_there(path);
  if (err != -ENOENT || *path == '\0') return err;
  size_t len = strlen(path);
  char *part = gr_malloc(len + 1);
  if (part == NULL) return -ENOMEM;
  memcpy(part, path, len + 1);
  err = 0;
  for (char *slash = strchr(part + 1, '/'); slash != NULL && err == 0;
       slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    err = mkdir_or_there(part);
    *slash = '/';
  }
  gr_free(part);
  return err != 0 ? err : mkdir_or_there(path);
}

int gr_fs_remove(const char *path) {
  uv_fs_t req;
  uv_fs_unlink(NULL, &req, path, NULL);
  int err = done(&req);
  if (err != -EISDIR && err != -EPERM) return err;
  uv_fs_rmdir(NULL, &req, path, NULL);
  int as_folder = done(&req);
  return as_folder == -ENOTDIR ? err : as_folder;
}

int gr_fs_rename(const char *from, const char *to) {
  uv_fs_t req;
  uv_fs_rename(NULL, &req, from, to, NULL);
  return done(&req);
}

int gr_fs_link(const char *from, const char *to) {
  uv_fs_t req;
  uv_fs_link(NULL, &req, from, to, NULL);
  return done(&req);
}

int gr_fs_symlink(const char *target, const char *path) {
  uv_fs_t req;
  uv_fs_symlink(NULL, &req, target, path, 0, NULL);
  return done(&req);
}

int gr_fs_chmod(const char *path, uint32_t mode) {
  uv_fs_t req;
  uv_fs_chmod(NULL, &req, path, (int)mode, NULL);
  return done(&req);
}

/* False: the system has no such time. */
static bool timespec_of(double s, struct timespec *t) {
  double whole = floor(s);
  if (!(whole > -9e15 && whole < 9e15)) return false;
  t->tv_sec = (time_t)whole;
  t->tv_nsec = (long)((s - whole) * 1e9);
  return true;
}

int gr_fs_utime(const char *path, double atime, double mtime) {
  struct timespec t[2];
  if (!timespec_of(atime, &t[0]) || !timespec_of(mtime, &t[1])) return -EINVAL;
  return utimensat(AT_FDCWD, path, t, 0) == 0 ? 0 : -errno;
}

/* ---- calls that give a path ---- */

static int path_result(uv_fs_t *req, const char *path, char out[GR_PATH_SIZE]) {
  int r = (int)req->result;
  if (r >= 0) {
    size_t len = strlen(path);
    if (len < GR_PATH_SIZE) memcpy(out, path, len + 1);
    else r = -ENAMETOOLONG;
  }
  uv_fs_req_cleanup(req);
  return r;
}

int gr_fs_readlink(const char *path, char out[GR_PATH_SIZE]) {
  uv_fs_t req;
  uv_fs_readlink(NULL, &req, path, NULL);
  return path_result(&req, req.ptr, out);
}

int gr_fs_realpath(const char *path, char out[GR_PATH_SIZE]) {
  uv_fs_t req;
  uv_fs_realpath(NULL, &req, path, NULL);
  return path_result(&req, req.ptr, out);
}

/* The caller's template, or goro's own. */
static int template_of(const char *template, char out[GR_PATH_SIZE]) {
  const char *dir = getenv("TMPDIR");
  int n = template != NULL ? snprintf(out, GR_PATH_SIZE, "%s", template)
                           : snprintf(out, GR_PATH_SIZE, "%s/goro.XXXXXX",
                                      dir != NULL && *dir != '\0' ? dir : "/tmp");
  return n < GR_PATH_SIZE ? 0 : -ENAMETOOLONG;
}

int gr_fs_mkdtemp(const char *template, char made[GR_PATH_SIZE]) {
  int err = template_of(template, made);
  if (err != 0) return err;
  return mkdtemp(made) != NULL ? 0 : -errno;
}

int gr_fs_mkstemp(const char *template, char made[GR_PATH_SIZE]) {
  int err = template_of(template, made);
  if (err != 0) return err;
  int fd = mkostemp(made, O_CLOEXEC);
  return fd >= 0 ? fd : -errno;
}

/* SPDX-License-Identifier: MIT */
/* fswhole.c - files as wholes: read, written, replaced, copied.
 *
 * Reading. A small file is read into the caller's own memory, by open, read, read (which finds the
 * end) and close. The size is asked for only when the file does not fit there. It is only a hint:
 * files in /proc say 0, and other files may grow meanwhile.
 *
 * An atomic write makes a file of a random name beside the real one, writes it, puts it on disk,
 * renames it, and puts the folder on disk. Whoever opens the path finds the old contents or the new
 * ones, even after a power cut. When the path is a link, the file to which it leads is replaced,
 * not the link. The new file takes over the permissions and, where that is allowed, the owner of
 * the old one. What is no plain file (/dev/null) is refused, not replaced.
 *
 * A copy shares the blocks with the original where the file system can (FICLONE). Otherwise the
 * kernel copies (copy_file_range), one run of data after the other, so that holes stay holes.
 * Otherwise it is made by read and write. Why this is not uv_fs_copyfile: loop.c. */
#include "io/fswhole.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/sigpipe.h"

/* ---- reading ---- */

/* Room for the rest of the file, as far as fstat tells, and for a byte more, which finds the end.
 */
static bool room_for_rest(int fd, GrBytes *out) {
  struct stat st;
  int64_t rest = fstat(fd, &st) == 0 ? (int64_t)st.st_size - (int64_t)out->len : 0;
  return gr_bytes_room(out, rest > 0 ? (size_t)rest + 1 : out->cap > 0 ? out->cap : 4096);
}

static int read_all(G *g, int fd, GrBytes *out) {
  bool asked = false;
  for (;;) {
    if (out->len == out->cap) {
      if (!(asked ? gr_bytes_room(out, 1) : room_for_rest(fd, out))) return -ENOMEM;
      asked = true;
    }
    bool lasts = out->cap - out->len >= GR_FS_LONG;
    if (lasts) gr_block_begin(g);
    int64_t n = gr_fs_read(fd, out->data + out->len, out->cap - out->len);
    if (lasts) gr_block_end(g);
    if (n <= 0) return (int)n;
    out->len += (size_t)n;
  }
}

int gr_fs_read_file(G *g, const char *path, GrBytes *out) {
  int fd = gr_fs_open(path, O_RDONLY, 0);
  if (fd < 0) return fd;
  int err = read_all(g, fd, out);
  gr_fs_close(fd);
  return err;
}

/* ---- writing ---- */

static int write_all(int fd, const char *data, size_t n) {
  while (n > 0) {
    ssize_t r = write(fd, data, n);
    if (r < 0 && errno != EINTR) return -errno;
    if (r <= 0) continue;
    data += r;
    n -= (size_t)r;
  }
  return 0;
}

static int write_and_close(int fd, const GrWrite *w, bool sync) {
  int err = write_all(fd, w->data, w->len);
  if (err == 0 && sync && fsync(fd) != 0) err = -errno;
  int closed = gr_fs_close(fd);
  return err != 0 ? err : closed;
}

static int write_plain(const char *path, const GrWrite *w) {
  int fd = gr_fs_open(path, O_WRONLY | O_CREAT | (w->append ? O_APPEND : O_TRUNC),
                      w->mode >= 0 ? (uint32_t)w->mode : 0666);
  return fd < 0 ? fd : write_and_close(fd, w, false);
}

/* Puts the folder that holds `path` on disk. Not all file systems can do that. */
static int sync_folder(const char *path) {
  char dir[GR_PATH_SIZE];
  const char *slash = strrchr(path, '/');
  snprintf(dir, sizeof dir, "%.*s",
           slash == NULL   ? 1
           : slash == path ? 1
                           : (int)(slash - path),
           slash == NULL ? "." : path);
  int fd = gr_fs_open(dir, O_RDONLY | O_DIRECTORY, 0);
  if (fd < 0) return fd;
  int err = fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP ? 0 : -errno;
  gr_fs_close(fd);
  return err;
}

/* Makes a new file beside `path`. Returns a descriptor. */
static int open_beside(const char *path, uint32_t mode, char name[GR_PATH_SIZE]) {
  uint64_t seed = gr_rand_seed();
  for (int i = 0; i < 100; i++) {
    if (snprintf(name, GR_PATH_SIZE, "%s.%08x", path, (unsigned)gr_rand_below(&seed, UINT32_MAX)) >=
        GR_PATH_SIZE)
      return -ENAMETOOLONG;
    int fd = gr_fs_open(name, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (fd != -EEXIST) return fd;
  }
  return -EEXIST;
}

/* The new file gets the owner, the group and the permissions of the old one, but no set-user-ID.
 * When owner and group cannot be kept, that is no failure; the permissions of the old group are
 * left out then, so that another group does not get them. */
static int take_over(int fd, const struct stat *old, const GrWrite *w) {
  bool kept = fchown(fd, old->st_uid, old->st_gid) == 0;
  if (!kept && errno != EPERM) return -errno;
  return w->mode >= 0 || fchmod(fd, old->st_mode & (kept ? 0777 : 0707)) == 0 ? 0 : -errno;
}

static int replace(const char *path, const GrWrite *w) {
  char name[GR_PATH_SIZE];
  struct stat old;
  bool there = stat(path, &old) == 0;
  if (there && !S_ISREG(old.st_mode)) return S_ISDIR(old.st_mode) ? -EISDIR : -EINVAL;
  int fd = open_beside(path, w->mode >= 0 ? (uint32_t)w->mode : 0666, name);
  if (fd < 0) return fd;
  int err = there ? take_over(fd, &old, w) : 0;
  if (err == 0) err = write_and_close(fd, w, true);
  else gr_fs_close(fd);
  if (err == 0) err = gr_fs_rename(name, path);
  if (err != 0) unlink(name);
  return err != 0 ? err : sync_folder(path);
}

static int write_atomic(const char *path, const GrWrite *w) {
  char real[GR_PATH_SIZE];
  return replace(gr_fs_realpath(path, real) == 0 ? real : path, w);
}

int gr_fs_write_file(G *g, const char *path, const GrWrite *w) {
  bool lasts = w->atomic || w->len >= GR_FS_LONG;
  GrNoPipe quiet = gr_no_pipe_begin();
  if (lasts) gr_block_begin(g);
  int err = w->atomic ? write_atomic(path, w) : write_plain(path, w);
  if (lasts) gr_block_end(g);
  gr_no_pipe_end(&quiet, err == -EPIPE);
  return err;
}

/* ---- copying ---- */

static int copy_by_hand(int from, int to) {
  char part[1 << 16];
  for (;;) {
    int64_t n = gr_fs_read(from, part, sizeof part);
    if (n <= 0) return (int)n;
    int err = write_all(to, part, (size_t)n);
    if (err != 0) return err;
  }
}

/* From `at` to `end`. 0, or why not; what was copied until then is counted in *at. */
static int copy_run(int from, int to, off64_t *at, off64_t end) {
  off64_t out = *at;
  while (*at < end) {
    ssize_t n = copy_file_range(from, at, to, &out, (size_t)(end - *at), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    if (n == 0) break; /* it has become shorter */
  }
  return 0;
}

/* The runs of data, holes left out. *at is where it stopped. */
static int copy_runs(int from, int to, off64_t *at, off64_t size) {
  int err = 0;
  while (err == 0 && *at < size) {
    off64_t data = lseek(from, *at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) *at = size; /* only a hole is left */
    else if (data < 0) return -errno;
    else {
      off64_t end = lseek(from, data, SEEK_HOLE), before = data;
      *at = data;
      err = copy_run(from, to, at, end < 0 ? size : end);
      if (err == 0 && *at == before) break;
    }
  }
  return err == 0 && ftruncate(to, *at) != 0 ? -errno : err;
}

static bool can_by_hand(int err) {
  return err == -EXDEV || err == -EINVAL || err == -ENOSYS || err == -EOPNOTSUPP;
}

/* By hand goes what the runs could not do, and what was added to the file meanwhile. */
static int copy_data(int from, int to, const struct stat *st) {
  off64_t at = 0;
  if (S_ISREG(st->st_mode) && st->st_size > 0) {
    if (ioctl(to, FICLONE, from) == 0) return 0;
    int err = copy_runs(from, to, &at, st->st_size);
    if (err != 0 && !can_by_hand(err)) return err;
    if (lseek(from, at, SEEK_SET) < 0 || lseek(to, at, SEEK_SET) < 0) return -errno;
  }
  return copy_by_hand(from, to);
}

static int copy_opened(int from, const char *to) {
  struct stat st, target;
  if (fstat(from, &st) != 0) return -errno;
  if (S_ISDIR(st.st_mode)) return -EISDIR;
  int fd = gr_fs_open(to, O_WRONLY | O_CREAT, st.st_mode & 0777);
  if (fd < 0) return fd;
  int err = fstat(fd, &target) != 0 ? -errno : 0;
  bool same = err == 0 && st.st_dev == target.st_dev && st.st_ino == target.st_ino,
       plain = err == 0 && S_ISREG(target.st_mode);
  if (err == 0 && plain && !same) err = ftruncate(fd, 0) != 0 ? -errno : 0;
  if (err == 0 && !same) err = plain ? copy_data(from, fd, &st) : copy_by_hand(from, fd);
  if (err == 0 && plain && !same && fchmod(fd, st.st_mode & 0777) != 0)
    err = -errno; /* without set-user-ID: the owner may be another */
  int closed = gr_fs_close(fd);
  return err != 0 ? err : closed;
}

int gr_fs_copy(G *g, const char *from, const char *to) {
  GrNoPipe quiet = gr_no_pipe_begin();
  gr_block_begin(g);
  int fd = gr_fs_open(from, O_RDONLY, 0);
  int err = fd < 0 ? fd : copy_opened(fd, to);
  if (fd >= 0) gr_fs_close(fd);
  gr_block_end(g);
  gr_no_pipe_end(&quiet, err == -EPIPE);
  return err;
}

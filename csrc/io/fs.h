/* SPDX-License-Identifier: MIT */
/* fs.h - what one can do with a path: folders, links, permissions, times; and with descriptors.
 *
 * Four files: fs.c has the calls by path, fswhole.c files as wholes, fstree.c folders and what is
 * below them, fsfile.c open files.
 *
 * Every call returns 0 (or what it says) or a negative errno, which is also libuv's code:
 * gr_sys_result (error.h) makes a result of it. Paths are C strings of any bytes. Nothing here
 * knows Lua.
 *
 * A call blocks its thread, for no longer than the disk takes. Most calls do not tell the
 * scheduler: a call that is over within microseconds must not pay for giving its place away. If
 * such a call does take long, sysmon finds the thread asleep and takes the place. Calls that are
 * known to last (fsync, a copy, a tree, a megabyte) are given `g`, the caller's own G, and run in a
 * blocking region (sched.h, gr_block_begin). */
#ifndef GR_IO_FS_H
#define GR_IO_FS_H

#include "sched/sched.h"

enum { GR_FS_LONG = 1 << 20 }; /* so many bytes take long enough for a blocking region */

/* ---- what a path is ---- */

typedef enum GrFileType {
  GR_FT_UNKNOWN,
  GR_FT_FILE,
  GR_FT_DIRECTORY,
  GR_FT_LINK,
  GR_FT_FIFO,
  GR_FT_SOCKET,
  GR_FT_CHAR,
  GR_FT_BLOCK
} GrFileType;
const char *gr_file_type_name(GrFileType type);
GrFileType gr_file_type(uint32_t mode);

typedef struct GrStat {
  GrFileType type;
  uint32_t mode; /* the permissions, without the type */
  int64_t size, ino, dev, nlink, uid, gid;
  double mtime, atime, ctime;
} GrStat;
int gr_fs_stat(const char *path, GrStat *st);
int gr_fs_lstat(const char *path, GrStat *st);
int gr_fs_fstat(int fd, GrStat *st);
int gr_fs_exists(const char *path);

/* ---- changes ---- */

int gr_fs_mkdir(const char *path);
/* Makes the folder and those above it. They may exist already. */
int gr_fs_mkdirs(const char *path);
/* Removes a file or an empty folder. */
int gr_fs_remove(const char *path);
int gr_fs_rename(const char *from, const char *to);
int gr_fs_link(const char *from, const char *to);
int gr_fs_symlink(const char *target, const char *path);
int gr_fs_chmod(const char *path, uint32_t mode);
int gr_fs_utime(const char *path, double atime, double mtime);

enum { GR_PATH_SIZE = 4097 };
int gr_fs_readlink(const char *path, char out[GR_PATH_SIZE]);
int gr_fs_realpath(const char *path, char out[GR_PATH_SIZE]);
/* `made` becomes the template with its XXXXXX replaced. template NULL: goro.XXXXXX in the temporary
 * folder. mkstemp returns a descriptor. */
int gr_fs_mkdtemp(const char *template, char made[GR_PATH_SIZE]);
int gr_fs_mkstemp(const char *template, char made[GR_PATH_SIZE]);

/* ---- descriptors ---- */

/* Opens with close-on-exec. Returns a descriptor. */
int gr_fs_open(const char *path, int flags, uint32_t mode);
/* The descriptor is closed even when the call fails. */
int gr_fs_close(int fd);
/* read(2), which goes on after signals. */
int64_t gr_fs_read(int fd, void *data, size_t n);

#endif

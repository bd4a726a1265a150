/* SPDX-License-Identifier: MIT */
/* fsfile.h - an open file that goroutines share. The goroutine that has the turn uses it; the
 * others queue.
 *
 * gr_file_lock takes the turn, gr_file_unlock gives it back. The calls of the second part want the
 * turn. They return what they say or a negative errno; -ECANCELED: the file was closed while they
 * waited for the other end of a pipe. `g` is the caller's own (fs.h), or NULL. */
#ifndef GR_IO_FSFILE_H
#define GR_IO_FSFILE_H

#include "base/share.h"
#include "io/bytes.h"
#include "io/fs.h"

typedef struct GrFile GrFile;

/* Takes the descriptor, even when it fails. `type` names the class of the object; type->destroy
 * must be gr_file_destroy. 0 or -errno. */
int gr_file_new(int fd, const char *path, const GrShareType *type, GrFile **file);
void gr_file_destroy(GrShare *s);
GrShare *gr_file_share(GrFile *f);
GrFile *gr_file_of(GrShare *s);
const char *gr_file_path(const GrFile *f);

/* GR_OK: the caller has the turn. GR_PARK: park, then gr_file_lock_finish, which returns GR_OK, or
 * GR_ABORTED and *cause. g is not NULL here. */
int gr_file_lock(G *g, GrFile *f, bool blocks);
/* Takes the turn if it is free. */
bool gr_file_try_lock(G *g, GrFile *f);
int gr_file_lock_finish(G *g, GrCause *cause);
void gr_file_unlock(G *g, GrFile *f);

/* Refuses every call that begins from now on, and wakes the goroutine that waits for the other end
 * of a pipe. False: the file was shut before. The caller need not have the turn. */
bool gr_file_shut(GrFile *f);
bool gr_file_is_shut(const GrFile *f);
/* Is the file open, and may it let its reader wait for ever (a pipe, a terminal)? */
bool gr_file_may_wait(const GrFile *f);

/* ---- with the turn ---- */

/* Waits for `ms` at most until a read would find something, even the end of the file. A shut or a
 * signal ends the wait too. For files for which gr_file_may_wait is true. */
bool gr_file_ready(const GrFile *f, int ms);

/* Writes what was gathered, which may wait; then closes the file, whatever the writing returned.
 * After gr_file_shut. */
int gr_file_close(GrFile *f, G *g);

/* These add what they read to *out. 1: there was something; 0: the file has ended. */
int gr_file_line(GrFile *f, G *g, GrBytes *out, bool keep_end);
int gr_file_chars(GrFile *f, G *g, GrBytes *out, size_t n);
/* Reads the rest of the file, which may be empty. 1 even then. */
int gr_file_rest(GrFile *f, G *g, GrBytes *out);
/* Reads the longest text that may begin a numeral, as io's "n" does. A text that is too long for a
 * numeral becomes "". */
enum { GR_NUMERAL = 200 };
int gr_file_numeral(GrFile *f, G *g, char text[GR_NUMERAL + 1]);

/* Writes everything, to the system or to the buffer. It changes `vec`. When it fails, the buffer
 * holds nothing of it. */
int gr_file_write(GrFile *f, G *g, struct iovec *vec, int n);
/* Writes what was gathered to the system. Every other call but a write does that first. What could
 * not be written stays in the buffer. */
int gr_file_flush(GrFile *f, G *g);
/* From now on writes are gathered up to `size` bytes; with by_line, up to the end of a line. size
 * 0: they are not gathered, as at first. */
int gr_file_gather(GrFile *f, G *g, size_t size, bool by_line);

/* Returns the new position. whence is SEEK_SET, SEEK_CUR or SEEK_END. */
int64_t gr_file_seek(GrFile *f, G *g, int64_t offset, int whence);
int gr_file_sync(GrFile *f, G *g);
int gr_file_truncate(GrFile *f, G *g, int64_t size);
int gr_file_stat(GrFile *f, G *g, GrStat *st);

#endif

/* SPDX-License-Identifier: MIT */
/* fsfile.h - an open file that goroutines share: who has the turn uses it, the others queue.
 *
 * Calls named after the turn want it: taken by gr_file_lock, given back by gr_file_unlock. They
 * return what they say or a negative errno: -ECANCELED when the file was closed while they waited
 * for the other end of a pipe. `g` is the caller's own (fs.h), or NULL. */
#ifndef GR_IO_FSFILE_H
#define GR_IO_FSFILE_H

#include "base/share.h"
#include "io/bytes.h"
#include "io/fs.h"

typedef struct GrFile GrFile;

/* Takes the descriptor, also when it fails. `type` names the class of the object, whose destroy
 * must be gr_file_destroy. 0 or -errno. */
int gr_file_new(int fd, const char *path, const GrShareType *type, GrFile **file);
void gr_file_destroy(GrShare *s);
GrShare *gr_file_share(GrFile *f);
GrFile *gr_file_of(GrShare *s);
const char *gr_file_path(const GrFile *f);

/* GR_OK: the caller has the turn. GR_PARK: park, then _finish: GR_OK or GR_ABORTED, *cause. `g` is
 * the caller's own, never NULL here. */
int gr_file_lock(G *g, GrFile *f, bool blocks);
/* Without waiting. */
bool gr_file_try_lock(G *g, GrFile *f);
int gr_file_lock_finish(G *g, GrCause *cause);
void gr_file_unlock(G *g, GrFile *f);

/* From now on nobody else begins anything, and who waits for the other end of a pipe is woken.
 * False: that has been said before. Without the turn. */
bool gr_file_shut(GrFile *f);
bool gr_file_is_shut(const GrFile *f);
/* Is it open, and one that may let its reader wait for ever? */
bool gr_file_may_wait(const GrFile *f);

/* ---- with the turn ---- */

/* Waits so long at most until a read would find something, were it the end; also until the file is
 * shut, or a signal comes. For what gr_file_may_wait. */
bool gr_file_ready(const GrFile *f, int ms);

/* Writes what was gathered, which may wait, and closes it, whatever comes of that; after
 * gr_file_shut. */
int gr_file_close(GrFile *f, G *g);

/* What is read is added to *out. 1: it was there; 0: the file has ended. */
int gr_file_line(GrFile *f, G *g, GrBytes *out, bool keep_end);
int gr_file_chars(GrFile *f, G *g, GrBytes *out, size_t n);
/* The rest, which may be empty: always 1. */
int gr_file_rest(GrFile *f, G *g, GrBytes *out);
/* The longest text that begins a numeral, as io's "n" reads it; a text too long for one is
 * empty. */
enum { GR_NUMERAL = 200 };
int gr_file_numeral(GrFile *f, G *g, char text[GR_NUMERAL + 1]);

/* All of it: to the system, or to the buffer. `vec` is changed. When it fails nothing of it is in
 * the buffer. */
int gr_file_write(GrFile *f, G *g, struct iovec *vec, int n);
/* What was gathered goes to the system; so it does before anything else than a write is done. What
 * could not be written stays. */
int gr_file_flush(GrFile *f, G *g);
/* From now on writes are gathered up to `size` bytes, or (by_line) up to the end of a line. 0: they
 * are not, as at first. */
int gr_file_gather(GrFile *f, G *g, size_t size, bool by_line);

/* The new position. whence: SEEK_SET, _CUR, _END. */
int64_t gr_file_seek(GrFile *f, G *g, int64_t offset, int whence);
int gr_file_sync(GrFile *f, G *g);
int gr_file_truncate(GrFile *f, G *g, int64_t size);
int gr_file_stat(GrFile *f, G *g, GrStat *st);

#endif

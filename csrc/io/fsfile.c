/* SPDX-License-Identifier: MIT */
/* fsfile.c - open files.
 *
 * One operation at a time. The turn is a channel that holds one message while nobody uses the file.
 * So a goroutine waits for the turn as it waits for any message: first come, first served, shown in
 * dumps, ended by the end of the pool. No second mechanism is needed.
 *
 * Reads go through a buffer. Writes do not, at first: when write returns, the system has the data.
 * No exit loses them, and the call that wrote them reports the failure. A program that writes many
 * short pieces gives them to one write, or has them gathered (setvbuf). Gathered pieces go out when
 * the buffer is full, and before any other operation on the file. That operation then reports the
 * failure, and what could not be written stays for the next one.
 *
 * The position is where the program thinks it is. The system's position is further on, by what the
 * read buffer holds. So before a write, a seek or a truncate it is put back by that much. On a file
 * that has a position, at most one of the two buffers holds anything. Once the system was asked
 * where the read buffer ends, that is remembered: a seek that only asks for the position keeps the
 * buffer, and makes no system call.
 *
 * A pipe or a terminal may let its reader wait for ever. So such a file is made non-blocking. A
 * goroutine that has to wait polls the file in a blocking region, together with an eventfd by which
 * a close ends the wait. A close takes the turn before it closes the descriptor, so it never closes
 * it under another call. */
#include "io/fsfile.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"
#include "base/lock.h"
#include "io/sigpipe.h"
#include "sync/chan.h"

enum { BUFFER = 1 << 14 };

struct GrFile {
  GrShare share;
  GrChan *turn;
  atomic_bool shut;
  bool waits; /* a pipe or a terminal: its reader may wait for ever */
  int wake;   /* the eventfd of such a file, else -1 */
  /* What follows is of the goroutine that has the turn. */
  int fd;         /* -1: closed */
  GrBuffer in;    /* what was read ahead: BUFFER bytes at most */
  int64_t end_at; /* where in the file `in` ends: the system's position; -1: not known */
  GrBuffer out;   /* what was gathered; its cap is what setvbuf said; 0: writes are not gathered */
  bool by_line;
  bool closing; /* the file is shut, and gr_file_close writes what was gathered */
  GrList link;  /* in `gathering`, from the first gr_file_gather on; under gathering_lock */
  char path[];
};

static size_t held(const GrFile *f) { return gr_buffer_len(&f->in); }

static GrLock gathering_lock = GR_LOCK_INIT(GR_RANK_LEAF);
static GrList gathering = {&gathering, &gathering};

static void forget_gathering(GrFile *f) {
  gr_lock(&gathering_lock);
  gr_list_remove(&f->link);
  gr_unlock(&gathering_lock);
}

/* ---- making, closing ---- */

static const GrShareType turn_type = {"goro.fs.file's turn", gr_chan_destroy, false};

static GrMsg token(void) { return (GrMsg){0}; }

static int open_turn(GrFile *f) {
  f->turn = gr_chan_new(1, &turn_type);
  if (f->turn == NULL || gr_chan_reserve(f->turn) != GR_OK) return -ENOMEM;
  GrMsg m = token();
  return gr_chan_send(NULL, f->turn, &m, GR_POLL, true) == GR_OK ? 0 : -ENOMEM;
}

static int look_at(GrFile *f) {
  struct stat st;
  if (fstat(f->fd, &st) != 0) return -errno;
  if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode) && !S_ISSOCK(st.st_mode)) return 0;
  int flags = fcntl(f->fd, F_GETFL);
  if (flags < 0 || fcntl(f->fd, F_SETFL, flags | O_NONBLOCK) != 0) return -errno;
  f->waits = true;
  f->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return f->wake >= 0 ? 0 : -errno;
}

int gr_file_new(int fd, const char *path, const GrShareType *type, GrFile **file) {
  size_t len = strlen(path) + 1;
  GrFile *f = gr_zalloc(sizeof *f + len);
  if (f == NULL) {
    gr_fs_close(fd);
    return -ENOMEM;
  }
  gr_share_init(&f->share, type);
  memcpy(f->path, path, len);
  f->fd = fd;
  f->wake = -1;
  f->end_at = -1;
  gr_list_init(&f->link);
  int err = open_turn(f);
  if (err == 0) err = look_at(f);
  if (err != 0) gr_file_destroy(&f->share);
  else *file = f;
  return err;
}

static void close_file(GrFile *f) {
  gr_buffer_free(&f->in);
  gr_buffer_free(&f->out);
  if (f->wake >= 0) gr_fs_close(f->wake);
  f->wake = -1;
}

int gr_file_close(GrFile *f, G *g) {
  f->closing = true;
  int unsent = f->fd >= 0 ? gr_file_flush(f, g) : 0, err = f->fd >= 0 ? gr_fs_close(f->fd) : 0;
  f->fd = -1;
  close_file(f);
  return unsent != 0 ? unsent : err;
}

/* Here nobody can wait, and a failure cannot be reported. */
void gr_file_destroy(GrShare *s) {
  GrFile *f = gr_file_of(s);
  forget_gathering(f);
  atomic_store(&f->shut, true);
  if (f->fd >= 0) {
    gr_file_flush(f, NULL);
    gr_fs_close(f->fd);
  }
  close_file(f);
  if (f->turn != NULL) gr_share_unref(gr_chan_share(f->turn));
  gr_free(f);
}

GrShare *gr_file_share(GrFile *f) { return &f->share; }
GrFile *gr_file_of(GrShare *s) { return gr_container_of(s, GrFile, share); }
const char *gr_file_path(const GrFile *f) { return f->path; }

/* ---- the turn ---- */

static const GrWaitType in_use = {"file in use", gr_chan_abandon};

int gr_file_lock(G *g, GrFile *f, bool blocks) {
  GrMsg m;
  return gr_chan_recv_as(g, f->turn, &m, GR_FOREVER, blocks, &in_use);
}

bool gr_file_try_lock(G *g, GrFile *f) {
  GrMsg m;
  return gr_chan_recv(g, f->turn, &m, GR_POLL, true) == GR_OK;
}

int gr_file_lock_finish(G *g, GrCause *cause) {
  GrMsg m;
  return gr_chan_recv_finish(g, &m, cause);
}

void gr_file_unlock(G *g, GrFile *f) {
  GrMsg m = token();
  if (gr_chan_send(g, f->turn, &m, GR_POLL, true) != GR_OK)
    gr_throw("a file's turn was given back twice");
}

bool gr_file_shut(GrFile *f) {
  if (atomic_exchange(&f->shut, true)) return false;
  if (f->waits) eventfd_write(f->wake, 1); /* only the caller that gets true closes `wake` */
  return true;
}

bool gr_file_is_shut(const GrFile *f) { return atomic_load(&f->shut); }

/* ---- the system's read and write ---- */

/* Waits until the other end has moved, or the file is shut. A close that writes what was gathered
 * waits on although the file is shut. */
static int await(GrFile *f, G *g, short events) {
  struct pollfd fds[] = {{.fd = f->fd, .events = events}, {.fd = f->wake, .events = POLLIN}};
  gr_block_begin(g);
  while (poll(fds, f->closing ? 1 : 2, -1) < 0 && errno == EINTR) {}
  gr_block_end(g);
  return gr_file_is_shut(f) && !f->closing ? -ECANCELED : 0;
}

bool gr_file_may_wait(const GrFile *f) { return f->waits && !gr_file_is_shut(f); }

bool gr_file_ready(const GrFile *f, int ms) {
  struct pollfd fds[] = {{.fd = f->fd, .events = POLLIN}, {.fd = f->wake, .events = POLLIN}};
  return held(f) > 0 || gr_file_is_shut(f) || poll(fds, 2, ms) > 0;
}

static int64_t read_some(GrFile *f, G *g, char *data, size_t n) {
  for (;;) {
    bool lasts = n >= GR_FS_LONG;
    if (lasts) gr_block_begin(g);
    int64_t r = gr_fs_read(f->fd, data, n);
    if (lasts) gr_block_end(g);
    if (r != -EAGAIN || !f->waits) return r;
    int err = await(f, g, POLLIN);
    if (err != 0) return err;
  }
}

static int64_t write_some(GrFile *f, G *g, const struct iovec *vec, int n) {
  for (;;) {
    ssize_t r = writev(f->fd, vec, n);
    if (r >= 0) return r;
    if (errno == EINTR) continue;
    if (errno != EAGAIN || !f->waits) return -errno;
    int err = await(f, g, POLLOUT);
    if (err != 0) return err;
  }
}

/* ---- reading ---- */

/* Fills the buffer, which is empty. Returns how much came; 0: the end. */
static int64_t fill(GrFile *f, G *g) {
  int err = gr_file_flush(f, g);
  if (err != 0) return err;
  if (!gr_buffer_room(&f->in, BUFFER, BUFFER)) return -ENOMEM;
  int64_t n = read_some(f, g, f->in.data, BUFFER);
  if (n <= 0) return n;
  f->in.end = (size_t)n;
  if (f->end_at >= 0) f->end_at += n;
  return n;
}

int gr_file_line(GrFile *f, G *g, GrBytes *out, bool keep_end) {
  for (int got = 0;; got = 1) {
    int64_t r = held(f) > 0 ? 1 : fill(f, g);
    if (r <= 0) return r < 0 ? (int)r : got;
    size_t taken, given;
    bool whole = gr_buffer_line(&f->in, keep_end, &taken, &given);
    if (!gr_bytes_add(out, f->in.data + f->in.start, given)) return -ENOMEM;
    gr_buffer_drop(&f->in, taken);
    if (whole) return 1;
  }
}

/* Takes n bytes from the buffer, or as many as it holds. Returns how many. */
static int64_t from_buffer(GrFile *f, GrBytes *out, size_t n) {
  if (n > held(f)) n = held(f);
  if (!gr_bytes_add(out, f->in.data + f->in.start, n)) return -ENOMEM;
  gr_buffer_drop(&f->in, n);
  return (int64_t)n;
}

/* Reads past the buffer, which is empty. Memory grows with the data that come, whatever n says. */
static int64_t directly(GrFile *f, G *g, GrBytes *out, size_t n) {
  enum { STEP = 1 << 16 };
  int err = gr_file_flush(f, g);
  if (err != 0) return err;
  f->end_at = -1;
  if (!gr_bytes_room(out, n < STEP ? n : STEP)) return -ENOMEM;
  size_t room = out->cap - out->len;
  int64_t r = read_some(f, g, out->data + out->len, n < room ? n : room);
  if (r > 0) out->len += (size_t)r;
  return r;
}

int gr_file_chars(GrFile *f, G *g, GrBytes *out, size_t n) {
  size_t left = n;
  int64_t r = 1;
  if (n == 0) return held(f) > 0 || (r = fill(f, g)) > 0 ? 1 : (int)r;
  for (; left > 0 && r > 0; left -= r > 0 ? (size_t)r : 0) {
    if (held(f) == 0 && left < BUFFER && (r = fill(f, g)) <= 0) break;
    r = held(f) > 0 ? from_buffer(f, out, left) : directly(f, g, out, left);
  }
  return r < 0 ? (int)r : left < n;
}

int gr_file_rest(GrFile *f, G *g, GrBytes *out) {
  struct stat st;
  int err = gr_file_flush(f, g);
  if (err != 0) return err;
  int64_t r = from_buffer(f, out, SIZE_MAX);
  if (r >= 0 && !f->waits && fstat(f->fd, &st) == 0) {
    int64_t left = st.st_size - lseek(f->fd, 0, SEEK_CUR);
    if (left > 0 && left < st.st_size + 1 && !gr_bytes_room(out, (size_t)left + 1)) return -ENOMEM;
  }
  while (r >= 0 && (r = directly(f, g, out, SIZE_MAX)) > 0) {}
  return r < 0 ? (int)r : 1;
}

/* ---- numerals ---- */

typedef struct Scan {
  GrFile *f;
  G *g;
  int64_t err;
  int n;
  bool too_long;
  char *text;
} Scan;

/* Looks at the next character, which stays; -1: there is none. */
static int peek(Scan *s) {
  if (s->err != 0) return -1;
  if (held(s->f) == 0) {
    int64_t r = fill(s->f, s->g);
    if (r < 0) s->err = r;
    if (r <= 0) return -1;
  }
  return (unsigned char)s->f->in.data[s->f->in.start];
}

/* Takes the next character. False: the text has become too long for a numeral. */
static bool take(Scan *s) {
  s->too_long = s->too_long || s->n == GR_NUMERAL;
  if (s->too_long) return false;
  s->text[s->n++] = s->f->in.data[s->f->in.start];
  gr_buffer_drop(&s->f->in, 1);
  return true;
}

static bool take_one_of(Scan *s, const char *set) {
  int c = peek(s);
  return c > 0 && strchr(set, c) != NULL && take(s);
}

static int take_digits(Scan *s, bool hex) {
  int n = 0;
  for (int c; (c = peek(s)) >= 0 && (hex ? isxdigit(c) : isdigit(c)) && take(s);) n++;
  return n;
}

int gr_file_numeral(GrFile *f, G *g, char text[GR_NUMERAL + 1]) {
  Scan s = {.f = f, .g = g, .text = text};
  bool hex = false;
  int digits = 0, c;
  while ((c = peek(&s)) >= 0 && isspace(c)) gr_buffer_drop(&f->in, 1);
  take_one_of(&s, "+-");
  if (take_one_of(&s, "0")) {
    if (take_one_of(&s, "xX")) hex = true;
    else digits = 1;
  }
  digits += take_digits(&s, hex);
  if (take_one_of(&s, ".")) digits += take_digits(&s, hex);
  if (digits > 0 && take_one_of(&s, hex ? "pP" : "eE")) {
    take_one_of(&s, "+-");
    take_digits(&s, false);
  }
  text[s.too_long ? 0 : s.n] = '\0';
  return s.err != 0 ? (int)s.err : 1;
}

/* ---- writing ---- */

/* Gives up what was read ahead, and puts the system's position back to where the program thinks it
 * is. A pipe has no position, and its two directions do not meet. */
static int unread(GrFile *f) {
  f->end_at = -1;
  if (held(f) == 0 || f->waits) return 0;
  if (lseek(f->fd, -(off_t)held(f), SEEK_CUR) < 0) return -errno;
  gr_buffer_drop(&f->in, held(f));
  return 0;
}

static int write_all(GrFile *f, G *g, struct iovec *vec, int n) {
  while (n > 0) {
    int64_t done = write_some(f, g, vec, n);
    if (done < 0) return (int)done;
    gr_iov_skip(&vec, &n, (size_t)done);
  }
  return 0;
}

static int write_now(GrFile *f, G *g, struct iovec *vec, int n) {
  int err;
  if (f->waits) {
    GrNoPipe quiet = gr_no_pipe_begin();
    err = write_all(f, g, vec, n);
    gr_no_pipe_end(&quiet, err == -EPIPE);
    return err;
  }
  bool lasts = gr_iov_size(vec, n) >= GR_FS_LONG;
  if (lasts) gr_block_begin(g);
  err = write_all(f, g, vec, n);
  if (lasts) gr_block_end(g);
  return err;
}

/* ---- gathering ---- */

int gr_file_flush(GrFile *f, G *g) {
  size_t size = gr_buffer_len(&f->out);
  if (size == 0) return 0;
  struct iovec rest = {f->out.data + f->out.start, size};
  int err = write_now(f, g, &rest, 1);
  gr_buffer_drop(&f->out, err != 0 ? size - rest.iov_len : size);
  return err;
}

static bool ends_line(const struct iovec *vec, int n) {
  for (int i = 0; i < n; i++)
    if (vec[i].iov_len > 0 && memchr(vec[i].iov_base, '\n', vec[i].iov_len) != NULL) return true;
  return false;
}

int gr_file_write(GrFile *f, G *g, struct iovec *vec, int n) {
  size_t size = gr_iov_size(vec, n);
  int err = unread(f);
  if (err != 0 || size == 0) return err;
  GrBuffer *o = &f->out;
  if (o->cap == 0) return write_now(f, g, vec, n);
  if (size > o->cap - o->end && (err = gr_file_flush(f, g)) != 0) return err;
  bool ends = f->by_line && ends_line(vec, n);
  if (size >= o->cap || (ends && gr_buffer_len(o) == 0)) return write_now(f, g, vec, n);
  gr_buffer_put(o, vec, n);
  return ends ? gr_file_flush(f, g) : 0;
}

/* Takes a file out of the list, with a reference. NULL: the list is empty. */
static GrFile *next_gathering(void) {
  GrFile *f = NULL;
  gr_lock(&gathering_lock);
  for (GrList *l; f == NULL && (l = gr_list_pop_front(&gathering)) != NULL;) {
    GrFile *of = gr_container_of(l, GrFile, link);
    if (gr_share_tryref(&of->share)) f = of;
  }
  gr_unlock(&gathering_lock);
  return f;
}

/* The process ends by exit(), perhaps without closing any state. As with io's files, nothing that
 * was gathered is lost, except in files that somebody is using at this moment. */
static void flush_at_exit(void) {
  if (atomic_load(&gr_forked)) return;
  for (GrFile *f; (f = next_gathering()) != NULL;) {
    if (gr_file_try_lock(NULL, f)) {
      atomic_store(&f->shut, true); /* so that the flush does not wait */
      gr_file_flush(f, NULL);
      gr_file_unlock(NULL, f);
    }
    gr_share_unref(&f->share);
  }
}

static void remember_gathering(GrFile *f) {
  static atomic_flag registered = ATOMIC_FLAG_INIT;
  if (!atomic_flag_test_and_set(&registered)) atexit(flush_at_exit);
  gr_lock(&gathering_lock);
  if (gr_list_empty(&f->link)) gr_list_push_back(&gathering, &f->link);
  gr_unlock(&gathering_lock);
}

int gr_file_gather(GrFile *f, G *g, size_t size, bool by_line) {
  int err = gr_file_flush(f, g);
  if (err != 0) return err;
  if (size > 0) remember_gathering(f);
  GrBuffer out = {0};
  if (!gr_buffer_room(&out, size, size)) return -ENOMEM;
  gr_buffer_free(&f->out);
  f->out = out;
  f->by_line = by_line;
  return 0;
}

/* ---- the rest ---- */

/* The program's position in the file. */
static int64_t tell(GrFile *f) {
  if (f->end_at < 0) {
    f->end_at = lseek(f->fd, 0, SEEK_CUR);
    if (f->end_at < 0) return -errno;
  }
  return f->end_at - (int64_t)held(f);
}

int64_t gr_file_seek(GrFile *f, G *g, int64_t offset, int whence) {
  int err = gr_file_flush(f, g);
  if (err != 0) return err;
  if (whence == SEEK_CUR && offset == 0) return tell(f);
  int64_t ahead = (int64_t)held(f);
  if (whence == SEEK_CUR && __builtin_sub_overflow(offset, ahead, &offset)) return -EINVAL;
  off_t at = lseek(f->fd, (off_t)offset, whence);
  if (at < 0) return -errno;
  gr_buffer_drop(&f->in, held(f));
  f->end_at = at;
  return at;
}

int gr_file_sync(GrFile *f, G *g) {
  int err = gr_file_flush(f, g);
  if (err != 0) return err;
  gr_block_begin(g);
  err = fsync(f->fd) == 0 ? 0 : -errno;
  gr_block_end(g);
  return err;
}

int gr_file_truncate(GrFile *f, G *g, int64_t size) {
  int err = gr_file_flush(f, g);
  if (err == 0) err = unread(f);
  return err != 0 ? err : ftruncate(f->fd, (off_t)size) == 0 ? 0 : -errno;
}

int gr_file_stat(GrFile *f, G *g, GrStat *st) {
  int err = gr_file_flush(f, g);
  return err != 0 ? err : gr_fs_fstat(f->fd, st);
}

/* SPDX-License-Identifier: MIT */
/* msg.h - a value on its way between two goroutines.
 *
 * A GrMsg is moved by plain assignment and has one owner at any moment. The last owner either
 * hands it to csrc/copy to unpack, or drops it. Only csrc/copy knows what the bytes mean; for the
 * floors below, a message is 32 bytes and a way to drop them. */
#ifndef GR_MSG_H
#define GR_MSG_H

#include "base/base.h"

typedef struct GrMsg {
  uint8_t kind;  /* 0: no value, as in a message that was emptied; else csrc/copy's */
  uint8_t len;   /* csrc/copy's: the length of a short string */
  char bytes[6]; /* csrc/copy's: a short string goes on through `u` and `w` */
  union {
    int64_t i;
    double n;
    void *p;
  } u;
  uint64_t w[2];
} GrMsg;

#define GR_MSG_EMPTY ((GrMsg){0})

/* How messages are dropped. csrc/copy sets it once, before the first message exists. */
extern void (*gr_msg_drop_hook)(GrMsg *m);

static inline void gr_msg_drop(GrMsg *m) {
  if (m->kind != 0) gr_msg_drop_hook(m);
  m->kind = 0;
}

#endif

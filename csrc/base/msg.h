/* SPDX-License-Identifier: MIT */
/* msg.h - a value on its way between two goroutines.
 *
 * A GrMsg is moved by plain assignment and has one owner at a time: who holds it last either hands
 * it to vm's unpack or drops it. What the bytes mean is known to vm alone; below vm it is 32 opaque
 * bytes and a way to drop them. */
#ifndef GR_MSG_H
#define GR_MSG_H

#include "base/base.h"

typedef struct GrMsg {
  uint8_t kind;  /* 0: nothing (also what an emptied message is); else vm's */
  uint8_t len;   /* vm's: length of a short string */
  char bytes[6]; /* vm's: short strings run on through `u` and `w` */
  union {
    int64_t i;
    double n;
    void *p;
  } u;
  uint64_t w[2];
} GrMsg;

#define GR_MSG_EMPTY ((GrMsg){0})

/* How messages are dropped: set once, by vm, before the first message exists. */
extern void (*gr_msg_drop_hook)(GrMsg *m);

static inline void gr_msg_drop(GrMsg *m) {
  if (m->kind != 0) gr_msg_drop_hook(m);
  m->kind = 0;
}

#endif

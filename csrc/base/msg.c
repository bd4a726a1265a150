/* SPDX-License-Identifier: MIT */
/* msg.c - the one pointer through which lower floors drop what only csrc/copy understands. */
#include "base/msg.h"

void (*gr_msg_drop_hook)(GrMsg *m);

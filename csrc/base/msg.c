/* SPDX-License-Identifier: MIT */
/* msg.c - the one pointer that lets lower floors drop what only vm understands. */
#include "base/msg.h"

void (*gr_msg_drop_hook)(GrMsg *m);

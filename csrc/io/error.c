/* SPDX-License-Identifier: MIT */
/* error.c - names and texts of errors: see error.h. */
#include "io/error.h"

#include <uv.h>

static int uv_code(int r) {
  if (r == GR_CLOSED) return UV_ECANCELED;
  if (r == GR_TIMEOUT) return UV_ETIMEDOUT;
  return r - GR_SYS_FIRST;
}

int gr_sys_errno(int r) {
  int code = gr_is_sys(r) ? uv_code(r) : 0;
  return code > UV_EAI_ADDRFAMILY ? -code : 0; /* libuv's own begin there */
}

const char *gr_sys_name(int r, char *buf) { return uv_err_name_r(uv_code(r), buf, GR_ERROR_SIZE); }
const char *gr_sys_text(int r, char *buf) { return uv_strerror_r(uv_code(r), buf, GR_ERROR_SIZE); }

/* SPDX-License-Identifier: MIT */
/* error.c - names and texts of errors: see error.h.
 *
 * libuv knows some eighty codes. For any other (ENOEXEC, EDQUOT, ESTALE) it has a sentence in place
 * of a name; a message would then say that sentence three times. So the names and texts of those
 * are the C library's. The texts are put into libuv's form, which begins with a small letter. */
#include "io/error.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

/* Not every C library has it. */
extern const char *strerrorname_np(int) __attribute__((weak));

static int uv_code(int r) {
  if (r == GR_CLOSED) return UV_ECANCELED;
  if (r == GR_TIMEOUT) return UV_ETIMEDOUT;
  return r - GR_SYS_FIRST;
}

int gr_sys_result(int code) {
  if (code == 0) return GR_OK;
  return code == UV_ENOMEM || code == UV_EAI_MEMORY ? GR_NOMEM : GR_SYS(code);
}

int gr_sys_errno(int r) {
  int code = gr_is_sys(r) ? uv_code(r) : 0;
  return code > UV_EAI_ADDRFAMILY ? -code : 0; /* libuv's own begin there */
}

/* Does libuv have no name for this code? */
static bool unknown_to_uv(int code) {
  char buf[GR_ERROR_SIZE];
  return strncmp(uv_err_name_r(code, buf, sizeof buf), "Unknown", 7) == 0;
}

const char *gr_sys_name(int r, char *buf) {
  int code = uv_code(r);
  if (!unknown_to_uv(code)) return uv_err_name_r(code, buf, GR_ERROR_SIZE);
  const char *name = strerrorname_np != NULL ? strerrorname_np(-code) : NULL;
  if (name == NULL) snprintf(buf, GR_ERROR_SIZE, "ERRNO%d", -code);
  else snprintf(buf, GR_ERROR_SIZE, "%s", name);
  return buf;
}

const char *gr_sys_text(int r, char *buf) {
  int code = uv_code(r);
  if (!unknown_to_uv(code)) return uv_strerror_r(code, buf, GR_ERROR_SIZE);
  char text[GR_ERROR_SIZE];
  snprintf(buf, GR_ERROR_SIZE, "%s", strerror_r(-code, text, sizeof text));
  if (islower((unsigned char)buf[1])) buf[0] = (char)tolower((unsigned char)buf[0]);
  return buf;
}

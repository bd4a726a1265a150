/* SPDX-License-Identifier: MIT */
/* watch.c - fs.watch: what happens to a file or folder, as a channel of tables. */
#include "io/watch.h"

#include <string.h>

#include "lib/io/fs.h"
#include "lib/io/io.h"
#include "copy/pack.h"

enum { CAPACITY = 1024 };

static bool make(const char *path, const char *event, GrMsg *m) {
  const char *const fields[][2] = {{"path", path}, {"event", event}};
  return gr_msg_record(fields, sizeof fields / sizeof *fields, m);
}

void gr_watch_names(void) { gr_watch_init(make); }

/* watch(path) -> channel of { path=, event= } */
int gr_lib_fs_watch(lua_State *L) {
  const char *path = gr_fs_path(L, 1);
  if (path == NULL) return 3;
  gr_enter(L, gr_state(L));
  GrChan *c = gr_push_chan(L, CAPACITY);
  int r = gr_watch_start(c, path);
  return r == GR_OK ? 1 : gr_push_failure(L, r, NULL, path, strlen(path));
}

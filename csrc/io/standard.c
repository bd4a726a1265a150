/* SPDX-License-Identifier: MIT */
/* standard.c - descriptors 0, 1 and 2 are open from the moment goro is loaded.
 *
 * A program may be started with one of them closed (by a shell's `>&-`, by a service manager). The
 * first socket would then get that number, and what the program prints would go to a peer. So
 * /dev/null takes the free numbers, as in Go. Children inherit it, for they would have the same
 * trouble. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

__attribute__((constructor)) static void fill_standard(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) < 0) return;
}

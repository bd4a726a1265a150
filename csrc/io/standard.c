/* SPDX-License-Identifier: MIT */
/* standard.c - descriptors 0, 1 and 2 are open from the moment goro is loaded.
 *
 * A program may be started with any of them closed (by a shell's `>&-`, by a service manager). Then
 * the first socket would get the number, and what is printed would go to a peer. So /dev/null takes
 * the numbers that are free, as in Go; it is not closed in children, who would have the same
 * trouble. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

__attribute__((constructor)) static void fill_standard(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) < 0) return;
}

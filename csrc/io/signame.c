/* SPDX-License-Identifier: MIT */
/* signame.c - names of signals. The C library has them too (sigabbrev_np), but only versions that
 * are newer than many in use. */
#include "io/signame.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *name;
  int sig;
} names[] = {
    {"HUP", SIGHUP},       {"INT", SIGINT},     {"QUIT", SIGQUIT}, {"ILL", SIGILL},
    {"TRAP", SIGTRAP},     {"ABRT", SIGABRT},   {"BUS", SIGBUS},   {"FPE", SIGFPE},
    {"KILL", SIGKILL},     {"USR1", SIGUSR1},   {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},
    {"PIPE", SIGPIPE},     {"ALRM", SIGALRM},   {"TERM", SIGTERM}, {"CHLD", SIGCHLD},
    {"CONT", SIGCONT},     {"STOP", SIGSTOP},   {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},
    {"TTOU", SIGTTOU},     {"URG", SIGURG},     {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},
    {"PROF", SIGPROF},     {"IO", SIGIO},       {"PWR", SIGPWR},   {"SYS", SIGSYS},
    {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH},
#ifdef SIGSTKFLT
    {"STKFLT", SIGSTKFLT},
#endif
    {"IOT", SIGIOT},       {"POLL", SIGPOLL}, /* other names of some above */
};

int gr_signal_number(const char *name) {
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(names[i].name, name) == 0) return names[i].sig;
  if (strcmp(name, "RTMIN") == 0) return SIGRTMIN;
  if (strncmp(name, "RTMIN+", 6) != 0 || name[6] < '1' || name[6] > '9' || strlen(name) > 8)
    return 0;
  char *end;
  long n = strtol(name + 6, &end, 10);
  return *end == '\0' && SIGRTMIN + n <= SIGRTMAX ? SIGRTMIN + (int)n : 0;
}

const char *gr_signal_name(int sig, char buf[GR_SIGNAL_NAME]) {
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i].sig == sig) return names[i].name;
  if (sig < SIGRTMIN || sig > SIGRTMAX) return NULL;
  if (sig == SIGRTMIN) return "RTMIN";
  snprintf(buf, GR_SIGNAL_NAME, "RTMIN+%d", sig - SIGRTMIN);
  return buf;
}

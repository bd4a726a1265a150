/* SPDX-License-Identifier: MIT */
/* preload.c - what ./tools/test --sanitize preloads into the stock lua5.4, after the sanitizer's
 * runtime.
 *
 * The programs that Lua starts shall be without that runtime (shells crash under
 * ThreadSanitizer's): the dynamic linker has read LD_PRELOAD by now, so it is taken away.
 *
 * Lua raises errors and yields by longjmp. ThreadSanitizer keeps a stack of calls of its own and
 * cuts it back in its longjmp; but fortified programs, as distributions build them, call
 * __longjmp_chk, which it does not know. Each yield would leave some calls on that stack for ever,
 * until it overflows after some ten thousand. */
#undef _FORTIFY_SOURCE /* or longjmp below would be __longjmp_chk again */
#include <setjmp.h>
#include <stdlib.h>

__attribute__((constructor)) static void be_alone(void) { unsetenv("LD_PRELOAD"); }

_Noreturn void __longjmp_chk(jmp_buf target, int value);
_Noreturn void __longjmp_chk(jmp_buf target, int value) { longjmp(target, value); }

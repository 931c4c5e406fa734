#include "base/trap.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>

static _Atomic uint32_t *told_at; /* why global: the handler can get it in no other way */

/* Async-signal-safe: one store, one system call. SIGSYS has its default again (SA_RESETHAND) and is
 * not blocked (SA_NODEFER), so raise ends the process, and so does the kernel if raise is refused
 * too. */
static void on_refused(int number, siginfo_t *info, void *context)
{
    uint32_t none = 0;
    (void)context;
    atomic_compare_exchange_strong(told_at, &none, (uint32_t)info->si_syscall + 1);
    raise(number);
}

int l4_trap_install(_Atomic uint32_t *told)
{
    struct sigaction action = {.sa_sigaction = on_refused,
                               .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND | SA_NODEFER)};
    told_at = told;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGSYS, &action, NULL) ? -errno : 0;
}

/* A child that does not outlive its test: one that spins until it is killed must not do so for
 * ever when the test itself was ended. */
#ifndef L4_TESTS_PROCESS_H
#define L4_TESTS_PROCESS_H

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static inline pid_t fork_tied(void)
{
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent))
        _exit(1);
    return pid;
}

#endif

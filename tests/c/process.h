/* A child that does not outlive its test, also if the test itself was killed. */
#ifndef L4_TESTS_PROCESS_H
#define L4_TESTS_PROCESS_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static inline pid_t fork_tied(void)
{
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent))
        _exit(1);
    return pid;
}

/* Returns whether a process that does this ends by an assertion. The assertion's text is not shown.
 */
static inline bool aborts(void (*act)(void))
{
    int status;
    const pid_t pid = fork_tied();
    if (pid == 0) {
        fclose(stderr);
        signal(SIGABRT, SIG_DFL);
        act();
        _exit(0);
    }
    return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif

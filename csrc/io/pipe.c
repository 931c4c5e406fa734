#include "io/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/half.h"

void l4_pipes_init(struct l4_pipes *pipes, uint32_t max)
{
    pipes->idle_count = 0;
    pipes->unmade_count = max < L4_PIPES_MAX ? max : L4_PIPES_MAX;
    for (uint32_t i = 0; i < pipes->unmade_count; i++)
        pipes->unmade[i] = (uint16_t)(pipes->unmade_count - 1 - i);
}

static void unmake(struct l4_pipes *pipes, uint16_t pipe)
{
    L4_ASSERT(pipe < L4_PIPES_MAX && pipes->unmade_count < L4_PIPES_MAX);
    close(pipes->fds[pipe][0]);
    close(pipes->fds[pipe][1]);
    pipes->unmade[pipes->unmade_count++] = pipe;
}

void l4_pipes_close(struct l4_pipes *pipes)
{
    while (pipes->idle_count)
        unmake(pipes, pipes->idle[--pipes->idle_count]);
}

bool l4_pipes_ready(struct l4_pipes *pipes)
{
    if (pipes->idle_count)
        return true;
    if (!pipes->unmade_count)
        return false;
    int fds[2];
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC))
        return false;
    const uint16_t pipe = pipes->unmade[pipes->unmade_count - 1];
    /* why: a user above the kernel's pipe-user-pages-soft gets small pipes. A pipe that cannot
     * hold the rest of a receive would lose bytes and is not used. */
    if (pipe >= L4_PIPES_LARGE || fcntl(fds[1], F_SETPIPE_SZ, L4_PIPE_BYTES) < 0)
        fcntl(fds[1], F_SETPIPE_SZ, L4_PIPE_SMALL_BYTES);
    if (fcntl(fds[1], F_GETPIPE_SZ) < L4_PIPE_MIN_BYTES) {
        close(fds[0]);
        close(fds[1]);
        return false;
    }
    pipes->unmade_count--;
    pipes->fds[pipe][0] = fds[0];
    pipes->fds[pipe][1] = fds[1];
    L4_ASSERT(pipes->idle_count < L4_PIPES_MAX);
    pipes->idle[pipes->idle_count++] = pipe;
    return true;
}

uint16_t l4_pipes_take(struct l4_pipes *pipes)
{
    return l4_pipes_ready(pipes) ? pipes->idle[--pipes->idle_count] : L4_NO_PIPE;
}

uint16_t l4_pipes_adopt(struct l4_pipes *pipes, const int fds[2])
{
    if (!pipes->unmade_count)
        return L4_NO_PIPE;
    const uint16_t pipe = pipes->unmade[--pipes->unmade_count];
    L4_ASSERT(pipe < L4_PIPES_MAX && fds[0] >= 0 && fds[1] >= 0);
    pipes->fds[pipe][0] = fds[0];
    pipes->fds[pipe][1] = fds[1];
    return pipe;
}

void l4_pipes_disown(struct l4_pipes *pipes, uint16_t pipe)
{
    L4_ASSERT(pipe < L4_PIPES_MAX && pipes->unmade_count < L4_PIPES_MAX);
    pipes->unmade[pipes->unmade_count++] = pipe;
}

void l4_pipes_give(struct l4_pipes *pipes, uint16_t pipe, bool empty)
{
    L4_ASSERT(pipe < L4_PIPES_MAX);
    if (empty && pipes->idle_count < L4_PIPES_SPARE)
        pipes->idle[pipes->idle_count++] = pipe;
    else
        unmake(pipes, pipe);
}

#include "run/post.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io/fds.h"
#include "run/accept.h"
#include "run/hand.h"

static int obey(struct l4_loop *loop, const struct l4_post *post, int fd)
{
    const bool needs_fd = post->op == L4_POST_LISTEN || post->op == L4_POST_GIVE ||
                          post->op == L4_POST_TAKE || post->op == L4_POST_GIVE_FLOWS;
    if (needs_fd && fd < 0)
        return -EBADF; /* no descriptor was left to take it: a fresh worker gets it at its start */
    switch (post->op) {
    case L4_POST_LISTEN:
        return l4_accept_add(loop, (struct l4_bound){.fd = fd,
                                                     .listener = post->row,
                                                     .tag = post->tag,
                                                     .exclusive = post->arg == 1});
    case L4_POST_UNLISTEN:
        l4_accept_remove(loop, post->row, post->tag, post->number);
        return 0;
    case L4_POST_RELABEL:
        l4_accept_relabel(loop, post->row, post->tag, post->arg);
        return 0;
    case L4_POST_LEAVE:
        l4_loop_leave(loop);
        loop->parted = post->arg == 1;
        return 0;
    case L4_POST_GIVE:
        l4_hand_give(loop, fd, post->number, post->arg);
        return 0;
    case L4_POST_TAKE:
        l4_hand_take(loop, fd, post->number);
        return 0;
    case L4_POST_GIVE_FLOWS:
        l4_hand_give_flows(loop, fd, post->number, post->row, post->arg);
        return 0;
    default: /* of a later version */
        if (fd >= 0)
            close(fd);
        return 0;
    }
}

int l4_post_take(struct l4_loop *loop)
{
    int error = 0;
    for (int i = 0; !error && i < L4_POSTS_A_TURN; i++) {
        struct l4_post post = {0};
        int fd = -1;
        uint32_t fds = 1;
        const ssize_t got = l4_fds_receive(loop->setup.post_fd, &post, sizeof post, &fd, &fds);
        if (got == -EAGAIN || got == -EINTR)
            return 0;
        if (got <= 0) { /* nobody posts any more: the lifeline tells the rest */
            epoll_ctl(loop->epoll, EPOLL_CTL_DEL, loop->setup.post_fd, NULL);
            return 0;
        }
        if (got >= L4_POST_LEAST && post.bytes >= L4_POST_LEAST)
            error = obey(loop, &post, fds ? fd : -1);
        else if (fds)
            close(fd);
    }
    return error;
}

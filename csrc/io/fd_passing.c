#include "io/fd_passing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    char bytes[CMSG_SPACE(L4_FDS_MAX * sizeof(int))];
    struct cmsghdr align;
};

int l4_fds_send(int to, const void *message, size_t bytes, const int *fds, uint32_t count)
{
    union control control = {0};
    struct iovec part = {.iov_base = (void *)message, .iov_len = bytes};
    struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > L4_FDS_MAX)
        return -EINVAL;
    if (count) {
        head.msg_control = control.bytes;
        head.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&head);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
    }
    return sendmsg(to, &head, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

ssize_t l4_fds_receive(int from, void *message, size_t bytes, int *fds, uint32_t *count)
{
    union control control = {0};
    struct iovec part = {.iov_base = message, .iov_len = bytes};
    struct msghdr head = {.msg_iov = &part,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof control.bytes};
    const uint32_t room = *count;
    const ssize_t got = recvmsg(from, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const int error = errno;
    *count = 0;
    if (got < 0)
        return -error;
    for (struct cmsghdr *one = CMSG_FIRSTHDR(&head); one; one = CMSG_NXTHDR(&head, one)) {
        if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t came = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < came; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(one) + i * sizeof fd, sizeof fd);
            if (*count < room)
                fds[(*count)++] = fd;
            else
                close(fd);
        }
    }
    return got;
}

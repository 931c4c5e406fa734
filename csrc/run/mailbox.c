#include "run/mailbox.h"

#include <errno.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/fd_passing.h"

bool l4_mail_needs_fd(const struct l4_mail *mail)
{
    return mail->op == L4_MAIL_LISTEN || mail->op == L4_MAIL_GIVE || mail->op == L4_MAIL_TAKE ||
           mail->op == L4_MAIL_GIVE_FLOWS;
}

bool l4_mailbox_take(const struct l4_loop *loop, struct l4_mail *mail, int *fd)
{
    uint32_t fds = 1;
    *mail = (struct l4_mail){0};
    *fd = -1;
    const ssize_t got = l4_fds_receive(loop->setup.mailbox_fd, mail, sizeof *mail, fd, &fds);
    L4_ASSERT(fds <= 1 && (fds == 1) == (*fd >= 0));
    if (got == -EAGAIN || got == -EINTR)
        return false;
    if (got <= 0) { /* nobody sends any more: the lifeline says what that means */
        l4_loop_unwatch(loop, loop->setup.mailbox_fd);
        return false;
    }
    if (got < L4_MAIL_LEAST || mail->bytes < L4_MAIL_LEAST)
        mail->op = L4_MAIL_UNKNOWN;
    return true;
}

#include "run/commands.h"

#include <errno.h>
#include <unistd.h>

#include "base/assert.h"
#include "run/admission.h"
#include "run/bounds.h"
#include "run/handover.h"
#include "run/lines.h"
#include "run/mailbox.h"
#include "run/planes.h"
#include "run/shed.h"
#include "run/vault.h"
#include "shm/ring.h"

/* ---- the worker's end ------------------------------------------------------------------------ */

/* Accepts no more clients. take_queued: queued clients are still accepted; if not, other workers
 * have the same sockets and serve those clients. The worker ends with its last session. */
static void end_accepting(struct l4_loop *loop, bool take_queued)
{
    if (loop->draining)
        return;
    L4_SET(loop->row->state, L4_WORKER_DRAINS);
    loop->draining = true;
    for (int i = L4_PLANES; i-- > 0;) {
        if (take_queued)
            l4_planes[i]->drain(loop);
        else
            l4_planes[i]->leave(loop);
    }
    l4_loop_event(loop, L4_EVENT_DRAINED, 0, loop->held);
}

/* Ends every session; if backend is not L4_NONE, every session of that backend. */
static void end_all(struct l4_loop *loop, uint32_t backend, enum l4_reason reason)
{
    for (int i = 0; i < L4_PLANES; i++)
        l4_planes[i]->end_all(loop, backend, reason);
}

/* why hand-overs first: a session on offer is in no other worker. It returns to its former state,
 * and then ends as all others do. */
static void stop_worker(struct l4_loop *loop, enum l4_reason reason)
{
    l4_handover_close_all(loop);
    end_accepting(loop, true);
    end_all(loop, L4_NONE, reason);
    loop->stopping = true;
}

/* why UDP sessions end: without their listener's socket they cannot reach their clients. Whoever
 * starts the service again needs the addresses now. */
void l4_commands_go_on_alone(struct l4_loop *loop)
{
    L4_ASSERT(!loop->alone_end_ms);
    l4_loop_unwatch(loop, loop->setup.lifeline_fd);
    end_accepting(loop, true);
    l4_bounds_close(loop);
    loop->alone_end_ms = loop->now_ms + L4_GET(loop->table->header->drain_timeout_ms);
}

int l4_commands_alone_ms(const struct l4_loop *loop)
{
    if (!loop->alone_end_ms)
        return -1;
    const uint64_t left = loop->alone_end_ms > loop->now_ms ? loop->alone_end_ms - loop->now_ms : 0;
    return left < INT32_MAX ? (int)left : INT32_MAX;
}

void l4_commands_end_alone(struct l4_loop *loop)
{
    L4_ASSERT(loop->alone_end_ms && loop->draining);
    stop_worker(loop, L4_END_DRAIN_TIMEOUT);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void carry_out_command(struct l4_loop *loop, const struct l4_command *command)
{
    switch (command->op) {
    case L4_CMD_DRAIN:
        end_accepting(loop, true);
        break;
    case L4_CMD_STOP:
        stop_worker(loop, command->reason < L4_REASON_COUNT ? (enum l4_reason)command->reason
                                                            : L4_END_STOPPED);
        break;
    case L4_CMD_KILL:
        for (int i = 0; i < L4_PLANES; i++)
            l4_planes[i]->kill(loop, command->slot, command->serial);
        break;
    case L4_CMD_SECRETS:
        l4_vault_refresh(loop);
        break;
    case L4_CMD_RECOUNT:
        l4_admission_recount(loop);
        break;
    case L4_CMD_KILL_BACKEND:
        end_all(loop, command->slot, L4_END_KILLED);
        break;
    }
}

void l4_commands_take(struct l4_loop *loop)
{
    uint64_t wakeups;
    struct l4_command command;
    (void)!read(loop->setup.command_fd, &wakeups, sizeof wakeups);
    while (L4_RING_TAKE(loop->row, command_ring, commands, &command))
        carry_out_command(loop, &command);
    l4_lines_rung(loop);
    l4_shed_asked(loop);
}

/* ---- mail ------------------------------------------------------------------------------------ */

static int carry_out_mail(struct l4_loop *loop, const struct l4_mail *mail, int fd)
{
    if (l4_mail_needs_fd(mail) && fd < 0)
        return -EBADF; /* no descriptor is free here: a new worker gets the socket at its start */
    switch (mail->op) {
    case L4_MAIL_LISTEN:
        return l4_bounds_add(loop, (struct l4_bound){.fd = fd,
                                                     .listener = mail->row,
                                                     .tag = mail->tag,
                                                     .exclusive = mail->arg == 1});
    case L4_MAIL_UNLISTEN:
        l4_bounds_remove(loop, mail->row, mail->tag, mail->number);
        return 0;
    case L4_MAIL_RELABEL:
        l4_bounds_relabel(loop, mail->row, mail->tag, mail->arg);
        return 0;
    case L4_MAIL_LEAVE:
        end_accepting(loop, false);
        loop->parted = mail->arg == 1;
        loop->leaves_ms = loop->now_ms;
        return 0;
    case L4_MAIL_GIVE:
        l4_handover_give(loop, fd, mail->number, mail->arg);
        return 0;
    case L4_MAIL_TAKE:
        l4_handover_take(loop, fd, mail->number);
        return 0;
    case L4_MAIL_GIVE_FLOWS:
        l4_handover_give_flows(loop, fd, mail->number, mail->row, mail->arg);
        return 0;
    default: /* an operation of a later version */
        if (fd >= 0)
            close(fd);
        return 0;
    }
}

int l4_commands_take_mail(struct l4_loop *loop)
{
    int error = 0;
    for (int i = 0; !error && i < L4_MAILS_A_TURN; i++) {
        struct l4_mail mail;
        int fd;
        if (!l4_mailbox_take(loop, &mail, &fd))
            break;
        error = carry_out_mail(loop, &mail, fd);
    }
    return error;
}

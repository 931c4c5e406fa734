#include "run/hand.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io/fds.h"
#include "run/answer.h"
#include "run/record.h"
#include "run/session.h"

static struct l4_hand *open_hand(struct l4_loop *loop, int fd, uint32_t number,
                                 enum l4_hand_role role)
{
    for (uint32_t i = 0; i < L4_HANDS; i++) {
        struct l4_hand *hand = &loop->hands[i];
        if (hand->role != L4_HAND_FREE)
            continue;
        if (l4_loop_watch(loop, fd, EPOLLIN, L4_WATCH_HAND, i))
            break;
        *hand = (struct l4_hand){.fd = fd, .role = role, .number = number};
        loop->hand_count++;
        return hand;
    }
    close(fd);
    return NULL;
}

/* ---- the giver ------------------------------------------------------------------------------- */

/* Puts an offered session back to work: its edges come anew. */
static void keep(struct l4_loop *loop, struct l4_offer *offer)
{
    struct l4_session *s = l4_session_at(loop, offer->slot);
    const uint32_t index = offer->slot, state = offer->state;
    offer->serial = 0;
    l4_session_enter(s, state);
    for (int half = 0; half < 2; half++) {
        const enum l4_watch what = half ? L4_WATCH_BACKEND : L4_WATCH_CLIENT;
        if (l4_loop_watch(loop, s->half[half].fd, L4_SOCKET_EVENTS, what, index)) {
            s->error = ENOMEM;
            l4_session_end(loop, index, L4_END_ERROR);
            return;
        }
    }
    l4_session_wake_in(loop, index, 0);
}

static void close_hand(struct l4_loop *loop, struct l4_hand *hand)
{
    for (uint32_t i = 0; hand->waiting && i < L4_HAND_WINDOW; i++) {
        if (hand->offers[i].serial)
            keep(loop, &hand->offers[i]);
    }
    if (hand->role == L4_HAND_GIVES)
        l4_loop_event(loop, L4_EVENT_HANDED, hand->number, hand->moved);
    close(hand->fd);
    hand->role = L4_HAND_FREE;
    loop->hand_count--;
}

/* Stops a session and offers it. Returns 0, or -errno if it could not be sent and goes on here. */
static int offer(struct l4_loop *loop, struct l4_hand *hand, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_record record;
    int fds[L4_FDS_MAX];
    uint32_t place = 0;
    while (hand->offers[place].serial)
        place++;
    for (int half = 0; half < 2; half++)
        epoll_ctl(loop->epoll, EPOLL_CTL_DEL, s->half[half].fd, NULL);
    l4_wheel_stop(&loop->wheel, index);
    l4_answer_forget(loop, s);
    const uint32_t count = l4_record_write(loop, index, &record, fds);
    hand->offers[place] =
        (struct l4_offer){.slot = index, .serial = L4_GET(s->serial), .state = L4_GET(s->state)};
    l4_session_enter(s, L4_SESSION_LEAVES);
    const int error = l4_fds_send(hand->fd, &record, sizeof record, fds, count);
    if (error)
        keep(loop, &hand->offers[place]);
    else
        hand->waiting++;
    return error;
}

static uint32_t next_that_can(const struct l4_loop *loop, struct l4_hand *hand)
{
    while (hand->cursor < loop->fresh) {
        const struct l4_session *s = l4_session_at(loop, hand->cursor);
        if (L4_GET(s->serial) && l4_record_can(s))
            return hand->cursor;
        hand->cursor++;
    }
    return L4_NONE;
}

/* Offers sessions as far as the window, the socket and the number to give allow. */
static void give(struct l4_loop *loop, struct l4_hand *hand)
{
    const bool all = hand->left == L4_NONE;
    int error = 0;
    while (!error && hand->left && hand->waiting < L4_HAND_WINDOW) {
        const uint32_t index = next_that_can(loop, hand);
        if (index == L4_NONE)
            break;
        error = offer(loop, hand, index);
        if (error)
            break;
        hand->cursor = index + 1;
        hand->left -= all ? 0 : 1;
    }
    if (hand->waiting)
        return; /* an answer brings us back */
    if (error == -EAGAIN || error == -ETOOMANYREFS || error == -ENOBUFS || error == -ENOMEM ||
        (!error && all && loop->held)) {
        hand->retry_ms = loop->now_ms + L4_HAND_RETRY_MS;
        hand->cursor = error ? hand->cursor : 0;
        return;
    }
    close_hand(loop, hand);
}

static void take_answers(struct l4_loop *loop, struct l4_hand *hand)
{
    struct l4_answer answer;
    uint32_t fds = 0;
    ssize_t got;
    while ((got = l4_fds_receive(hand->fd, &answer, sizeof answer, NULL, &fds)) > 0) {
        for (uint32_t i = 0; i < L4_HAND_WINDOW; i++) {
            struct l4_offer *offer = &hand->offers[i];
            if (got < (ssize_t)sizeof answer || !offer->serial || offer->slot != answer.slot ||
                offer->serial != answer.serial)
                continue;
            hand->waiting--;
            if (answer.taken == 1) {
                hand->moved++;
                l4_session_release(loop, offer->slot);
                offer->serial = 0;
            } else {
                keep(loop, offer);
            }
        }
    }
    if (got == -EAGAIN || got == -EINTR)
        give(loop, hand);
    else
        close_hand(loop, hand);
}

void l4_hand_give(struct l4_loop *loop, int fd, uint32_t number, uint32_t count)
{
    struct l4_hand *hand = open_hand(loop, fd, number, L4_HAND_GIVES);
    if (!hand) {
        l4_loop_event(loop, L4_EVENT_HANDED, number, 0);
        return;
    }
    hand->left = count;
    give(loop, hand);
}

/* ---- the taker ------------------------------------------------------------------------------- */

static void take_one(struct l4_loop *loop, const struct l4_hand *hand,
                     const struct l4_record *record, const int *fds, uint32_t count)
{
    const struct l4_answer answer = {
        .bytes = sizeof answer,
        .slot = record->slot,
        .serial = record->serial,
        .taken = record->magic == L4_RECORD_MAGIC && l4_record_read(loop, record, fds, count),
    };
    for (uint32_t i = 0; !answer.taken && i < count; i++)
        close(fds[i]);
    /* why: if the giver is gone, what was taken has only this worker left; else there is room for
     * as many answers as the giver waits for. */
    (void)!l4_fds_send(hand->fd, &answer, sizeof answer, NULL, 0);
}

static void take(struct l4_loop *loop, struct l4_hand *hand)
{
    for (int i = 0; i < L4_HAND_WINDOW; i++) {
        struct l4_record record = {0};
        int fds[L4_FDS_MAX];
        uint32_t count = L4_FDS_MAX;
        const ssize_t got = l4_fds_receive(hand->fd, &record, sizeof record, fds, &count);
        if (got == -EAGAIN || got == -EINTR)
            return;
        if (got <= 0) {
            close_hand(loop, hand);
            return;
        }
        take_one(loop, hand, &record, fds, count);
    }
}

void l4_hand_take(struct l4_loop *loop, int fd, uint32_t number)
{
    open_hand(loop, fd, number, L4_HAND_TAKES);
}

/* ---- both ------------------------------------------------------------------------------------ */

void l4_hand_event(struct l4_loop *loop, uint32_t index)
{
    struct l4_hand *hand = &loop->hands[index];
    if (hand->role == L4_HAND_GIVES)
        take_answers(loop, hand);
    else if (hand->role == L4_HAND_TAKES)
        take(loop, hand);
}

void l4_hand_revisit(struct l4_loop *loop)
{
    for (uint32_t i = 0; i < L4_HANDS; i++) {
        struct l4_hand *hand = &loop->hands[i];
        if (hand->role != L4_HAND_GIVES || !hand->retry_ms || loop->now_ms < hand->retry_ms)
            continue;
        hand->retry_ms = 0;
        give(loop, hand);
    }
}

int l4_hand_wait_ms(const struct l4_loop *loop)
{
    uint64_t soonest = 0;
    for (uint32_t i = 0; loop->hand_count && i < L4_HANDS; i++) {
        const struct l4_hand *hand = &loop->hands[i];
        if (hand->role == L4_HAND_GIVES && hand->retry_ms && (!soonest || hand->retry_ms < soonest))
            soonest = hand->retry_ms;
    }
    if (!soonest)
        return -1;
    return soonest > loop->now_ms ? (int)(soonest - loop->now_ms) : 0;
}

void l4_hand_close_all(struct l4_loop *loop)
{
    for (uint32_t i = 0; loop->hands && i < L4_HANDS; i++) {
        if (loop->hands[i].role != L4_HAND_FREE)
            close_hand(loop, &loop->hands[i]);
    }
}

#include "run/udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "io/dgram_sock.h"
#include "run/udp_adopt.h"
#include "run/udp_kernel.h"
#include "run/udp_relay.h"
#include "run/udp_session.h"

static bool is_udp(const struct l4_loop *loop, uint32_t listener)
{
    return l4_table_listener(loop->table, listener)->protocol == L4_UDP;
}

void l4_udp_drop(const struct l4_loop *loop, uint32_t listener, enum l4_drop why, uint32_t count)
{
    L4_OWN_ADD(l4_table_udp_tally(loop->table, loop->setup.index, listener)->dropped[why], count);
}

/* ---- start and end --------------------------------------------------------------------------- */

static uint64_t plan(struct l4_loop *loop, uint64_t descriptors)
{
    bool any = false;
    for (uint32_t i = 0; i < loop->setup.bound_count; i++)
        any = any || is_udp(loop, loop->setup.bounds[i].listener);
    const struct l4_header *header = loop->table->header;
    uint64_t max = descriptors * L4_GET(header->udp_share_percent) / 100;
    if (max > loop->table->plan.caps.flows)
        max = loop->table->plan.caps.flows;
    max = any ? (max ? max : 1) : 0;
    L4_SET(loop->row->udp_capacity, (uint32_t)max);
    return max;
}

static int open_front(struct l4_loop *loop, uint32_t bound)
{
    static const uint8_t any[16];
    struct l4_udp_front *front = &loop->udp->fronts[bound];
    const int fd = loop->bounds[bound].fd;
    front->at = l4_dgram_bound_to(fd);
    front->wildcard = memcmp(front->at.ip, any, sizeof any) == 0;
    front->six = l4_dgram_is_six(fd);
    front->open = true;
    l4_dgram_tell(fd, front->wildcard);
    if (loop->udp->held_until_ms)
        return 0;
    return l4_loop_watch(loop, fd, EPOLLIN, L4_WATCH_LISTENER, bound);
}

static int allocate(struct l4_loop *loop, uint32_t capacity)
{
    struct l4_udp *udp = loop->udp;
    struct l4_timer *timers = calloc(capacity, sizeof *timers);
    udp->peers = calloc(capacity, sizeof *udp->peers);
    udp->fronts = calloc(l4_bounds_room(loop->table), sizeof *udp->fronts);
    if (!timers || !udp->peers || !udp->fronts || l4_dgram_inbox_init(&udp->in, true) ||
        l4_dgram_inbox_init(&udp->back, false) ||
        l4_flows_init(&udp->flows, capacity, &loop->table->header->hash_key) ||
        l4_sources_init(&udp->sources, capacity)) {
        free(timers);
        return -ENOMEM;
    }
    l4_wheel_init(&udp->wheel, timers, capacity, loop->now_ms);
    l4_dgram_outbox_init(&udp->ahead);
    l4_dgram_outbox_init(&udp->replies);
    l4_udp_kernel_start(loop);
    udp->ready_head = udp->ready_tail = L4_NONE;
    return 0;
}

static int open_udp(struct l4_loop *loop, uint32_t capacity)
{
    loop->udp = calloc(1, sizeof *loop->udp);
    if (!loop->udp)
        return -ENOMEM;
    if (loop->setup.hold_udp)
        loop->udp->held_until_ms = loop->now_ms + L4_UDP_HOLD_MS;
    int error = allocate(loop, capacity);
    for (uint32_t i = 0; !error && i < loop->bound_count; i++) {
        if (loop->bounds[i].fd >= 0 && l4_loop_protocol(loop, i) == L4_UDP)
            error = open_front(loop, i);
    }
    if (!error)
        l4_udp_adopt(loop);
    return error;
}

static int start(struct l4_loop *loop)
{
    const uint32_t capacity = L4_GET(loop->row->udp_capacity);
    const int error = capacity ? open_udp(loop, capacity) : 0;
    loop->setup.hold_udp = false; /* listeners that come later have nothing to wait for */
    return error;
}

static int add(struct l4_loop *loop, uint32_t bound)
{
    if (loop->udp)
        return open_front(loop, bound);
    /* why a quarter: the descriptors were planned without UDP. The two descriptors of a TCP
     * session make two UDP sessions. */
    const uint32_t spare = loop->capacity / 4, max = loop->table->plan.caps.flows;
    loop->capacity -= spare;
    L4_SET(loop->row->udp_capacity, 2 * spare < max ? 2 * spare + 1 : max);
    return start(loop);
}

/* The sessions of a listener that goes end with it, because their clients' datagrams come through
 * its socket; so do ghosts, which could not send an answer that they read. */
static bool remove_bound(struct l4_loop *loop, uint32_t bound)
{
    l4_udp_receive_rest(loop, bound);
    for (uint32_t i = 0; i < loop->udp->flows.fresh; i++) {
        if (l4_udp_is_live(loop, i) && loop->udp->peers[i].bound == bound)
            l4_udp_end(loop, i, L4_END_DRAIN_TIMEOUT);
    }
    l4_loop_unwatch(loop, loop->bounds[bound].fd);
    loop->udp->fronts[bound].open = false;
    return true;
}

void l4_udp_release(struct l4_loop *loop)
{
    struct l4_udp *udp = loop->udp;
    if (!udp || !udp->held_until_ms)
        return;
    udp->held_until_ms = 0;
    for (uint32_t i = 0; i < loop->bound_count; i++) {
        if (udp->fronts[i].open)
            loop->error = l4_loop_watch(loop, loop->bounds[i].fd, EPOLLIN, L4_WATCH_LISTENER, i);
        if (loop->error)
            return;
    }
}

/* Other workers read the listeners from now on. */
static void leave(struct l4_loop *loop)
{
    for (uint32_t i = 0; loop->udp && i < loop->bound_count; i++) {
        if (loop->udp->fronts[i].open && !loop->udp->held_until_ms)
            l4_loop_unwatch(loop, loop->bounds[i].fd);
    }
}

static void finish(struct l4_loop *loop)
{
    struct l4_udp *udp = loop->udp;
    if (!udp)
        return;
    l4_flows_close(&udp->flows);
    l4_sources_close(&udp->sources);
    l4_dgram_inbox_close(&udp->in);
    l4_dgram_inbox_close(&udp->back);
    free(udp->wheel.timers);
    free(udp->peers);
    free(udp->fronts);
    free(udp);
    loop->udp = NULL;
}

static void drain(struct l4_loop *loop)
{
    if (loop->udp)
        loop->udp->draining = true;
}

static uint32_t held(const struct l4_loop *loop)
{
    return loop->udp ? l4_flows_held(&loop->udp->flows) : 0;
}

static int wait_ms(struct l4_loop *loop)
{
    const struct l4_udp *udp = loop->udp;
    if (udp && udp->held_until_ms)
        return L4_WHEEL_TICK_MS;
    if (!udp || held(loop) == 0)
        return -1;
    if (udp->ready_head != L4_NONE)
        return 0;
    const int timer = l4_sooner_ms(l4_wheel_wait_ms(&loop->udp->wheel, loop->now_ms),
                                   l4_udp_kernel_wait_ms(loop));
    return l4_sooner_ms(timer, L4_UDP_SWEEP_MS);
}

const struct l4_plane l4_plane_udp = {
    .name = "udp",
    .plan = plan,
    .start = start,
    .finish = finish,
    .add = add,
    .remove = remove_bound,
    .receive = l4_udp_receive,
    .event = l4_udp_event,
    .turn = l4_udp_turn,
    .wait_ms = wait_ms,
    .drain = drain,
    .leave = leave,
    .end_all = l4_udp_end_all,
    .kill = l4_udp_kill,
    .held = held,
};

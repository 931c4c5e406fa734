#include "run/bounds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "run/planes.h"

int l4_bounds_start(struct l4_loop *loop)
{
    const uint32_t count = loop->setup.bound_count, room = l4_bounds_room(loop->table);
    loop->bounds = malloc(room * sizeof *loop->bounds);
    if (!loop->bounds || count > room)
        return -ENOMEM;
    if (count)
        memcpy(loop->bounds, loop->setup.bounds, count * sizeof *loop->bounds);
    loop->bound_count = count;
    return 0;
}

void l4_bounds_finish(struct l4_loop *loop)
{
    free(loop->bounds);
    loop->bounds = NULL;
    loop->bound_count = 0;
}

int l4_bounds_add(struct l4_loop *loop, struct l4_bound bound)
{
    L4_ASSERT(bound.fd >= 0 && !bound.closing);
    uint32_t place = 0;
    while (place < loop->bound_count && loop->bounds[place].fd >= 0)
        place++;
    if (place >= l4_bounds_room(loop->table) || loop->draining) {
        close(bound.fd);
        return loop->draining ? 0 : -ENOSPC;
    }
    loop->bounds[place] = bound;
    if (place == loop->bound_count)
        loop->bound_count++;
    return l4_plane_of(loop, place)->add(loop, place);
}

/* why by tag: a row outlives its socket. An address that returns while its old socket is being
 * emptied has the same row. */
static bool is_meant(const struct l4_bound *bound, uint32_t listener, uint32_t tag)
{
    return bound->fd >= 0 && (tag ? bound->tag == tag : bound->listener == listener);
}

/* Removes one listening socket. Returns true if its plane closes it later. */
static bool remove_one(struct l4_loop *loop, uint32_t place)
{
    struct l4_bound *bound = &loop->bounds[place];
    L4_ASSERT(place < loop->bound_count && bound->fd >= 0);
    if (!l4_plane_of(loop, place)->remove(loop, place))
        return true;
    close(bound->fd);
    bound->fd = -1;
    return false;
}

void l4_bounds_remove(struct l4_loop *loop, uint32_t listener, uint32_t tag, uint32_t number)
{
    bool later = false;
    for (uint32_t i = 0; i < loop->bound_count; i++) {
        struct l4_bound *bound = &loop->bounds[i];
        if (!is_meant(bound, listener, tag) || bound->closing)
            continue;
        bound->number = number;
        later |= remove_one(loop, i);
    }
    if (!later)
        l4_loop_event(loop, L4_EVENT_UNLISTENED, listener, number);
}

void l4_bounds_relabel(struct l4_loop *loop, uint32_t listener, uint32_t tag, uint32_t to)
{
    for (uint32_t i = 0; i < loop->bound_count; i++) {
        if (is_meant(&loop->bounds[i], listener, tag))
            loop->bounds[i].listener = to;
    }
}

void l4_bounds_close(struct l4_loop *loop)
{
    for (uint32_t i = 0; i < loop->bound_count; i++) {
        if (loop->bounds[i].fd >= 0)
            remove_one(loop, i);
    }
}

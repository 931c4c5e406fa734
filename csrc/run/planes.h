/* All planes. */
#ifndef L4_RUN_PLANES_H
#define L4_RUN_PLANES_H

#include "run/plane.h"

extern const struct l4_plane *const l4_planes[L4_PLANES];

/* Returns the plane of a listening socket. */
static inline const struct l4_plane *l4_plane_of(const struct l4_loop *loop, uint32_t bound)
{
    return l4_planes[l4_loop_protocol(loop, bound)];
}

/* Returns how many sessions all planes have. */
uint32_t l4_planes_held(const struct l4_loop *loop);

#endif

#include "run/planes.h"

#include "http/plane.h"
#include "run/tcp.h"
#include "run/udp.h"

const struct l4_plane *const l4_planes[L4_PLANES] = {
    [L4_TCP] = &l4_plane_tcp,
    [L4_UDP] = &l4_plane_udp,
    [L4_HTTP] = &l4_plane_http,
};

uint32_t l4_planes_held(const struct l4_loop *loop)
{
    uint32_t held = 0;
    for (int i = 0; i < L4_PLANES; i++)
        held += l4_planes[i]->held(loop);
    return held;
}

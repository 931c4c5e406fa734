#include "run/udp_proxy_out.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "core/proxy_protocol.h"
#include "run/udp_session.h"
#include "shm/policy_rows.h"

static size_t header_of(const struct l4_loop *loop, uint32_t flow, uint8_t *to)
{
    const struct l4_session *s = l4_udp_session(loop, flow);
    const struct l4_pool *pool = l4_table_pool(loop->table, s->pool);
    const struct l4_proxy_write say = {
        .version = 2,
        .datagram = true,
        .crc32c = L4_GET(pool->proxy_tlvs) & L4_TLV_CRC32C,
        .from = s->client,
        .to = l4_udp_flow(loop, flow)->local,
    };
    return l4_proxy_write(&say, to);
}

int l4_udp_proxy_out(struct l4_loop *loop, uint32_t flow, const struct l4_dgram *d, uint32_t *at,
                     uint32_t *lost)
{
    const struct l4_session *s = l4_udp_session(loop, flow);
    struct l4_flow *f = l4_udp_flow(loop, flow);
    const bool each = L4_GET(l4_table_pool(loop->table, s->pool)->udp.greets) == L4_UDP_GREETS_EACH;
    uint8_t header[L4_PROXY_BYTES_MAX];
    const size_t bytes = header_of(loop, flow, header);
    L4_ASSERT(bytes <= sizeof header && *at <= d->bytes && s->half[L4_BACKEND].fd >= 0);
    struct l4_dgram piece;
    for (uint32_t next = *at; l4_dgram_piece(d, &next, &piece); *at = next) {
        const bool greets = each || !(f->flags & L4_FLOW_GREETED);
        struct iovec parts[2] = {{.iov_base = header, .iov_len = greets ? bytes : 0},
                                 {.iov_base = (void *)piece.data, .iov_len = piece.bytes}};
        const struct msghdr head = {.msg_iov = parts, .msg_iovlen = 2};
        if (sendmsg(s->half[L4_BACKEND].fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            f->flags |= L4_FLOW_GREETED;
        else if (l4_dgram_peer_gone(errno))
            return -errno;
        else
            (*lost)++;
    }
    return 0;
}

#include "run/proxy_out.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/random.h"
#include "core/proxy_protocol.h"
#include "http/h2.h"
#include "io/sock.h"
#include "io/tls.h"
#include "run/row.h"

/* Adds an id that was never given before: 128 random bits, as 32 hexadecimal digits. */
static uint32_t add_unique_id(struct l4_loop *loop, uint8_t *tlvs, uint32_t used, uint32_t room)
{
    char id[33];
    snprintf(id, sizeof id, "%016llx%016llx", (unsigned long long)l4_random(&loop->random),
             (unsigned long long)l4_random(&loop->random));
    return l4_proxy_add(tlvs, used, room, L4_PROXY_UNIQUE_ID, id, 32);
}

/* Adds what the client and l4lb agreed on in TLS: PP2_TYPE_SSL, section 2.2.5 of the
 * specification. */
static uint32_t add_ssl(const struct l4_tls_facts *tls, uint8_t *tlvs, uint32_t used, uint32_t room)
{
    enum { CLIENT_SSL = 1, CLIENT_CERT_CONN = 2, CLIENT_CERT_SESS = 4, HEAD = 5, ROOM = 512 };
    uint8_t value[ROOM] = {CLIENT_SSL, 0, 0, 0, 1}; /* the last byte: no certificate was verified */
    uint32_t bytes = HEAD;
    if (tls->peer_certificate) { /* an invalid certificate has ended the handshake before */
        value[0] |= CLIENT_CERT_SESS | (tls->resumed ? 0 : CLIENT_CERT_CONN);
        value[4] = 0;
        bytes = l4_proxy_add(value, bytes, ROOM, L4_PROXY_SSL_CN, tls->peer_name,
                             (uint32_t)strlen(tls->peer_name));
    }
    bytes = l4_proxy_add(value, bytes, ROOM, L4_PROXY_SSL_VERSION, tls->version,
                         (uint32_t)strlen(tls->version));
    bytes = l4_proxy_add(value, bytes, ROOM, L4_PROXY_SSL_CIPHER, tls->cipher,
                         (uint32_t)strlen(tls->cipher));
    return l4_proxy_add(tlvs, used, room, L4_PROXY_SSL, value, bytes);
}

/* Collects the TLVs that the pool asks for: l4lb's own first, then received ones of other
 * kinds. */
static uint32_t collect_tlvs(struct l4_loop *loop, uint32_t index, uint32_t wanted, uint8_t *tlvs,
                             uint32_t room)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_facts *facts = l4_row_facts(loop, index);
    const bool has_received = s->known & L4_FACT_TLVS;
    const uint8_t *received = has_received ? facts->tlvs : NULL;
    const uint32_t received_bytes = has_received ? facts->tlvs_bytes : 0;
    uint32_t used = 0, ignored;
    struct l4_tls_facts tls;
    const bool ends_here =
        l4_tls_facts(&loop->pump, l4_h2_socket(&loop->pump, &s->half[L4_CLIENT]), &tls);
    if (wanted & L4_TLV_AUTHORITY && s->known & L4_FACT_NAME)
        used = l4_proxy_add(tlvs, used, room, L4_PROXY_AUTHORITY, facts->name, facts->name_bytes);
    /* why: of several offers it is not known yet which the backend will take; a single offer is
     * known. */
    if (wanted & L4_TLV_ALPN && s->known & L4_FACT_ALPN && facts->alpn_bytes == facts->alpn[0] + 1u)
        used = l4_proxy_add(tlvs, used, room, L4_PROXY_ALPN, facts->alpn + 1, facts->alpn[0]);
    if (wanted & L4_TLV_UNIQUE_ID &&
        !l4_proxy_find(received, received_bytes, L4_PROXY_UNIQUE_ID, &ignored))
        used = add_unique_id(loop, tlvs, used, room);
    if (wanted & L4_TLV_SSL && ends_here)
        used = add_ssl(&tls, tlvs, used, room);
    const uint32_t own = used;
    for (uint32_t at = 0; wanted & L4_TLV_RECEIVED && at < received_bytes;) {
        const uint32_t bytes = (uint32_t)received[at + 1] << 8 | received[at + 2];
        if (!l4_proxy_find(tlvs, own, received[at], &ignored))
            used = l4_proxy_add(tlvs, used, room, received[at], received + at + 3, bytes);
        at += 3 + bytes;
    }
    return used;
}

int l4_proxy_out(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_pool *pool = l4_row_pool(loop, s);
    const uint32_t wanted = L4_GET(pool->proxy_tlvs);
    uint8_t header[L4_PROXY_BYTES_MAX], tlvs[L4_PROXY_BYTES_MAX / 2];
    struct l4_proxy_write say = {
        .version = (uint8_t)L4_GET(pool->send_proxy),
        .crc32c = wanted & L4_TLV_CRC32C,
        .from = *l4_row_client(loop, s),
        .tlvs = tlvs,
    };
    if (s->known & L4_FACT_VIA)
        say.to = l4_row_facts(loop, index)->told_to;
    else
        say.to = l4_sock_local(l4_h2_socket(&loop->pump, &s->half[L4_CLIENT])->fd);
    if (say.version == 2)
        say.tlvs_bytes = collect_tlvs(loop, index, wanted, tlvs, sizeof tlvs);
    L4_ASSERT(say.tlvs_bytes <= sizeof tlvs && s->half[L4_BACKEND].fd >= 0);
    const size_t bytes = l4_proxy_write(&say, header);
    const ssize_t sent = send(s->half[L4_BACKEND].fd, header, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return -errno;
    s->half[L4_BACKEND].flags |= L4_HALF_SENT;
    /* why: the send buffer of a new connection holds far more than a header. */
    return (size_t)sent == bytes ? 0 : -ENOBUFS;
}

/* The PROXY protocol: a header before a connection's first byte with the client's address.
 *
 * Sans I/O, both directions, versions 1 (text) and 2 (binary, with TLVs). "The PROXY protocol",
 * Willy Tarreau, HAProxy 2.9, doc/proxy-protocol.txt; section numbers in ppv.c are those of this
 * document. Every length in a header is its sender's claim and is checked.
 */
#ifndef L4_CORE_PROXY_PROTOCOL_H
#define L4_CORE_PROXY_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"

enum l4_proxy_tlv {
    L4_PROXY_ALPN = 0x01,
    L4_PROXY_AUTHORITY = 0x02,
    L4_PROXY_CRC32C = 0x03,
    L4_PROXY_NOOP = 0x04,
    L4_PROXY_UNIQUE_ID = 0x05,
    L4_PROXY_SSL = 0x20,
    L4_PROXY_SSL_VERSION = 0x21, /* inside L4_PROXY_SSL, as the next two */
    L4_PROXY_SSL_CN = 0x22,
    L4_PROXY_SSL_CIPHER = 0x23,
    L4_PROXY_NETNS = 0x30,
};

enum l4_proxy_result {
    L4_PROXY_MORE,  /* call again when `bytes` bytes have come */
    L4_PROXY_WHOLE, /* a header of `bytes` bytes */
    L4_PROXY_NONE,  /* the data does not begin with a header */
    L4_PROXY_BROKEN /* an invalid header: nothing after it can be trusted */
};

struct l4_proxy {
    size_t bytes;
    uint8_t version;         /* 0: too few bytes to recognise a header */
    bool local;              /* it has no addresses: the connection's own count */
    struct l4_addr from, to; /* the client, and the address that it connected to */
    const uint8_t *tlvs;     /* in the caller's data; well formed */
    uint32_t tlvs_bytes;
};

enum l4_proxy_result l4_proxy_read(const uint8_t *data, size_t bytes, struct l4_proxy *header);

/* True if these bytes are TLVs and nothing else. */
bool l4_proxy_is_row(const uint8_t *tlvs, uint32_t tlvs_bytes);

/* Returns the value of the first TLV of a kind; NULL if there is none. */
const uint8_t *l4_proxy_find(const uint8_t *tlvs, uint32_t tlvs_bytes, uint8_t kind,
                             uint32_t *value_bytes);

/* Adds a TLV after `used` bytes of tlvs, if it fits into `room` bytes. Returns the bytes used
 * now. */
uint32_t l4_proxy_add(uint8_t *tlvs, uint32_t used, uint32_t room, uint8_t kind, const void *value,
                      uint32_t value_bytes);

/* Copies the TLVs of a header that can be passed on, without checksum and padding, as far as they
 * fit. Returns the bytes used. */
uint32_t l4_proxy_pass_on(const struct l4_proxy *header, uint8_t *to, uint32_t room);

struct l4_proxy_write {
    uint8_t version; /* 1 or 2 */
    bool local;      /* the sender has no client: health checks */
    bool crc32c;     /* version 2: with a checksum */
    bool datagram;   /* version 2: for UDP */
    struct l4_addr from, to;
    const uint8_t *tlvs; /* version 2 */
    uint32_t tlvs_bytes;
};

/* Writes a header of at most L4_PROXY_BYTES_MAX bytes; returns its length. */
size_t l4_proxy_write(const struct l4_proxy_write *say, uint8_t *to);

#endif

/* Reads the server name and the ALPN protocols of a TLS ClientHello.
 *
 * Sans I/O: the caller passes the bytes peeked so far, and learns whether they are a whole
 * ClientHello, the beginning of one, or something else. RFC 8446 (TLS 1.3) sections 4 and 5.1,
 * RFC 6066 section 3, RFC 7301 section 3.1. A ClientHello may be split over several records.
 * Every length in it is the client's claim and is checked.
 */
#ifndef L4_CORE_CLIENT_HELLO_H
#define L4_CORE_CLIENT_HELLO_H

#include <stddef.h>
#include <stdint.h>

#include "base/bounds.h"

enum l4_hello_result {
    L4_HELLO_MORE,  /* call again when `due` bytes have come */
    L4_HELLO_WHOLE, /* name and alpn are those of the ClientHello */
    L4_HELLO_NONE   /* not a ClientHello, or an invalid one */
};

struct l4_hello {
    size_t due;
    uint32_t name_bytes;              /* 0: there is no server name */
    uint32_t alpn_bytes;              /* 0: there are no protocols */
    char name[L4_HELLO_NAME_MAX + 1]; /* lower case, NUL after it */
    uint8_t alpn[L4_ALPN_LIST_MAX];   /* a length byte, a name, ...: as many whole names as fit */
};

/* Normalises a server name: lower case, without a dot at its end. Returns its length; 0 if it is
 * not a valid name. */
uint32_t l4_hello_name(const char *from, size_t bytes, char to[static L4_HELLO_NAME_MAX + 1]);

/* l4_hello_await: is a whole ClientHello there, whatever it contains? *due is set as above. It is
 * above L4_HELLO_BYTES_MAX for a ClientHello that is longer than that. */
enum l4_hello_result l4_hello_await(const uint8_t *data, size_t bytes, size_t *due);

enum l4_hello_result l4_hello_read(const uint8_t *data, size_t bytes, struct l4_hello *hello);

#endif

/* Reads a TLS ClientHello far enough to know the server name it asks for and the protocols it
 * offers.
 *
 * Sans I/O: fed with what was peeked so far, it says whether that is a whole hello, the beginning
 * of one, or something else. RFC 8446 (TLS 1.3) sections 4 and 5.1, RFC 6066 section 3, RFC 7301
 * section 3.1. A hello may come in several records. Every length in it is the client's word and is
 * checked.
 */
#ifndef L4_CORE_HELLO_H
#define L4_CORE_HELLO_H

#include <stddef.h>
#include <stdint.h>

#include "base/bounds.h"

enum l4_hello_result {
    L4_HELLO_MORE,  /* `due` bytes must be there before another look can tell more */
    L4_HELLO_WHOLE, /* name and alpn are what it says */
    L4_HELLO_NONE   /* it is no hello, or a broken one: it names nothing */
};

struct l4_hello {
    size_t due;
    uint32_t name_bytes;              /* 0: it names no server */
    uint32_t alpn_bytes;              /* 0: it offers no protocol */
    char name[L4_HELLO_NAME_MAX + 1]; /* lower case, NUL after it */
    uint8_t alpn[L4_ALPN_LIST_MAX];   /* a length byte, a name, ...: as many as have room whole */
};

/* A server name as it is compared and told: lower case, without the dot at its end. Returns its
 * length; 0: it is none, or has bytes that no name has. */
uint32_t l4_hello_name(const char *from, size_t bytes, char to[static L4_HELLO_NAME_MAX + 1]);

/* Is all of a hello there, whatever is in it? *due is set as above; of one that is longer than
 * L4_HELLO_BYTES_MAX it is more than that. */
enum l4_hello_result l4_hello_await(const uint8_t *data, size_t bytes, size_t *due);

enum l4_hello_result l4_hello_read(const uint8_t *data, size_t bytes, struct l4_hello *hello);

#endif

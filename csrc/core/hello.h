/* Reads a TLS ClientHello far enough to know the server name it asks for.
 *
 * Sans I/O: fed with what was peeked so far, it says whether that is a whole hello, the beginning
 * of one, or something else. RFC 8446 (TLS 1.3) sections 4 and 5.1, RFC 6066 section 3. A hello
 * may come in several records. Every length in it is the client's word and is checked.
 */
#ifndef L4_CORE_HELLO_H
#define L4_CORE_HELLO_H

#include <stddef.h>
#include <stdint.h>

enum { L4_HELLO_NAME_MAX = 255 };

enum l4_hello_result { L4_HELLO_MORE, L4_HELLO_WHOLE, L4_HELLO_NONE };

struct l4_hello {
    uint32_t name_bytes;              /* 0: it names no server */
    char name[L4_HELLO_NAME_MAX + 1]; /* lower case, NUL after it */
};

enum l4_hello_result l4_hello_read(const uint8_t *data, size_t bytes, struct l4_hello *hello);

#endif

/* SOCKS5, a client's side of the conversation: greeting, login and request (RFC 1928; RFC 1929).
 *
 * Sans I/O: the caller passes the bytes peeked so far, and learns whether they are a whole message,
 * the beginning of one, or none. Strict, and the same wherever the bytes are split: of two faults,
 * the one in the earlier byte is told. What follows a message is the next message's. A host passes
 * the same check as HTTP's (core/target.h).
 */
#ifndef L4_CORE_SOCKS5_H
#define L4_CORE_SOCKS5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/text.h"
#include "core/target.h"

enum {
    L4_SOCKS_BYTES_MAX = 513, /* of the longest message, a login */
    L4_SOCKS_SHORT_BYTES = 2, /* of the answers to a greeting and to a login */
    L4_SOCKS_REPLY_MAX = 22   /* of the answer to a request */
};

/* Each with the word that users see, and the reply to a request that has it (RFC 1928, 6). */
#define L4_SOCKS_FAULTS(X)                                                                         \
    X(NONE, "none", 0)                                                                             \
    X(VERSION, "socks_version", 1)       /* not 5; SOCKS4, HTTP and TLS begin with others */       \
    X(METHODS, "socks_methods", 1)       /* a greeting without a method */                         \
    X(LOGIN, "socks_login_version", 1)   /* not 1 */                                               \
    X(EMPTY, "socks_login_empty", 1)     /* no user, or no password */                             \
    X(CONTROL, "socks_login_control", 1) /* a control character in one of the two */               \
    X(COMMAND, "socks_command", 7)       /* neither CONNECT, BIND nor UDP ASSOCIATE */             \
    X(RESERVED, "socks_reserved", 1)     /* a byte that must be 0 */                               \
    X(ADDRESS, "socks_address_type", 8)  /* neither IPv4, name nor IPv6 */                         \
    X(HOST, "bad_host", 1)               /* neither a name nor an address */                       \
    X(PORT, "bad_port", 1)               /* a CONNECT to port 0 */

enum l4_socks_fault {
#define X(id, word, reply) L4_SOCKS_##id##_FAULT,
    L4_SOCKS_FAULTS(X)
#undef X
        L4_SOCKS_FAULT_COUNT
};

/* Returns the word that users see, and the reply; "unknown" and 1 for an invalid number. */
const char *l4_socks_fault_word(unsigned fault);
uint8_t l4_socks_fault_reply(unsigned fault);

enum l4_socks_result {
    L4_SOCKS_MORE,  /* call again when `bytes` bytes have come: more than there were */
    L4_SOCKS_WHOLE, /* a message of `bytes` bytes */
    L4_SOCKS_BROKEN /* no message, because of `fault`: nothing after it can be trusted */
};

struct l4_socks_greeting {
    size_t bytes;
    enum l4_socks_fault fault;
    bool none, password; /* methods that the client offers (RFC 1928, 3): 0x00, 0x02 */
};

struct l4_socks_login {
    size_t bytes;
    enum l4_socks_fault fault;
    struct l4_text user, password; /* in the caller's data; 1 to 255 bytes, perhaps not UTF-8 */
};

enum l4_socks_command { L4_SOCKS_UNREAD, L4_SOCKS_CONNECT, L4_SOCKS_BIND, L4_SOCKS_UDP };

struct l4_socks_request {
    size_t bytes;
    enum l4_socks_fault fault;
    enum l4_socks_command command;
    struct l4_host host; /* with its port. An IPv4 address in IPv6's form is an IPv4 address */
    struct l4_addr addr; /* of a host that is an address, with its port; else of family 0 */
};

enum l4_socks_result l4_socks_greeting_read(const uint8_t *data, size_t bytes,
                                            struct l4_socks_greeting *greeting);
enum l4_socks_result l4_socks_login_read(const uint8_t *data, size_t bytes,
                                         struct l4_socks_login *login);
enum l4_socks_result l4_socks_request_read(const uint8_t *data, size_t bytes,
                                           struct l4_socks_request *request);

/* Methods of the answer to a greeting (RFC 1928, 3); L4_SOCKS_METHOD_REFUSED: none of those offered
 * will do, and the client must close. */
enum l4_socks_method {
    L4_SOCKS_METHOD_NONE = 0x00,
    L4_SOCKS_METHOD_PASSWORD = 0x02,
    L4_SOCKS_METHOD_REFUSED = 0xff
};

/* The reply to a request (RFC 1928, 6). */
enum l4_socks_reply {
    L4_SOCKS_OK,
    L4_SOCKS_FAILED,
    L4_SOCKS_NOT_ALLOWED,
    L4_SOCKS_NETWORK_UNREACHABLE,
    L4_SOCKS_HOST_UNREACHABLE,
    L4_SOCKS_REFUSED,
    L4_SOCKS_EXPIRED,
    L4_SOCKS_NO_COMMAND,
    L4_SOCKS_NO_ADDRESS_TYPE
};

/* Each writes an answer and returns its bytes. bound: where the proxy's own side of the connection
 * is; NULL or another family than IP: 0.0.0.0:0. */
size_t l4_socks_greeting_answer(uint8_t to[static L4_SOCKS_SHORT_BYTES],
                                enum l4_socks_method method);
size_t l4_socks_login_answer(uint8_t to[static L4_SOCKS_SHORT_BYTES], bool is_right);
size_t l4_socks_request_answer(uint8_t to[static L4_SOCKS_REPLY_MAX], enum l4_socks_reply reply,
                               const struct l4_addr *bound);

#endif

/* The names of HTTP fields that l4lb knows.
 *
 * A known name has a number, so that whoever asks for a field asks for a number and not for a text.
 * The list is in the order of the names' lengths (core/field.c searches only names of one length).
 */
#ifndef L4_CORE_FIELD_H
#define L4_CORE_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

enum l4_field_flags {
    L4_FIELD_IS_HOP = 1,         /* of this connection only (RFC 9110, 7.6.1): never passed on */
    L4_FIELD_FRAMES = 2,         /* tells where the message ends: written anew, never passed on */
    L4_FIELD_TELLS_CLIENT = 4,   /* who is before a proxy: believed of trusted proxies only */
    L4_FIELD_HAS_UNDERSCORE = 8, /* some backends take it for the name with `-` */
};

/* why HOP for PROXY: CGI programs take the field for the address of their own proxy (httpoxy). */
#define L4_FIELDS(X)                                                                               \
    X(TE, "te", L4_FIELD_IS_HOP)                                                                   \
    X(AGE, "age", 0)                                                                               \
    X(VIA, "via", 0)                                                                               \
    X(DATE, "date", 0)                                                                             \
    X(ETAG, "etag", 0)                                                                             \
    X(HOST, "host", 0)                                                                             \
    X(VARY, "vary", 0)                                                                             \
    X(PROXY, "proxy", L4_FIELD_IS_HOP)                                                             \
    X(RANGE, "range", 0)                                                                           \
    X(ACCEPT, "accept", 0)                                                                         \
    X(COOKIE, "cookie", 0)                                                                         \
    X(EXPECT, "expect", 0)                                                                         \
    X(ORIGIN, "origin", 0)                                                                         \
    X(SERVER, "server", 0)                                                                         \
    X(PRAGMA, "pragma", 0)                                                                         \
    X(REFERER, "referer", 0)                                                                       \
    X(TRAILER, "trailer", L4_FIELD_IS_HOP)                                                         \
    X(UPGRADE, "upgrade", L4_FIELD_IS_HOP)                                                         \
    X(EXPIRES, "expires", 0)                                                                       \
    X(LOCATION, "location", 0)                                                                     \
    X(IF_MATCH, "if-match", 0)                                                                     \
    X(IF_RANGE, "if-range", 0)                                                                     \
    X(FORWARDED, "forwarded", L4_FIELD_TELLS_CLIENT)                                               \
    X(X_REAL_IP, "x-real-ip", L4_FIELD_TELLS_CLIENT)                                               \
    X(CONNECTION, "connection", L4_FIELD_IS_HOP)                                                   \
    X(KEEP_ALIVE, "keep-alive", L4_FIELD_IS_HOP)                                                   \
    X(SET_COOKIE, "set-cookie", 0)                                                                 \
    X(USER_AGENT, "user-agent", 0)                                                                 \
    X(RETRY_AFTER, "retry-after", 0)                                                               \
    X(CONTENT_TYPE, "content-type", 0)                                                             \
    X(CACHE_STATUS, "cache-status", 0)                                                             \
    X(AUTHORIZATION, "authorization", 0)                                                           \
    X(CACHE_CONTROL, "cache-control", 0)                                                           \
    X(LAST_MODIFIED, "last-modified", 0)                                                           \
    X(IF_NONE_MATCH, "if-none-match", 0)                                                           \
    X(CONTENT_RANGE, "content-range", 0)                                                           \
    X(CONTENT_LENGTH, "content-length", L4_FIELD_FRAMES)                                           \
    X(HTTP2_SETTINGS, "http2-settings", L4_FIELD_IS_HOP)                                           \
    X(ACCEPT_ENCODING, "accept-encoding", 0)                                                       \
    X(X_FORWARDED_FOR, "x-forwarded-for", L4_FIELD_TELLS_CLIENT)                                   \
    X(CONTENT_LOCATION, "content-location", 0)                                                     \
    X(PROXY_CONNECTION, "proxy-connection", L4_FIELD_IS_HOP)                                       \
    X(X_FORWARDED_HOST, "x-forwarded-host", L4_FIELD_TELLS_CLIENT)                                 \
    X(TRANSFER_ENCODING, "transfer-encoding", L4_FIELD_FRAMES)                                     \
    X(IF_MODIFIED_SINCE, "if-modified-since", 0)                                                   \
    X(X_FORWARDED_PROTO, "x-forwarded-proto", L4_FIELD_TELLS_CLIENT)                               \
    X(PROXY_AUTHENTICATE, "proxy-authenticate", L4_FIELD_IS_HOP)                                   \
    X(PROXY_AUTHORIZATION, "proxy-authorization", L4_FIELD_IS_HOP)                                 \
    X(IF_UNMODIFIED_SINCE, "if-unmodified-since", 0)                                               \
    X(STRICT_TRANSPORT_SECURITY, "strict-transport-security", 0)

enum l4_field_id {
#define X(id, name, flags) L4_FIELD_##id,
    L4_FIELDS(X)
#undef X
        L4_FIELD_OTHER,
    L4_FIELD_IDS = L4_FIELD_OTHER
};

/* Returns the number of a name, in any case; L4_FIELD_OTHER for a name that is not in the list. The
 * name may have any bytes but control bytes. */
enum l4_field_id l4_field_find(const char *name, size_t bytes);

/* Returns the flags of a name. A name with `_` is flagged as its twin with `-` is, because backends
 * may mistake it; HOP stands in for FRAMING there. */
uint8_t l4_field_flags(enum l4_field_id id, const char *name, size_t bytes, bool underscore);

/* True if a text is a word in any case. The word has lower-case letters, digits and `-`; the text
 * may have any bytes but control bytes. */
bool l4_field_named(const char *name, const char *lower, size_t bytes);

/* The same for a word that ends with a NUL. */
bool l4_field_is(struct l4_text text, const char *lower);

/* True if a text may be the value of a field: it has no control bytes but tabs (RFC 9110, 5.5). */
bool l4_field_is_value(struct l4_text text);

#endif

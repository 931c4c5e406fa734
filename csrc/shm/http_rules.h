/* The rules of a listener and of a pool for HTTP. shm/layout.h includes this file, and its rules
 * apply: the supervisor writes, workers read.
 *
 * The numbers are here. Texts (names of fields, error pages) are beside each other in a part of
 * their own: core/http_texts.h.
 */
#ifndef L4_SHM_HTTP_RULES_H
#define L4_SHM_HTTP_RULES_H

#include <stdatomic.h>
#include <stdint.h>

#include "shm/settings.h"

/* What backends are told of the client. */
enum l4_http_forwarded {
    L4_HTTP_FORWARDED_OFF,     /* nothing; fields of clients that are not trusted are dropped */
    L4_HTTP_FORWARDED_APPEND,  /* X-Forwarded-For, -Proto and -Host, after what a trusted proxy said
                                */
    L4_HTTP_FORWARDED_REPLACE, /* X-Forwarded-For, -Proto and -Host, whatever came */
    L4_HTTP_FORWARDED_RFC7239, /* the field Forwarded, after what a trusted proxy said */
};

/* What is done with fields that have an underscore in their name. */
enum l4_http_underscores { L4_UNDERSCORES_DROP, L4_UNDERSCORES_PASS, L4_UNDERSCORES_REFUSE };

struct l4_http_listener {
    L4_HTTP_LISTENER_SETTINGS(L4_FIELD)
};

/* Which requests may use a connection that is there already. SAFE: not the first request of a
 * client's connection, if sending it twice would do something twice. */
enum l4_http_reuse { L4_REUSE_SAFE, L4_REUSE_ALWAYS, L4_REUSE_NEVER };

/* Faults after which a request is sent again. */
enum l4_http_retry_on {
    L4_RETRY_CONNECT = 1 << 0, /* the backend could not be reached */
    L4_RETRY_REUSE = 1 << 1,   /* a connection that was used before ended before its answer */
    L4_RETRY_RESET = 1 << 2,   /* a new connection ended before its answer */
    L4_RETRY_TIMEOUT = 1 << 3, /* no answer within answer_timeout */
    L4_RETRY_502 = 1 << 4,     /* the backend answered with this status */
    L4_RETRY_503 = 1 << 5,
    L4_RETRY_504 = 1 << 6,
};

/* The Host field that backends get. NAMED: the text `host` of the pool. */
enum l4_http_host { L4_HOST_KEEP, L4_HOST_BACKEND, L4_HOST_NAMED };

/* What is done with the server name that a client asks for in a tunnel: nothing; it is logged; it
 * must be the tunnel's host. */
enum l4_forward_sni { L4_FORWARD_SNI_OFF, L4_FORWARD_SNI_LOG, L4_FORWARD_SNI_MATCH };

struct l4_http_pool {
    L4_HTTP_POOL_SETTINGS(L4_FIELD)
};

#endif

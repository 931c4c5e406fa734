/* An exchange: one request of a client and its answer. The private row beside each row of a TCP
 * session, for sessions that speak HTTP.
 *
 *   REQUEST -> PICK -> [QUEUE] -> CONNECT, or a spare connection -> EXCHANGE -> REQUEST ...
 *       `-> REPLY <-------'----------'--------------------------------'
 *
 * With a cache, REQUEST and EXCHANGE may also lead to CACHED, which sends an answer that is stored,
 * and REQUEST to AWAIT, in which the answer to another client's request is waited for.
 *
 * A session has one exchange at a time: pipelined requests wait in its block. A place at a backend
 * is a request in progress, so it is given back when the answer ends, not when the client goes.
 */
#ifndef L4_HTTP_EXCHANGE_H
#define L4_HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/chunks.h"

/* What is known of the exchange. */
enum l4_exchange_flags {
    L4_X_CLIENT_STAYS = 1 << 0,  /* the client's connection can be used again */
    L4_X_BACKEND_STAYS = 1 << 1, /* the backend's connection can be used again */
    L4_X_REUSED = 1 << 2,        /* the backend's connection was used before */
    L4_X_FRESH = 1 << 3,         /* no spare connection may be used: one was stale */
    L4_X_UPGRADE = 1 << 4,       /* the client asks for another protocol */
    L4_X_EXPECTS = 1 << 5,       /* the client waits for 100 (Continue) */
    L4_X_UNSENT = 1 << 6,        /* no byte of it was sent: the backend's connection was closed */
    L4_X_ANSWERED = 1 << 7,      /* the answer's head was passed on */
    L4_X_BODY_BEGUN = 1 << 8,    /* more of the body was sent than the block has */
    L4_X_ANSWER_DONE = 1 << 9,   /* the whole answer was read */
    L4_X_IDEMPOTENT = 1 << 10,   /* its method may be sent twice (RFC 9110, 9.2.2) */
    L4_X_LINGERS = 1 << 11,      /* our end is told; the rest of the client's is discarded */
    L4_X_ASKED = 1 << 12,        /* the whole request was sent; the answer is due */
    L4_X_BODY_REFUSED = 1 << 13, /* the answer came before a body that waits for 100 */
    L4_X_HEARD = 1 << 14,        /* bytes of an answer came */
    L4_X_BAD_BODY = 1 << 15,     /* the begin of its body is no body in chunks */
    L4_X_BAD_STATUS = 1 << 16,   /* the answer's status counts as a fault of the backend */
    L4_X_RECORDED = 1 << 17      /* it is recorded (http/record.h) */
};

/* What is held of the exchange's bodies for an engine (http/inspect.h). */
enum l4_exchange_holds {
    L4_HOLDS_ROW = 1 << 0,     /* the session's row there is in use */
    L4_HOLDS_REQUEST = 1 << 1, /* the request's body is held, and nothing of it is in the block */
    L4_HOLDS_UP = 1 << 2,      /* what is held of it is being passed on */
    L4_HOLDS_ANSWER = 1 << 3,  /* the answer is collected */
    L4_HOLDS_DOWN = 1 << 4,    /* what is held of it is being passed on */
    L4_HOLDS_LARGE = 1 << 5,   /* more has come than may be inspected */
    L4_HOLDS_LOST = 1 << 6,    /* there was no memory for it */
    L4_HOLDS_PASSED = 1 << 7,  /* the request has been inspected, and its stage goes on */
};

/* What an answer of l4lb itself is, besides its status. */
enum l4_reply {
    L4_REPLY_PLAIN,    /* the page of the status, or a line that tells it */
    L4_REPLY_HTTPS,    /* the client is sent to https:// */
    L4_REPLY_REDIRECT, /* ... to where its route says */
    L4_REPLY_ROUTE     /* the answer of its route */
};

/* Framing of a body that is passed on: how it comes, and how it is sent. */
struct l4_body {
    uint8_t comes;           /* enum l4_framing */
    uint8_t goes;            /* enum l4_framing */
    bool done;               /* its last byte was read */
    bool over;               /* it is longer than it may be */
    struct l4_chunks chunks; /* of a chunked body that comes */
    uint64_t left;           /* LENGTH: bytes that are still to be read; CHUNKED: ... that may be */
    uint64_t bytes;          /* bytes of the body read so far */
};

struct l4_exchange {
    const char *fault;     /* why the request is refused, in a word; NULL: it is not */
    uint64_t started_us;   /* CLOCK_MONOTONIC of the request's first byte; 0: none yet */
    uint64_t asked_us;     /* ... of the moment when its head was whole */
    uint64_t sent_us;      /* ... when the head was passed on to the backend that answers */
    uint64_t sticky_hash;  /* of the value by which the request is sticky; 0: none */
    uint32_t answered_us;  /* time from asked_us to the answer's head */
    uint32_t number;       /* of this request among the client's, from 1 */
    uint32_t block;        /* L4_NONE: none */
    uint32_t have;         /* bytes in the block */
    uint32_t scanned;      /* of them, looked through for the end of the head */
    uint32_t head_bytes;   /* 0: the head is not whole */
    uint32_t body_bytes;   /* bytes behind the head that belong to this request's body */
    uint32_t deadline_ms;  /* of the answer's head: low 32 bits of CLOCK_MONOTONIC */
    uint32_t answer_block; /* holds an answer's head that is not whole; L4_NONE: none */
    uint32_t answer_have, answer_scanned;
    uint32_t lingered;            /* bytes that were discarded behind the last request */
    uint32_t route;               /* slot of its route; L4_NONE: none */
    uint32_t filter;              /* slot of the last rule of the filter that it met; L4_NONE */
    uint32_t came_to;             /* the backend that its cookie names; L4_NONE: none */
    uint32_t left, left_serial;   /* the backend that it has left, and its serial; L4_NONE: none */
    uint32_t matched;             /* bytes of the path that the route's prefix matched */
    uint32_t timeout_ms;          /* for the answer, by its route; 0: the pool's */
    uint32_t retry_after_s;       /* REPLY: when the client may ask again; 0: it is not told */
    uint32_t rated_ms;            /* since when the request's body is measured, low 32 bits of */
    uint32_t rated_bytes;         /* CLOCK_MONOTONIC; low 32 bits of up.bytes at that moment */
    uint32_t flags;               /* enum l4_exchange_flags */
    uint16_t status;              /* of the answer; 0: none yet */
    uint8_t method;               /* enum l4_method */
    uint8_t minor;                /* the client speaks HTTP/1.minor */
    uint8_t informed;             /* answers of the kind 1xx that were passed on */
    uint8_t reply;                /* enum l4_reply */
    uint8_t retries, retry_cause; /* how often it was sent again; enum l4_http_retry_on */
    uint8_t cache;                /* number of its cache (http/caches.h); 0: none */
    uint8_t cached;               /* enum l4_cache_result */
    uint8_t holds;                /* enum l4_exchange_holds */
    uint8_t verdict;              /* enum l4_inspect_verdict: the worst of its inspections */
    uint32_t inspected;           /* slot of the rule that has it, + 1; 0: none */
    uint32_t inspects[2];         /* slots + 1 of the rules for its request and its answer */
    struct l4_body up, down;
};

_Static_assert(sizeof(struct l4_exchange) <= 256, "an exchange is small");

#endif

/* What a client of ICAP (RFC 3507) says to an engine and hears from it.
 *
 * Sans I/O, strict, and wherever the bytes are split: a head in the manner of HTTP, then the heads
 * of an HTTP request or answer, then a body in chunks. Whatever the engine says is bounded by the
 * caller's memory and by max_body. The heads of HTTP in it are not judged here (core/h1.h).
 */
#ifndef L4_CORE_ICAP_H
#define L4_CORE_ICAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "core/chunks.h"

enum {
    L4_ICAP_HEAD_MAX = 8 << 10,    /* bytes of a head of ICAP */
    L4_ICAP_HEADS_MAX = 136 << 10, /* ... with the heads of HTTP behind it */
    L4_ICAP_FIELDS_MAX = 64,
    L4_ICAP_TTL_MAX_S = 86400, /* for how long an engine's options are believed */
    L4_ICAP_TTL_USUAL_S = 60,  /* ... if it does not say */
};

/* A part of a message (RFC 3507, 4.4.1): where its heads are, counted from the end of ICAP's head.
 */
struct l4_icap_parts {
    bool told, has_request, has_answer, has_body;
    uint32_t request_at, answer_at,
        body_at; /* body_at: of an absent body too, the end of the heads */
};

struct l4_icap_head {
    uint32_t bytes; /* with its blank line */
    uint16_t status;
    bool has_preview, stays; /* stays: the connection can carry another message */
    bool reqmod, respmod;    /* the methods of a service, as its options tell */
    bool finds;              /* a field tells of a find: X-Infection-Found, X-Violations-Found */
    uint32_t preview, ttl_s;
    struct l4_icap_parts parts;
};

/* Reads a whole head. Returns false if it is none. */
__attribute__((warn_unused_result)) bool l4_icap_head_read(const char *bytes, size_t count,
                                                           struct l4_icap_head *head);

enum l4_icap_heard {
    L4_ICAP_MORE,     /* all input is used; the message goes on */
    L4_ICAP_CONTINUE, /* the engine wants the rest of the body (100) */
    L4_ICAP_DATA,     /* a run of the body's bytes */
    L4_ICAP_DONE,     /* the message is whole; what follows it was not used */
    L4_ICAP_BAD,      /* it is no message of ICAP */
    L4_ICAP_LARGE     /* a head or the body is larger than it may be */
};

/* A reader; the caller sets the first three, all else is zeros before the first byte. */
struct l4_icap_reader {
    char *heads;   /* `room` bytes, at most L4_ICAP_HEADS_MAX: ICAP's head and those behind it */
    uint32_t room; /* ... */
    uint64_t max_body; /* bytes that the body may have */
    uint32_t have;     /* bytes in `heads` */
    size_t scanned;
    uint64_t body_bytes;
    uint8_t state;
    struct l4_icap_head head; /* as soon as it was read */
    struct l4_chunks chunks;
};

/* Goes on with the next bytes. *used: how many of them were used up, those of *data included. After
 * L4_ICAP_CONTINUE the reader is at the begin of the next message. */
enum l4_icap_heard l4_icap_hear(struct l4_icap_reader *reader, const char *bytes, size_t count,
                                size_t *used, struct l4_text *data);

/* The heads of HTTP that a whole message has; `at` is NULL: it has none. */
struct l4_text l4_icap_request_of(const struct l4_icap_reader *reader);
struct l4_text l4_icap_answer_of(const struct l4_icap_reader *reader);

enum l4_icap_method { L4_ICAP_OPTIONS, L4_ICAP_REQMOD, L4_ICAP_RESPMOD };

/* What is asked. The texts have no control bytes: the configuration's checks see to that. */
struct l4_icap_ask {
    enum l4_icap_method method;
    struct l4_text host, path; /* of the service */
    uint32_t request, answer;  /* bytes of the heads of HTTP that follow; 0: none */
    bool has_body, has_preview;
    uint32_t preview;
};

/* Writes the head of ICAP. */
void l4_icap_put_ask(struct l4_text_out *out, const struct l4_icap_ask *ask);

#endif

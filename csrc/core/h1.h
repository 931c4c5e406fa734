/* Reads the head of an HTTP/1.0 or HTTP/1.1 message, and judges where the message ends.
 *
 * Sans I/O, strict, and without a copy: every text is a place in the caller's bytes. RFC 9110 and
 * RFC 9112. Whatever two programs in a row could read in two ways is a fault (core/h1_fault.h), so
 * no request can hide in another one. The target's form and the host's syntax are judged by
 * core/target.h. A head whose reading returned a fault must not be used.
 */
#ifndef L4_CORE_H1_H
#define L4_CORE_H1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "core/field.h"
#include "core/h1_fault.h"

enum {
    L4_H1_FIELDS_MAX = 100,
    L4_H1_HEAD_MAX = 65535,  /* places in a head fit 16 bits */
    L4_H1_METHOD_MAX = 32,   /* bytes of a method */
    L4_H1_OPTIONS_MAX = 100, /* options of all fields `Connection` */
    L4_H1_DIGITS_MAX = 18,   /* digits of a length: it fits 63 bits */
    L4_H1_NO_FIELD = 0xff,   /* `first` of a name that no field has */
};

#define L4_METHODS(X)                                                                              \
    X(GET) X(HEAD) X(POST) X(PUT) X(DELETE) X(OPTIONS) X(PATCH) X(CONNECT) X(TRACE)

enum l4_method {
#define X(name) L4_METHOD_##name,
    L4_METHODS(X)
#undef X
        L4_METHOD_OTHER
};

/* How the body is delimited. */
enum l4_framing {
    L4_FRAMING_NONE,       /* there is no body */
    L4_FRAMING_LENGTH,     /* `length` bytes, perhaps 0 */
    L4_FRAMING_CHUNKED,    /* core/chunks.h */
    L4_FRAMING_UNTIL_CLOSE /* an answer that ends with its connection */
};

struct l4_h1_bounds {
    uint32_t head;   /* bytes of the head; at most L4_H1_HEAD_MAX */
    uint32_t target; /* bytes of the target */
    uint16_t fields; /* at most L4_H1_FIELDS_MAX */
    bool refuse_underscores;
};

struct l4_h1_text {
    uint16_t at, bytes; /* in the head */
};

struct l4_h1_field {
    struct l4_h1_text name, value; /* without white space around them */
    uint8_t id;                    /* enum l4_field_id */
    uint8_t flags;                 /* enum l4_field_flags; HOP also if `Connection` names it */
};

struct l4_h1_head {
    uint32_t bytes;          /* the head's, with its blank line */
    uint8_t minor;           /* the version is HTTP/1.minor */
    uint8_t method, framing; /* enum l4_method, enum l4_framing */
    bool keep_alive;         /* the sender reads or sends another message after this one */
    bool upgrade;            /* it asks for or tells of another protocol; not h2c */
    bool tunnel;             /* an answer after which the connection is not HTTP any more */
    bool expects_continue;   /* the body comes only after a 100 */
    bool has_length;         /* `length` was told: of HEAD and 304 too, which have no body */
    uint16_t status;         /* of an answer */
    uint16_t field_count;
    uint64_t length;
    struct l4_h1_text method_text, target; /* of a request */
    struct l4_h1_text reason;              /* of an answer; may be empty */
    struct l4_h1_text host;                /* the value of Host; empty if there is none */
    uint8_t first[L4_FIELD_IDS];           /* the first field of each known name */
    struct l4_h1_field fields[L4_H1_FIELDS_MAX];
};

/* Returns a text of a head that lies at `bytes`. */
static inline struct l4_text l4_h1_text(const char *bytes, struct l4_h1_text place)
{
    return (struct l4_text){bytes + place.at, place.bytes};
}

static inline bool l4_h1_has(const struct l4_h1_head *head, enum l4_field_id id)
{
    return head->first[id] != L4_H1_NO_FIELD;
}

/* Returns the value of the first field of a known name; its `at` is NULL if there is none. */
static inline struct l4_text l4_h1_value(const char *bytes, const struct l4_h1_head *head,
                                         enum l4_field_id id)
{
    return l4_h1_has(head, id) ? l4_h1_text(bytes, head->fields[head->first[id]].value)
                               : (struct l4_text){NULL, 0};
}

/* Looks for the end of a head. Returns its length with its blank line; 0: more bytes are needed; or
 * a fault's negative number, as soon as a byte came that no head has. *scanned is 0 at first; it is
 * kept between calls with more bytes of the same head, so that no byte is looked at twice. One
 * empty line before the head is part of it (RFC 9112, 2.2). */
long l4_h1_end(const char *bytes, size_t count, size_t *scanned);

/* Returns the fault of a head of which `count` bytes are too many and not yet all. */
enum l4_h1_fault l4_h1_too_large(const char *bytes, size_t count);

enum l4_h1_fault l4_h1_request(const char *head, size_t count, const struct l4_h1_bounds *bounds,
                               struct l4_h1_head *out);

/* `asked` is the method of the request that this answers. */
enum l4_h1_fault l4_h1_answer(const char *head, size_t count, const struct l4_h1_bounds *bounds,
                              enum l4_method asked, struct l4_h1_head *out);

/* Returns the number of a method's name. */
enum l4_method l4_method_find(const char *name, size_t bytes);

#endif

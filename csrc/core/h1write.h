/* Writes a head of HTTP/1.1 anew, from a head that core/h1.h has judged and from rules.
 *
 * Nothing that frames or is of one connection only is passed on as it came. A text of the rules is
 * looked at before it is written: none with a control byte gets into a head, so no field can be
 * split into two. Whatever cannot be written sets `full`; then nothing of the output may be used.
 */
#ifndef L4_CORE_H1WRITE_H
#define L4_CORE_H1WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "core/h1.h"

/* What becomes of the fields that tell of the client before a proxy. */
enum l4_forwarded {
    L4_FORWARDED_OFF,    /* trusted ones are passed on */
    L4_FORWARDED_APPEND, /* ours go behind trusted ones */
    L4_FORWARDED_REPLACE /* only ours are left */
};

enum l4_connection_word {
    L4_CONNECTION_NONE,
    L4_CONNECTION_CLOSE,
    L4_CONNECTION_KEEP_ALIVE, /* for HTTP/1.0 */
    L4_CONNECTION_UPGRADE     /* with the Upgrade of the head */
};

enum l4_field_action {
    L4_FIELD_REMOVE, /* all fields of the name */
    L4_FIELD_SET,    /* ... and write this one */
    L4_FIELD_ADD     /* write this one, beside what there is */
};

/* An operation of the configuration on the fields of a head. It is about what came, and about the
 * fields that l4lb writes by other rules, but never about framing, Host and Connection. */
struct l4_field_rule {
    enum l4_field_action action;
    struct l4_text name, value;
};

/* Of both directions. A text whose `at` is NULL is not written. */
struct l4_h1_rules {
    enum l4_framing framing; /* UNTIL_CLOSE writes as NONE does */
    bool tell_length;        /* with NONE: write `length`, which HEAD and 304 only tell */
    uint64_t length;
    enum l4_connection_word connection;
    struct l4_text via; /* our name */
    const struct l4_field_rule *fields;
    size_t field_count;
};

struct l4_request_rules {
    struct l4_h1_rules head;
    struct l4_text target, host; /* as they are sent */
    enum l4_forwarded forwarded;
    bool x_forwarded, rfc7239;  /* which fields are ours */
    bool trusted;               /* the client may tell of the client before it */
    bool drop_underscores;      /* fields with `_` in their names */
    bool drop_expect;           /* the 100 comes from us */
    struct l4_text client;      /* its address, without a port */
    struct l4_text scheme;      /* http or https, as the client asked */
    struct l4_text asked_host;  /* the host as the client asked for it */
    struct l4_text id_name, id; /* the request's id; the client's own is dropped */
};

struct l4_answer_rules {
    struct l4_h1_rules head;
    const struct l4_text *hide; /* names in lower case */
    size_t hide_count;
    struct l4_text location;      /* in place of what came */
    struct l4_text cookie_domain; /* a cookie's Domain that is dropped: it names a backend */
    struct l4_text hsts;          /* the value of Strict-Transport-Security; replaces what came */
    struct l4_text date;          /* for an answer without Date */
    struct l4_text reason;        /* in place of what came */
};

void l4_h1_write_request(struct l4_text_out *out, const char *bytes, const struct l4_h1_head *head,
                         const struct l4_request_rules *rules);
void l4_h1_write_answer(struct l4_text_out *out, const char *bytes, const struct l4_h1_head *head,
                        const struct l4_answer_rules *rules);

/* The parts, for answers of our own: a status line, then fields, then the end. */
void l4_h1_put(struct l4_text_out *out, struct l4_text text);
void l4_h1_put_number(struct l4_text_out *out, uint64_t number);
void l4_h1_put_status(struct l4_text_out *out, unsigned status, struct l4_text reason);
void l4_h1_put_field(struct l4_text_out *out, struct l4_text name, struct l4_text value);
void l4_h1_put_end(struct l4_text_out *out);

#endif

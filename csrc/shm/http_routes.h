/* The routes of HTTP listeners in the shared table, as l4lb/http/routes.py compiles them.
 *
 * All routes are one piece of memory without pointers: offsets count from its start, and numbers
 * have the machine's byte order. It lies in one of two halves of L4_HTTP_ROUTES_BYTES, as sets and
 * routes of TCP do (shm/listener_policy.h). The supervisor writes the half that is not in force,
 * then increases http_routes_generation. core/router.h reads it, and trusts no offset in it.
 *
 * This header is long. why: it is one format, whose parts mean nothing without each other.
 */
#ifndef L4_SHM_HTTP_ROUTES_H
#define L4_SHM_HTTP_ROUTES_H

#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"

/* The format of the memory. Increase it with each change of the structures below. */
#define L4_ROUTER_FORMAT 0x52740007u

struct l4_router_list {
    uint32_t at, count; /* at is a multiple of 4; of texts: a count of bytes, at any offset */
};

/* Kinds of rules beside a listener's routes. They are read as routes are. */
enum l4_router_rule_kind {
    L4_ROUTER_FILTER,      /* looked at before the routes */
    L4_ROUTER_INSPECTIONS, /* rules `inspect`: which engine inspects a request or its answer */
    L4_ROUTER_RECORDINGS,  /* rules `record`: which requests are recorded */
    L4_ROUTER_RULES
};

struct l4_router { /* the routes of one listener */
    uint32_t format;
    uint32_t wildcards;           /* 1: some names in `hosts` begin with a dot */
    struct l4_router_list routes; /* struct l4_router_route, in the order of the configuration */
    struct l4_router_list hosts;  /* struct l4_router_host, found by hash; a power of two, or 0 */
    struct l4_router_list rest;   /* uint16_t: routes without a condition about the host */
    uint32_t rules[L4_ROUTER_RULES]; /* where the struct l4_router of each kind is; 0: none */
};

struct l4_router_host {          /* a name, or a dot and a name: all names below that name */
    uint32_t hash;               /* l4_router_hash */
    struct l4_router_list name;  /* in lower case; count is 0: no entry */
    struct l4_router_list names; /* uint16_t: the routes that name it or a wildcard above it */
};

#define L4_ROUTER_KINDS(X)                                                                         \
    X(SCHEME, "scheme") /* items are texts, unless said otherwise */                               \
    X(METHOD, "method")                                                                            \
    X(OTHER_METHOD, "other_method") /* none of the items */                                        \
    X(QUERY_OVER, "query_length")   /* more bytes than a struct l4_router_number, as the next */   \
    X(BODY_OVER, "body_over")                                                                      \
    X(FIELDS_OVER, "header_count")                                                                 \
    X(PATH, "path")                                                                                \
    X(PREFIX, "path_prefix")                                                                       \
    X(SUFFIX, "path_suffix")                                                                       \
    X(SNI, "sni")       /* .name: any name below it; *: any name */                                \
    X(SOURCE, "source") /* struct l4_router_net */                                                 \
    X(HEADER, "header") /* * stands for any text; an empty item: absent or empty */                \
    X(COOKIE, "cookie")                                                                            \
    X(QUERY, "query")                                                                              \
    X(REGEX, "path_regex") /* struct l4_router_dfa; count is its bytes */

enum l4_router_kind {
#define X(id, word) L4_ROUTER_##id,
    L4_ROUTER_KINDS(X)
#undef X
        L4_ROUTER_KIND_COUNT
};

struct l4_router_condition {     /* one of its items must match */
    uint32_t kind;               /* enum l4_router_kind */
    struct l4_router_list name;  /* of a header (in lower case), cookie or query argument */
    struct l4_router_list items; /* struct l4_router_list, each a text */
};

struct l4_router_number {
    uint32_t low, high;
};

struct l4_router_net {
    struct l4_addr net;
    uint32_t bits;
};

/* A regular expression as a table of steps (l4lb/regex.py makes it). */
struct l4_router_dfa {
    uint32_t start, classes;
    struct l4_router_list steps; /* uint16_t: the next state, by state and class */
    struct l4_router_list ends;  /* uint8_t for each state: 1 if a text that ends there matches */
    uint8_t class_of[128];
};

enum l4_router_action {
    L4_ROUTER_POOL,
    L4_ROUTER_REDIRECT,
    L4_ROUTER_RESPOND,
    L4_ROUTER_DENY, /* from here on: of rules of a filter */
    L4_ROUTER_TARPIT,
    L4_ROUTER_LIMIT, /* by requests_per_source */
    L4_ROUTER_LOG,
    L4_ROUTER_INSPECT, /* of rules `inspect` */
    L4_ROUTER_RECORD   /* of rules `record` */
};

/* What became of a request or an answer that an engine was to inspect. What is worse comes later.
 */
#define L4_INSPECT_VERDICTS(X)                                                                     \
    X(NONE, "")                                                                                    \
    X(CLEAN, "clean")         /* it goes on as it came */                                          \
    X(CHANGED, "changed")     /* ... as the engine has changed it */                               \
    X(TOO_LARGE, "too_large") /* it is larger than `max_body`, or came too slowly */               \
    X(FAILED, "failed")       /* the engine gave no valid answer in its time */                    \
    X(BLOCKED, "blocked")     /* the client got the engine's answer instead */

enum l4_inspect_verdict {
#define X(id, word) L4_INSPECT_##id,
    L4_INSPECT_VERDICTS(X)
#undef X
        L4_INSPECT_COUNT
};

enum l4_inspected { L4_INSPECTS_REQUESTS = 1, L4_INSPECTS_ANSWERS = 2 };

struct l4_router_inspection {         /* of a rule `inspect`: what, by which engine */
    uint32_t what;                    /* enum l4_inspected */
    uint32_t fails_open;              /* 1: what could not be inspected goes on */
    uint32_t large_goes_on;           /* 1: so does what is too large */
    uint32_t timeout_ms;              /* for the engine's whole answer */
    uint32_t body_ms;                 /* for the body to come */
    uint32_t max_body;                /* bytes */
    uint32_t slots[L4_INSPECT_COUNT]; /* for the counts of each verdict; of NONE: not used */
    struct l4_addr engine;
    struct l4_router_list host, path; /* texts: of the service's URL */
    struct l4_router_list name;       /* of the engine, in the configuration */
};

struct l4_router_recording {      /* of a rule `record`: where, and how much of each body */
    struct l4_router_list record; /* text: its name in the configuration */
    uint32_t max_body;            /* bytes */
};

/* The parts of a location or a rewritten target. */
enum l4_router_part_kind {
    L4_PART_TEXT,
    L4_PART_SCHEME,
    L4_PART_HOST,
    L4_PART_PATH,
    L4_PART_REST, /* of the path, after the prefix that matched */
    L4_PART_QUERY /* with its question mark; nothing if there is none */
};

struct l4_router_part {
    uint32_t kind;
    struct l4_router_list text;
};

enum l4_router_change_kind { L4_CHANGE_SET, L4_CHANGE_REMOVE };

struct l4_router_change { /* of a header field */
    uint32_t kind;
    struct l4_router_list name, value;
};

struct l4_router_limit {
    uint32_t rate, burst;     /* requests a second; 0: no limit */
    uint32_t status, dry_run; /* of the answer to a request too many; 1: it is only counted */
};

struct l4_router_route {
    struct l4_router_list conditions; /* struct l4_router_condition; all of them must hold */
    uint32_t has_share, share;        /* of the requests that meet the conditions, of 2^32 */
    uint32_t slot;                    /* its number for hits and limits; a reload keeps it */
    uint32_t pool;
    uint32_t action;                          /* enum l4_router_action */
    uint32_t status;                          /* of a redirect or an answer of our own */
    uint32_t timeout_ms;                      /* 0: the pool's */
    uint32_t cache;                           /* number of the cache; 0: none */
    struct l4_router_list location;           /* struct l4_router_part: a redirect's */
    struct l4_router_list target;             /* ... or the target to send; 0: as it came */
    struct l4_router_list content_type, body; /* texts */
    struct l4_router_list request_changes, answer_changes; /* struct l4_router_change */
    struct l4_router_limit requests, requests_per_source, requests_per_key;
    uint32_t key_kind;              /* of requests_per_key: enum l4_key_kind */
    struct l4_router_list key_name; /* ... of the header field (in lower case), cookie, argument */
    struct l4_router_list name;     /* of a rule */
    struct l4_router_list inspection; /* of a rule: one struct l4_router_inspection */
    struct l4_router_list recording;  /* ... or one struct l4_router_recording */
};

#endif

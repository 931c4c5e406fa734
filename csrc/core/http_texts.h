/* The texts of listeners and pools for HTTP: names of fields, values of fields, error pages.
 *
 * why: long for a header: what is in the memory and what reads it belong together.
 *
 * l4lb/http/texts.py compiles all of them into one run of bytes, which lies in one of two halves of
 * the shared table. A reader begins with the half in force, copies what it needs into a head or a
 * body of its own, and then asks whether the half is still the one in force. If it is not, it does
 * its work again. Offsets count from the first byte of the half, and every one is checked: a half
 * that is written meanwhile gives wrong texts and no wrong address.
 *
 *   struct l4_texts_head | offsets, one for each row of a listener (0: no texts)
 *                        | offsets, one for each row of a pool | the same for caches
 *                        | what they lead to
 */
#ifndef L4_CORE_HTTP_TEXTS_H
#define L4_CORE_HTTP_TEXTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct l4_table;

/* ---- in the half: l4lb/http/texts.py writes the same ----------------------------------------- */

struct l4_texts_at {
    uint32_t at, bytes;
};

struct l4_texts_head {
    uint32_t bytes; /* of the whole */
    uint32_t listeners_at, listeners;
    uint32_t pools_at, pools;
    uint32_t caches_at, caches;
};

/* Texts of a listener. A text without bytes: the field is not written. */
struct l4_texts_of_listener {
    struct l4_texts_at request_id; /* name of the field */
    struct l4_texts_at via;        /* name of this proxy */
    struct l4_texts_at hsts;       /* value of Strict-Transport-Security */
    struct l4_texts_at limit_key;  /* name of the values of requests_per_key */
    uint32_t hide_at, hides;       /* struct l4_texts_at: names of fields, in lower case */
    uint32_t pages_at, pages;      /* struct l4_texts_page, by status */
};

struct l4_texts_page {
    uint32_t status;
    struct l4_texts_at type, body; /* value of Content-Type; the page */
};

/* The two keys of a pool: for its algorithm, and for sticky clients. */
enum l4_texts_key { L4_TEXTS_KEY_HASH, L4_TEXTS_KEY_STICKY, L4_TEXTS_KEYS };

struct l4_texts_of_pool {
    struct l4_texts_at host;                /* value of Host, with L4_HOST_NAMED */
    struct l4_texts_at cookie;              /* name of the cookie that names a client's backend */
    struct l4_texts_at cookie_attributes;   /* "; Path=/" and what else follows its value */
    struct l4_texts_at keys[L4_TEXTS_KEYS]; /* names of the values that identify a request */
    uint32_t pages_at, pages;               /* struct l4_texts_rule_page */
};

/* The page of a rule of a forward proxy, for clients that it refuses. */
struct l4_texts_rule_page {
    struct l4_texts_at rule;       /* its name */
    struct l4_texts_at type, body; /* as in struct l4_texts_page */
};

/* Texts of a cache. */
struct l4_texts_of_cache {
    struct l4_texts_at status; /* name of the field that tells what the cache did; empty: none */
    struct l4_texts_at tags;   /* name of the field with an answer's tags, in lower case */
    struct l4_texts_at purge;  /* the method that purges; empty: none does */
    uint32_t ignored_at, ignored, cookies_at, cookies; /* struct l4_texts_at: ignored names */
    uint32_t targeted_at, targeted; /* struct l4_texts_at: names of fields, in lower case */
    uint32_t statuses_at, statuses; /* struct l4_texts_status */
};

struct l4_texts_status {
    uint32_t status, lifetime_s;
};

/* ---- as readers have it ---------------------------------------------------------------------- */

struct l4_texts {
    const char *half;
    uint32_t bytes, generation;
};

struct l4_listener_texts {
    struct l4_text request_id, via, hsts, limit_key;
    const struct l4_texts_at *hide; /* l4_texts_read gives each */
    uint32_t hides;
    uint32_t pages_at, pages; /* l4_texts_page finds one */
};

/* Begins to read the half in force. */
struct l4_texts l4_texts_begin(const struct l4_table *table);
/* Returns whether everything that was read since l4_texts_begin is from one configuration. */
bool l4_texts_hold(const struct l4_table *table, const struct l4_texts *texts);

struct l4_text l4_texts_read(const struct l4_texts *texts, struct l4_texts_at text);
/* The texts of a listener's row; all of them empty (no bytes) if it has none. */
struct l4_listener_texts l4_texts_listener(const struct l4_texts *texts, uint32_t listener);
/* The page for a status; without bytes: there is none. */
struct l4_texts_page l4_texts_page(const struct l4_texts *texts,
                                   const struct l4_listener_texts *listener, uint32_t status);
/* The page of a forward proxy's rule, for this status; without a status: it has none. pool: that of
 * the forward proxy. */
struct l4_texts_page l4_texts_rule_page(const struct l4_texts *texts, uint32_t pool,
                                        struct l4_text rule, uint32_t status);
/* The cookie of a pool that is sticky by cookie; a name without bytes: the pool is not. */
struct l4_texts_cookie {
    struct l4_text name, attributes;
};
struct l4_texts_cookie l4_texts_cookie(const struct l4_texts *texts, uint32_t pool);
/* The host that a pool's backends are sent. */
struct l4_text l4_texts_host(const struct l4_texts *texts, uint32_t pool);
/* The name of the header field (in lower case), cookie or argument that a key of a pool takes of a
 * request; empty if the key needs no name. */
struct l4_text l4_texts_key(const struct l4_texts *texts, uint32_t pool, enum l4_texts_key key);

/* The texts of a cache's row. */
struct l4_cache_texts {
    struct l4_text status, tags, purge;
    const struct l4_texts_at *ignored, *cookies, *targeted;
    const struct l4_texts_status *statuses;
    uint32_t ignored_count, cookie_count, targeted_count, status_count;
};
struct l4_cache_texts l4_texts_cache(const struct l4_texts *texts, uint32_t cache);

#endif

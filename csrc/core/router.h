/* The router: chooses what happens with a request by the routes of its listener.
 *
 * The first route matches whose conditions all hold. A hash of the host finds the few routes that
 * can match; only their conditions are looked at. Percentages are those of core/route.h. Pure, and
 * without an allocation. The routes are one piece of memory (shm/http_routes.h) that another
 * process may be replacing: every offset in it is checked, and core/http_route.h repeats a choice
 * that met a replacement. Texts in an answer lie in the same memory.
 */
#ifndef L4_CORE_ROUTER_H
#define L4_CORE_ROUTER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/target.h"
#include "shm/http_routes.h"

struct l4_router_memory {
    const char *at; /* 4-byte aligned */
    uint32_t bytes;
};

struct l4_router_request {
    struct l4_text method, host, path, query; /* host and path as core/target.h reads them */
    struct l4_text sni;                       /* in lower case; at is NULL: none */
    enum l4_scheme scheme;
    const struct l4_addr *source;
    uint64_t body;   /* its length, if the head says it */
    uint32_t random; /* for percentages */
    /* Gives the header field of this index; false: there is no further one. */
    bool (*field)(const void *of, uint32_t index, struct l4_text *name, struct l4_text *value);
    const void *fields; /* its first argument */
};

struct l4_router_answer {
    uint32_t number;  /* of the route in its listener, from 0; L4_NONE: no route matches */
    uint32_t matched; /* bytes of the path that a prefix matched */
    struct l4_router_route route;
};

/* Returns whether a route of the listener whose struct l4_router is `at` matches. from: the number
 * of the first route that is looked at. */
bool l4_router_choose(const struct l4_router_memory *memory, uint32_t at,
                      const struct l4_router_request *request, uint32_t from,
                      struct l4_router_answer *answer);

/* Returns where the listener's rules of this kind are; 0: there are none. They are read as routes
 * are. */
uint32_t l4_router_rules(const struct l4_router_memory *memory, uint32_t at,
                         enum l4_router_rule_kind kind);

/* Reads what a rule `inspect` says. Returns false if it says nothing. */
bool l4_router_inspection(const struct l4_router_memory *memory, const struct l4_router_route *rule,
                          struct l4_router_inspection *inspection);

/* The same of a rule `record`. */
bool l4_router_recording(const struct l4_router_memory *memory, const struct l4_router_route *rule,
                         struct l4_router_recording *recording);

/* Reads the route of this number. Returns whether there is one. */
bool l4_router_read(const struct l4_router_memory *memory, uint32_t at, uint32_t number,
                    struct l4_router_answer *answer);

/* Finds the route with this slot again. Returns whether there is one. */
bool l4_router_find(const struct l4_router_memory *memory, uint32_t at, uint32_t slot,
                    struct l4_router_answer *answer);

/* Returns a text of an answer; its `at` is NULL if it is empty or not within the memory. */
struct l4_text l4_router_text(const struct l4_router_memory *memory, struct l4_router_list text);

/* Writes an answer's location or target. Returns its length; 0 if it does not fit into `room`. */
uint32_t l4_router_write(const struct l4_router_memory *memory, struct l4_router_list parts,
                         const struct l4_router_request *request, uint32_t matched, char *to,
                         uint32_t room);

/* Reads the change of this index. Returns false if there is no further one. */
bool l4_router_change(const struct l4_router_memory *memory, struct l4_router_list changes,
                      uint32_t index, enum l4_router_change_kind *kind, struct l4_text *name,
                      struct l4_text *value);

/* Hashes a host's name; the compiler of the routes does the same. */
uint32_t l4_router_hash(const char *name, size_t bytes);

#endif

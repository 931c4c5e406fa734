/* The routes of an HTTP listener that are in force.
 *
 * Texts of an answer lie in the shared table. Who uses them asks l4_http_route_stays afterwards; if
 * the routes were replaced meanwhile, what was read is not used, and the choice is made again.
 */
#ifndef L4_CORE_HTTP_ROUTE_H
#define L4_CORE_HTTP_ROUTE_H

#include "core/router.h"
#include "shm/table.h"

struct l4_http_choice {
    uint32_t generation; /* of the routes */
    struct l4_router_memory memory;
    struct l4_router_answer answer;
};

/* Chooses among the listener's routes from number `from` on. Returns whether one matches. */
bool l4_http_route_choose(const struct l4_table *table, uint32_t listener,
                          const struct l4_router_request *request, uint32_t from,
                          struct l4_http_choice *choice);

/* Chooses among the rules of the listener's filter, likewise. from: 0, or the number after the rule
 * that `choice` has; after a change of all rules, the first one is looked at again. */
bool l4_http_filter_choose(const struct l4_table *table, uint32_t listener,
                           const struct l4_router_request *request, uint32_t from,
                           struct l4_http_choice *choice);

/* The rules by which engines inspect a request and its answer: slot + 1 of each; 0: there is none.
 */
struct l4_http_inspections {
    uint32_t request, answer;
};

/* Chooses the listener's first rule for each of the two. */
void l4_http_inspections_choose(const struct l4_table *table, uint32_t listener,
                                const struct l4_router_request *request,
                                struct l4_http_inspections *chosen);

/* Reads the rule of this number that names an engine. Returns whether there is one. */
bool l4_http_inspection_read(const struct l4_table *table, uint32_t listener, uint32_t number,
                             struct l4_http_choice *choice,
                             struct l4_router_inspection *inspection);

/* Has the listener rules that say which requests are recorded? */
bool l4_http_has_recordings(const struct l4_table *table, uint32_t listener);

/* Chooses the first of these rules that the request meets. Returns whether there is one. */
bool l4_http_recording_choose(const struct l4_table *table, uint32_t listener,
                              const struct l4_router_request *request,
                              struct l4_http_choice *choice, struct l4_router_recording *recording);

/* Finds a listener's route or rule by its slot, perhaps after a reload. Returns whether there is
 * one. */
bool l4_http_route_find(const struct l4_table *table, uint32_t listener, uint32_t slot,
                        struct l4_http_choice *choice);

/* Returns the slot of the listener's route of this number; L4_NONE if there is none. */
uint32_t l4_http_route_slot(const struct l4_table *table, uint32_t listener, uint32_t number);

/* Reads the rule of this number of the listener's filter. Returns whether there is one. */
bool l4_http_filter_read(const struct l4_table *table, uint32_t listener, uint32_t number,
                         struct l4_http_choice *choice);

/* Returns how many requests took the route of this slot, at all workers. */
uint64_t l4_http_route_hits(const struct l4_table *table, uint32_t slot);

/* True if texts that were read from the choice's memory until now are valid. */
bool l4_http_route_stays(const struct l4_table *table, const struct l4_http_choice *choice);

/* For the supervisor: puts these routes into the half that is not in force. ats: for each row of a
 * listener the offset of its routes, 0 for none. Then puts the half into force. */
void l4_http_route_publish(const struct l4_table *table, const void *routes, uint32_t bytes,
                           const uint32_t *ats);

/* For the supervisor: a slot begins to stand for another route. A worker that counts a request of
 * the old route at this moment may put its old count back. */
void l4_http_route_forget(const struct l4_table *table, uint32_t slot);

#endif

/* What messages say because of a cache: questions to backends whether an object still holds, and
 * answers that are stored. */
#ifndef L4_HTTP_CACHED_H
#define L4_HTTP_CACHED_H

#include "core/h1write.h"
#include "http/caches.h"

enum { L4_CACHED_RULES = 8 }; /* of each of the two functions, at most */

/* Texts that the rules of an answer refer to. */
struct l4_cached_told {
    char age[16], range[72], status[192];
};

/* A request that asks whether an object still holds: gives it the object's validators in place of
 * the client's conditions (RFC 9111, 4.3.1). Returns the number of rules. */
size_t l4_cached_question(const struct l4_loop *loop, uint32_t index, struct l4_field_rule *rules);

/* The fields of an answer that tell of the cache: Age, Content-Range, Cache-Status (RFC 9211).
 * Returns the number of rules. */
size_t l4_cached_fields(const struct l4_loop *loop, uint32_t index, const struct l4_texts *texts,
                        struct l4_cached_told *told, struct l4_field_rule *rules);

/* Reads the head of an object. Returns false if it cannot be read. */
bool l4_cached_parse(const struct l4_cached *object, struct l4_h1_head *head);

/* Reads the stored head of the object that the session sends, in the form that was chosen. Returns
 * false if it cannot be read. */
bool l4_cached_head_of(const struct l4_loop *loop, uint32_t index, struct l4_h1_head *head);

#endif

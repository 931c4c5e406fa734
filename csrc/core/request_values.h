/* The values that a request has under one name: in its header fields, its cookies, or the arguments
 * of its query; and the value that identifies it for a pool (core/hash_key.h).
 *
 * Pure. Nothing is copied: each value lies in the request.
 */
#ifndef L4_CORE_REQUEST_VALUES_H
#define L4_CORE_REQUEST_VALUES_H

#include "core/router.h"
#include "shm/layout.h"

enum l4_values_kind { L4_VALUES_FIELD, L4_VALUES_COOKIE, L4_VALUES_ARGUMENT };

struct l4_values {
    const struct l4_router_request *request;
    enum l4_values_kind kind;
    struct l4_text name; /* of a header field: in lower case */
    struct l4_text rest; /* cookies or arguments that were not looked at */
    uint32_t field;      /* the header field that is next */
};

/* Begins a walk over the values of one name, in their order. */
struct l4_values l4_values_of(const struct l4_router_request *request, enum l4_values_kind kind,
                              struct l4_text name);

/* Gives the next value; that of an argument as it was sent. Returns false if there is none. */
bool l4_values_next(struct l4_values *values, struct l4_text *value);

/* Takes one byte off a text of a query, decoded. An invalid % stands for itself. The text must not
 * be empty. */
char l4_query_byte(struct l4_text *text);

/* Finds the value of a cookie that a server sets in a field Set-Cookie (RFC 6265, 4.1). Its `at` is
 * NULL if the field sets another cookie. */
struct l4_text l4_cookie_set(struct l4_text field, struct l4_text name);

/* Returns the value by which a key of this kind (enum l4_key_kind) and name identifies a request:
 * the first one of this name. At most L4_KEY_VALUE_MAX bytes of it count. Its `at` is NULL if the
 * request has none, or an empty one. */
struct l4_text l4_request_key(const struct l4_router_request *request, uint32_t kind,
                              struct l4_text name);

#endif

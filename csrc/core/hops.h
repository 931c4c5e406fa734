/* The addresses that proxies tell of a request's client: the lists of X-Forwarded-For and of
 * Forwarded (RFC 7239), from the right to the left.
 *
 * Each proxy adds the address of whom it got the request from at the right end. What is left of the
 * first address that no trusted proxy has told may be a lie of the client, so nothing there is
 * looked at: bytes that a client puts into its own field cannot spoil what proxies add to it. Sans
 * I/O, and without a copy.
 */
#ifndef L4_CORE_HOPS_H
#define L4_CORE_HOPS_H

#include "base/addr.h"
#include "core/h1.h"

enum { L4_HOPS_MAX = 16 }; /* entries of a list that are looked at */

enum l4_hops_result {
    L4_HOPS_END,     /* there is no further entry, or L4_HOPS_MAX were looked at */
    L4_HOPS_ADDRESS, /* *addr is the next one; its port is 0 if none is told */
    L4_HOPS_BAD,     /* the next entry is no address: malformed, or "unknown" */
};

struct l4_hops {
    const char *bytes; /* of the head */
    const struct l4_h1_head *head;
    const char *start, *end; /* what is unread of the present field; NULL: nothing */
    uint32_t fields;         /* fields from this one on were read */
    uint16_t looked;
    uint8_t id;
};

/* id: L4_FIELD_X_FORWARDED_FOR or L4_FIELD_FORWARDED. `bytes` and `head` must live as long. */
struct l4_hops l4_hops_begin(const char *bytes, const struct l4_h1_head *head, enum l4_field_id id);

/* Not to be called again after a result that is no address. */
enum l4_hops_result l4_hops_next(struct l4_hops *hops, struct l4_addr *addr);

#endif

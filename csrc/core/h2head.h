/* Writes the header list of an HTTP/2 request as the head of an HTTP/1.1 request.
 *
 * Sans I/O. The fields of a list are put in one by one; then the head is written, and judged by the
 * same parser as every other head (core/h1.h). What HTTP/2 forbids beyond that is refused here:
 * upper case, fields of a connection, pseudo fields that are unknown, missing, repeated or late
 * (RFC 9113, 8.2 and 8.3). So no byte of a list can become more than it was.
 */
#ifndef L4_CORE_H2HEAD_H
#define L4_CORE_H2HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

enum {
    L4_H2_FIELDS_MAX = 1000, /* fields of a list, with each crumb of a cookie */
    L4_H2_HOST_MAX = 300,    /* bytes of `:authority`, and of Host */
    L4_H2_METHOD_MAX = 32,
    L4_H2_FRAME_ROOM = 2 * L4_H2_HOST_MAX + 128, /* bytes that a head has besides its fields */
};

struct l4_h2_head {
    char *text; /* the path, then the fields as HTTP/1.1 writes them */
    uint32_t size, used;
    uint32_t path_bytes;
    uint32_t cookie_end; /* where the next crumb of the cookie goes; 0: there is no cookie */
    uint32_t fields;
    bool full;    /* the list is too large: the rest of it is left out */
    bool regular; /* a field came that is no pseudo field */
    bool scheme, has_length, has_path;
    uint16_t method_bytes, authority_bytes, host_bytes;
    char method[L4_H2_METHOD_MAX], authority[L4_H2_HOST_MAX], host[L4_H2_HOST_MAX];
};

/* Begins a list. The text may be grown between two fields. */
void l4_h2_head_begin(struct l4_h2_head *head, char *text, uint32_t size);

/* Returns how much room a field needs in the text. */
static inline size_t l4_h2_head_needs(size_t name_bytes, size_t value_bytes)
{
    return name_bytes + value_bytes + 4;
}

/* Puts the next field. Returns false if the request is malformed. */
__attribute__((warn_unused_result)) bool l4_h2_head_put(struct l4_h2_head *head,
                                                        struct l4_text name, struct l4_text value);

/* Is the list that of a request? */
bool l4_h2_head_is_whole(const struct l4_h2_head *head);

/* Writes the head to `to`, which has room for head->used + L4_H2_FRAME_ROOM bytes. has_body: more
 * than the list will come. Returns its bytes. A list that was too large gives a head without an
 * end. */
size_t l4_h2_head_write(const struct l4_h2_head *head, bool has_body, char *to);

#endif

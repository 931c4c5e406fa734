/* Bytes of a message that are held back while an engine looks at them (http/inspect.h).
 *
 * A piece of memory of its own, of which only the pages that are used take room, for at most as
 * many bytes as its rule allows. All pieces of a worker together are bounded as well.
 */
#ifndef L4_HTTP_HELD_H
#define L4_HTTP_HELD_H

#include "http/body.h"

struct l4_held {
    char *at; /* NULL: there is none */
    size_t bytes, room;
    size_t sent; /* of them */
    bool begun;  /* what frames them was sent */
};

/* Returns false if there is no memory. */
__attribute__((warn_unused_result)) bool l4_held_open(struct l4_held *held, size_t room);

/* Adds bytes. *all: how many bytes all pieces of the worker have. Returns false if there is no room
 * for them. */
__attribute__((warn_unused_result)) bool l4_held_add(struct l4_held *held, uint64_t *all,
                                                     struct l4_text data);

void l4_held_close(struct l4_held *held, uint64_t *all);

enum l4_held_result {
    L4_HELD_WAITS, /* for the receiver */
    L4_HELD_MORE,  /* its share of the iteration is used up: call again soon */
    L4_HELD_DONE,  /* the receiver has all of it, or takes nothing any more */
    L4_HELD_LOST   /* no memory: the session cannot go on */
};

/* Sends what is left of it to a half, as the data of one chunk if `chunked`, with the last chunk
 * behind it if `last`. What `to` does not accept of the framing waits in from's pipe. *moved: bytes
 * of the data that were sent. */
enum l4_held_result l4_held_pass(const struct l4_loop *loop, struct l4_held *held,
                                 struct l4_half *from, struct l4_half *to, bool chunked, bool last,
                                 uint64_t *moved);

#endif

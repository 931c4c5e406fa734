/* Moves the body of a message from one side to the other, up to the message's end and no byte
 * further.
 *
 * A body whose length is told goes through the pump, by splice where it is bulky. A chunked body is
 * decoded and encoded anew, because nothing that frames is passed on as it came; trailers are
 * dropped. What the other side does not accept waits in the pump's pipe.
 */
#ifndef L4_HTTP_BODY_H
#define L4_HTTP_BODY_H

#include <stddef.h>

#include "core/h1.h"
#include "http/exchange.h"
#include "run/loop.h"

/* Returns the body that this head announces, before its first byte. goes: how it is sent. max:
 * bytes that it may have in chunks, which announce no length; 0: any number. */
struct l4_body l4_body_of(const struct l4_h1_head *head, enum l4_framing goes, uint64_t max);

enum l4_body_result {
    L4_BODY_WAITS,   /* for an edge of either side */
    L4_BODY_MORE,    /* its share of the iteration is used up: call again soon */
    L4_BODY_NO_PIPE, /* no pipe is free for what `to` does not accept */
    L4_BODY_ENDED,   /* the sender ended, or failed, before the body did */
    L4_BODY_BAD,     /* the chunks are broken, or the body is too long (body->over) */
    L4_BODY_LOST     /* no memory: the session cannot go on */
};

/* Part of a body that is ready to be sent. */
struct l4_coded {
    char *at;
    size_t bytes;
    size_t used;         /* bytes of the input that belong to the body */
    struct l4_text data; /* the body's own bytes in it, without what frames them */
};

/* Room that l4_body_code needs before and behind its input. */
enum { L4_CODE_BEFORE = 64, L4_CODE_BEHIND = 16 };

/* Reads `count` bytes of the body at `data` and writes them as they are sent, into the same place.
 * Sets body->done at the body's end; bytes behind it stay as they are. Returns false if the chunks
 * are broken, or if there are more bytes than the body may have: then nothing of them may be sent,
 * because the receiver must not take what it has for a whole body. */
__attribute__((warn_unused_result)) bool l4_body_code(struct l4_body *body, char *data,
                                                      size_t count, struct l4_coded *coded);

/* The sender ended, and so did a body without a length: codes its end, if it has one. */
void l4_body_code_end(struct l4_body *body, char *data, struct l4_coded *coded);

/* What is read of a body.
 *
 * most: how many bytes may be read. keep: where all of them are put, too, as they came; NULL:
 * nowhere. take: gets the body's own bytes as well; NULL: nobody does. The rest is told by
 * l4_body_move: bytes behind the body's end, which are fewer than `most`, and lie in the pump's
 * scratch buffer. */
struct l4_body_read {
    size_t most;
    char *keep;
    void (*take)(struct l4_loop *loop, uint32_t index, struct l4_text data);
    struct l4_loop *take_loop; /* what take is called with */
    uint32_t take_index;
    const char *extra_at;
    size_t extra;
};

/* Moves what can be moved now. *moved: bytes read from `from`. */
enum l4_body_result l4_body_move(const struct l4_loop *loop, struct l4_half *from,
                                 struct l4_half *to, struct l4_body *body,
                                 struct l4_body_read *read, uint64_t *moved);

#endif

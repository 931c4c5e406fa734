/* Copies what rules `record` choose of requests and answers for the recorder (shm/record.h).
 *
 * A request is copied as its client sent it, an answer as its client gets it; bodies without what
 * frames them. A session never waits for the recorder: when the ring is full, the rest of a body
 * is left out.
 */
#ifndef L4_HTTP_RECORD_H
#define L4_HTTP_RECORD_H

#include "core/router.h"
#include "http/room.h"
#include "shm/http.h"
#include "shm/record.h"

/* What is recorded of a session's exchange; in use if that says so (L4_X_RECORDED). */
struct l4_recording {
    uint64_t number;
    uint64_t most;    /* bytes of each body that are kept */
    uint64_t seen[2]; /* of each side's body, so far */
    bool closed[2];   /* something of it was left out, so no more of it is kept */
};

struct l4_recordings {
    struct l4_recording *rows;   /* one for each row of a TCP session */
    struct l4_record_ring *ring; /* NULL: not mapped yet */
    uint64_t begun;              /* the number of the newest recording */
};

/* Returns 0 or -ENOMEM; l4_recording_finish frees in both cases. */
__attribute__((warn_unused_result)) int l4_recording_start(struct l4_loop *loop);
void l4_recording_finish(struct l4_loop *loop);

/* Begins to record the session's request if a rule of its listener says so. */
void l4_recording_choose(struct l4_loop *loop, uint32_t index,
                         const struct l4_router_request *request);

static inline bool l4_recording_is_on(const struct l4_loop *loop, uint32_t index)
{
    return l4_exchange_at(loop, index)->flags & L4_X_RECORDED;
}

/* Is more of this side's body kept? If so, it is moved by copies, which are shown. */
bool l4_recording_wants(const struct l4_loop *loop, uint32_t index, enum l4_side side);

/* Bytes of the request's body, of which exchange.up counts the last one. What was shown before,
 * because the request is sent once more, is left out. */
void l4_recording_up(struct l4_loop *loop, uint32_t index, struct l4_text data);

/* The client gets an answer before its body was read: what has come of it is shown. */
void l4_recording_unread(struct l4_loop *loop, uint32_t index);

/* The answer's head as the client gets it, perhaps with the begin of its body. */
void l4_recording_answer(struct l4_loop *loop, uint32_t index, struct l4_text text);

/* The next bytes of the answer's body. */
void l4_recording_down(struct l4_loop *loop, uint32_t index, struct l4_text data);

/* The exchange has ended. */
void l4_recording_end(struct l4_loop *loop, uint32_t index, const struct l4_request_end *end);

#endif

/* What an engine of ICAP inspects: requests before a backend gets a byte of them, answers before
 * the client does.
 *
 *   REQUEST, or FORWARD -> INSPECT -> PICK, FORWARD, CACHED, AWAIT, or REPLY
 *   EXCHANGE (the answer is collected) -> INSPECT (it is asked, then sent) -> REQUEST, or REPLY
 *
 * A body is held back whole (http/held.h), so nothing passes before the verdict. What comes out of
 * it is framed anew, with its length. What cannot be inspected is refused or goes on, as its rule
 * says; a body that is too large and goes on is passed on as far as it is here, and the rest
 * follows.
 */
#ifndef L4_HTTP_INSPECT_H
#define L4_HTTP_INSPECT_H

#include "core/router.h"
#include "http/icap.h"
#include "http/room.h"
#include "run/stage.h"

/* What a session has of it. A row is in use if its exchange says so (l4_exchange.holds). */
struct l4_inspecting {
    struct l4_router_inspection rule; /* its texts are in `talk` */
    uint32_t slot;
    uint32_t cache;          /* number of the cache for the request, when it goes on */
    enum l4_side side;       /* what is inspected: the client's request, or the backend's answer */
    uint8_t phase;           /* enum l4_inspect_phase */
    bool was_chunked;        /* the request's body */
    uint64_t begun_ms;       /* since when its body is collected */
    struct l4_half sink;     /* where what is collected goes */
    struct l4_held body[2];  /* of the request, and of the answer */
    struct l4_body after[2]; /* the state of each when what is held has been passed on */
    struct l4_held head;     /* of the answer, as the backend sent it */
    struct l4_held shown;    /* heads as the engine is shown them */
    struct l4_icap_talk talk;
};

enum l4_inspect_phase {
    L4_INSPECT_COLLECTS, /* the body */
    L4_INSPECT_ASKS,     /* the engine */
    L4_INSPECT_SENDS     /* the answer, to the client */
};

struct l4_inspections {
    struct l4_inspecting *rows; /* one for each row of a TCP session */
    struct l4_engine engines[L4_ENGINES_MAX];
    uint64_t bytes; /* of all bodies that are held */
};

/* Returns 0 or -ENOMEM; l4_inspect_finish frees in both cases. */
__attribute__((warn_unused_result)) int l4_inspect_start(struct l4_loop *loop);
void l4_inspect_finish(struct l4_loop *loop);

static inline struct l4_inspecting *l4_inspect_at(const struct l4_loop *loop, uint32_t index)
{
    return &loop->http->inspections->rows[index];
}

/* Chooses the rules for a request and for its answer. */
void l4_inspect_choose(struct l4_loop *loop, uint32_t index,
                       const struct l4_router_request *request);

/* Is the session's request to be inspected before it goes on? cache: for when it does. */
bool l4_inspect_wants_request(struct l4_loop *loop, uint32_t index, uint32_t cache);

/* Has the session's request just been inspected? True once. */
bool l4_inspect_has_passed(const struct l4_loop *loop, uint32_t index);

/* May the session's answer come from a cache, and be kept? why not if it is inspected: a cache does
 * not know by which rules an answer was let in. */
bool l4_inspect_allows_cache(const struct l4_loop *loop, uint32_t index);

/* Reads the session's rule for this side, and takes the row into use. Returns false if a reload has
 * removed it. */
bool l4_inspect_begin(struct l4_loop *loop, uint32_t index, enum l4_side side);

/* Adds data to what is held of the side that is inspected. Sets l4_exchange.holds' LARGE if it is
 * too much. */
void l4_inspect_take(struct l4_loop *loop, uint32_t index, struct l4_text data);

/* Notes a verdict: for the log, and for the counts. */
void l4_inspect_note(struct l4_loop *loop, uint32_t index, enum l4_inspect_verdict verdict);

/* Tells the supervisor when an engine begins to fail, and when it is well again. */
void l4_inspect_note_engine(struct l4_loop *loop, uint32_t index);

/* Frees all that the session holds. */
void l4_inspect_end(struct l4_loop *loop, uint32_t index);

#endif

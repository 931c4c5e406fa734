/* Pieces of requests and answers on their way from workers to the recorder process.
 *
 * Each worker has a ring of bytes, and copies into it what a rule `record` wants to be kept. Nobody
 * waits: what does not fit is left out and counted. The recorder (l4lb/record) puts the pieces
 * together, masks secrets, and writes files. If a worker dies while it copies a piece, the ring is
 * as if it had not begun. The recorder believes nothing that it reads here: a piece is checked
 * before it is copied.
 *
 * This memory is a file of its own, made by the supervisor before the workers. It begins with
 * zeros, and takes no room as long as nothing is recorded.
 */
#ifndef L4_SHM_RECORD_H
#define L4_SHM_RECORD_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bounds.h"
#include "base/text.h"

enum l4_record_kind {
    L4_RECORD_BEGIN = 1, /* the rule's name, the record's name, the request's head */
    L4_RECORD_REQUEST,   /* bytes of the request's body, without what framed them */
    L4_RECORD_ANSWER,    /* the answer's head. A second one takes the first one's place */
    L4_RECORD_BODY,      /* bytes of the answer's body */
    L4_RECORD_END        /* a struct l4_request_end */
};

/* What stands before the bytes of a piece. */
struct l4_record_piece {
    uint32_t bytes;                   /* at most L4_RECORD_PIECE_MAX */
    uint8_t kind;                     /* enum l4_record_kind */
    uint8_t rule_bytes, record_bytes; /* BEGIN: of the two names */
    uint8_t cut;                      /* END: 1 << enum l4_side for what is not whole */
    uint32_t slot;                    /* row of the session */
    uint64_t number;                  /* of the recording; the worker's row has it once */
};

struct l4_record_ring {
    union {
        struct {
            alignas(64) _Atomic uint64_t head; /* worker: bytes put so far */
            _Atomic uint64_t refused; /* worker: requests that were chosen and did not fit */
            alignas(64) _Atomic uint64_t tail; /* recorder: bytes taken so far */
        };
        char page[L4_PAGE_BYTES]; /* a worker maps its own ring alone */
    };
    char bytes[L4_RECORD_RING_BYTES];
};

_Static_assert(sizeof(struct l4_record_ring) % L4_PAGE_BYTES == 0, "a ring begins with a page");

struct l4_records {
    struct l4_record_ring rings[L4_WORKERS_MAX];
};

/* ---- a worker -------------------------------------------------------------------------------- */

/* Copies a piece that consists of these texts; their lengths are piece.bytes together. Returns
 * false if it does not fit. What ends a recording may use the room that others leave. */
bool l4_record_put(struct l4_record_ring *ring, const struct l4_record_piece *piece,
                   const struct l4_text *texts, size_t count);

/* ---- the recorder ---------------------------------------------------------------------------- */

/* Copies the piece at *position, and moves that on. to: L4_RECORD_PIECE_MAX bytes. Returns false if
 * there is none. What is no piece is skipped with all that is there. */
bool l4_record_take(const struct l4_record_ring *ring, uint64_t *position,
                    struct l4_record_piece *piece, char *to);

/* Where the recorder begins to read. */
uint64_t l4_record_first(const struct l4_record_ring *ring);

/* All up to this position was taken: its room is free. */
void l4_record_release(struct l4_record_ring *ring, uint64_t position);

#endif

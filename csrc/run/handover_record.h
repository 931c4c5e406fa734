/* A session as one worker describes it to another: the message of a hand-over (run/handover.h).
 *
 * Versioned by its length: a later version appends fields, and a reader takes what it knows of what
 * came and finds zero in the rest. `bytes` are sent: what is behind them is zero. No field changes
 * its meaning, nor do the values in it (enum l4_half_flags, l4_session_state, l4_reason). Rows are
 * hints, names decide: the taker's table may be another one. Descriptors come in the order of enum
 * l4_record_fds, as `fds` says.
 */
#ifndef L4_RUN_HANDOVER_RECORD_H
#define L4_RUN_HANDOVER_RECORD_H

#include <stddef.h>

#include "run/loop.h"

#define L4_RECORD_MAGIC 0x646e6168u /* "hand" */

enum l4_record_fds {
    L4_RECORD_CLIENT = 1 << 0,
    L4_RECORD_BACKEND = 1 << 1,
    L4_RECORD_PIPE_0 = 1 << 2, /* two descriptors: what the client sent and the backend did not
                                  take; its end to read from, then the one to write to */
    L4_RECORD_PIPE_1 = 1 << 3, /* the other direction */
};

struct l4_record {
    uint32_t bytes;
    uint32_t magic;
    uint32_t slot, serial; /* the giver's, for the answer */
    uint32_t state;
    uint32_t fds; /* enum l4_record_fds */
    uint32_t listener, pool, backend;
    char listener_name[L4_NAME_MAX + 1];
    char listener_bind[L4_PATH_MAX + 8];
    char pool_name[L4_NAME_MAX + 1];
    char backend_name[L4_NAME_MAX + 1];
    uint8_t mark; /* 0: a session; L4_RECORD_NO_MORE_FLOWS: there is nothing else in it */
    char unused;
    uint16_t tried[L4_RETRIES_MAX + 1];
    uint8_t attempts, reason, first_end, half_closed;
    struct l4_addr client;
    uint32_t flags[2]; /* of the halves */
    uint32_t piped[2];
    uint32_t connect_us, queue_us, first_byte_us, deadline_ms;
    int32_t error;
    union {
        uint64_t moved[2];
        uint64_t turn; /* of one that queues: nothing has moved, and it has the client's fd only */
    };
    uint64_t active_ms, started_us, connect_started_us;
    uint64_t name_hash;
    struct l4_record_flow { /* of a UDP session, which has L4_RECORD_BACKEND only */
        struct l4_addr local;
        uint32_t scope;
        uint32_t bound; /* 1: to its backend, whatever its client's address (a lane) */
        uint16_t flags; /* enum l4_flow_flags */
        uint16_t port;
        uint64_t datagrams[2];
    } flow;
    struct l4_record_facts { /* what was read of its client; struct l4_facts */
        uint64_t spent_ns;
        uint32_t ends_ms;
        uint8_t known;     /* enum l4_facts_known */
        uint8_t paced;     /* of enum l4_paced: L4_PACED_AGE, ends_ms holds; _TOLD */
        uint16_t bytes[3]; /* of name, alpn and tlvs, which follow each other in `text` */
        struct l4_addr via, told_to;
        uint8_t text[L4_HELLO_NAME_MAX + L4_ALPN_LIST_MAX + L4_TLVS_MAX];
    } facts;
};
_Static_assert(offsetof(struct l4_record, facts) == 528 &&
                   offsetof(struct l4_record, facts.text) == 588 &&
                   sizeof(struct l4_record) == 2128,
               "struct l4_record is a wire format");

/* The record that says: no more UDP sessions come. */
#define L4_RECORD_NO_MORE_FLOWS 1u

struct l4_handover_answer {
    uint32_t bytes;
    uint32_t slot, serial; /* of the record */
    uint32_t taken;        /* 1, or 0: the giver keeps it */
};

/* What a session and its place are named. */
void l4_record_put_names(const struct l4_loop *loop, const struct l4_session *s,
                         struct l4_record *record);

/* The rows here of those names. False: one of them is not known. */
bool l4_record_find(const struct l4_loop *loop, const struct l4_record *record, uint32_t *listener,
                    uint32_t *pool, uint32_t *backend);

/* Describes a session of this worker, which was in this state until it was offered; fds gets the
 * descriptors to send, which stay the session's. Returns how many. */
uint32_t l4_record_write(const struct l4_loop *loop, uint32_t index, enum l4_session_state state,
                         struct l4_record *record, int *fds);

/* Makes a described session one of this worker's, with its place counted and its sockets watched.
 * True: it has taken the descriptors over. False: nothing was done. */
bool l4_record_read(struct l4_loop *loop, const struct l4_record *record, const int *fds,
                    uint32_t count);

#endif

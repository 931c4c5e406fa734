/* The record of a session in a hand-over (run/handover.h): the message that describes it to the
 * other worker.
 *
 * The length is the version. A later version appends fields; a reader takes the fields that it
 * knows, and finds zero in those that did not come. Only `bytes` bytes are sent: everything behind
 * them is zero. No field changes its meaning, and neither do the values in it (enum l4_half_flags,
 * l4_session_state, l4_reason). Row numbers are hints and names decide, because the taker's table
 * may be another one. Descriptors come in the order of enum l4_record_fds, and `fds` says
 * which.
 */
#ifndef L4_RUN_HANDOVER_RECORD_H
#define L4_RUN_HANDOVER_RECORD_H

#include <stddef.h>

#include "run/loop.h"

#define L4_RECORD_MAGIC 0x646e6168u /* "hand" */

enum l4_record_fds {
    L4_RECORD_CLIENT = 1 << 0,
    L4_RECORD_BACKEND = 1 << 1,
    /* Each pipe is two descriptors: its end to read from, then its end to write to. */
    L4_RECORD_PIPE_0 = 1 << 2, /* bytes that the client sent and the backend did not take */
    L4_RECORD_PIPE_1 = 1 << 3, /* the other direction */
};

struct l4_record {
    uint32_t bytes;
    uint32_t magic;
    uint32_t slot, serial; /* the giver's row and serial, for the answer */
    uint32_t state;
    uint32_t fds; /* enum l4_record_fds */
    uint32_t listener, pool, backend;
    char listener_name[L4_NAME_MAX + 1];
    char listener_bind[L4_PATH_MAX + 8];
    char pool_name[L4_NAME_MAX + 1];
    char backend_name[L4_NAME_MAX + 1];
    uint8_t mark; /* 0: the record is a session. L4_RECORD_NO_MORE_FLOWS: it has no session */
    char unused;
    uint16_t tried[L4_RETRIES_MAX + 1];
    uint8_t attempts, reason, first_end, half_closed;
    struct l4_addr client;
    uint32_t flags[2]; /* of each side: enum l4_half_flags */
    uint32_t piped[2];
    uint32_t connect_us, queue_us, first_byte_us, deadline_ms;
    int32_t error;
    union {
        uint64_t moved[2];
        uint64_t turn; /* in QUEUE: no byte has moved, and only the client's fd comes */
    };
    uint64_t active_ms, started_us, connect_started_us;
    uint64_t name_hash;
    union {
        struct l4_record_flow { /* of a UDP session, which has L4_RECORD_BACKEND only */
            struct l4_addr local;
            uint32_t scope;
            uint32_t bound; /* 1: bound to its backend, whatever the client's address (core/flow.h)
                             */
            uint16_t flags; /* enum l4_flow_flags */
            uint16_t port;
            uint64_t datagrams[2];
        } flow;
        uint64_t user_hash; /* of any other: http/user_limits.h; 0: it has no user */
    };
    struct l4_record_facts { /* what was read of the client; struct l4_facts */
        uint64_t spent_ns;
        uint32_t ends_ms;
        uint8_t known;     /* enum l4_facts_known */
        uint8_t paced;     /* enum l4_paced; with L4_PACED_AGE, ends_ms is valid */
        uint16_t bytes[3]; /* lengths of name, alpn and tlvs, which follow each other in `text` */
        struct l4_addr via, told_to;
        uint8_t text[L4_HELLO_NAME_MAX + L4_ALPN_LIST_MAX + L4_TLVS_MAX];
    } facts;
};
_Static_assert(offsetof(struct l4_record, facts) == 528 &&
                   offsetof(struct l4_record, facts.text) == 588 &&
                   sizeof(struct l4_record) == 2128,
               "struct l4_record is a wire format");

/* The mark of the record that says that no more UDP sessions come. */
#define L4_RECORD_NO_MORE_FLOWS 1u

struct l4_handover_answer {
    uint32_t bytes;
    uint32_t slot, serial; /* of the record that is answered */
    uint32_t taken;        /* 1: taken; 0: the giver keeps the session */
};

/* Writes the names of the session's listener, pool and backend into the record. */
void l4_record_put_names(const struct l4_loop *loop, const struct l4_session *s,
                         struct l4_record *record);

/* Finds the rows of this table that have the record's names. Returns false if one of the names is
 * unknown. */
bool l4_record_find(const struct l4_loop *loop, const struct l4_record *record, uint32_t *listener,
                    uint32_t *pool, uint32_t *backend);

/* Describes a session of this worker. state is the state that it had before it was offered. fds
 * gets the descriptors to send, which the session still owns. Returns how many. */
uint32_t l4_record_write(const struct l4_loop *loop, uint32_t index, enum l4_session_state state,
                         struct l4_record *record, int *fds);

/* Makes the described session one of this worker's: its place is counted and its sockets are in
 * the epoll set. Returns true if the session owns the descriptors now; false if nothing was
 * changed. */
bool l4_record_read(struct l4_loop *loop, const struct l4_record *record, const int *fds,
                    uint32_t count);

#endif

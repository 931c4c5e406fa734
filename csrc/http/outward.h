/* Where a client of a forward proxy wants to go, and whether it may (shm/gate.h).
 *
 * A forward proxy is a pool with one backend that stands for everything outside. Which host it is,
 * at which addresses, is in the row beside the session's exchange. Each address is judged again at
 * the moment in which it is connected to: nothing that happened between a name's answer and the
 * connect can lead inside.
 */
#ifndef L4_HTTP_OUTWARD_H
#define L4_HTTP_OUTWARD_H

#include "core/target.h"
#include "http/room.h"
#include "run/row.h"
#include "shm/gate.h"

enum {
    L4_OUTWARD_TRIES = 2 * L4_GATE_ADDRS, /* addresses, those that were too slow once more */
    L4_OUTWARD_NEXT_MS = 250,             /* until the next address is tried (RFC 8305, 8) */
};

/* The row beside each exchange. */
struct l4_outward {
    uint32_t serial, number; /* of the session, and of its request: what it is about */
    uint32_t question;       /* its row of the gate + 1; 0: none */
    uint32_t looks;          /* for the answer, so far */
    uint64_t asked_ms;
    uint64_t key[2];
    uint64_t user_hash;       /* with L4_HOLDS_USER: of the proxy and its user, never 0 */
    uint32_t user_entry;      /* ... in the table of sources */
    uint64_t bytes_before[2]; /* of the session when its tunnel began, by enum l4_side */
    bool allowed;
    bool named;             /* the host is a name, no address */
    bool guarded;           /* an address was not connected to because it is inside */
    uint8_t addrs, next;    /* how many; the one that is tried */
    uint8_t quick;          /* of so many the next one is tried soon */
    uint8_t phase, refusal; /* SOCKS: what is awaited (http/socks.h); what the client is told */
    uint8_t rule_bytes, user_bytes;
    uint16_t port, host_bytes, credentials_bytes;
    char host[L4_HOST_MAX + 1];
    char rule[L4_GATE_NAME_MAX]; /* that has decided; the realm if the client is to log in */
    char user[L4_GATE_NAME_MAX];
    char credentials[L4_GATE_CREDENTIALS_MAX]; /* of SOCKS */
    struct l4_addr addr[L4_OUTWARD_TRIES];
};

struct l4_outwards {
    struct l4_gate *gate; /* NULL: not mapped */
    struct l4_outward *rows;
};

/* Returns 0 or -ENOMEM; l4_outward_finish frees in both cases. */
__attribute__((warn_unused_result)) int l4_outward_start(struct l4_loop *loop);
void l4_outward_finish(struct l4_loop *loop);

static inline struct l4_outward *l4_outward_at(const struct l4_loop *loop, uint32_t index)
{
    return &loop->http->outwards->rows[index];
}

/* Does the session's client name the host that it wants to reach? */
static inline bool l4_outward_is_on(const struct l4_loop *loop, const struct l4_session *s)
{
    return s->http && s->pool != L4_NONE && L4_GET(l4_row_pool(loop, s)->http.forward);
}

/* Is the row about the session's present request? */
bool l4_outward_is_known(const struct l4_loop *loop, uint32_t index);

/* Begins the row for the session's request: of HTTP, as its target says. Returns false if that
 * names no host that a proxy can reach. */
bool l4_outward_begin(struct l4_loop *loop, uint32_t index);

/* The same for a request of SOCKS. Credentials are in the row. */
void l4_outward_begin_socks(struct l4_loop *loop, uint32_t index, const struct l4_host *host);

/* The same for who a client of SOCKS is, before it has said where it wants to go: such a question
 * names no host. */
void l4_outward_begin_login(struct l4_loop *loop, uint32_t index);

/* Is that what the row is about? */
bool l4_outward_is_login(const struct l4_loop *loop, uint32_t index);

/* Looks for the answer of the gate, and asks if there is none. Returns false if it is not there
 * yet. */
bool l4_outward_ask(struct l4_loop *loop, uint32_t index, struct l4_gate_answer *answer);

/* Nobody has answered in time: decides by an older answer, or by what the worker knows itself, if
 * the proxy goes on then. Returns false if it does not, or if nothing is known. */
bool l4_outward_decide_alone(struct l4_loop *loop, uint32_t index, struct l4_gate_answer *answer);

/* Gives the question back. */
void l4_outward_drop(struct l4_loop *loop, uint32_t index);

/* Takes what an answer says. */
void l4_outward_take(struct l4_loop *loop, uint32_t index, const struct l4_gate_answer *answer);

/* Finds the next address that may be connected to. Returns false if there is none. */
bool l4_outward_find(struct l4_loop *loop, uint32_t index);

/* The address that is connected to. */
struct l4_addr l4_outward_target(const struct l4_loop *loop, uint32_t index);

/* It could not be reached. Returns whether there is another one. */
bool l4_outward_failed(struct l4_loop *loop, uint32_t index, int error);

#endif

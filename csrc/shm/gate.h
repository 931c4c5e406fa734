/* The gate of forward proxies: what workers ask the policy process, and what it has answered.
 *
 * why: long for a header: both sides in one place show that they fit.
 *
 * A worker that has to connect to a host which a client names looks for the answer to that question
 * first. If there is none, it writes the question into a row of its own, and rings. The policy
 * process (l4lb/policy) reads all questions, and puts answers into one table for all workers, where
 * they hold until their time. Nobody waits for a lock: each row of a question has one worker as its
 * writer, the answers have the policy process. A death on either side leaves only a question that
 * is asked again.
 *
 * This memory is a file of its own, made by the supervisor before the workers. Nothing in it is
 * believed by the policy process but what a client could have asked.
 */
#ifndef L4_SHM_GATE_H
#define L4_SHM_GATE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"

enum {
    L4_GATE_QUESTIONS = 256, /* of one worker at one time; others wait for a row */
    L4_GATE_ANSWERS = 65536,
    L4_GATE_WAYS = 8,       /* places that one answer can have */
    L4_GATE_ADDRS = 8,      /* addresses of one host that are tried */
    L4_GATE_HOST_MAX = 255, /* bytes */
    L4_GATE_METHOD_MAX = 16,
    L4_GATE_PATH_MAX = 2048,
    L4_GATE_CREDENTIALS_MAX = 512,
    L4_GATE_NAME_MAX = 64, /* of a rule, a user, a forward proxy, a list */
};

/* What is asked. Texts are not ended by NUL. */
struct l4_gate_asked {
    uint64_t key[2];  /* of the answer */
    uint32_t forward; /* its number, from 1 */
    struct l4_addr source;
    uint16_t port;
    uint16_t host_bytes, method_bytes, path_bytes, credentials_bytes;
    uint8_t socks; /* credentials are those of RFC 1929: name, NUL, password; else the value of
                    * Proxy-Authorization */
    char host[L4_GATE_HOST_MAX];
    char method[L4_GATE_METHOD_MAX];
    char path[L4_GATE_PATH_MAX]; /* with the query; only if rules look at it */
    char credentials[L4_GATE_CREDENTIALS_MAX];
};

/* One question. The worker writes. */
struct l4_gate_question {
    alignas(64) _Atomic uint32_t serial; /* odd: it is asked; grows with each use */
    struct l4_gate_asked asked;
};

enum l4_gate_kind {
    L4_GATE_ALLOW = 1,
    L4_GATE_DENY,
    L4_GATE_AUTH,    /* the client is to tell who it is */
    L4_GATE_NO_NAME, /* allowed, but the host has no address */
    L4_GATE_FAILED,  /* allowed, but nobody could tell the address */
};

/* An answer. */
struct l4_gate_answer {
    uint64_t key[2];
    uint64_t until_ms;   /* CLOCK_MONOTONIC */
    uint32_t generation; /* of the rules by which it was given */
    uint8_t kind;        /* enum l4_gate_kind */
    uint8_t addrs;       /* how many */
    uint8_t rule_bytes, user_bytes;
    char rule[L4_GATE_NAME_MAX]; /* AUTH: the realm */
    char user[L4_GATE_NAME_MAX];
    struct l4_addr addr[L4_GATE_ADDRS]; /* in the order in which they are tried; without ports */
};

/* What an answer's uses are counted for. The policy process writes and reads; it is here so that
 * uses outlive that process. */
struct l4_gate_subject {
    uint8_t verdict; /* a number of the policy process */
    uint8_t forward_bytes, list_bytes, host_bytes;
    char forward[L4_GATE_NAME_MAX];
    char list[L4_GATE_NAME_MAX];
    char host[L4_GATE_HOST_MAX];
};

struct l4_gate_row {
    _Atomic uint32_t seq; /* odd: being written */
    struct l4_gate_answer answer;
    struct l4_gate_subject subject;
};

/* Uses of an answer that nobody has counted yet. */
struct l4_gate_used {
    uint32_t uses; /* 0: the rest says nothing */
    struct l4_gate_answer answer;
    struct l4_gate_subject subject;
};

struct l4_gate {
    uint64_t format;
    _Atomic uint32_t generation; /* policy: answers of another one hold no more */
    _Atomic uint64_t asked;      /* all: questions so far */
    _Atomic uint64_t answered;   /* policy */
    /* Of each answer: the seq of its row in the high half, the uses of that answer in the low one.
     * Workers add one, by compare and swap, while the high half is the seq that they have read; so
     * a use counts for the answer that was used, or the worker looks again. */
    alignas(64) _Atomic uint64_t uses[L4_GATE_ANSWERS];
    struct l4_gate_question questions[L4_WORKERS_MAX][L4_GATE_QUESTIONS];
    struct l4_gate_row answers[L4_GATE_ANSWERS];
};

/* Begins the memory, which is all zeros. */
void l4_gate_format(struct l4_gate *gate);

/* Is this the memory of this program? */
bool l4_gate_is_sound(const struct l4_gate *gate);

/* ---- a worker -------------------------------------------------------------------------------- */

/* Finds the answer to a question, and counts that it is used. Returns false if there is none that
 * holds at `now_ms`; 0: at any time, by the rules in force. */
bool l4_gate_find(struct l4_gate *gate, const uint64_t key[2], uint64_t now_ms,
                  struct l4_gate_answer *to);

/* Returns a row for a question, to be written; L4_NONE: all are in use. */
uint32_t l4_gate_take(struct l4_gate *gate, uint32_t worker);

/* The question is written: asks it. */
void l4_gate_ask(struct l4_gate *gate, uint32_t worker, uint32_t row);

/* The row can be used again, whether the question was answered or not. */
void l4_gate_drop(struct l4_gate *gate, uint32_t worker, uint32_t row);

/* Drops all questions of a worker that has died. */
void l4_gate_forget(struct l4_gate *gate, uint32_t worker);

/* ---- the policy process -----------------------------------------------------------------------
 */

/* Reads a question. Returns its serial; 0: none is asked there. */
uint32_t l4_gate_read(const struct l4_gate *gate, uint32_t worker, uint32_t row,
                      struct l4_gate_asked *to);

/* Puts an answer, in place of an older one, whose uses are in `used`. */
void l4_gate_put(struct l4_gate *gate, const struct l4_gate_answer *answer,
                 const struct l4_gate_subject *subject, struct l4_gate_used *used);

/* Takes the uses of an answer that were not taken yet. Returns whether there are any. */
bool l4_gate_take_uses(struct l4_gate *gate, uint32_t row, struct l4_gate_used *used);

/* Other rules are in force: no answer holds any more. Returns the new generation. */
uint32_t l4_gate_renew(struct l4_gate *gate);

#endif

/* A conversation with an engine of ICAP: what a session holds is shown to it, and it says what
 * becomes of that.
 *
 * Each conversation has a connection of its own, in the place of the session's backend: so it is
 * watched and closed as one. The engine's options are asked first, and remembered for as long as it
 * says. Everything else than an answer that is valid, whole and in time is a failure.
 */
#ifndef L4_HTTP_ICAP_H
#define L4_HTTP_ICAP_H

#include "core/icap.h"
#include "http/held.h"

enum { L4_ICAP_PIECES = 5, L4_ICAP_PATH_MAX = 256, L4_ICAP_HOST_MAX = 64 };

/* Why a conversation failed. */
#define L4_ICAP_FAULTS(X)                                                                          \
    X(NONE, "")                                                                                    \
    X(CONNECT, "it cannot be reached")                                                             \
    X(CLOSED, "it closed the connection before its answer was whole")                              \
    X(LATE, "it did not answer in time")                                                           \
    X(INVALID, "its answer is not valid")                                                          \
    X(LARGE, "its answer is too large")                                                            \
    X(STATUS, "it answered with the status")                                                       \
    X(METHOD, "its service does not do that")                                                      \
    X(MEMORY, "there is no memory for its answer")

enum l4_icap_fault {
#define X(id, words) L4_ICAP_FAULT_##id,
    L4_ICAP_FAULTS(X)
#undef X
};

/* The options of an engine, as a worker remembers them. */
struct l4_engine {
    uint64_t key; /* a hash of its address and its path; 0: none */
    uint64_t until_ms;
    bool has_preview, fails; /* fails: the last conversation with it has failed */
    uint32_t preview;
};

/* Whom to ask. */
struct l4_icap_service {
    struct l4_addr addr;
    uint16_t host_bytes, path_bytes;
    char host[L4_ICAP_HOST_MAX], path[L4_ICAP_PATH_MAX];
};

struct l4_icap_talk {
    struct l4_icap_service service;
    struct l4_engine *engine;
    struct l4_text request, answer;  /* heads of HTTP that the engine is shown; answer: if any */
    const struct l4_held *shown;     /* their body */
    struct l4_held out, heads, body; /* what is said; heads and body that are heard */
    struct l4_icap_reader reader;
    struct l4_text pieces[L4_ICAP_PIECES]; /* what is still to be said */
    uint8_t piece, piece_count;
    uint8_t method; /* enum l4_icap_method */
    uint8_t fault;  /* enum l4_icap_fault */
    bool connected;
    bool rest_due; /* only the begin of the body was shown */
    size_t piece_sent, previewed;
};

enum l4_icap_result {
    L4_ICAP_WAITS,
    L4_ICAP_BUSY,    /* its share of the iteration is used up: call again soon */
    L4_ICAP_ANSWERS, /* talk->reader has a whole answer: 204, or 200 with heads */
    L4_ICAP_FAILS    /* talk->fault says why */
};

/* Begins with what talk->service, shown, request and answer say. max_body: of what the engine may
 * answer. */
enum l4_icap_result l4_icap_begin(struct l4_loop *loop, uint32_t index, struct l4_icap_talk *talk,
                                  size_t max_body);

/* Something has happened to the engine's connection: goes on. */
enum l4_icap_result l4_icap_go(struct l4_loop *loop, uint32_t index, struct l4_icap_talk *talk);

/* Closes the engine's connection. What was heard stays. */
void l4_icap_hang_up(struct l4_loop *loop, uint32_t index, struct l4_icap_talk *talk);

/* Frees what was said and heard. */
void l4_icap_free(struct l4_loop *loop, struct l4_icap_talk *talk);

#endif

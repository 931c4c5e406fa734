/* What a client of HTTP/2 may do too often, or badly: its connection ends. One list for workers,
 * metrics and tests. */
#ifndef L4_SHM_H2_ABUSE_H
#define L4_SHM_H2_ABUSE_H

#define L4_H2_ABUSES(X)                                                                            \
    X(RESETS, "resets")             /* it resets its streams */                                    \
    X(PROVOKED, "provoked_resets")  /* it makes us reset them */                                   \
    X(CONTINUATION, "continuation") /* a header list in very many frames */                        \
    X(LIST, "header_list")          /* ... or without an end */                                    \
    X(SETTINGS, "settings")                                                                        \
    X(PING, "ping")                                                                                \
    X(PRIORITY, "priority")                                                                        \
    X(EMPTY_DATA, "empty_data")                                                                    \
    X(QUEUE, "queue")       /* frames that wait for it to read */                                  \
    X(PROTOCOL, "protocol") /* what it sends is no HTTP/2 */                                       \
    X(STALLED, "stalled")   /* it does not read, or does not end what it began */

enum l4_h2_abuse {
#define X(id, word) L4_ABUSE_##id,
    L4_H2_ABUSES(X)
#undef X
        L4_ABUSES,
    L4_NO_ABUSE = L4_ABUSES
};

/* Returns the word that users see; "unknown" for an invalid number. */
const char *l4_h2_abuse_word(unsigned abuse);

#endif

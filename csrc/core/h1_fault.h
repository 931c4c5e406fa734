/* What can be wrong with the head of an HTTP/1 message: one list for log, metrics and tests.
 *
 * The status is what a client is told; an answer of a backend with the fault is a 502.
 */
#ifndef L4_CORE_H1_FAULT_H
#define L4_CORE_H1_FAULT_H

#define L4_H1_FAULTS(X)                                                                            \
    X(NONE, "none", 200)                                                                           \
    X(CUT_SHORT, "cut_short", 400)       /* the head has no blank line at its end */               \
    X(BARE_LF, "bare_lf", 400)           /* a line feed without a carriage return before it */     \
    X(BARE_CR, "bare_cr", 400)           /* a carriage return without a line feed after it */      \
    X(CONTROL_BYTE, "control_byte", 400) /* another control byte, NUL included */                  \
    X(HEAD_TOO_LARGE, "head_too_large", 431)                                                       \
    X(TARGET_TOO_LONG, "target_too_long", 414)                                                     \
    X(TOO_MANY_FIELDS, "too_many_fields", 431)                                                     \
    X(TOO_MANY_OPTIONS, "too_many_options", 400) /* in Connection */                               \
    X(BAD_METHOD, "bad_method", 400)             /* no token, or a very long one */                \
    X(BAD_TARGET, "bad_target", 400)             /* a byte that no target has, or a fragment */    \
    X(BAD_REQUEST_LINE, "bad_request_line", 400) /* not three words with one space between */      \
    X(BAD_VERSION, "bad_version", 505)           /* neither HTTP/1.0 nor HTTP/1.1 */               \
    X(BAD_STATUS_LINE, "bad_status_line", 400)                                                     \
    X(BAD_STATUS, "bad_status", 400)         /* not 100 to 599 */                                  \
    X(FOLDED_LINE, "folded_line", 400)       /* a line that begins with white space */             \
    X(NO_COLON, "no_colon", 400)             /* a field's line without one */                      \
    X(SPACE_IN_NAME, "space_in_name", 400)   /* white space before the colon */                    \
    X(BAD_NAME, "bad_name", 400)             /* a field's name that is empty or no token */        \
    X(UNDERSCORE, "underscore_in_name", 400) /* where the listener refuses them */                 \
    X(NO_HOST, "no_host", 400)               /* in HTTP/1.1 */                                     \
    X(TWO_HOSTS, "two_hosts", 400)                                                                 \
    X(BAD_LENGTH, "bad_length", 400)   /* not 1 to 18 digits */                                    \
    X(TWO_LENGTHS, "two_lengths", 400) /* equal ones, too */                                       \
    X(TWO_CODINGS, "two_codings", 400)                                                             \
    X(LENGTH_AND_CODING, "length_and_coding", 400)                                                 \
    X(UNKNOWN_CODING, "unknown_coding", 501)       /* not exactly `chunked` */                     \
    X(CODING_IN_1_0, "coding_in_1_0", 400)         /* HTTP/1.0 has no transfer coding */           \
    X(UNEXPECTED_BODY, "unexpected_body", 400)     /* of CONNECT or TRACE */                       \
    X(BAD_CONNECTION, "bad_connection", 400)       /* it names Host or a field that frames */      \
    X(BAD_EXPECT, "bad_expect", 417)               /* not 100-continue */                          \
    X(SWITCH_TO_NOTHING, "switch_to_nothing", 400) /* 101 without Upgrade */

enum l4_h1_fault {
#define X(id, word, status) L4_H1_##id,
    L4_H1_FAULTS(X)
#undef X
        L4_H1_FAULT_COUNT
};

/* Returns the word that users see; "unknown" for an invalid number. */
const char *l4_h1_fault_word(unsigned fault);

/* Returns the status that a client with the fault gets; 400 for an invalid number. */
unsigned l4_h1_fault_status(unsigned fault);

#endif

/* The health part of the shared table (shm/layout.h): a pool's passive rule, what sessions told of
 * a backend (core/passive.h says what it means), and the checker's words beside its verdict.
 *
 * What sessions told may be written by several workers: each word is an atomic, and an ejection is
 * decided by one worker at a time, whose name stands in `ejector`.
 */
#ifndef L4_SHM_HEALTH_H
#define L4_SHM_HEALTH_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

struct l4_passive_rule {                  /* of a pool */
    _Atomic uint32_t failures;            /* supervisor: in a row that eject; 0: nobody is */
    _Atomic uint32_t eject_ms;            /* supervisor: how long, the first time */
    _Atomic uint32_t max_eject_ms;        /* supervisor: how long at most */
    _Atomic uint32_t max_ejected_percent; /* supervisor: of the members, at one time */
    _Atomic uint32_t several;             /* supervisor: 1: resets count by several sources only */
    alignas(64) _Atomic uint32_t ejector; /* all: the worker that ejects just now, + 1; or 0 */
};

enum l4_passive_cause { L4_PASSIVE_NONE, L4_PASSIVE_CONNECT, L4_PASSIVE_RESET };

struct l4_passive {                         /* of a backend */
    alignas(64) _Atomic uint32_t unreached; /* all: attempts that failed in a row */
    _Atomic uint32_t resets;        /* all: sessions reset before its first byte, in a row */
    _Atomic uint32_t reset_source;  /* all: hash of who saw the last of them; 0: nobody */
    _Atomic uint32_t level;         /* ejector: how often it was ejected in close order */
    _Atomic uint32_t cause;         /* ejector: of the last ejection */
    _Atomic uint32_t error;         /* ejector: the errno that was last seen then */
    _Atomic uint32_t duration_ms;   /* ejector: how long it was meant to be */
    _Atomic uint64_t ejected_at_ms; /* ejector: CLOCK_MONOTONIC; 0: never */
    _Atomic uint64_t ejections;     /* ejector: ever */
};

enum { L4_CHECK_TEXT = 160 };

struct l4_check_words {          /* of a backend; checker, under check_seq */
    _Atomic uint32_t kind;       /* of its last check, 0: none */
    _Atomic uint32_t code;       /* what its protocol answered: a status, an exit code; 0: none */
    _Atomic uint64_t cert_end_s; /* when its certificate ends, seconds since 1970; 0: not known */
    _Atomic uint32_t told;       /* the health last told of as an event, + 1 */
    _Atomic uint32_t agent;      /* the agent's opinion: 0 none, 1 up, 2 down */
    _Atomic uint32_t verdict;    /* the checks' own: enum l4_health */
    char text[L4_CHECK_TEXT];    /* why, in words, with its NUL */
};

#endif

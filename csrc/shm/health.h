/* The health part of the shared table (shm/layout.h): a pool's rule for passive health checks, the
 * failures of clients' sessions with a backend (core/passive.h has their meaning), and the
 * checker's details beside its verdict.
 *
 * Several workers may record failures of sessions: each word is an atomic. One worker at a time
 * decides about an ejection; `ejector` has its index plus 1.
 */
#ifndef L4_SHM_HEALTH_H
#define L4_SHM_HEALTH_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "shm/settings.h"

/* The rule of a pool for passive health checks. */
struct l4_passive_rule {
    L4_PASSIVE_SETTINGS(L4_FIELD)
    alignas(64) _Atomic uint32_t ejector; /* all: the worker that decides now, plus 1; 0: none */
};

enum l4_passive_cause { L4_PASSIVE_NONE, L4_PASSIVE_CONNECT, L4_PASSIVE_RESET };

/* What clients' sessions have met at a backend. */
struct l4_passive {
    alignas(64) _Atomic uint32_t unreached; /* all: attempts that failed in a row */
    _Atomic uint32_t resets; /* all: sessions in a row that were reset before the first byte */
    _Atomic uint32_t reset_source;  /* all: hash of the source of the last reset; 0: none */
    _Atomic uint32_t level;         /* ejector: number of ejections in close succession */
    _Atomic uint32_t cause;         /* ejector: cause of the last ejection */
    _Atomic uint32_t error;         /* ejector: errno of the last ejection */
    _Atomic uint32_t duration_ms;   /* ejector: duration of the last ejection */
    _Atomic uint64_t ejected_at_ms; /* ejector: CLOCK_MONOTONIC of the last ejection; 0: never */
    _Atomic uint64_t ejections;     /* ejector: number of ejections so far */
};

enum { L4_CHECK_TEXT = 160 };

/* Details of a backend's last check. The checker writes them, under check_seq. */
struct l4_check_words {
    _Atomic uint32_t kind; /* kind of the last check; 0: none */
    _Atomic uint32_t code; /* code in the protocol's answer: a status, an exit code; 0: none */
    _Atomic uint64_t cert_end_s; /* expiry of the backend's certificate, Unix time; 0: not known */
    _Atomic uint32_t told;       /* health that was last reported as an event, plus 1 */
    _Atomic uint32_t agent;      /* health by the agent: 0 none, 1 up, 2 down */
    _Atomic uint32_t verdict;    /* health by the checks alone: enum l4_health */
    char text[L4_CHECK_TEXT];    /* the reason in words, with its NUL */
};

#endif

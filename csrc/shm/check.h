/* The checker's word on a backend: written here, under check_seq, so that a reader of several
 * fields sees one check's.
 */
#ifndef L4_SHM_CHECK_H
#define L4_SHM_CHECK_H

#include <stdbool.h>

#include "shm/table.h"

struct l4_check { /* the result of one check; fields as in struct l4_backend */
    uint32_t health;
    uint32_t verdict;
    uint32_t result;
    uint32_t error; /* an errno, 0: none */
    uint32_t streak;
    uint32_t kind;
    uint32_t code;
    uint64_t at_ms;
    uint64_t duration_us;
    uint64_t cert_end_s;
    bool passed;
    char text[L4_CHECK_TEXT];
};

/* Writes the result of a check, and the health that follows. */
void l4_check_record(struct l4_backend *b, const struct l4_check *check);

/* Sets the health where no check gave it, and the agent's opinion. */
void l4_check_say(struct l4_backend *b, uint32_t health, uint32_t agent, uint64_t at_ms);

/* Forgets all results of checks and response times, for a row with another server. */
void l4_check_clear(struct l4_backend *b);

/* Copies the details of one check, unmixed. */
void l4_check_read(const struct l4_backend *b, struct l4_check_words *words);

#endif

#include "core/shed.h"

#include "base/assert.h"

enum { PLACES = 2 * L4_SHED_LOOK }; /* a power of two, never more than half full */

/* The sessions of one source among the rows. */
struct held {
    uint32_t source, sessions, idle;
};

static struct held *find(struct held *table, uint32_t source)
{
    uint32_t at = source & (PLACES - 1);
    while (table[at].sessions && table[at].source != source)
        at = (at + 1) & (PLACES - 1);
    return &table[at];
}

/* Counts the sessions of each source. Returns the number of sources. */
static uint32_t count_up(struct held *table, const struct l4_shed_row *rows, uint32_t count,
                         uint32_t idle_ms)
{
    uint32_t sources = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct held *held = find(table, rows[i].source);
        sources += !held->sessions;
        held->source = rows[i].source;
        held->sessions++;
        held->idle += rows[i].idle_ms && rows[i].idle_ms >= idle_ms;
    }
    return sources;
}

uint32_t l4_shed_choose(const struct l4_shed_row *rows, uint32_t count, uint32_t idle_ms,
                        uint32_t max, uint32_t *chosen)
{
    struct held table[PLACES] = {0};
    L4_ASSERT(count <= L4_SHED_LOOK);
    const uint32_t sources = count_up(table, rows, count, idle_ms);
    const uint32_t fair = (count + sources) / (sources + 1); /* rounded up */
    const struct held *biggest = NULL;
    for (uint32_t i = 0; i < PLACES; i++) {
        if (table[i].idle && table[i].sessions > fair &&
            (!biggest || table[i].sessions > biggest->sessions))
            biggest = &table[i];
    }
    if (!biggest)
        return 0;
    const uint32_t above = biggest->sessions - fair;
    return l4_shed_longest(rows, count, biggest->source, idle_ms, max < above ? max : above,
                           chosen);
}

uint32_t l4_shed_longest(const struct l4_shed_row *rows, uint32_t count, uint32_t source,
                         uint32_t idle_ms, uint32_t max, uint32_t *chosen)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count && max; i++) {
        const uint32_t idle = rows[i].idle_ms;
        if (rows[i].source != source || !idle || idle < idle_ms)
            continue;
        /* The chosen rows stay sorted. When all places are taken, a row enters only if it has
         * been idle for longer. */
        uint32_t at = found < max ? found : max;
        while (at && rows[chosen[at - 1]].idle_ms < idle) {
            if (at < max)
                chosen[at] = chosen[at - 1];
            at--;
        }
        if (at < max)
            chosen[at] = i;
        found += found < max;
    }
    return found;
}

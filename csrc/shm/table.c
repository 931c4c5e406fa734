#include "shm/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/cache.h"
#include "shm/http.h"
#include "shm/session_stats.h"
#include "shm/sticky.h"
#include "shm/tls_counters.h"
#include "shm/trace.h"

static uint64_t whole_lines(uint64_t bytes)
{
    return (bytes + 63) & ~63ull;
}

static bool caps_are_sound(const struct l4_caps *caps)
{
    return caps->workers - 1 < L4_WORKERS_MAX && caps->listeners - 1 < L4_LISTENERS_MAX &&
           caps->pools - 1 < L4_POOLS_MAX && caps->backends - 1 < L4_BACKENDS_MAX &&
           caps->sessions - 1 < L4_SESSIONS_MAX && caps->flows <= L4_FLOWS_MAX &&
           caps->sticky <= L4_STICKY_MAX && caps->sticky % L4_STICKY_WAYS == 0;
}

/* Computes the plan for these capacities; everything else in the table begins as zero. */
static struct l4_plan plan_for(const struct l4_caps *caps)
{
    struct l4_plan h = {
        .caps = *caps,
        .view_bytes =
            whole_lines(sizeof(struct l4_view) + sizeof(uint16_t) * ((uint64_t)caps->backends +
                                                                     L4_SLOTS_MAX + L4_MAGLEV_MAX)),
    };
    uint64_t at = whole_lines(sizeof(struct l4_header));
    const uint64_t workers = caps->workers;
    const struct {
        uint64_t *offset, bytes;
    } parts[] = {
        {&h.listeners_at, caps->listeners * sizeof(struct l4_listener)},
        {&h.pools_at, caps->pools * sizeof(struct l4_pool)},
        {&h.views_at, caps->pools * 2 * h.view_bytes},
        {&h.backends_at, caps->backends * sizeof(struct l4_backend)},
        {&h.workers_at, workers * sizeof(struct l4_worker)},
        {&h.columns_at, (workers * caps->backends + 1) * sizeof(struct l4_column)},
        {&h.tallies_at, workers * caps->listeners * sizeof(struct l4_tally)},
        {&h.sessions_at,
         workers * ((uint64_t)caps->sessions + caps->flows) * sizeof(struct l4_session)},
        {&h.stats_at, sizeof(struct l4_stats)},
        {&h.ledgers_at, workers * caps->pools * sizeof(struct l4_ledger)},
        {&h.logs_at, workers * sizeof(struct l4_log)},
        {&h.tls_counters_at,
         workers * ((uint64_t)caps->listeners + caps->pools) * sizeof(struct l4_tls_counters)},
        {&h.traces_at, workers * sizeof(struct l4_traces)},
        {&h.facts_at, workers * caps->sessions * sizeof(struct l4_facts)},
        {&h.sources_at, L4_SOURCE_GROUPS * sizeof(struct l4_source_group)},
        {&h.source_parts_at, workers * L4_SOURCE_GROUPS * L4_SOURCE_WAYS * sizeof(uint32_t)},
        {&h.blocks_at, L4_BLOCKS_MAX * sizeof(struct l4_block)},
        {&h.talkers_at, workers * sizeof(struct l4_talkers)},
        {&h.sets_at, 2ull * L4_SETS_BYTES},
        {&h.routes_at, 2 * L4_ROUTES_MAX * sizeof(struct l4_route)},
        {&h.texts_at, 2 * L4_HTTP_TEXTS_BYTES},
        {&h.waits_at, workers * caps->pools * sizeof(struct l4_wait)},
        {&h.flows_at, workers * caps->flows * sizeof(struct l4_flow)},
        {&h.flows_counted_at, workers * caps->flows * sizeof(struct l4_flow_counted)},
        {&h.udp_tallies_at, workers * caps->listeners * sizeof(struct l4_udp_tally)},
        {&h.http_routes_at, 2ull * L4_HTTP_ROUTES_BYTES},
        {&h.route_hits_at, workers * L4_HTTP_ROUTES_MAX * sizeof(uint64_t)},
        {&h.requests_at, workers * caps->sessions * sizeof(struct l4_request)},
        {&h.http_tallies_at, workers * caps->listeners * sizeof(struct l4_http_tally)},
        {&h.http_columns_at, workers * caps->backends * sizeof(struct l4_http_column)},
        {&h.caches_at, L4_CACHES_MAX * sizeof(struct l4_cache_rules)},
        {&h.cache_tallies_at, workers * L4_CACHES_MAX * sizeof(struct l4_cache_tally)},
        {&h.rates_at, L4_RATE_GROUPS * L4_RATE_WAYS * sizeof(uint64_t)},
        {&h.request_logs_at, workers * sizeof(struct l4_request_log)},
        {&h.sticky_at, caps->sticky / L4_STICKY_WAYS * sizeof(struct l4_sticky_bucket)},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].offset = at;
        at += whole_lines(parts[i].bytes);
    }
    h.bytes = at;
    return h;
}

/* Maps the table. The plan's pages are read-only, in this process and in those it forks. */
static int map(struct l4_table *table, int fd, const struct l4_plan *plan)
{
    void *memory = mmap(NULL, plan->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    if (mprotect(memory, L4_PAGE_BYTES, PROT_READ)) {
        const int error = -errno;
        munmap(memory, plan->bytes);
        return error;
    }
    *table = (struct l4_table){.plan = *plan, .header = memory, .fd = fd};
    return 0;
}

/* Gives the file its size and its plan, and seals its size: a process dies if it touches a page
 * behind the end. */
static int write_plan(int fd, const struct l4_plan *plan)
{
    if (ftruncate(fd, (off_t)plan->bytes) ||
        pwrite(fd, plan, sizeof *plan, 0) != (ssize_t)sizeof *plan ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return errno ? -errno : -EIO;
    return 0;
}

int l4_table_create(struct l4_table *table, const struct l4_caps *caps)
{
    if (!caps_are_sound(caps))
        return -EINVAL;
    const struct l4_plan plan = plan_for(caps);
    int fd = memfd_create("l4lb-table", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    int error = write_plan(fd, &plan);
    if (!error)
        error = map(table, fd, &plan);
    if (error)
        close(fd);
    return error;
}

void l4_table_close(struct l4_table *table)
{
    munmap(table->header, table->plan.bytes);
    close(table->fd);
    table->header = NULL;
    table->fd = -1;
}

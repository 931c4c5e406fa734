#include "packet/forwarder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "packet/published.h"
#include "packet/sweep.h"
#include "packet/tracked.h"

static int map_one(struct l4_mapped *mapped, int fd, uint32_t value, uint32_t entries)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    mapped->stride = (value + 7) / 8 * 8;
    mapped->bytes = ((uint64_t)mapped->stride * entries + page - 1) / page * page;
    void *at = mmap(NULL, mapped->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    mapped->at = at;
    return 0;
}

static void unmap(const struct l4_mapped *mapped)
{
    if (mapped->at)
        munmap(mapped->at, mapped->bytes);
}

static int map_all(struct l4_forwarder *f)
{
    const int slots = l4_bpf_entries(f->maps[L4_FORWARD_MAP_SLOTS]);
    if (slots < 0)
        return slots;
    f->slot_count = (uint32_t)slots * L4_FORWARD_SLOTS_EACH;
    const struct {
        struct l4_mapped *mapped;
        enum l4_forward_map map;
        uint32_t value, entries;
    } all[] = {
        {&f->settings, L4_FORWARD_MAP_SETTINGS, sizeof(struct l4_forward_settings), 1},
        {&f->pools, L4_FORWARD_MAP_POOLS, sizeof(struct l4_forward_pool), L4_FORWARD_POOLS_MAX},
        {&f->views, L4_FORWARD_MAP_VIEWS, sizeof(struct l4_forward_view), 2 * L4_FORWARD_POOLS_MAX},
        {&f->slots, L4_FORWARD_MAP_SLOTS, sizeof(struct l4_forward_slots), (uint32_t)slots},
        {&f->turns, L4_FORWARD_MAP_TURNS, sizeof(struct l4_forward_turn), L4_FORWARD_POOLS_MAX},
        {&f->backends, L4_FORWARD_MAP_BACKENDS, sizeof(struct l4_forward_backend),
         L4_FORWARD_BACKENDS_MAX},
        {&f->listeners, L4_FORWARD_MAP_LISTENERS, sizeof(struct l4_forward_listener),
         L4_FORWARD_LISTENERS_MAX},
        {&f->told, L4_FORWARD_MAP_TOLD, sizeof(struct l4_forward_told), L4_FORWARD_BACKENDS_MAX},
    };
    int error = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all && !error; i++)
        error = map_one(all[i].mapped, f->maps[all[i].map], all[i].value, all[i].entries);
    return error;
}

int l4_forwarder_open(struct l4_forwarder *f, const struct l4_table *table, uint32_t worker,
                      const int maps[static L4_FORWARD_MAPS], int memory_fd)
{
    memset(f, 0, sizeof *f);
    f->table = table;
    f->worker = worker;
    memcpy(f->maps, maps, sizeof f->maps);
    f->keys = calloc(L4_FORWARDER_SLICE, sizeof *f->keys);
    f->values = calloc(L4_FORWARDER_SLICE, sizeof *f->values);
    int error = f->keys && f->values ? map_all(f) : -ENOMEM;
    if (!error)
        error = l4_tracked_open(f, memory_fd);
    if (!error)
        error = l4_sweep_open(f);
    if (error)
        l4_forwarder_close(f);
    return error;
}

void l4_forwarder_close(struct l4_forwarder *f)
{
    const struct l4_mapped *all[] = {&f->settings, &f->pools,    &f->views,     &f->slots,
                                     &f->turns,    &f->backends, &f->listeners, &f->told};
    l4_sweep_close(f);
    l4_tracked_close(f);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        unmap(all[i]);
    free(f->keys);
    free(f->values);
    memset(f, 0, sizeof *f);
}

int l4_forwarder_tick(struct l4_forwarder *f, uint64_t now_us)
{
    struct l4_worker *row = l4_table_worker(f->table, f->worker);
    f->now_us = now_us;
    L4_MAPPED(f->settings, struct l4_forward_settings, 0)->beat_ns = now_us * 1000;
    L4_SET(row->beat_ms, now_us / 1000);
    L4_OWN_ADD(row->turns, 1);
    L4_SET(row->state, L4_WORKER_RUNS);
    l4_published_follow(f);
    return l4_sweep_slice(f);
}

#include "packet/loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    TCX_INGRESS = 46, /* BPF_TCX_INGRESS; headers before Linux 6.6 do not have it */
    FILTER_PRIORITY = 1,
};

static const struct l4_bpf_map facts[L4_SHIELD_MAPS] = {
    [L4_SHIELD_SERVICES] = {"services", sizeof(struct l4_shield_service),
                            sizeof(struct l4_shield_place), 0, -1},
    [L4_SHIELD_POLICIES] = {"policies", sizeof(uint32_t), sizeof(struct l4_shield_policy), 0, -1},
    [L4_SHIELD_NETWORKS4] = {"networks4", sizeof(struct l4_shield_network4), sizeof(uint32_t), 0,
                             -1},
    [L4_SHIELD_NETWORKS6] = {"networks6", sizeof(struct l4_shield_network6), sizeof(uint32_t), 0,
                             -1},
    [L4_SHIELD_KNOWN] = {"known", sizeof(struct l4_shield_client), sizeof(uint32_t), 0, -1},
    [L4_SHIELD_COUNTS] = {"counts", sizeof(uint32_t), sizeof(struct l4_shield_count), 0, -1},
    [L4_SHIELD_BUCKETS] = {"buckets", sizeof(struct l4_shield_source),
                           sizeof(struct l4_shield_bucket), 0, -1},
    [L4_SHIELD_SETTINGS] = {"settings", sizeof(uint32_t), sizeof(struct l4_shield_settings), 0, -1},
};

static const struct l4_bpf_kind kinds[] = {
    {"l4lb_shield", BPF_PROG_TYPE_SCHED_CLS, L4_SHIELD_MAPS, facts},
    {"l4lb_shield", BPF_PROG_TYPE_XDP, L4_SHIELD_MAPS, facts},
};

static void clear(struct l4_shield *shield)
{
    shield->program = -1;
    for (int i = 0; i < L4_SHIELD_MAPS; i++)
        shield->maps[i] = -1;
}

int l4_shield_load(const void *object, size_t bytes, bool is_xdp, struct l4_shield *shield,
                   char *why, size_t room)
{
    shield->is_xdp = is_xdp;
    const int error =
        l4_bpf_load(&kinds[is_xdp], object, bytes, &shield->program, shield->maps, why, room);
    if (error)
        clear(shield);
    return error;
}

int l4_shield_check(struct l4_shield *shield)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        shield->is_xdp = kinds[i].type == BPF_PROG_TYPE_XDP;
        if (!l4_bpf_check(&kinds[i], shield->program, shield->maps))
            return 0;
    }
    return -EPROTO;
}

void l4_shield_close(struct l4_shield *shield)
{
    if (shield->program >= 0)
        close(shield->program);
    for (int i = 0; i < L4_SHIELD_MAPS; i++)
        if (shield->maps[i] >= 0)
            close(shield->maps[i]);
    clear(shield);
}

/* ---- interfaces ------------------------------------------------------------------------------ */

int l4_shield_link(const struct l4_shield *shield, int interface, bool in_driver)
{
    return shield->is_xdp ? l4_bpf_link_xdp(shield->program, interface, in_driver)
                          : l4_bpf_link(shield->program, interface, TCX_INGRESS);
}

int l4_shield_relink(const struct l4_shield *shield, int link)
{
    return l4_bpf_relink(shield->program, link);
}

int l4_shield_filter(const struct l4_shield *shield, int interface, uint32_t handle)
{
    return l4_bpf_filter(shield->program, interface, handle, FILTER_PRIORITY);
}

int l4_shield_unfilter(int interface, uint32_t handle)
{
    return l4_bpf_unfilter(interface, handle, FILTER_PRIORITY);
}

/* ---- maps ------------------------------------------------------------------------------------ */

int l4_shield_put(const struct l4_shield *shield, enum l4_shield_map map, const void *key,
                  const void *value)
{
    return bpf_map_update_elem(shield->maps[map], key, value, BPF_ANY);
}

int l4_shield_drop(const struct l4_shield *shield, enum l4_shield_map map, const void *key)
{
    return l4_bpf_drop(shield->maps[map], key);
}

int64_t l4_shield_keys(const struct l4_shield *shield, enum l4_shield_map map, void *keys,
                       size_t max)
{
    return l4_bpf_keys(shield->maps[map], facts[map].key, keys, max);
}

int l4_shield_read_counts(const struct l4_shield *shield, uint32_t listener,
                          struct l4_shield_count sums[static L4_SHIELD_ROWS])
{
    enum { PROCESSORS_MAX = 4096 };
    struct l4_shield_count rows[PROCESSORS_MAX];
    const int processors = libbpf_num_possible_cpus();
    memset(sums, 0, L4_SHIELD_ROWS * sizeof *sums);
    if (processors < 1 || processors > PROCESSORS_MAX)
        return -E2BIG;
    for (uint32_t row = 0; row < L4_SHIELD_ROWS; row++) {
        const uint32_t key = listener * L4_SHIELD_ROWS + row;
        const int error = bpf_map_lookup_elem(shield->maps[L4_SHIELD_COUNTS], &key, rows);
        if (error)
            return error;
        for (int i = 0; i < processors; i++) {
            sums[row].packets += rows[i].packets;
            sums[row].bytes += rows[i].bytes;
        }
    }
    return 0;
}

static enum l4_shield_map map_of(const struct l4_shield_network *network)
{
    return network->family == L4_SHIELD_IPV4 ? L4_SHIELD_NETWORKS4 : L4_SHIELD_NETWORKS6;
}

void l4_shield_empty(const struct l4_shield *shield, const struct l4_shield_network *networks,
                     size_t count)
{
    for (size_t i = 0; i < count; i++)
        bpf_map_delete_elem(shield->maps[map_of(&networks[i])], &networks[i].key);
}

int l4_shield_fill(const struct l4_shield *shield, const struct l4_shield_network *networks,
                   size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int error =
            l4_shield_put(shield, map_of(&networks[i]), &networks[i].key, &networks[i].value);
        if (error) {
            l4_shield_empty(shield, networks, i);
            return error;
        }
    }
    return 0;
}

/* ---- tests ----------------------------------------------------------------------------------- */

int l4_shield_run(const struct l4_shield *shield, const void *packet, uint32_t bytes, int interface,
                  uint32_t segments, uint32_t repeat, uint32_t *ns)
{
    return l4_bpf_run(shield->program, packet, bytes, NULL, NULL, shield->is_xdp ? 0 : interface,
                      segments, repeat, ns);
}

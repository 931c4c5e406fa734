#include "packet/loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

enum {
    TCX_INGRESS = 46, /* BPF_TCX_INGRESS; headers before Linux 6.6 do not have it */
    FILTER_PRIORITY = 1,
};

struct map_facts {
    const char *name;
    uint32_t key, value;
};

static const struct map_facts facts[L4_SHIELD_MAPS] = {
    [L4_SHIELD_SERVICES] = {"services", sizeof(struct l4_shield_service),
                            sizeof(struct l4_shield_place)},
    [L4_SHIELD_POLICIES] = {"policies", sizeof(uint32_t), sizeof(struct l4_shield_policy)},
    [L4_SHIELD_NETWORKS4] = {"networks4", sizeof(struct l4_shield_network4), sizeof(uint32_t)},
    [L4_SHIELD_NETWORKS6] = {"networks6", sizeof(struct l4_shield_network6), sizeof(uint32_t)},
    [L4_SHIELD_KNOWN] = {"known", sizeof(struct l4_shield_client), sizeof(uint32_t)},
    [L4_SHIELD_COUNTS] = {"counts", sizeof(uint32_t), sizeof(struct l4_shield_count)},
};

/* ---- loading --------------------------------------------------------------------------------- */

static char *told; /* where libbpf's messages go while a program is loaded */
static size_t told_room;

/* Keeps the first messages that are warnings. */
static int keep_message(enum libbpf_print_level level, const char *format, va_list args)
{
    if (level != LIBBPF_WARN || !told || told_room < 2)
        return 0;
    const int written = vsnprintf(told, told_room, format, args);
    if (written > 0) {
        const size_t used = (size_t)written < told_room ? (size_t)written : told_room - 1;
        told += used;
        told_room -= used;
    }
    return 0;
}

/* Takes descriptors of its own of what is loaded. */
static int take(const struct bpf_object *object, struct l4_shield *shield)
{
    const struct bpf_program *program = bpf_object__find_program_by_name(object, "l4lb_shield");
    if (!program)
        return -EPROTO;
    shield->program = fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 3);
    if (shield->program < 0)
        return -errno;
    for (int i = 0; i < L4_SHIELD_MAPS; i++) {
        const struct bpf_map *map = bpf_object__find_map_by_name(object, facts[i].name);
        if (!map)
            return -EPROTO;
        shield->maps[i] = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3);
        if (shield->maps[i] < 0)
            return -errno;
    }
    return l4_shield_check(shield);
}

static void clear(struct l4_shield *shield)
{
    shield->program = -1;
    for (int i = 0; i < L4_SHIELD_MAPS; i++)
        shield->maps[i] = -1;
}

int l4_shield_load(const void *object, size_t bytes, struct l4_shield *shield, char *why,
                   size_t room)
{
    L4_ASSERT(room > 0);
    why[0] = '\0';
    clear(shield);
    told = why;
    told_room = room;
    const libbpf_print_fn_t before = libbpf_set_print(keep_message);
    struct bpf_object *opened = bpf_object__open_mem(object, bytes, NULL);
    int error = opened ? bpf_object__load(opened) : -errno;
    if (!error)
        error = take(opened, shield);
    if (error)
        l4_shield_close(shield);
    bpf_object__close(opened);
    libbpf_set_print(before);
    told = NULL;
    return error;
}

int l4_shield_check(const struct l4_shield *shield)
{
    struct bpf_prog_info program = {0};
    uint32_t size = sizeof program;
    if (bpf_obj_get_info_by_fd(shield->program, &program, &size) ||
        program.type != BPF_PROG_TYPE_SCHED_CLS)
        return -EPROTO;
    for (int i = 0; i < L4_SHIELD_MAPS; i++) {
        struct bpf_map_info map = {0};
        size = sizeof map;
        if (bpf_obj_get_info_by_fd(shield->maps[i], &map, &size) || map.key_size != facts[i].key ||
            map.value_size != facts[i].value)
            return -EPROTO;
    }
    return 0;
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

int l4_shield_link(const struct l4_shield *shield, int interface)
{
    const int link = /* NOLINTNEXTLINE: libbpf's headers may be older than the kernel */
        bpf_link_create(shield->program, interface, (enum bpf_attach_type)TCX_INGRESS, NULL);
    /* why: a kernel that does not know the number says EINVAL. */
    return link == -EINVAL ? -EOPNOTSUPP : link;
}

int l4_shield_relink(const struct l4_shield *shield, int link)
{
    return bpf_link_update(link, shield->program, NULL);
}

int l4_shield_filter(const struct l4_shield *shield, int interface, uint32_t handle)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = interface, .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = shield->program, .handle = handle,
                .priority = FILTER_PRIORITY, .flags = BPF_TC_F_REPLACE);
    const libbpf_print_fn_t before = libbpf_set_print(keep_message);
    int error = bpf_tc_hook_create(&hook);
    if (!error || error == -EEXIST)
        error = bpf_tc_attach(&hook, &filter);
    libbpf_set_print(before);
    return error;
}

int l4_shield_unfilter(int interface, uint32_t handle)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = interface, .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, filter, .handle = handle, .priority = FILTER_PRIORITY);
    const libbpf_print_fn_t before = libbpf_set_print(keep_message);
    const int error = bpf_tc_detach(&hook, &filter);
    libbpf_set_print(before);
    return error == -ENOENT || error == -EINVAL || error == -ENODEV ? 0 : error;
}

/* ---- maps ------------------------------------------------------------------------------------ */

int l4_shield_put(const struct l4_shield *shield, enum l4_shield_map map, const void *key,
                  const void *value)
{
    return bpf_map_update_elem(shield->maps[map], key, value, BPF_ANY);
}

int l4_shield_drop(const struct l4_shield *shield, enum l4_shield_map map, const void *key)
{
    const int error = bpf_map_delete_elem(shield->maps[map], key);
    return error == -ENOENT ? 0 : error;
}

int64_t l4_shield_keys(const struct l4_shield *shield, enum l4_shield_map map, void *keys,
                       size_t max)
{
    const uint32_t bytes = facts[map].key;
    const void *last = NULL;
    for (size_t n = 0; n < max; n++) {
        char *next = (char *)keys + n * bytes;
        const int error = bpf_map_get_next_key(shield->maps[map], last, next);
        if (error == -ENOENT)
            return (int64_t)n;
        if (error)
            return error;
        last = next;
    }
    return (int64_t)max;
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
    struct __sk_buff context = {.ifindex = (uint32_t)interface, .gso_segs = segments};
    LIBBPF_OPTS(bpf_test_run_opts, test, .data_in = packet, .data_size_in = bytes,
                .ctx_in = &context, .ctx_size_in = sizeof context, .repeat = (int)repeat);
    const int error = bpf_prog_test_run_opts(shield->program, &test);
    *ns = test.duration;
    return error ? error - 1000 : (int)test.retval;
}

#include "packet/bpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

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

/* Sets the sizes of maps, and which maps are taken from before. */
static int prepare(const struct l4_bpf_kind *kind, const struct bpf_object *object)
{
    for (uint32_t i = 0; i < kind->count; i++) {
        const struct l4_bpf_map *wanted = &kind->maps[i];
        struct bpf_map *map = bpf_object__find_map_by_name(object, wanted->name);
        int error = map ? 0 : -EPROTO;
        if (!error && wanted->entries)
            error = bpf_map__set_max_entries(map, wanted->entries);
        if (!error && wanted->reuse >= 0)
            error = bpf_map__reuse_fd(map, wanted->reuse);
        if (error)
            return error;
    }
    return 0;
}

/* Takes descriptors of its own of what is loaded. */
static int take(const struct l4_bpf_kind *kind, const struct bpf_object *object, int *program,
                int *maps)
{
    const struct bpf_program *found = bpf_object__find_program_by_name(object, kind->program);
    if (!found)
        return -EPROTO;
    *program = fcntl(bpf_program__fd(found), F_DUPFD_CLOEXEC, 3);
    if (*program < 0)
        return -errno;
    for (uint32_t i = 0; i < kind->count; i++) {
        const struct bpf_map *map = bpf_object__find_map_by_name(object, kind->maps[i].name);
        maps[i] = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3);
        if (maps[i] < 0)
            return -errno;
    }
    return l4_bpf_check(kind, *program, maps);
}

int l4_bpf_load(const struct l4_bpf_kind *kind, const void *object, size_t bytes, int *program,
                int *maps, char *why, size_t room)
{
    L4_ASSERT(room > 0 && kind->count <= L4_BPF_MAPS_MAX);
    why[0] = '\0';
    *program = -1;
    for (uint32_t i = 0; i < kind->count; i++)
        maps[i] = -1;
    told = why;
    told_room = room;
    const libbpf_print_fn_t before = libbpf_set_print(keep_message);
    struct bpf_object *opened = bpf_object__open_mem(object, bytes, NULL);
    int error = opened ? prepare(kind, opened) : -errno;
    if (!error)
        error = bpf_object__load(opened);
    if (!error)
        error = take(kind, opened, program, maps);
    if (error) {
        if (*program >= 0)
            close(*program);
        for (uint32_t i = 0; i < kind->count; i++)
            if (maps[i] >= 0)
                close(maps[i]);
    }
    bpf_object__close(opened);
    libbpf_set_print(before);
    told = NULL;
    return error;
}

int l4_bpf_check(const struct l4_bpf_kind *kind, int program, const int *maps)
{
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof info;
    if (bpf_obj_get_info_by_fd(program, &info, &size) || info.type != kind->type)
        return -EPROTO;
    for (uint32_t i = 0; i < kind->count; i++) {
        struct bpf_map_info map = {0};
        size = sizeof map;
        if (bpf_obj_get_info_by_fd(maps[i], &map, &size) || map.key_size != kind->maps[i].key ||
            map.value_size != kind->maps[i].value)
            return -EPROTO;
    }
    return 0;
}

/* ---- interfaces ------------------------------------------------------------------------------ */

int l4_bpf_link(int program, int target, uint32_t attach)
{
    const int link = /* NOLINTNEXTLINE: libbpf's headers may be older than the kernel */
        bpf_link_create(program, target, (enum bpf_attach_type)attach, NULL);
    /* why: a kernel that does not know the number says EINVAL. */
    return link == -EINVAL ? -EOPNOTSUPP : link;
}

int l4_bpf_link_xdp(int program, int interface, bool in_driver)
{
    LIBBPF_OPTS(bpf_link_create_opts, options,
                .flags = in_driver ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
    return bpf_link_create(program, interface, BPF_XDP, &options);
}

int l4_bpf_relink(int program, int link)
{
    return bpf_link_update(link, program, NULL);
}

int l4_bpf_filter(int program, int interface, uint32_t handle, uint32_t priority)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = interface, .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = program, .handle = handle, .priority = priority,
                .flags = BPF_TC_F_REPLACE);
    const libbpf_print_fn_t before = libbpf_set_print(keep_message);
    int error = bpf_tc_hook_create(&hook);
    if (!error || error == -EEXIST)
        error = bpf_tc_attach(&hook, &filter);
    libbpf_set_print(before);
    return error;
}

int l4_bpf_unfilter(int interface, uint32_t handle, uint32_t priority)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = interface, .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, filter, .handle = handle, .priority = priority);
    const libbpf_print_fn_t before = libbpf_set_print(keep_message);
    const int error = bpf_tc_detach(&hook, &filter);
    libbpf_set_print(before);
    return error == -ENOENT || error == -EINVAL || error == -ENODEV ? 0 : error;
}

/* ---- maps ------------------------------------------------------------------------------------ */

int l4_bpf_put(int map, const void *key, const void *value, bool absent)
{
    return bpf_map_update_elem(map, key, value, absent ? BPF_NOEXIST : BPF_ANY);
}

int l4_bpf_get(int map, const void *key, void *value)
{
    return bpf_map_lookup_elem(map, key, value);
}

int l4_bpf_entries(int map)
{
    struct bpf_map_info info = {0};
    uint32_t size = sizeof info;
    const int error = bpf_obj_get_info_by_fd(map, &info, &size);
    return error ? error : (int)info.max_entries;
}

int l4_bpf_processors(void)
{
    return libbpf_num_possible_cpus();
}

int l4_bpf_drop(int map, const void *key)
{
    const int error = bpf_map_delete_elem(map, key);
    return error == -ENOENT ? 0 : error;
}

int64_t l4_bpf_keys(int map, uint32_t bytes, void *keys, size_t max)
{
    const void *last = NULL;
    for (size_t n = 0; n < max; n++) {
        char *next = (char *)keys + n * bytes;
        const int error = bpf_map_get_next_key(map, last, next);
        if (error == -ENOENT)
            return (int64_t)n;
        if (error)
            return error;
        last = next;
    }
    return (int64_t)max;
}

int l4_bpf_pin(int fd, const char *path)
{
    return bpf_obj_pin(fd, path);
}

int l4_bpf_pinned(const char *path)
{
    return bpf_obj_get(path);
}

/* ---- tests ----------------------------------------------------------------------------------- */

int l4_bpf_run(int program, const void *packet, uint32_t bytes, void *out, uint32_t *out_bytes,
               int interface, uint32_t segments, uint32_t repeat, uint32_t *ns)
{
    struct __sk_buff context = {.ifindex = (uint32_t)interface, .gso_segs = segments};
    LIBBPF_OPTS(bpf_test_run_opts, test, .data_in = packet, .data_size_in = bytes, .data_out = out,
                .data_size_out = out_bytes ? *out_bytes : 0, .ctx_in = interface ? &context : NULL,
                .ctx_size_in = interface ? sizeof context : 0, .repeat = (int)repeat);
    const int error = bpf_prog_test_run_opts(program, &test);
    *ns = test.duration;
    if (out_bytes)
        *out_bytes = test.data_size_out;
    return error ? error - 1000 : (int)test.retval;
}

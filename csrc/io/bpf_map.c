#include "io/bpf_map.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int call(enum bpf_cmd command, int map, const void *key, const void *value, uint64_t flags)
{
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr); /* why: the kernel refuses bytes that it does not know */
    attr.map_fd = (uint32_t)map;
    attr.key = (uint64_t)(uintptr_t)key;
    attr.value = (uint64_t)(uintptr_t)value;
    attr.flags = flags;
    return syscall(SYS_bpf, command, &attr, sizeof attr) < 0 ? -errno : 0;
}

int l4_bpf_map_get(int map, const void *key, void *value)
{
    return call(BPF_MAP_LOOKUP_ELEM, map, key, value, 0);
}

int l4_bpf_map_add(int map, const void *key, const void *value)
{
    return call(BPF_MAP_UPDATE_ELEM, map, key, value, BPF_NOEXIST);
}

int l4_bpf_map_take(int map, const void *key, void *value)
{
    return call(BPF_MAP_LOOKUP_AND_DELETE_ELEM, map, key, value, 0);
}

void l4_bpf_map_drop(int map, const void *key)
{
    (void)call(BPF_MAP_DELETE_ELEM, map, key, NULL, 0);
}

/* Entries of a map of the kernel. Where this process may make no map, nothing is shown. */
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "io/bpf_map.h"

enum { ENTRIES = 2 };

/* Returns a map from numbers to numbers, or -1. */
static int make_map(void)
{
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.map_type = BPF_MAP_TYPE_HASH;
    attr.key_size = sizeof(uint32_t);
    attr.value_size = sizeof(uint64_t);
    attr.max_entries = ENTRIES;
    return (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr);
}

TEST(a_key_is_added_once_and_taken_with_its_last_value)
{
    const int map = make_map();
    const uint32_t key = 7;
    const uint64_t value = 1ull << 40, other = 5;
    uint64_t found = 0;
    if (map < 0)
        return;
    CHECK(l4_bpf_map_get(map, &key, &found) == -ENOENT);
    CHECK(l4_bpf_map_take(map, &key, &found) == -ENOENT);
    CHECK(l4_bpf_map_add(map, &key, &value) == 0);
    CHECK(l4_bpf_map_add(map, &key, &other) == -EEXIST);
    CHECK(l4_bpf_map_get(map, &key, &found) == 0 && found == value);
    found = 0;
    CHECK(l4_bpf_map_take(map, &key, &found) == 0 && found == value);
    CHECK(l4_bpf_map_get(map, &key, &found) == -ENOENT);
    close(map);
}

TEST(a_full_map_says_so_until_a_key_is_dropped)
{
    const int map = make_map();
    const uint64_t value = 1;
    if (map < 0)
        return;
    int error = 0;
    uint32_t key = 0;
    while (!error && key < 1000)
        error = l4_bpf_map_add(map, &(uint32_t){key++}, &value);
    CHECK(error == -E2BIG);
    for (uint32_t i = 0; i < key; i++)
        l4_bpf_map_drop(map, &i);
    CHECK(l4_bpf_map_add(map, &key, &value) == 0);
    close(map);
}

TEST(a_descriptor_that_is_no_map_is_refused)
{
    const uint32_t key = 1;
    uint64_t value = 0;
    CHECK(l4_bpf_map_get(-1, &key, &value) == -EBADF);
    CHECK(l4_bpf_map_add(-1, &key, &value) == -EBADF);
    CHECK(l4_bpf_map_take(-1, &key, &value) == -EBADF);
    l4_bpf_map_drop(-1, &key);
}

MAIN(RUN(a_key_is_added_once_and_taken_with_its_last_value);
     RUN(a_full_map_says_so_until_a_key_is_dropped); RUN(a_descriptor_that_is_no_map_is_refused))

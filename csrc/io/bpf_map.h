/* Entries of a map of the kernel (BPF), through a descriptor that the process has inherited. It
 * needs no library and no right (since Linux 5.19). Functions return 0 or -errno. */
#ifndef L4_IO_BPF_MAP_H
#define L4_IO_BPF_MAP_H

#define L4_MUST_CHECK __attribute__((warn_unused_result))

/* Copies the value of a key. -ENOENT: the key is not there. */
L4_MUST_CHECK int l4_bpf_map_get(int map, const void *key, void *value);

/* Puts in a key that is not there. -EEXIST: it is there; -E2BIG: the map is full. */
L4_MUST_CHECK int l4_bpf_map_add(int map, const void *key, const void *value);

/* Takes a key out and copies its last value. -ENOENT: the key is not there. */
L4_MUST_CHECK int l4_bpf_map_take(int map, const void *key, void *value);

/* Takes a key out, if it is there. */
void l4_bpf_map_drop(int map, const void *key);

#endif

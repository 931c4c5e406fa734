"""packet/bpf.h. Only native/bpf.pyx and native/forward.pyx use it: it needs libbpf."""

from libc.stdint cimport int64_t, uint32_t


cdef extern from "packet/bpf.h":
    enum:
        L4_BPF_MAPS_MAX

    struct l4_bpf_map:
        const char *name
        uint32_t key
        uint32_t value
        uint32_t entries
        int reuse

    struct l4_bpf_kind:
        const char *program
        uint32_t type
        uint32_t count
        const l4_bpf_map *maps

    int l4_bpf_load(const l4_bpf_kind *kind, const void *object, size_t size, int *program,
                    int *maps, char *why, size_t room) nogil
    int l4_bpf_check(const l4_bpf_kind *kind, int program, const int *maps)
    int l4_bpf_link(int program, int target, uint32_t attach)
    int l4_bpf_relink(int program, int link)
    int l4_bpf_filter(int program, int interface, uint32_t handle, uint32_t priority)
    int l4_bpf_unfilter(int interface, uint32_t handle, uint32_t priority)
    int l4_bpf_put(int map, const void *key, const void *value, bint absent) nogil
    int l4_bpf_get(int map, const void *key, void *value) nogil
    int l4_bpf_drop(int map, const void *key) nogil
    int64_t l4_bpf_keys(int map, uint32_t size, void *keys, size_t maximum) nogil
    int l4_bpf_processors()
    int l4_bpf_pin(int fd, const char *path)
    int l4_bpf_pinned(const char *path)
    int l4_bpf_run(int program, const void *packet, uint32_t size, void *out, uint32_t *out_size,
                   int interface, uint32_t segments, uint32_t repeat, uint32_t *ns)

# cython: language_level=3
"""csrc/core/target.h: targets, hosts and paths of requests."""

from libc.stdint cimport uint16_t, uint32_t

cdef extern from "core/target.h" nogil:
    enum:
        L4_HOST_MAX
        L4_PATH_MATCH_MAX
        L4_FORM_ORIGIN
        L4_FORM_ABSOLUTE
        L4_FORM_AUTHORITY
        L4_FORM_ASTERISK
        L4_PATH_MERGES
        L4_PATH_SLASHES
        L4_SCHEME_HTTP
        L4_SCHEME_HTTPS
        L4_SCHEME_NONE
    struct l4_text:
        const char *at
        size_t bytes
    struct l4_target:
        uint32_t form
        uint32_t scheme
        l4_text host
        l4_text path
        l4_text query
    struct l4_host:
        uint32_t kind
        uint16_t port
        uint16_t bytes
        char *name
    const char *l4_target_fault_word(unsigned fault)
    uint32_t l4_target_fault_status(unsigned fault)
    int l4_target_read(const char *text, size_t bytes, uint32_t forms, l4_target *target)
    int l4_host_read(const char *text, size_t bytes, l4_host *host)
    int l4_path_read(const char *path, size_t bytes, uint32_t rules, char *to, uint32_t *to_bytes)

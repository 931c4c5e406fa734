"""core/names.h, core/names_text.h"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from l4lb.native.c.base cimport l4_hash_key


cdef extern from "base/text.h":
    struct l4_names_part "l4_text":
        const char *at
        size_t bytes


cdef extern from "core/names.h":
    enum:
        L4_NAMES_FORMAT

    enum l4_name_flags:
        L4_NAME_BELOW
        L4_NAME_EXCEPT

    struct l4_names_head:
        uint32_t names

    struct l4_names:
        l4_names_head head

    struct l4_names_draft:
        l4_hash_key key
        size_t count

    int l4_names_open(l4_names *set, const void *memory, size_t bytes)
    uint32_t l4_names_find(const l4_names *set, const char *host, size_t bytes) nogil
    void l4_names_begin(l4_names_draft *draft, const l4_hash_key *key)
    int l4_names_add(l4_names_draft *draft, const char *name, size_t bytes, uint32_t flags)
    int64_t l4_names_size(l4_names_draft *draft) nogil
    void l4_names_write(const l4_names_draft *draft, void *to) nogil
    void l4_names_end(l4_names_draft *draft)


cdef extern from "core/names_text.h":
    enum l4_names_format:
        L4_NAMES_AUTO
        L4_NAMES_DOMAINS
        L4_NAMES_HOSTS
        L4_NAMES_DNSMASQ

    enum l4_names_result:
        L4_NAMES_END
        L4_NAMES_NAME
        L4_NAMES_OTHER
        L4_NAMES_WRONG

    struct l4_names_text:
        uint64_t line
        l4_names_part word
        uint32_t flags

    void l4_names_text_begin(l4_names_text *text, const char *data, size_t count,
                             l4_names_format format)
    l4_names_result l4_names_text_add(l4_names_text *text, uint32_t flags, l4_names_draft *draft,
                                      uint64_t *added, int *error) nogil
    uint64_t l4_names_text_find(l4_names_text *text, const char *name, size_t bytes) nogil

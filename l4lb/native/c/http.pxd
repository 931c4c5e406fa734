# cython: language_level=3
"""csrc/core/target.h, csrc/core/router.h and csrc/core/http_route.h: requests and their routes."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from l4lb.native.c.base cimport cbool, l4_addr
from l4lb.native.c.layout cimport l4_http_listener
from l4lb.native.c.table cimport l4_table

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


cdef extern from "core/http_texts.h":
    enum:
        L4_TEXTS_KEY_HASH
        L4_TEXTS_KEY_STICKY
    struct l4_texts:
        uint32_t bytes
    struct l4_texts_at:
        uint32_t at
        uint32_t bytes
    struct l4_cache_texts:
        l4_text purge
        const l4_texts_at *ignored
        const l4_texts_at *cookies
        uint32_t ignored_count
        uint32_t cookie_count
    l4_text l4_texts_read(const l4_texts *texts, l4_texts_at text)
    l4_cache_texts l4_texts_cache(const l4_texts *texts, uint32_t cache)
    l4_texts l4_texts_begin(const l4_table *table)
    bint l4_texts_hold(const l4_table *table, const l4_texts *texts)
    l4_text l4_texts_key(const l4_texts *texts, uint32_t pool, int key)


cdef extern from "core/request_values.h":
    l4_text l4_request_key(const l4_router_request *request, uint32_t kind, l4_text name)
    l4_text l4_cookie_set(l4_text field, l4_text name)


cdef extern from "core/http_route.h" nogil:
    enum:
        L4_HTTP_ROUTES_BYTES
        L4_HTTP_ROUTES_MAX
        L4_ROUTER_FORMAT
        L4_ROUTER_KIND_COUNT
        L4_ROUTER_REDIRECT
        L4_ROUTER_RESPOND
        L4_CHANGE_SET
        L4_INSPECT_COUNT
    struct l4_router_list:
        uint32_t at
        uint32_t count
    struct l4_router_limit:
        uint32_t rate
        uint32_t burst
        uint32_t status
        uint32_t dry_run
    struct l4_router_route:
        uint32_t slot
        uint32_t pool
        uint32_t action
        uint32_t status
        uint32_t timeout_ms
        uint32_t cache
        l4_router_list location
        l4_router_list target
        l4_router_list content_type
        l4_router_list body
        l4_router_list request_changes
        l4_router_list answer_changes
        l4_router_limit requests
        l4_router_limit requests_per_source
        l4_router_list name
    struct l4_router_inspection:
        uint32_t slots[6]
    struct l4_router_memory:
        const char *at
        uint32_t bytes
    struct l4_router_request:
        l4_text method
        l4_text host
        l4_text path
        l4_text query
        l4_text sni
        uint32_t scheme
        const l4_addr *source
        uint64_t body
        uint32_t random
        cbool (*field)(const void *of, uint32_t index, l4_text *name,
                       l4_text *value) noexcept
        const void *fields
    struct l4_router_answer:
        uint32_t number
        uint32_t matched
        l4_router_route route
    struct l4_http_choice:
        uint32_t generation
        l4_router_memory memory
        l4_router_answer answer
    bint l4_router_choose(const l4_router_memory *memory, uint32_t at,
                          const l4_router_request *request, uint32_t from_,
                          l4_router_answer *answer)
    l4_text l4_router_text(const l4_router_memory *memory, l4_router_list text)
    uint32_t l4_router_write(const l4_router_memory *memory, l4_router_list parts,
                             const l4_router_request *request, uint32_t matched, char *to,
                             uint32_t room)
    bint l4_router_change(const l4_router_memory *memory, l4_router_list changes, uint32_t index,
                          uint32_t *kind, l4_text *name, l4_text *value)
    bint l4_http_route_choose(const l4_table *table, uint32_t listener,
                              const l4_router_request *request, uint32_t from_,
                              l4_http_choice *choice)
    bint l4_http_filter_choose(const l4_table *table, uint32_t listener,
                               const l4_router_request *request, uint32_t from_,
                               l4_http_choice *choice)
    bint l4_http_filter_read(const l4_table *table, uint32_t listener, uint32_t number,
                             l4_http_choice *choice)
    bint l4_http_inspection_read(const l4_table *table, uint32_t listener, uint32_t number,
                                 l4_http_choice *choice, l4_router_inspection *inspection)
    bint l4_http_route_stays(const l4_table *table, const l4_http_choice *choice)
    uint32_t l4_http_route_slot(const l4_table *table, uint32_t listener, uint32_t number)
    bint l4_http_route_find(const l4_table *table, uint32_t listener, uint32_t slot,
                            l4_http_choice *choice)
    uint64_t l4_http_route_hits(const l4_table *table, uint32_t slot)
    void l4_http_route_forget(const l4_table *table, uint32_t slot)
    void l4_http_route_publish(const l4_table *table, const void *routes, uint32_t bytes,
                               const uint32_t *ats)

cdef extern from "core/true_client.h":
    bint l4_true_client_of(const l4_table *table, const l4_http_listener *rules,
                           const l4_addr *peer, const char *head, size_t bytes, l4_addr *client)

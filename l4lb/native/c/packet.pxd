"""packet/layout.h, networks.h and loader.h. Only native/packet.pyx uses them: they need libbpf."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from l4lb.native.c.sets cimport l4_cidr


cdef extern from "packet/rate.h":
    struct l4_shield_rate:
        uint64_t step_ns
        uint64_t depth_ns

    struct l4_shield_bucket:
        uint64_t full_ns
        uint64_t passed_ns
        uint64_t over_ns

    void l4_shield_rate_complete(l4_shield_bucket *bucket, const l4_shield_rate *rate,
                                 uint64_t now_ns)
    bint l4_shield_rate_passes(l4_shield_bucket *bucket, const l4_shield_rate *rate,
                               uint64_t now_ns)


cdef extern from "packet/layout.h":
    enum:
        L4_SHIELD_LAYOUT
        L4_SHIELD_SERVICES_MAX
        L4_SHIELD_POLICIES_MAX
        L4_SHIELD_NETWORKS_MAX
        L4_SHIELD_KNOWN_MAX
        L4_SHIELD_HEADERS_MAX
        L4_SHIELD_IPV4
        L4_SHIELD_IPV6
        L4_SHIELD_JUDGES_ACCESS
        L4_SHIELD_OTHERS_DENIED
        L4_SHIELD_DRY_RUN
        L4_SHIELD_DENIED_PASS
        L4_SHIELD_RATES_ALONE
        L4_SHIELD_DRY
        L4_SHIELD_ROWS

    enum l4_shield_map:
        L4_SHIELD_SERVICES
        L4_SHIELD_POLICIES
        L4_SHIELD_NETWORKS4
        L4_SHIELD_NETWORKS6
        L4_SHIELD_KNOWN
        L4_SHIELD_BUCKETS
        L4_SHIELD_SETTINGS
        L4_SHIELD_MAPS

    enum l4_shield_reason:
        L4_SHIELD_BY_ACCESS
        L4_SHIELD_BY_BLOCK
        L4_SHIELD_BY_RATE
        L4_SHIELD_REASONS

    struct l4_shield_service:
        uint8_t address[16]
        uint16_t port
        uint8_t protocol
        uint8_t family

    struct l4_shield_place:
        uint32_t listener
        uint32_t interface

    struct l4_shield_policy:
        uint32_t proxies
        uint32_t blocks
        uint32_t speakers
        uint32_t rules
        uint32_t access
        uint32_t flags
        l4_shield_rate rate
        uint32_t counted_as
        uint8_t mask4[4]
        uint8_t mask6[16]

    struct l4_shield_network4:
        uint32_t set

    struct l4_shield_network6:
        uint32_t set

    struct l4_shield_client:
        uint8_t address[16]
        uint32_t listener
        uint16_t port
        uint16_t family

    struct l4_shield_settings:
        uint32_t rates

    struct l4_shield_count:
        uint64_t packets
        uint64_t bytes


cdef extern from "packet/networks.h":
    struct l4_shield_network:
        uint32_t value

    struct l4_addr:
        uint16_t family

    struct l4_shield_walk:
        l4_addr at

    l4_shield_walk l4_shield_walk_begin(uint32_t number)
    size_t l4_shield_walk_next(l4_shield_walk *walk, const l4_cidr *set, size_t room,
                               l4_shield_network *networks, size_t maximum) nogil


cdef extern from "packet/loader.h":
    struct l4_shield:
        bint is_xdp
        int program
        int maps[8]

    int l4_shield_load(const void *object, size_t size, bint is_xdp, l4_shield *shield, char *why,
                       size_t room) nogil
    int l4_shield_check(l4_shield *shield)
    void l4_shield_close(l4_shield *shield)
    int l4_shield_link(const l4_shield *shield, int interface, bint in_driver)
    int l4_shield_relink(const l4_shield *shield, int link)
    int l4_shield_filter(const l4_shield *shield, int interface, uint32_t handle)
    int l4_shield_unfilter(int interface, uint32_t handle)
    int l4_shield_put(const l4_shield *shield, l4_shield_map map, const void *key,
                      const void *value) nogil
    int l4_shield_drop(const l4_shield *shield, l4_shield_map map, const void *key) nogil
    int64_t l4_shield_keys(const l4_shield *shield, l4_shield_map map, void *keys,
                           size_t maximum) nogil
    int l4_shield_read_counts(const l4_shield *shield, uint32_t listener,
                              l4_shield_count *sums)
    int l4_shield_fill(const l4_shield *shield, const l4_shield_network *networks,
                       size_t count) nogil
    void l4_shield_empty(const l4_shield *shield, const l4_shield_network *networks,
                         size_t count) nogil
    int l4_shield_run(const l4_shield *shield, const void *packet, uint32_t size,
                      int interface, uint32_t segments, uint32_t repeat, uint32_t *ns)

"""base/bounds.h"""

from libc.stdint cimport uint32_t


cdef extern from "base/bounds.h":
    enum:
        L4_KEY_VALUE_MAX
        L4_ROUTES_MAX
        L4_HTTP_TEXTS_BYTES
        L4_ALPN_MAX
        L4_CACHES_MAX
        L4_CACHE_BANS
        L4_CACHE_IGNORED_MAX
        L4_HELLO_NAME_MAX
        L4_PREFIXES_MAX
        L4_SETS_MAX
        L4_SETS_BYTES
        L4_BLOCKS_MAX
        L4_COMMANDS
        L4_EVENTS
        L4_PATH_MAX
        L4_WORKERS_MAX
        L4_WEIGHT_MAX
        L4_LOG_PLACES
        L4_BUCKETS
        L4_TLS_BUNDLE_MAX
        L4_TLS_PROFILES_MAX

    const uint32_t L4_NONE

"""shm/layout.h and the headers that it includes, each under its name"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from l4lb.native.c.base cimport l4_addr, l4_hash_key, l4_options


cdef extern from "shm/limits.h":
    struct l4_verdict:
        uint32_t refusal
        uint32_t dry_run

    struct l4_limits:
        uint32_t head
        uint32_t inflight
        uint64_t full_ns


cdef extern from "shm/listener_policy.h":
    enum:
        L4_BLOCK_AUTO
        L4_BLOCK_DRY
        L4_FACT_CLAIMED
        L4_NEEDS_HELLO
        L4_LIKES_HELLO
        L4_NEEDS_PROXY
        L4_MAY_PROXY
        L4_NEEDS_ACCESS
        L4_LIMITS
        L4_SET_BLOCKS
        L4_ACCESS_ALLOW
        L4_ACCESS_DENY
        L4_ROUTE_NAME
        L4_ROUTE_SUFFIX
        L4_ROUTE_ANY_NAME
        L4_ROUTE_ALPN
        L4_ROUTE_SOURCE
        L4_ROUTE_SHARE
        L4_ROUTE_GOES_ON

    struct l4_policy:
        uint32_t needs
        l4_limits limits
        uint32_t routes_at[2]
        uint32_t routes_count[2]

    struct l4_route:
        uint32_t wants
        uint32_t pool
        uint64_t name_hash
        uint32_t share
        uint32_t prefix
        l4_addr source
        uint16_t name_bytes
        uint8_t alpn_bytes
        uint8_t alpn[255]
        char name[256]

    struct l4_block:
        l4_addr net
        uint32_t bits
        uint32_t flags
        uint64_t since_ms
        uint64_t until_ms


cdef extern from "shm/http_rules.h":
    enum:
        L4_HOST_NAMED


cdef extern from "shm/egress.h":
    struct l4_egress:
        uint32_t used
        uint32_t transparent
        uint32_t sources4
        uint32_t sources6
        l4_options options
        l4_addr sources[64]

    void l4_egress_write(l4_egress *egress, const l4_egress *next)


cdef extern from "shm/health.h":
    struct l4_passive:
        uint32_t unreached
        uint32_t resets
        uint32_t level
        uint32_t cause
        uint32_t error
        uint32_t duration_ms
        uint64_t ejected_at_ms
        uint64_t ejections

    struct l4_check_words:
        uint32_t kind
        uint32_t code
        uint64_t cert_end_s
        uint32_t told
        uint32_t agent
        uint32_t verdict
        char text[160]


cdef extern from "shm/queue.h":
    struct l4_queue:
        uint32_t length
        uint32_t timeout_ms
        uint32_t waiting


cdef extern from "shm/secure.h":
    struct l4_secure_rule:
        uint32_t profile
        uint64_t ends_s
        uint32_t shaking
        uint64_t next_us


cdef extern from "shm/talkers.h":
    enum:
        L4_TALKERS

    struct l4_talker:
        l4_addr addr
        uint64_t since_ms
        uint64_t sessions
        uint64_t rejected
        uint64_t bytes

    struct l4_talkers:
        pass


cdef extern from "shm/udp.h":
    enum:
        L4_UDP_COUNTS
        L4_UDP_IN_TURN
        L4_UDP_QUIC
        L4_UDP_ROUTES
        L4_DROP_COUNT

    struct l4_server_id:
        uint8_t bytes
        uint8_t id[15]

    struct l4_udp_tally:
        uint64_t datagrams_in
        uint64_t datagrams_out
        uint64_t dropped[64]
        uint64_t evicted
        uint64_t moved
        uint64_t adopted
        uint64_t handed
        uint64_t kept
        uint32_t in_kernel

    const char *l4_drop_word(unsigned drop)


cdef extern from "shm/layout.h":
    enum:
        L4_UDP
        L4_READY
        L4_BACKUP
        L4_UNKNOWN
        L4_DOWN
        L4_WORKER_OFF
        L4_CMD_DRAIN
        L4_CMD_STOP
        L4_CMD_KILL
        L4_CMD_KILL_BACKEND
        L4_CMD_SECRETS
        L4_CMD_RECOUNT

    struct l4_http_listener:
        uint32_t merge_slashes
        uint32_t cache
        uint32_t speaks_socks

    struct l4_listener:
        l4_policy edge
        l4_http_listener http
        uint32_t used
        uint32_t pool
        char name[65]
        char bind[115]
        uint32_t protocol
        l4_secure_rule secure

    struct l4_key_rule:
        uint32_t kind
        uint32_t prefix4
        uint32_t prefix6

    struct l4_sticky_rule:
        l4_key_rule key
        uint32_t ttl_ms

    struct l4_http_pool:
        uint32_t forward_cache

    struct l4_pool:
        l4_egress egress
        l4_http_pool http
        uint32_t used
        char name[65]
        uint32_t balance
        uint32_t all_down
        uint32_t retries
        uint32_t connect_timeout_ms
        uint32_t idle_timeout_ms
        uint32_t half_closed_timeout_ms
        uint32_t view_generation
        uint32_t max_connections
        l4_key_rule hash_rule
        uint32_t hash_balance_percent
        uint32_t maglev_size
        uint32_t all_backups
        uint32_t slow_start_ms
        uint64_t ticket
        uint32_t inflight
        l4_queue queue
        l4_sticky_rule sticky
        uint32_t tls_profile

    struct l4_tally:
        uint64_t dry_run[1]
        uint64_t slowed[2]
        uint64_t accepted
        uint64_t refused
        uint32_t active
        uint64_t ended[20]

    struct l4_ring:
        uint64_t head
        uint64_t dropped
        uint64_t tail

    struct l4_command:
        uint32_t op
        uint32_t slot
        uint32_t serial
        uint32_t reason

    struct l4_event:
        uint64_t at_ms
        uint32_t kind
        uint32_t a
        uint64_t b

    struct l4_worker:
        uint64_t uncounted
        uint64_t portless
        uint32_t pid
        uint32_t cpu
        uint32_t state
        uint32_t capacity
        uint32_t sessions_high
        uint64_t restarts
        uint64_t lost
        uint64_t started_ms
        uint32_t held
        uint32_t udp_capacity
        uint32_t flows_high
        uint32_t hung
        uint32_t active
        uint32_t udp_active
        uint32_t paused
        uint64_t accepted
        uint64_t turns
        uint64_t beat_ms
        uint64_t ended[20]
        l4_ring command_ring
        l4_command commands[256]
        l4_ring event_ring
        l4_event events[256]
        uint64_t secrets

    struct l4_header:
        uint32_t routes_generation
        uint32_t texts_generation
        uint32_t blocks
        l4_verdict block_verdict[2]
        l4_hash_key hash_key
        uint64_t generation
        uint32_t workers_high
        uint32_t backends_high
        uint32_t max_connections
        uint32_t checker_pid
        uint64_t checker_beat_ms
        uint32_t connections
        uint32_t max_udp_sessions
        uint32_t udp_seed
        uint32_t udp_sessions

    struct l4_caps:
        uint32_t workers
        uint32_t listeners
        uint32_t pools
        uint32_t backends
        uint32_t sessions
        uint32_t flows
        uint32_t sticky

    struct l4_plan:
        l4_caps caps
        uint64_t bytes

    struct l4_view:
        uint32_t members
        uint32_t slots
        uint32_t maglev
        uint64_t first_ticket

    struct l4_backend:
        uint32_t used
        uint32_t pool
        l4_addr addr
        char name[65]
        char path[108]
        uint32_t uses
        l4_server_id server_id
        uint32_t check_result
        uint32_t check_errno
        uint32_t check_streak
        uint64_t check_at_ms
        uint64_t check_duration_us
        uint64_t checks_passed
        uint64_t checks_failed
        uint64_t health_since_ms
        uint64_t up_since_ms
        l4_passive passive
        l4_check_words words
        uint32_t state
        uint32_t weight
        uint32_t max_connections
        uint32_t flags
        uint32_t health
        uint32_t inflight
        uint64_t response
        uint64_t ready_since_ms
        uint64_t ejected_until_ms
        int32_t weight_change

    struct l4_column:
        uint64_t total
        uint64_t connect_errors
        uint64_t bytes_in
        uint64_t bytes_out
        uint64_t resets
        uint32_t active

    struct l4_session:
        uint32_t serial
        uint32_t state
        uint32_t listener
        uint32_t pool
        uint32_t backend
        l4_addr client
        uint64_t bytes[2]
        uint64_t active_ms
        uint64_t started_us
        uint32_t connect_us
        uint8_t attempts
        uint8_t reason
        bint http
        uint8_t known


cdef extern from "shm/state.h":
    const char *l4_state_word(unsigned state)

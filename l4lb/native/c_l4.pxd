"""What Python sees of csrc/: the shared table, and a worker's one entry."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "base/bounds.h":
    enum:
        L4_NAME_MAX
        L4_PATH_MAX
        L4_WORKERS_MAX
        L4_SLOTS_MAX
        L4_WEIGHT_MAX
    const uint32_t L4_NONE


cdef extern from "base/reason.h":
    enum:
        L4_REASON_COUNT
        L4_END_STOPPED
        L4_END_DRAIN_TIMEOUT
        L4_END_WORKER_DIED
    const char *l4_reason_word(unsigned reason)


cdef extern from "shm/state.h":
    const char *l4_state_word(unsigned state)


cdef extern from "base/addr.h":
    struct l4_addr:
        uint16_t family
        uint16_t port
        uint8_t ip[16]


cdef extern from "base/hash.h":
    struct l4_hash_key:
        uint64_t k0
        uint64_t k1


cdef extern from "shm/udp.h":
    enum:
        L4_DROP_COUNT
        L4_UDP_COUNTS
        L4_UDP_IN_TURN
        L4_UDP_QUIC
        L4_UDP_ROUTES

    struct l4_udp_manners:
        uint32_t idle_ms
        uint32_t requests
        uint32_t responses
        uint32_t per_datagram
        uint32_t keep_down
        uint32_t quic_id
        uint32_t quic_config
        uint32_t quic_bytes
        uint32_t greets

    struct l4_udp_door:
        uint32_t max_amplification
        uint32_t max_per_source
        uint32_t ways
        uint32_t no_privileged

    struct l4_server_id:
        uint8_t bytes
        uint8_t id[15]

    struct l4_flow:
        l4_addr local
        uint32_t scope
        uint32_t lane
        uint16_t port
        uint16_t flags
        uint64_t datagrams[2]

    struct l4_udp_tally:
        uint64_t datagrams_in
        uint64_t datagrams_out
        uint64_t dropped[64]
        uint64_t evicted
        uint64_t moved
        uint64_t adopted

    const char *l4_drop_word(unsigned drop)


cdef extern from "shm/layout.h":
    enum:
        L4_SESSION_FREE
        L4_CMD_DRAIN
        L4_CMD_STOP
        L4_CMD_KILL
        L4_CMD_KILL_BACKEND
        L4_CMD_SECRETS
        L4_CMD_RECOUNT

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

    struct l4_header:
        uint64_t generation
        uint32_t workers_high
        uint32_t backends_high
        uint32_t max_connections
        uint64_t drain_timeout_ms
        uint32_t checker_pid
        uint64_t checker_beat_ms
        l4_hash_key hash_key
        uint32_t connections
        uint32_t max_udp_sessions
        uint32_t udp_share_percent
        uint32_t udp_seed
        uint32_t udp_sessions
        uint32_t shed_idle_ms
        uint32_t shed_at_limit

    struct l4_listener:
        uint32_t used
        uint32_t pool
        char name[65]
        char bind[115]
        uint8_t protocol
        l4_udp_door udp

    struct l4_passive_rule:
        uint32_t failures
        uint32_t eject_ms
        uint32_t max_eject_ms
        uint32_t max_ejected_percent
        uint32_t several

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

    struct l4_key_rule:
        uint32_t kind
        uint32_t prefix4
        uint32_t prefix6

    struct l4_sticky_rule:
        l4_key_rule key
        uint32_t ttl_ms
        uint32_t in_drain

    struct l4_queue:
        uint32_t length
        uint32_t timeout_ms
        uint64_t turns
        uint32_t waiting

    struct l4_pool:
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
        l4_udp_manners udp
        uint64_t ticket
        uint32_t inflight
        l4_passive_rule passive
        l4_queue queue
        l4_sticky_rule sticky

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
        uint32_t address_seq
        uint32_t uses
        l4_server_id server_id
        uint32_t check_seq
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

    struct l4_ring:
        uint64_t head
        uint64_t dropped
        uint64_t tail

    struct l4_worker:
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
        uint64_t ops
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

    struct l4_column:
        uint64_t total
        uint64_t connect_errors
        uint64_t bytes_in
        uint64_t bytes_out
        uint64_t resets
        uint32_t active

    struct l4_tally:
        uint64_t accepted
        uint64_t refused
        uint32_t active
        uint64_t ended[20]

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


cdef extern from "shm/table.h":
    struct l4_table:
        l4_plan plan
        l4_header *header
        int fd
    int l4_table_create(l4_table *table, const l4_caps *caps)
    int l4_table_attach(l4_table *table, int fd)
    void l4_table_close(l4_table *table)
    l4_listener *l4_table_listener(const l4_table *table, uint32_t index)
    l4_pool *l4_table_pool(const l4_table *table, uint32_t index)
    l4_backend *l4_table_backend(const l4_table *table, uint32_t index)
    l4_worker *l4_table_worker(const l4_table *table, uint32_t index)
    l4_column *l4_table_column(const l4_table *table, uint32_t worker, uint32_t backend)
    l4_tally *l4_table_tally(const l4_table *table, uint32_t worker, uint32_t listener)
    l4_session *l4_table_session(const l4_table *table, uint32_t worker, uint32_t index)
    l4_view *l4_table_view(const l4_table *table, uint32_t pool, uint32_t generation)
    uint16_t *l4_view_members(l4_view *view)
    uint16_t *l4_view_slots(const l4_table *table, l4_view *view)


cdef extern from "shm/udp_rows.h":
    l4_flow *l4_table_flow(const l4_table *table, uint32_t worker, uint32_t flow)
    l4_udp_tally *l4_table_udp_tally(const l4_table *table, uint32_t worker, uint32_t listener)


cdef extern from "core/steer.h":
    uint32_t l4_steer_place(const l4_addr *client, uint32_t count, uint32_t seed, bint by_port)


cdef extern from "shm/change.h":
    uint32_t l4_table_book(const l4_table *table)
    l4_column *l4_table_gone(const l4_table *table)


cdef extern from "shm/count.h":
    void l4_count_clear(const l4_table *table, uint32_t worker)
    void l4_count_elsewhere(const l4_table *table, uint32_t backend, uint32_t sessions)
    int l4_count_settle(const l4_table *table) nogil


cdef extern from "shm/ring.h":
    bint l4_ring_put(l4_ring *ring, void *entries, const void *entry, size_t entry_bytes,
                     uint64_t places)
    bint l4_ring_take(l4_ring *ring, const void *entries, void *entry, size_t entry_bytes,
                      uint64_t places)


cdef extern from "run/account.h":
    uint32_t l4_account_lost(const l4_table *table, uint32_t worker, bint with_udp,
                             uint64_t now_us)


cdef extern from "core/view.h":
    int l4_view_publish(const l4_table *table, uint32_t pool) nogil


cdef extern from "core/response.h":
    uint32_t l4_response_read(const uint64_t *word, uint64_t now_ms)


cdef extern from "core/passive.h":
    bint l4_passive_ejected(const l4_backend *b, uint64_t now_ms)
    bint l4_passive_end(const l4_table *table, uint32_t backend, uint64_t since_ms,
                        uint64_t now_ms)
    void l4_passive_clear(l4_backend *b)
    void l4_passive_forget(const l4_table *table, uint32_t worker)


cdef extern from "core/pick.h":
    const char *l4_pick_name(unsigned balance)


cdef extern from "run/setup.h":
    struct l4_bound:
        int fd
        uint32_t listener
        uint32_t tag
        bint exclusive
        bint closing
        uint32_t number

    struct l4_worker_setup:
        l4_table table
        uint32_t index
        const l4_bound *bounds
        uint32_t bound_count
        int command_fd
        int mailbox_fd
        int event_fd
        const int *bells
        uint32_t bell_count
        int lifeline_fd
        int vault_fd
        bint hold_udp


cdef extern from "run/worker.h":
    int l4_worker_run(const l4_worker_setup *setup) nogil


cdef extern from "shm/told.h":
    struct l4_told:
        l4_addr via
        const char *name
        const char *version
        const char *cipher
        const char *protocol
    bint l4_told_read(const l4_table *table, uint32_t worker, uint32_t slot,
                      const l4_session *s, l4_told *told)

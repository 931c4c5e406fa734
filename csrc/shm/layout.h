/* The shared table: the description of everything that two processes both know.
 *
 * why: long for a header: it is one description, and cutting it would hide the whole.
 *
 * The table is one anonymous shared memory that is made before the first fork. It has a header,
 * then arrays of rows of fixed size, whose capacities are chosen at start (struct l4_caps). The
 * table contains no pointer; rows are found by index (shm/table.h). Untouched rows cost no memory.
 *
 * Writers: each field has one writing process, which its comment names, or is an atomic that all
 * processes add to ("all"). Fields that change while others read them are _Atomic even if one
 * process writes. Rows that are written often have a cache line of their own. Any process may die
 * at any instruction. A worker's counts are in its own column, and the process that restarts the
 * worker takes them back exactly (shm/count.h).
 *
 *   header | listeners | pools | views (members + schedule) | backends
 *          | workers | columns (worker x backend) | tallies (worker x listener) | sessions
 *          | seen, ledgers, logs (shm/session_stats.h) | traces (shm/trace.h)
 *          | sources | source parts (worker x source) | talkers (one a worker) | blocks
 *          | facts (one a session) | routes, sets of networks, texts (two halves each)
 *          | waits (worker x pool, shm/queue.h) | flows and UDP tallies (shm/udp.h)
 *          | requests and their counts (shm/http.h) | caches and their counts (shm/cache.h)
 *          | handshakes (shm/tls_counters.h; worker x (listeners + pools)) | sticky entries
 * (shm/sticky.h)
 *
 * The last worker row, l4_table_book, has no process. The supervisor keeps in it the counts of the
 * program that this program replaced, and how many sessions that program still has.
 */
#ifndef L4_SHM_LAYOUT_H
#define L4_SHM_LAYOUT_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"
#include "base/half.h"
#include "base/hash.h"
#include "base/reason.h"
#include "shm/egress.h"
#include "shm/health.h"
#include "shm/http_routes.h"
#include "shm/http_rules.h"
#include "shm/listener_policy.h"
#include "shm/queue.h"
#include "shm/secure.h"
#include "shm/settings.h"
#include "shm/state.h"
#include "shm/talkers.h"
#include "shm/udp.h"

/* Capacities, written once before the fork. */
struct l4_caps {
    uint32_t workers;
    uint32_t listeners;
    uint32_t pools;
    uint32_t backends; /* over all pools */
    uint32_t sessions; /* per worker, TCP */
    uint32_t flows;    /* per worker: UDP sessions, whose rows follow the TCP ones */
    uint32_t sticky;   /* over all pools; 0: none, else a multiple of L4_STICKY_WAYS */
};

/* The place of every array, constant from the table's first moment on. Each process uses a
 * private copy of it (struct l4_table), so that no other process, even one that an attacker
 * controls, can make it leave the table. In the table the plan has its own pages, which are
 * mapped read-only. */
struct l4_plan {
    struct l4_caps caps;
    uint64_t bytes; /* of the whole table */
    uint64_t listeners_at, pools_at, views_at, backends_at, workers_at, columns_at, tallies_at,
        sessions_at; /* offsets from the header */
    uint64_t stats_at, ledgers_at, logs_at, traces_at;
    uint64_t facts_at, routes_at, sets_at;                       /* shm/listener_policy.h */
    uint64_t texts_at;                                           /* core/http_texts.h */
    uint64_t sources_at, source_parts_at, talkers_at, blocks_at; /* shm/listener_policy.h */
    uint64_t waits_at;                                           /* shm/queue.h */
    uint64_t flows_at, flows_counted_at, udp_tallies_at;         /* shm/udp.h */
    uint64_t tls_counters_at;                                    /* shm/tls_counters.h */
    uint64_t sticky_at;                                          /* shm/sticky.h */
    uint64_t http_routes_at, route_hits_at;                      /* shm/http_routes.h */
    uint64_t requests_at, http_tallies_at, http_columns_at, request_logs_at; /* shm/http.h */
    uint64_t rates_at;                                                       /* shm/http.h */
    uint64_t caches_at, cache_tallies_at;                                    /* shm/cache.h */
    uint64_t view_bytes; /* of one view, its arrays included */
};

struct l4_header {
    union {
        struct l4_plan plan;
        char pages[L4_PAGE_BYTES];
    };

    _Atomic uint64_t generation;      /* supervisor: generation of the configuration, from 1 */
    _Atomic uint32_t workers_high;    /* supervisor: one past the highest worker index ever used */
    _Atomic uint32_t backends_high;   /* supervisor: one past the highest backend index ever used */
    _Atomic uint32_t checker_pid;     /* supervisor */
    _Atomic uint64_t checker_beat_ms; /* checker: CLOCK_MONOTONIC of its last sign of life */
    _Atomic uint32_t sources_used;    /* all: 1 once a source was counted */
    _Atomic uint32_t blocks;          /* supervisor: number of rows of blocked sources */
    _Atomic uint32_t sets_generation; /* supervisor */
    struct l4_verdict block_verdict[2]; /* what the two rules for blocked sources do, by the low bit
                                           of the value in the set */
    _Atomic uint32_t routes_generation; /* supervisor: its low bit is the half of routes in force */
    _Atomic uint32_t texts_generation;  /* supervisor: its low bit is the half of texts in force */
    _Atomic uint32_t http_routes_generation; /* supervisor: the same for those of HTTP listeners */
    struct l4_hash_key hash_key; /* supervisor, before the fork: key of all hashes of clients */

    _Atomic uint32_t udp_seed;  /* supervisor, before the fork: key of core/udp_steering.h */
    L4_TABLE_SETTINGS(L4_FIELD) /* supervisor */

    alignas(64) _Atomic uint32_t connections; /* all: clients admitted and not ended */
    _Atomic uint32_t udp_sessions;            /* all: UDP sessions not ended */
};

/* ---- configuration: the supervisor writes ---------------------------------------------- */

/* A listener's protocol: the plane of its sockets (run/plane.h). */
enum l4_protocol { L4_TCP, L4_UDP, L4_HTTP };

/* A listener's address: one row for each bound address, several may have one name. */
struct l4_listener {
    _Atomic uint32_t used;
    char name[L4_NAME_MAX + 1];
    char bind[L4_PATH_MAX + 8]; /* the address as in the file; a range, or one port of it */
    L4_LISTENER_SETTINGS(L4_FIELD)
    struct l4_policy edge;
    struct l4_udp_listener udp;
    struct l4_http_listener http;
    struct l4_secure_rule secure;
};

/* Load balancing algorithms. csrc/core/pick.c has a row for each. */
enum l4_balance {
    L4_ROUND_ROBIN,
    L4_LEAST_CONNECTIONS,
    L4_LEAST_RESPONSE_TIME,
    L4_RANDOM,
    L4_FIRST,
    L4_IP_HASH,
    L4_MAGLEV,
    L4_BALANCE_COUNT
};

enum l4_key_kind {
    L4_KEY_NONE,
    L4_KEY_SOURCE_IP,
    L4_KEY_SOURCE_IP_PORT,
    L4_KEY_SNI,
    L4_KEY_QUIC, /* without an id that names a backend: as SOURCE_IP_PORT */
    /* Of a request. The name of the field, cookie or argument is in the texts of the pool
     * (core/http_texts.h). */
    L4_KEY_HEADER,
    L4_KEY_COOKIE,
    L4_KEY_QUERY,
    L4_KEY_HOST,
    L4_KEY_PATH
};

/* What is hashed of a client. */
struct l4_key_rule {
    L4_KEY_SETTINGS(L4_FIELD)
};

/* The rule of a pool for sticky sessions. The supervisor writes it. */
struct l4_sticky_rule {
    struct l4_key_rule key; /* what identifies a client */
    L4_STICKY_SETTINGS(L4_FIELD)
};

enum l4_all_down { L4_REFUSE, L4_TRY_ALL };

struct l4_pool {
    _Atomic uint32_t used;
    char name[L4_NAME_MAX + 1];
    struct l4_egress egress;
    L4_POOL_SETTINGS(L4_FIELD)
    struct l4_key_rule hash_rule; /* for ip_hash and maglev */

    /* A pool has two views; the low bit of view_generation says which one is in force. A reader
     * that finds the generation changed after it has read a view reads again. */
    _Atomic uint32_t view_generation;

    struct l4_udp_settings udp;
    struct l4_http_pool http;

    alignas(64) _Atomic uint64_t ticket; /* all: tickets of round robin taken so far */
    _Atomic uint32_t inflight;           /* all, through shm/count.h: sessions with its backends */

    _Atomic int32_t retries_spent; /* all: retries of requests (http/retry.c) */

    struct l4_passive_rule passive;
    struct l4_queue queue;
    struct l4_sticky_rule sticky;
};

/* A pool's members, its round-robin schedule (core/schedule.h) and its Maglev table
 * (core/maglev.h), built off the hot path. It is followed by uint16_t members[caps.backends],
 * slots[L4_SLOTS_MAX] and maglev[L4_MAGLEV_MAX], which are backend indexes. */
struct l4_view {
    uint32_t members;
    uint32_t slots;
    uint32_t maglev;
    uint32_t weights;      /* sum of the members' weights */
    uint64_t first_ticket; /* the pool's ticket when this view came into force: slot 0 */
};

enum l4_state { L4_READY, L4_DRAIN, L4_MAINT };

enum l4_health { L4_UNKNOWN, L4_UP, L4_DOWN };

enum l4_backend_flags { L4_BACKUP = 1 };

struct l4_backend {
    _Atomic uint32_t used; /* supervisor: 0: free; else counts how often this row was given */
    uint32_t pool;         /* supervisor, set before used */
    struct l4_addr addr;   /* supervisor; while used, read it with l4_table_target */
    char name[L4_NAME_MAX + 1];
    char path[L4_PATH_MAX + 1];    /* path of a unix backend; as addr */
    _Atomic uint32_t address_seq;  /* supervisor: odd while it changes addr and path */
    uint32_t uses;                 /* supervisor: as used, but unchanged while used is 0 */
    struct l4_server_id server_id; /* supervisor, set before used */

    /* The checker's result for this backend. Readers of several fields use check_seq (odd: being
     * written). */
    alignas(64) _Atomic uint32_t check_seq;
    _Atomic uint32_t check_result; /* the checker's enum; 0: never checked */
    _Atomic uint32_t check_errno;
    _Atomic uint32_t check_streak; /* equal results in a row */
    _Atomic uint64_t check_at_ms;  /* CLOCK_MONOTONIC of the last result */
    _Atomic uint64_t check_duration_us;
    _Atomic uint64_t checks_passed;
    _Atomic uint64_t checks_failed;
    _Atomic uint64_t health_since_ms; /* CLOCK_MONOTONIC of the last change of health */
    _Atomic uint64_t up_since_ms; /* CLOCK_MONOTONIC of the last return from down; 0: never down */

    struct l4_passive passive;
    struct l4_check_words words;

    /* every pick reads the next fields */
    alignas(64) _Atomic uint32_t state; /* supervisor: enum l4_state */
    _Atomic uint32_t weight;            /* supervisor: 0..L4_WEIGHT_MAX */
    _Atomic uint32_t max_connections;   /* supervisor; 0: no limit */
    _Atomic uint32_t flags;             /* supervisor: enum l4_backend_flags */
    _Atomic uint32_t health;            /* checker: enum l4_health */
    _Atomic uint32_t inflight;          /* all, through shm/count.h: sessions of all workers */
    _Atomic uint64_t response;          /* all: response time and its age; core/response.h */
    _Atomic uint64_t ready_since_ms; /* supervisor: when it was added or made ready at run time; 0:
                                        since the start */
    _Atomic uint64_t ejected_until_ms; /* ejector, checker: CLOCK_MONOTONIC; core/passive.h */
    _Atomic uint32_t owed; /* all, through shm/count.h: sessions that wait for a first byte */
    _Atomic uint32_t silent_since_ms; /* all: low 32 bits of CLOCK_MONOTONIC: its last first byte,
                                         or since when a session waits for one */
    _Atomic int32_t weight_change;    /* checker: percentage added to its weight, or taken off */
};

/* ---- what a worker writes -------------------------------------------------------------------- */

enum l4_worker_state { L4_WORKER_OFF, L4_WORKER_RUNS, L4_WORKER_DRAINS };

/* Commands from the supervisor to a worker. */
enum l4_command_op {
    L4_CMD_DRAIN,        /* serve what is queued, accept no more, exit after the last session */
    L4_CMD_STOP,         /* end every session with `reason` and exit */
    L4_CMD_KILL,         /* end the session `slot` if its `serial` is unchanged */
    L4_CMD_KILL_BACKEND, /* end every session of backend `slot` */
    L4_CMD_SECRETS,      /* load certificates again, the vault has changed: run/vault.h */
    L4_CMD_RECOUNT,      /* count again, the counts of limits have moved: run/admission.h */
};

struct l4_command {
    uint32_t op;
    uint32_t slot;
    uint32_t serial;
    uint32_t reason;
};

/* Events from a worker to the supervisor. */
enum l4_event_kind {
    L4_EVENT_ACCEPT_PAUSED,  /* a: errno (0: the worker's own limit), b: its sessions */
    L4_EVENT_ACCEPT_RESUMED, /* b: its sessions */
    L4_EVENT_DRAINED,        /* the worker accepts no more; b: its sessions */
    L4_EVENT_SECRETS_LOADED, /* b: generation of the certificates in force */
    L4_EVENT_SECRETS_FAILED, /* a: errno; the previous certificates stay in force */
    L4_EVENT_UNLISTENED,     /* a: listener row; b: the supervisor's number */
    L4_EVENT_HANDED,         /* a: number of the hand-over, b: sessions that moved */
    L4_EVENT_SHED, /* a: family << 24 | sessions shed since the last such event, b: source of the
                      last session (its address or IPv6 network) */
    L4_EVENT_PORTLESS, /* a connect found no free local port */
    L4_EVENT_ENGINE,   /* a: slot of a rule whose engine has begun to fail, or is well again; b: its
                          status << 8 | enum l4_icap_fault, 0: it is well */
};

struct l4_event {
    uint64_t at_ms; /* CLOCK_MONOTONIC */
    uint32_t kind;
    uint32_t a;
    uint64_t b;
};

/* A ring with one writer and one reader; its number of places is a power of two. See shm/ring.h.
 * Heads and tails only grow. */
struct l4_ring {
    alignas(64) _Atomic uint64_t head; /* writer: entries put so far */
    _Atomic uint64_t dropped;          /* writer: entries dropped because the ring was full */
    alignas(64) _Atomic uint64_t tail; /* reader: entries taken so far */
};

struct l4_worker {
    _Atomic uint32_t pid;           /* supervisor */
    _Atomic uint32_t cpu;           /* supervisor; L4_NONE: not pinned */
    _Atomic uint32_t state;         /* worker: enum l4_worker_state */
    _Atomic uint32_t capacity;      /* worker: sessions that its descriptors allow */
    _Atomic uint32_t sessions_high; /* worker: one past the highest session row ever used */
    _Atomic uint64_t restarts;      /* supervisor */
    _Atomic uint64_t secrets;       /* worker: generation of its certificates in force */
    _Atomic uint64_t lost; /* supervisor, and the worker at its start: sessions that died with a
                              process of this row */
    _Atomic uint64_t started_ms; /* supervisor: CLOCK_MONOTONIC */

    _Atomic uint32_t held;         /* worker: session rows in use, of TCP and UDP */
    _Atomic uint32_t udp_capacity; /* worker: UDP sessions that its descriptors allow */
    _Atomic uint32_t flows_high;   /* worker: one past the highest UDP session row ever used */
    _Atomic uint32_t hung;         /* supervisor: 1: the worker gives no sign of life */

    alignas(64) _Atomic uint64_t ops; /* worker: odd while it changes a shared count; shm/count.h */
    _Atomic uint32_t active;          /* worker: clients connected to it, its part of connections */
    _Atomic uint32_t udp_active;      /* worker: its part of udp_sessions */
    _Atomic uint32_t paused;          /* worker: 1 while it does not accept */
    _Atomic uint64_t accepted;        /* worker */
    _Atomic uint64_t turns;           /* worker: iterations of its event loop */
    _Atomic uint64_t beat_ms;         /* worker: CLOCK_MONOTONIC of its last iteration */
    _Atomic uint64_t ended[L4_REASON_COUNT]; /* worker: ended sessions by enum l4_reason */
    _Atomic uint64_t shed_asked; /* all: number of sessions that another worker asks this one to
                                    end, below their source's hash; run/shed.h */
    _Atomic uint64_t uncounted;  /* worker: clients that were not counted, because the table of
                                    sources was full */
    _Atomic uint64_t portless;   /* worker: connects that found no free local port */

    struct l4_ring command_ring; /* supervisor puts, worker takes */
    struct l4_command commands[L4_COMMANDS];
    struct l4_ring event_ring; /* worker puts, supervisor takes */
    struct l4_event events[L4_EVENTS];
};

/* One worker's counts of one backend. Only that worker writes them. */
struct l4_column {
    alignas(64) _Atomic uint64_t total; /* sessions that reached the backend */
    _Atomic uint64_t connect_errors;    /* attempts that failed or timed out */
    _Atomic uint64_t bytes_in;          /* from clients */
    _Atomic uint64_t bytes_out;         /* to clients */
    _Atomic uint64_t resets;            /* sessions that the backend reset */
    _Atomic uint32_t active;            /* this worker's part of inflight */
    _Atomic uint32_t owed;              /* this worker's part of the backend's owed */
};

/* One worker's counts of one listener. Only that worker writes them. */
struct l4_tally {
    _Atomic uint64_t accepted;
    _Atomic uint64_t refused; /* clients whose session ended before it reached a backend */
    _Atomic uint32_t active;
    _Atomic uint64_t ended[L4_REASON_COUNT]; /* ended sessions by enum l4_reason */
    _Atomic uint32_t counted;   /* this worker's part of the inflight of the listener */
    _Atomic uint64_t slowed[2]; /* sessions slowed by a bandwidth limit; in dry run */
    _Atomic uint64_t dry_run[L4_REJECTED_COUNT]; /* clients that would have been turned away */
};

/* What must still be read from a client before the pick, in this order, and how it is awaited. */
enum l4_wants {
    L4_WANTS_PROXY = 1 << 0, /* the client's address is not known before */
    L4_WANTS_HELLO = 1 << 1,
    L4_WANTS_QUIET = 1 << 2, /* the kernel wakes the session only when enough bytes have come */
    L4_WANTS_BEGUN = 1 << 3  /* a ClientHello that no choice needs has begun */
};

/* Whether a session speaks HTTP, and whether a request of its client is in progress; or is a tunnel
 * that its client has asked for. */
enum l4_speaks { L4_NO_HTTP, L4_HTTP_RESTS, L4_HTTP_ASKS, L4_HTTP_TUNNELS };

/* Counts that a session must give back at its end. */
enum l4_holds {
    L4_HOLDS_LISTENER = 1 << 0,
    L4_HOLDS_SOURCE = 1 << 1,
    L4_HOLDS_USER = 1 << 2 /* one of its user's connections: http/user_limits.h */
};

/* The whole state of a session. Only its worker writes. Others may read it while it changes; they
 * use it if serial was not 0, and was equal before and after. */
struct l4_session {
    _Atomic uint32_t serial; /* 0: free; else the number of this use of the row */
    _Atomic uint32_t state;
    uint32_t listener;
    uint32_t pool;
    uint32_t backend; /* L4_NONE: no backend now */
    struct l4_addr client;
    struct l4_half half[2];     /* by enum l4_side */
    _Atomic uint64_t bytes[2];  /* read from the client, from the backend */
    _Atomic uint64_t active_ms; /* CLOCK_MONOTONIC of the last byte read or delivered */
    uint64_t started_us;        /* CLOCK_MONOTONIC of its accept */
    union {
        uint64_t turn;       /* QUEUE: its turn in the pool's queue */
        uint64_t tls_due_us; /* TLS_CLIENT: CLOCK_MONOTONIC at which its handshake may begin */
    };
    uint64_t connect_started_us; /* of the connect in progress, or of the one that succeeded */
    uint32_t connect_us;         /* duration of the connect that succeeded */
    uint32_t queue_us;           /* time in the connection queue */
    union {
        uint32_t queued_us; /* QUEUE: start of its wait, from its accept */
        uint32_t asked_us;  /* from CONNECT on: start of its wait for a first byte */
    };
    uint32_t first_byte_us; /* time from its accept to the backend's first byte; 0: none yet */
    uint32_t deadline_ms;   /* low 32 bits of CLOCK_MONOTONIC: timeout of its state */
    uint32_t next, prev;    /* neighbours in its list: run/list.h */
    uint16_t tried[L4_RETRIES_MAX + 1]; /* backends whose connect failed */
    uint8_t attempts;                   /* number of backends in tried */
    uint8_t reason;                     /* TARPIT, RESET: the reason of its end: enum l4_reason */
    uint8_t first_end;                  /* the side that closed first: enum l4_side */
    uint8_t list;                       /* the list that it is in: enum l4_list_kind */
    uint8_t half_closed : 1;            /* one side has closed, the other has not */
    uint8_t looked : 1;                 /* undelivered in its facts is valid: run/delivery.h */
    uint8_t socketless : 1;             /* PICK: this host had no socket for its last attempt */
    uint8_t http : 2;                   /* enum l4_speaks: http/exchange.h has the rest of it */
    uint8_t stream : 1; /* its client is a stream of a connection that is a session too */
    uint8_t owed;       /* the session waits for the backend's first byte: run/first_byte.h */
    uint8_t accounted;  /* its end has been counted and logged: run/account.h */
    int32_t error;      /* errno of its end, or 0 */
    uint64_t name_hash; /* hash of the server name by the header's hash_key; 0: none */
    uint8_t known;      /* enum l4_facts_known: the valid fields of its facts */
    uint8_t wants;      /* enum l4_wants */
    uint8_t holds;      /* enum l4_holds */
    uint8_t paced;      /* enum l4_paced: run/shaping.h */
    uint32_t source;    /* its entry in the table of sources, if it has one */
};

_Static_assert(sizeof(struct l4_session) <= 192, "a session is small");
_Static_assert(sizeof(struct l4_column) == 64, "a column row is one cache line");
_Static_assert(L4_BACKENDS_MAX <= 65535 && L4_SLOTS_MAX <= 65536, "slots hold 16 bits");

#endif

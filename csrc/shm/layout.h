/* THE shared table: the one description of all that two processes both know.
 *
 * One anonymous shared memory made before the first fork. A header, then arrays of fixed-size rows
 * whose capacities are chosen at start (struct l4_caps); nothing in it is a pointer, rows are found
 * by index (shm/table.h). Untouched rows cost no memory.
 *
 * Who writes: each field has one writing process, named in its comment, or is an atomic that all
 * add to ("all"). Fields that change while others read are _Atomic even where one writes. Rows
 * written often have their own cache line. Any process may die at any instruction: what a worker
 * counts lies in its own column, and whoever restarts it takes that back exactly (shm/count.h).
 *
 *   header | listeners | pools | views (members + schedule) | backends
 *          | workers | columns (worker x backend) | tallies (worker x listener) | sessions
 *          | seen, ledgers, logs (shm/seen.h) | traces (shm/trace.h)
 *          | sources | source parts (worker x source) | talkers (one a worker) | blocks
 *          | facts (one a session) | routes, sets of networks (two halves each) | waits (worker x
 * pool, shm/queue.h) | flows and UDP tallies (shm/udp.h)
 *          | shakes (shm/shakes.h; worker x (listeners + pools)) | sticky entries (shm/sticky.h)
 *
 * why: long for a header: it is one description, and cutting it would hide the whole.
 *
 * The last worker row, l4_table_book, has no process: there the supervisor keeps what was counted
 * by the program that this one replaced.
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
#include "shm/edge.h"
#include "shm/egress.h"
#include "shm/health.h"
#include "shm/queue.h"
#include "shm/secure.h"
#include "shm/state.h"
#include "shm/talkers.h"
#include "shm/udp.h"

#define L4_MAGIC          0x31656c626174346cull /* "l4table1" */
#define L4_LAYOUT_VERSION 1u

/* Capacities: written once, before the fork. */
struct l4_caps {
    uint32_t workers;
    uint32_t listeners;
    uint32_t pools;
    uint32_t backends; /* over all pools */
    uint32_t sessions; /* per worker, TCP */
    uint32_t flows;    /* per worker: UDP sessions, whose rows follow the TCP ones */
    uint32_t sticky;   /* over all pools; 0: none, else a multiple of L4_STICKY_WAYS */
};

/* Where everything is: constant from the table's first moment on. Each process works by a private
 * copy of it (struct l4_table), so that no other process, whatever has become of that, can lead it
 * out of the table. In the table it has pages of its own, which are mapped for reading only. */
struct l4_plan {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes;
    struct l4_caps caps;
    uint64_t bytes; /* of the whole table */
    uint64_t listeners_at, pools_at, views_at, backends_at, workers_at, columns_at, tallies_at,
        sessions_at; /* offsets from the header */
    uint64_t seen_at, ledgers_at, logs_at, traces_at;
    uint64_t facts_at, routes_at, sets_at;                       /* shm/edge.h */
    uint64_t sources_at, source_parts_at, talkers_at, blocks_at; /* shm/edge.h */
    uint64_t waits_at;                                           /* shm/queue.h */
    uint64_t flows_at, udp_tallies_at;                           /* shm/udp.h */
    uint64_t shakes_at;                                          /* shm/shakes.h */
    uint64_t sticky_at;                                          /* shm/sticky.h */
    uint64_t view_bytes; /* of one view, its arrays included */
};

struct l4_header {
    union {
        struct l4_plan plan;
        char pages[L4_PAGE_BYTES];
    };

    _Atomic uint64_t generation;       /* supervisor: of the configuration, from 1 */
    _Atomic uint32_t workers_high;     /* supervisor: one past the highest worker index ever used */
    _Atomic uint32_t backends_high;    /* supervisor: the same of backends */
    _Atomic uint32_t max_connections;  /* supervisor: of all workers together */
    _Atomic uint64_t drain_timeout_ms; /* supervisor: of workers that it leaves alone */
    _Atomic uint32_t checker_pid;      /* supervisor */
    _Atomic uint64_t checker_beat_ms;  /* checker: CLOCK_MONOTONIC of its last sign of life */
    _Atomic uint32_t sources_used;     /* all: 1 once a source was counted */
    _Atomic uint32_t blocks;           /* supervisor: rows of blocked sources, for who shows them */
    _Atomic uint32_t sets_generation;  /* supervisor */
    struct l4_verdict block_verdict[2]; /* by the low bit of the value in the set of blocks */
    _Atomic uint32_t tarpit_ms;         /* supervisor: how long a tarpit holds a client */
    _Atomic uint32_t routes_generation; /* supervisor: its low bit is the half of routes in force */
    struct l4_hash_key hash_key;        /* supervisor, before the fork: of every hash of a client */

    _Atomic uint32_t max_udp_sessions;  /* supervisor: of all workers together */
    _Atomic uint32_t udp_share_percent; /* supervisor: of a worker's descriptors, at most */
    _Atomic uint32_t udp_seed;          /* supervisor, before the fork: of core/steer.h */
    _Atomic uint32_t shed_idle_ms;  /* supervisor: who has been idle for so long may be ended when
                                       others find no room; 0: nobody is */
    _Atomic uint32_t shed_at_limit; /* supervisor: 1: at max_connections too */

    alignas(64) _Atomic uint32_t connections; /* all: clients admitted and not yet ended */
    _Atomic uint32_t udp_sessions;            /* all: UDP sessions not yet ended */
};

/* ---- what is configured: the supervisor writes ---------------------------------------------- */

enum l4_protocol { L4_TCP, L4_UDP };

struct l4_listener { /* one row an address bound; several share a name */
    _Atomic uint32_t used;
    uint32_t pool;
    char name[L4_NAME_MAX + 1];
    char bind[L4_PATH_MAX + 8]; /* as users wrote it, port ranges expanded */
    uint8_t protocol;           /* enum l4_protocol */
    struct l4_edge edge;
    struct l4_udp_door udp;
    struct l4_secure_rule secure;
};

enum l4_balance { /* csrc/core/pick.c has the row for each */
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
    L4_KEY_QUIC /* without an id that names a backend: like SOURCE_IP_PORT */
};

struct l4_key_rule {          /* what of a client is hashed */
    _Atomic uint32_t kind;    /* enum l4_key_kind */
    _Atomic uint32_t prefix4; /* bits of an IPv4 source address that count, 0..32 */
    _Atomic uint32_t prefix6; /* of an IPv6 one, 0..128 */
};

struct l4_sticky_rule {        /* of a pool; supervisor */
    struct l4_key_rule key;    /* what a client is known by */
    _Atomic uint32_t ttl_ms;   /* how long after its last session; 0: not at all */
    _Atomic uint32_t in_drain; /* 1: a draining backend still gets the clients that belong to it */
};

enum l4_all_down { L4_REFUSE, L4_TRY_ALL };

struct l4_pool {
    _Atomic uint32_t used;
    char name[L4_NAME_MAX + 1];
    struct l4_egress egress;
    _Atomic uint32_t balance;
    _Atomic uint32_t all_down;
    _Atomic uint32_t retries;
    _Atomic uint32_t connect_timeout_ms;
    _Atomic uint32_t idle_timeout_ms;
    _Atomic uint32_t half_closed_timeout_ms;

    _Atomic uint32_t send_proxy; /* version of the PROXY header its backends get; 0: none */
    _Atomic uint32_t proxy_tlvs; /* enum l4_proxy_tlvs */

    /* Two views; the low bit of view_generation says which one is in force. A reader that finds
     * the generation changed after it has read a view reads again. */
    _Atomic uint32_t view_generation;

    _Atomic uint32_t max_connections;      /* supervisor: 0 none */
    struct l4_key_rule hash_rule;          /* of ip_hash and maglev */
    _Atomic uint32_t hash_balance_percent; /* a backend's load against the mean's; 0: no bound */
    _Atomic uint32_t maglev_size;          /* slots, a prime; 0: no table is built */
    _Atomic uint32_t all_backups;   /* 1: share among backups; 0: the first usable one serves */
    _Atomic uint32_t tls_profile;   /* settings of TLS to its backends; 0: none */
    _Atomic uint32_t slow_start_ms; /* 0: a backend that returns has its whole weight at once */

    struct l4_udp_manners udp;

    alignas(64) _Atomic uint64_t ticket; /* all: turns taken so far */
    _Atomic uint32_t inflight;           /* all, through shm/count.h: sessions of its backends */

    struct l4_passive_rule passive;
    struct l4_queue queue;
    struct l4_sticky_rule sticky;
};

/* A pool's members, its round-robin schedule (core/schedule.h) and its Maglev table
 * (core/maglev.h), built off the hot path. Followed by uint16_t members[caps.backends], then
 * slots[L4_SLOTS_MAX], then maglev[L4_MAGLEV_MAX]: backend indexes all.
 */
struct l4_view {
    uint32_t members;
    uint32_t slots;
    uint32_t maglev;
    uint32_t weights;      /* sum of the members' weights */
    uint64_t first_ticket; /* the pool's ticket when this view came into force: its slot 0 */
};

enum l4_state { L4_READY, L4_DRAIN, L4_MAINT };

enum l4_health { L4_UNKNOWN, L4_UP, L4_DOWN };

enum l4_backend_flags { L4_BACKUP = 1 };

struct l4_backend {
    _Atomic uint32_t used; /* supervisor: 0 none, else counts how often this row was given */
    uint32_t pool;         /* supervisor, before used */
    struct l4_addr addr;   /* supervisor; while used, read it by l4_table_target */
    char name[L4_NAME_MAX + 1];
    char path[L4_PATH_MAX + 1];   /* of a unix backend; as addr */
    _Atomic uint32_t address_seq; /* supervisor: odd while it changes addr and path */
    uint32_t uses; /* supervisor: how often this row was given, also while used is 0 */
    struct l4_server_id server_id; /* supervisor, before used: in QUIC connection ids */

    /* checker: its word on this backend. Readers of several fields use check_seq (odd: being
     * written). */
    alignas(64) _Atomic uint32_t check_seq;
    _Atomic uint32_t check_result; /* enum of the checker's, 0: never checked */
    _Atomic uint32_t check_errno;
    _Atomic uint32_t check_streak; /* equal results in a row */
    _Atomic uint64_t check_at_ms;  /* CLOCK_MONOTONIC of the last result */
    _Atomic uint64_t check_duration_us;
    _Atomic uint64_t checks_passed;
    _Atomic uint64_t checks_failed;
    _Atomic uint64_t health_since_ms; /* CLOCK_MONOTONIC of the last change of health */
    _Atomic uint64_t up_since_ms;     /* of the last return from down; 0: it never was down */

    struct l4_passive passive;
    struct l4_check_words words;

    /* read by every pick */
    alignas(64) _Atomic uint32_t state; /* supervisor: enum l4_state */
    _Atomic uint32_t weight;            /* supervisor: 0..L4_WEIGHT_MAX */
    _Atomic uint32_t max_connections;   /* supervisor: 0 none */
    _Atomic uint32_t flags;             /* supervisor: enum l4_backend_flags */
    _Atomic uint32_t health;            /* checker: enum l4_health */
    _Atomic uint32_t inflight;          /* all, through shm/count.h: sessions of all workers */
    _Atomic uint64_t response;          /* all: response time and its age; core/response.h */
    _Atomic uint64_t ready_since_ms;    /* supervisor: when it was added or made ready while the
                                           service ran; 0: it was there from the start */
    _Atomic uint64_t ejected_until_ms;  /* ejector, checker: CLOCK_MONOTONIC; core/passive.h */
    _Atomic uint32_t owed;            /* all, through shm/count.h: sessions without a first byte */
    _Atomic uint32_t silent_since_ms; /* all: low 32 bits of CLOCK_MONOTONIC: of its last first
                                         byte, or since when it owes one */
    _Atomic int32_t weight_change;    /* checker: percent more or less of its weight */
};

/* ---- what a worker writes -------------------------------------------------------------------- */

enum l4_worker_state { L4_WORKER_OFF, L4_WORKER_RUNS, L4_WORKER_DRAINS };

enum l4_command_op {               /* from the supervisor to a worker */
                     L4_CMD_DRAIN, /* take what is queued, then no more; exit when the last session
                                      ends */
                     L4_CMD_STOP,  /* end every session with `reason` and exit */
                     L4_CMD_KILL,  /* the session `slot` if its `serial` is still the same */
                     L4_CMD_KILL_BACKEND, /* every session of backend `slot` */
                     L4_CMD_SECRETS,      /* the vault has changed: run/vault.h */
                     L4_CMD_RECOUNT,      /* what limits count has changed: run/admission.h */
};

struct l4_command {
    uint32_t op;
    uint32_t slot;
    uint32_t serial;
    uint32_t reason;
};

enum l4_event_kind {                          /* from a worker to the supervisor */
                     L4_EVENT_ACCEPT_PAUSED,  /* a: errno (0: own limit), b: sessions held */
                     L4_EVENT_ACCEPT_RESUMED, /* b: sessions held */
                     L4_EVENT_DRAINED,        /* nothing is accepted any more; b: sessions held */
                     L4_EVENT_SECRETS_LOADED, /* b: generation of the certificates in force */
                     L4_EVENT_SECRETS_FAILED, /* a: errno; what was in force stays */
                     L4_EVENT_UNLISTENED,     /* a: listener row; b: the supervisor's number */
                     L4_EVENT_HANDED,         /* a: the hand's number, b: sessions that moved */
                     L4_EVENT_SHED, /* a: family << 24 | sessions shed since the last such event,
                                       b: the source of the last (its address or IPv6 network) */
                     L4_EVENT_PORTLESS, /* connects find no free local port */
};

struct l4_event {
    uint64_t at_ms; /* CLOCK_MONOTONIC */
    uint32_t kind;
    uint32_t a;
    uint64_t b;
};

/* One writer, one reader, a power of two of places; see shm/ring.h. Heads and tails only grow. */
struct l4_ring {
    alignas(64) _Atomic uint64_t head; /* the writer's: entries ever put */
    _Atomic uint64_t dropped;          /* the writer's: entries that found no place */
    alignas(64) _Atomic uint64_t tail; /* the reader's: entries ever taken */
};

struct l4_worker {
    _Atomic uint32_t pid;           /* supervisor */
    _Atomic uint32_t cpu;           /* supervisor; L4_NONE: not pinned */
    _Atomic uint32_t state;         /* worker: enum l4_worker_state */
    _Atomic uint32_t capacity;      /* worker: sessions it can hold with its descriptors */
    _Atomic uint32_t sessions_high; /* worker: one past the highest session row ever used */
    _Atomic uint64_t restarts;      /* supervisor */
    _Atomic uint64_t secrets;       /* worker: generation of its certificates */
    _Atomic uint64_t
        lost; /* supervisor, worker at its start: sessions that died with a process of this row */
    _Atomic uint64_t started_ms; /* supervisor: CLOCK_MONOTONIC */

    _Atomic uint32_t held;         /* worker: session rows that are not free, of TCP and UDP */
    _Atomic uint32_t udp_capacity; /* worker: UDP sessions it can hold */
    _Atomic uint32_t flows_high;   /* worker: one past the highest UDP session row ever used */
    _Atomic uint32_t hung;         /* supervisor: 1: it gives no sign of life */

    alignas(64) _Atomic uint64_t ops; /* worker: odd while it changes a shared count; shm/count.h */
    _Atomic uint32_t active;          /* worker: clients it holds, its part of connections */
    _Atomic uint32_t udp_active;      /* worker: its part of udp_sessions */
    _Atomic uint32_t paused;          /* worker: 1 while it does not accept */
    _Atomic uint64_t accepted;        /* worker */
    _Atomic uint64_t turns;           /* worker: of its loop */
    _Atomic uint64_t beat_ms;         /* worker: CLOCK_MONOTONIC of its last turn */
    _Atomic uint64_t ended[L4_REASON_COUNT]; /* worker: sessions by enum l4_reason */
    _Atomic uint64_t shed_asked; /* all: sessions that another worker asks this one to end, below
                                    their source's hash; run/shed.h */
    _Atomic uint64_t uncounted;  /* worker: clients whose source found no place to be counted in */
    _Atomic uint64_t portless;   /* worker: connects that found no free local port */

    struct l4_ring command_ring; /* supervisor puts, worker takes */
    struct l4_command commands[L4_COMMANDS];
    struct l4_ring event_ring; /* worker puts, supervisor takes */
    struct l4_event events[L4_EVENTS];
};

struct l4_column {                      /* one worker's counts of one backend */
    alignas(64) _Atomic uint64_t total; /* sessions that reached it */
    _Atomic uint64_t connect_errors;    /* attempts that failed or timed out */
    _Atomic uint64_t bytes_in;          /* from clients */
    _Atomic uint64_t bytes_out;         /* to clients */
    _Atomic uint64_t resets;            /* sessions that the backend reset */
    _Atomic uint32_t active;            /* this worker's part of inflight */
    _Atomic uint32_t owed;              /* this worker's part of owed */
};

struct l4_tally { /* one worker's counts of one listener */
    _Atomic uint64_t accepted;
    _Atomic uint64_t refused; /* accepted and ended before any backend was reached */
    _Atomic uint32_t active;
    _Atomic uint64_t ended[L4_REASON_COUNT]; /* by enum l4_reason */
    _Atomic uint32_t counted;   /* this worker's part of the listener's inflight, where it is */
    _Atomic uint64_t slowed[2]; /* sessions held back by a limit of bandwidth; in dry run */
    _Atomic uint64_t dry_run[L4_REJECTED_COUNT]; /* who would have been turned away */
};

/* What is still to be read of a client before the pick, in this order, and how it is waited for. */
enum l4_wants {
    L4_WANTS_PROXY = 1 << 0, /* until it was read, nobody knows where the client comes from */
    L4_WANTS_HELLO = 1 << 1,
    L4_WANTS_QUIET = 1 << 2, /* the kernel wakes the session only for enough bytes */
    L4_WANTS_BEGUN = 1 << 3  /* a hello that nothing is chosen by has begun */
};

/* Places that a session has to give back at its end. */
enum l4_holds { L4_HOLDS_LISTENER = 1 << 0, L4_HOLDS_SOURCE = 1 << 1 };

/* A session's whole state. Written by its worker only; others may read it while it changes, and
 * trust what they read if serial was not 0 and the same before and after. */
struct l4_session {
    _Atomic uint32_t serial; /* 0: free; else the number of this use of the row */
    _Atomic uint32_t state;
    uint32_t listener;
    uint32_t pool;
    uint32_t backend; /* L4_NONE: none now */
    struct l4_addr client;
    struct l4_half half[2];    /* by enum l4_side */
    _Atomic uint64_t bytes[2]; /* read from the client, from the backend */
    _Atomic uint64_t
        active_ms;       /* CLOCK_MONOTONIC of the last bytes read, or seen to be delivered */
    uint64_t started_us; /* CLOCK_MONOTONIC of its accept */
    union {
        uint64_t turn;       /* QUEUE: in its pool's queue */
        uint64_t tls_due_us; /* TLS_CLIENT: its handshake begins not before; CLOCK_MONOTONIC */
    };
    uint64_t connect_started_us; /* of the attempt in progress or that succeeded */
    uint32_t connect_us;         /* how long the one that succeeded took */
    uint32_t queue_us;           /* how long it waited for a place at a backend */
    union {
        uint32_t queued_us; /* QUEUE: after its accept: since when it waits */
        uint32_t asked_us;  /* from CONNECT on: ... since when it waits for the first byte */
    };
    uint32_t first_byte_us; /* from its accept to the backend's first byte; 0: none yet */
    uint32_t deadline_ms;   /* low 32 bits of CLOCK_MONOTONIC: end of the wait of its state */
    uint32_t next, prev;    /* in the list that it is in: run/list.h */
    uint16_t tried[L4_RETRIES_MAX + 1]; /* backends whose connect failed */
    uint8_t attempts;                   /* how many of tried are set */
    uint8_t reason;                     /* TARPIT, RESET: why it will end: enum l4_reason */
    uint8_t first_end;                  /* the side that ended first: enum l4_side */
    uint8_t list;                       /* that it is in: enum l4_list_kind */
    uint8_t half_closed : 1;            /* one side has ended, the other not yet */
    uint8_t looked : 1;                 /* undelivered of its facts holds: run/delivery.h */
    uint8_t socketless : 1;             /* PICK: this host had no socket for its last attempt */
    uint8_t owed;                       /* its backend owes it a first byte: run/first_byte.h */
    uint8_t accounted;                  /* its end has been told: run/account.h */
    int32_t error;                      /* errno behind reason, or 0 */
    uint64_t name_hash; /* of the server name asked for, by the header's hash_key; 0: none */
    uint8_t known;      /* what of its facts is valid: enum l4_facts_known */
    uint8_t wants;      /* enum l4_wants */
    uint8_t holds;      /* enum l4_holds */
    uint8_t paced;      /* enum l4_paced: run/shaping.h */
    uint32_t source;    /* its place in the table of sources, if it holds one */
};

_Static_assert(sizeof(struct l4_session) <= 192, "a session is small");
_Static_assert(sizeof(struct l4_column) == 64, "a column row is one cache line");
_Static_assert(L4_BACKENDS_MAX <= 65535 && L4_SLOTS_MAX <= 65536, "slots hold 16 bits");

#endif

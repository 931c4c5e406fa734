/* Every limit of the C side, by name, in one place.
 *
 * why: long for a header: the one place is what it is for.
 *
 * The table's capacities (how many pools, backends, ...) are chosen at start from the configuration
 * and live in struct l4_caps; the numbers here are the ceilings of those and all fixed sizes.
 */
#ifndef L4_BASE_BOUNDS_H
#define L4_BASE_BOUNDS_H

enum l4_bounds {
    L4_PAGE_BYTES = 65536, /* the largest page of any kernel that is met (arm64) */
    L4_NAME_MAX = 64,      /* bytes of a pool, listener or backend name, without its NUL */
    L4_PATH_MAX = 107,     /* bytes of a unix socket path, without its NUL: sun_path */
    L4_WORKERS_MAX = 65,   /* rows: 64 workers and the supervisor's book (shm/layout.h) */
    L4_LISTENERS_MAX = 4096,
    L4_POOLS_MAX = 1024,
    L4_BACKENDS_MAX = 16384,   /* over all pools; an index and a schedule slot fit 16 bits */
    L4_SESSIONS_MAX = 1 << 20, /* per worker */
    L4_FLOWS_MAX = 1 << 20,    /* UDP sessions per worker */
    L4_WEIGHT_MAX = 256,
    L4_SLOTS_MAX = 65536,      /* of one pool's round-robin schedule; see core/schedule.h */
    L4_MAGLEV_MAX = 655373,    /* slots of one pool's Maglev table */
    L4_RESPONSE_HALF_MS = 750, /* half-life of a response time */
    L4_FIRST_BYTE_PATIENCE_MS =
        5000,                   /* a session owed an answer for this long is no longer counted */
    L4_RESPONSE_FLOOR_US = 500, /* added to each response time that is compared: noise, mostly */
    L4_HASH_TRIES = 64,         /* slots one key looks at before it takes any usable backend */
    L4_RANDOM_TRIES = 16,
    L4_SLOW_PASSES = 96,  /* turns of slowly starting backends one pick of round_robin passes */
    L4_RESET_PREFIX = 64, /* bits of an IPv6 address that are one source to passive health */
    L4_RETRIES_MAX = 8,   /* other backends one session tries after its first */
    L4_STEPS_MAX = 64,    /* states that one session goes through in one go: run/session.c */
    L4_SEQ_TRIES = 1000,  /* reads of what is being written before one takes what is there */
    L4_PICK_ROUNDS = 64,  /* attempts of one pick to win a race before it gives up */

    L4_STICKY_MAX = 1 << 22, /* sticky entries of all pools */
    L4_STICKY_WAYS = 16,     /* of one bucket: a new entry takes the oldest place of one */
    L4_QUEUE_MAX = 65536,    /* clients that may wait for one pool */
    L4_QUEUE_LOOK_MS = 100,  /* how often the first in a queue looks for what nobody tells it */
    L4_ACCEPT_BATCH = 16,    /* connections taken from one listener a turn: sessions wait for it */
    L4_BACKLOG = 4096,       /* asked for each listening socket's queue */
    L4_EVENTS_BATCH = 256,   /* events taken from epoll a turn */
    /* why: a TLS client's hello follows its handshake at once; a client of a protocol in which the
     * server speaks first must not notice that somebody looks for one. */
    L4_HELLO_WAIT_MS = 100,
    L4_ACCEPT_PAUSE_MS = 100,    /* how long a failed accept keeps the listeners quiet, at most */
    L4_SOURCES_MAX = 64,         /* local addresses of one pool */
    L4_PORTLESS_TELL_MS = 10000, /* the supervisor is told once in so long that ports are out */
    L4_SOURCE_TRIES = 4,         /* ... of which one connect tries so many that have no port left */
    L4_INTERFACE_MAX = 15,       /* bytes of an interface's name, without its NUL: IFNAMSIZ */
    L4_SHED_LOOK = 512,          /* session rows one look for idle sessions reads; run/shed.h */
    L4_SHED_BATCH = 32,          /* ... and the most that it ends */
    L4_SHED_WAIT_MS = 5,         /* how long another worker has to end some of its own */
    L4_SHED_TELL_MS = 1000,      /* how often the supervisor is told of it, at most */
    L4_PORT_BLOCK = 64,          /* local ports one connect searches; io/ports.h */
    L4_PORT_BLOCK_USES = 48,     /* connects from one block before the next */
    L4_PORT_BLOCKS_MIN = 8,      /* with fewer, connect searches all ports */
    L4_RESOURCE_RETRY_MS = 20,   /* a session that got no socket for its backend asks again */
    L4_DRAIN_LOOK_MS = 5, /* a session whose last bytes are still on their way is looked at this
                             soon, ... */
    L4_DRAIN_LOOK_MAX_MS = 500,   /* ... and at least this often */
    L4_DRAIN_PATIENCE_MS = 10000, /* how long none of them may leave before the session is cut */

    L4_SCRATCH_BYTES = 128 << 10, /* one receive in copy mode; one buffer a worker */
    L4_BULK_BYTES = 32 << 10,     /* a receive this large turns the direction to splice */
    L4_THIN_BYTES = 8 << 10,      /* a splice smaller than this turns it back to copy */
    L4_PIPE_BYTES = 1 << 20,      /* asked for the first L4_PIPES_LARGE pipes */
    L4_PIPES_LARGE = 16, /* per worker: a user may have 64 MiB of pipes without privilege */
    L4_PIPE_SMALL_BYTES = 256 << 10, /* asked for the others; less is still used down to ... */
    L4_PIPE_MIN_BYTES = 128 << 10,   /* ... this: it must hold what one receive could not send */
    L4_PIPES_MAX = 2048,             /* per worker */
    L4_PIPES_SPARE = 64,             /* idle pipes a worker keeps; more than this are closed */
    L4_SEGMENT_BYTES = 512,          /* a send this small surely fits one TCP segment */
    L4_TURN_BYTES = 1 << 20, /* one direction of one session moves no more than this a turn */

    L4_MAILS_A_TURN = 64, /* messages of the supervisor's that a worker takes a turn */
    L4_HANDOVERS = 72,    /* other workers one hands sessions to or takes them from at one time */
    L4_HANDOVER_WINDOW = 64,    /* sessions offered to one of them and not yet answered */
    L4_HANDOVER_RETRY_MS = 100, /* a worker that leaves offers again what could not move before */

    L4_FDS_RESERVED = 24,     /* descriptors a worker never gives to a session or a pipe */
    L4_COMMANDS = 256,        /* places in the ring from the supervisor to a worker */
    L4_EVENTS = 256,          /* places in the ring from a worker to the supervisor */
    L4_LOG_PLACES = 8192,     /* ended sessions one worker's log holds until they are written */
    L4_LOG_LINE_MAX = 2048,   /* bytes of one line of the access log */
    L4_TRACES = 256,          /* picks that are kept of one worker */
    L4_CANDIDATES = 8,        /* backends that are kept of one pick */
    L4_BUCKETS = 29,          /* of a histogram */
    L4_TCP_FACTS_EVERY = 8,   /* of so many sessions the kernel is asked about one at its end */
    L4_WHEEL_SLOTS = 2048,    /* of the timer wheel, a power of two */
    L4_UDP_BATCH = 64,        /* messages of one recvmmsg or sendmmsg */
    L4_UDP_BYTES = 65536,     /* place for one message: no datagram is larger */
    L4_UDP_TURN_BATCHES = 4,  /* batches taken from one listener a turn */
    L4_UDP_REPLIES = 32,      /* messages taken from one session's backend a turn */
    L4_UDP_SEGMENTS = 64,     /* datagrams of one send with UDP_SEGMENT: the least that kernels
                                 take */
    L4_UDP_RUN_BYTES = 65000, /* ... and their bytes, below what an IP packet holds */
    L4_UDP_YOUNG_SHARE = 8,   /* one in so many sessions may always be of unproven clients */
    L4_FLOOD_LOOK_MS = 50,    /* how often the queue of a listener that is behind is looked at */
    L4_UDP_OPENS = 4,         /* new clients of one batch that are let in during a flood */
    L4_UDP_SWEEP_MS = 1000,   /* how often sessions of backends that are down are looked for */
    L4_UDP_HOLD_MS = 1000,    /* how long UDP clients wait for the sessions of a worker before */
    L4_UDP_GHOST_MS = 500,    /* how long a session that was handed over is still served here too */
    L4_UDP_ERRORS = 16,       /* queued errors read from one session's socket at a time */
    L4_SERVER_ID_MAX = 15,    /* bytes of a server id in a QUIC connection id */

    L4_WHEEL_TICK_MS = 16,
    L4_HELLO_NAME_MAX = 255,       /* bytes of a server name, without its NUL */
    L4_TLS_VERSION_MAX = 7,        /* ... of a TLS version's, such as TLSv1.3 */
    L4_CIPHER_MAX = 47,            /* ... of a cipher's */
    L4_LOG_ALPN_MAX = 63,          /* ... of a protocol's name in the access log */
    L4_ALPN_MAX = 255,             /* bytes of one protocol's name (RFC 7301) */
    L4_ALPN_LIST_MAX = 256,        /* ... of the list of those that a session keeps */
    L4_HELLO_BYTES_MAX = 68 << 10, /* a ClientHello of 64 KiB with its records' headers */
    L4_PPV_BYTES_MAX = 4096,       /* of a PROXY header, either way */
    L4_TLVS_MAX = 1024,            /* bytes of received TLVs that a session keeps */
    L4_SETS_MAX = 1024,            /* sets of networks */
    L4_SETS_BYTES = 96 << 20,      /* of one half of them; untouched it costs nothing */
    L4_PREFIXES_MAX = 2 << 20,     /* networks in all sets together */
    L4_SOURCE_GROUPS = 1 << 14,    /* of the table of sources, each with ... */
    L4_SOURCE_WAYS = 8,            /* ... so many places */
    L4_PACE_TURN_MS = 50,          /* a paced session moves what this time allows, then waits */
    L4_PACE_BYTES_MIN = 1460,      /* ... but at least so much at a time */
    L4_TALKERS = 64,               /* sources one worker keeps in its sketch of the busiest */
    L4_TALKERS_HALF_MS = 30000,    /* half-life of their weights */
    L4_BLOCKS_MAX = 16384,         /* sources blocked at one time */
    L4_TARPITS_MAX = 1024,         /* sessions a worker holds in its tarpit */
    L4_ROUTES_MAX = 4096,          /* over all listeners */

    L4_TLS_BYTES = 96 << 10,      /* of plain text moved at once to or from TLS: six records */
    L4_TLS_RECORD = 16 << 10,     /* plain text in one record, at most (RFC 8446, 5.1) */
    L4_TLS_FRAGMENT_MIN = 512,    /* ... where a client asks for smaller ones (RFC 6066, 4) */
    L4_TLS_OVERHEAD = 96,         /* header, IV, MAC and padding of one record, at most */
    L4_TLS_SLACK = 20 << 10,      /* what the records of L4_TLS_BYTES and an alert add, at most */
    L4_TLS_UNSENT_MAX = 32 << 10, /* of a half's own buffer of records: one of them, and answers to
                                     key updates */
    L4_TLS_FDS_MAX = 1 << 21,     /* descriptors from here on cannot speak TLS */
    L4_TLS_PROFILES_MAX = 5120,   /* TLS settings: of listeners and of pools; ids are below it */
    L4_TLS_NAMES_MAX = 65536,     /* server names of one profile */
    L4_TLS_CONTEXTS_MAX = 16384,  /* sets of certificates of one profile */
    L4_TLS_TEXT_MAX = 4096,       /* bytes of a cipher list, ALPN list or name */
    L4_TLS_HOST_MAX = 254,        /* bytes of a server name that is looked up, one more than DNS */
    L4_TLS_KEYS = 3,              /* ticket keys: the one in use, the one before, the next */
    L4_TLS_BUNDLE_MAX = 64 << 20, /* bytes of all certificates and keys */
    L4_TLS_SHAKE_TURN_US = 4000,  /* handshakes may take this long of a turn before others go on */
    L4_TLS_LOAD_TURN_US = 2000,   /* the same for loading certificates */
    L4_TLS_THRIFT_MIN = 512,      /* TLS halves at one time whose memory is worth giving back */
    L4_TLS_THRIFT_MS = 10000,     /* ... and how often that is looked for */
    L4_TLS_PLACE_RETRY_MS = 20,   /* a handshake that waits for its place asks again */
};

#define L4_NONE 0xffffffffu /* "no such row" wherever an index is kept in 32 bits */

#endif

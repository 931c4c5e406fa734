/* Every limit of the C code, with a name, in one place.
 *
 * why: long for a header, because all limits are in it.
 *
 * The capacities of the table (how many pools, backends, ...) are chosen at start from the
 * configuration; they are in struct l4_caps. The numbers here are the maxima of these capacities,
 * and all fixed sizes.
 */
#ifndef L4_BASE_BOUNDS_H
#define L4_BASE_BOUNDS_H

enum l4_bounds {
    L4_PAGE_BYTES = 65536, /* the largest page of all kernels (arm64) */
    L4_NAME_MAX = 64,      /* bytes of a pool, listener or backend name, without its NUL */
    L4_PATH_MAX = 107,     /* bytes of a unix socket path, without its NUL: sun_path */
    L4_WORKERS_MAX = 66,   /* rows: 64 workers, the packet process, the supervisor (shm/layout.h) */
    L4_LISTENERS_MAX = 4096,
    L4_POOLS_MAX = 1024,
    L4_BACKENDS_MAX = 16384,   /* over all pools; an index and a schedule slot fit 16 bits */
    L4_SESSIONS_MAX = 1 << 20, /* per worker */
    L4_FLOWS_MAX = 1 << 20,    /* UDP sessions per worker */
    L4_WEIGHT_MAX = 256,
    L4_SLOTS_MAX = 65536,      /* slots of one pool's round-robin schedule; core/schedule.h */
    L4_MAGLEV_MAX = 655373,    /* slots of one pool's Maglev table */
    L4_RESPONSE_HALF_MS = 750, /* half-life of a response time */
    L4_FIRST_BYTE_PATIENCE_MS = 5000, /* how long a session counts as waiting for its first byte */
    L4_RESPONSE_FLOOR_US = 500, /* added to each response time that is compared, to hide noise */
    L4_HASH_TRIES = 64,         /* slots that one key tries before it takes any usable backend */
    L4_RANDOM_TRIES = 16,
    L4_SLOW_PASSES = 96,  /* slots of slowly starting backends that one round_robin pick skips */
    L4_RESET_PREFIX = 64, /* bits of an IPv6 address that make one source */
    L4_RETRIES_MAX = 8,   /* other backends that one session tries after its first */
    L4_STEPS_MAX = 64,    /* states that one session goes through at one event: run/session.c */
    L4_SEQ_TRIES = 1000,  /* reads of a row under change before the reader takes it as it is */
    L4_PICK_ROUNDS = 64,  /* attempts of one pick to win a race against other workers */

    L4_STICKY_MAX = 1 << 22, /* sticky entries of all pools */
    L4_STICKY_WAYS = 16,     /* entries of one bucket: a new entry replaces the oldest of them */
    L4_QUEUE_MAX = 65536,    /* clients that may wait for one pool */
    L4_QUEUE_LOOK_MS = 100,  /* how often a queue's first client looks for unreported changes */
    L4_ACCEPT_BATCH = 16,    /* connections accepted from one listener in an iteration */
    L4_BACKLOG = 4096,       /* requested length of each listen queue */
    L4_EVENTS_BATCH = 256,   /* events taken from epoll in an iteration */
    /* why: a TLS client sends its ClientHello at once. A client of a protocol in which the server
     * sends first must not notice that l4lb waits for one. */
    L4_HELLO_WAIT_MS = 100,
    L4_ACCEPT_PAUSE_MS = 100,    /* longest pause of the listeners after a failed accept */
    L4_SOURCES_MAX = 64,         /* local addresses of one pool */
    L4_PORTLESS_TELL_MS = 10000, /* shortest time between two reports that no local port is free */
    L4_SOURCE_TRIES = 4,         /* local addresses without a free port that one connect tries */
    L4_INTERFACE_MAX = 15,       /* bytes of an interface's name, without its NUL: IFNAMSIZ */
    L4_SHED_LOOK = 512,      /* session rows that one search for idle sessions reads; run/shed.h */
    L4_SHED_BATCH = 32,      /* sessions that one search ends at most */
    L4_SHED_WAIT_MS = 5,     /* how long another worker has to end some of its idle sessions */
    L4_SHED_TELL_MS = 1000,  /* how often, at most, the supervisor is told of load shedding */
    L4_PORT_BLOCK = 64,      /* local ports that one connect searches; io/local_ports.h */
    L4_PORT_BLOCK_USES = 48, /* connects in one block of ports before the next block */
    L4_PORT_BLOCKS_MIN = 8,  /* with fewer blocks, connect searches all ports */
    L4_RESOURCE_RETRY_MS = 20,    /* a session without a socket for its backend retries */
    L4_DRAIN_LOOK_MS = 5,         /* how soon a session with undelivered data is looked at */
    L4_DRAIN_LOOK_MAX_MS = 500,   /* ... and at least this often */
    L4_DRAIN_PATIENCE_MS = 10000, /* no byte was delivered for this long: the session is cut off */

    L4_SCRATCH_BYTES = 128 << 10, /* one receive in copy mode; one buffer a worker */
    L4_BULK_BYTES = 32 << 10,     /* a receive this large switches the direction to splice */
    L4_THIN_BYTES = 8 << 10,      /* a splice smaller than this switches it back to copy */
    L4_PIPE_BYTES = 1 << 20,      /* requested size of the first L4_PIPES_LARGE pipes */
    L4_PIPES_LARGE = 16, /* per worker: a user may have 64 MiB of pipes without privilege */
    L4_PIPE_SMALL_BYTES = 256 << 10, /* requested size of the other pipes */
    L4_PIPE_MIN_BYTES = 128 << 10, /* smallest usable pipe: it holds the unsent part of a receive */
    L4_PIPES_MAX = 2048,           /* per worker */
    L4_PIPES_SPARE = 64,     /* idle pipes that a worker leaves open; further ones are closed */
    L4_SEGMENT_BYTES = 512,  /* a send this small surely fits one TCP segment */
    L4_TURN_BYTES = 1 << 20, /* bytes that one direction of a session moves in an iteration */

    L4_MAILS_A_TURN = 64,    /* messages of the supervisor that a worker takes in an iteration */
    L4_HANDOVERS = 72,       /* other workers that one worker exchanges sessions with at one time */
    L4_HANDOVER_WINDOW = 64, /* sessions offered to one worker and not yet answered */
    L4_LEAVE_PATIENCE_MS = 5000, /* how long a worker that leaves keeps clients that may move */
    L4_HANDOVER_RETRY_MS = 100,  /* a worker that ends offers sessions again that stayed */

    L4_FDS_RESERVED = 24,    /* descriptors that a worker never gives to a session or a pipe */
    L4_COMMANDS = 256,       /* entries of the ring from the supervisor to a worker */
    L4_EVENTS = 256,         /* entries of the ring from a worker to the supervisor */
    L4_LOG_PLACES = 8192,    /* ended sessions that one worker's log holds until they are written */
    L4_LOG_LINE_MAX = 2048,  /* bytes of one line of the access log */
    L4_TRACES = 256,         /* picks that each worker records */
    L4_CANDIDATES = 8,       /* backends that are recorded with each pick */
    L4_BUCKETS = 29,         /* buckets of a histogram */
    L4_TCP_FACTS_EVERY = 8,  /* the kernel is asked about one in this many sessions, at its end */
    L4_WHEEL_SLOTS = 2048,   /* slots of the timer wheel, a power of two */
    L4_UDP_BATCH = 64,       /* messages of one recvmmsg or sendmmsg */
    L4_UDP_BYTES = 65536,    /* buffer for one message: no datagram is larger */
    L4_UDP_TURN_BATCHES = 4, /* batches taken from one listener in an iteration */
    L4_UDP_REST_BATCHES = 256, /* batches taken from a listener that goes */
    L4_UDP_REPLIES = 32,       /* messages taken from one session's backend in an iteration */
    L4_UDP_SEGMENTS = 64,      /* datagrams of one send with UDP_SEGMENT, for all kernels */
    L4_UDP_RUN_BYTES = 65000,  /* ... and bytes of such a send, below what an IP packet holds */
    L4_UDP_YOUNG_SHARE = 8,    /* one in this many sessions may always be an unproven client's */
    L4_FLOOD_LOOK_MS = 50,     /* how often the queue of an overloaded listener is looked at */
    L4_UDP_OPENS = 4,          /* new clients of one batch that are let in during an overload */
    L4_UDP_SWEEP_MS = 1000,    /* how often sessions of backends that are down are looked for */
    L4_UDP_HOLD_MS = 1000, /* how long UDP clients wait until the previous worker has handed over */
    L4_UDP_GHOST_MS = 6000, /* how long a worker still serves a session that it has handed over */
    L4_UDP_LOOKS = 512,     /* sessions in the kernel that are looked at in an iteration */
    L4_UDP_LOOK_MS = 1000,  /* how often one is looked at */
    L4_UDP_UNANSWERED = 3, /* looks at which its client had sent and its backend had not answered */
    L4_UDP_WATCH_MS = 100, /* how often their backends are looked at */
    L4_UDP_RETRY_MS = 1000, /* from a hand-over to the kernel that failed to the next try */
    L4_UDP_ERRORS = 16,     /* queued errors read from one session's socket at a time */
    L4_SERVER_ID_MAX = 15,  /* bytes of a server id in a QUIC connection id */

    L4_WHEEL_TICK_MS = 16,
    L4_HELLO_NAME_MAX = 255,       /* bytes of a server name, without its NUL */
    L4_TLS_VERSION_MAX = 7,        /* bytes of a TLS version's name, such as TLSv1.3 */
    L4_CIPHER_MAX = 47,            /* bytes of a cipher's name */
    L4_LOG_ALPN_MAX = 63,          /* bytes of an ALPN protocol's name in the access log */
    L4_ALPN_MAX = 255,             /* bytes of one protocol's name (RFC 7301) */
    L4_ALPN_LIST_MAX = 256,        /* bytes of the list of protocols that a session keeps */
    L4_HELLO_BYTES_MAX = 68 << 10, /* a ClientHello of 64 KiB with its record headers */
    L4_PROXY_BYTES_MAX = 4096,     /* bytes of a PROXY header, received or sent */
    L4_TLVS_MAX = 1024,            /* bytes of received TLVs that a session keeps */
    L4_SETS_MAX = 1024,            /* sets of networks */
    L4_SETS_BYTES = 96 << 20,      /* bytes of one of the two copies of all sets */
    L4_PREFIXES_MAX = 2 << 20,     /* networks in all sets together */
    L4_SOURCE_GROUPS = 1 << 14,    /* groups of the table of sources */
    L4_SOURCE_WAYS = 8,            /* ... and entries of each group */
    L4_PACE_TURN_MS = 50, /* a session with a bandwidth limit moves this time's share, then waits */
    L4_PACE_BYTES_MIN = 1460,   /* ... but at least this many bytes at a time */
    L4_TALKERS = 64,            /* sources that one worker keeps in its sketch of the top talkers */
    L4_TALKERS_HALF_MS = 30000, /* half-life of their weights */
    L4_BLOCKS_MAX = 16384,      /* sources blocked at one time */
    L4_TARPITS_MAX = 1024,      /* sessions that one worker has in its tarpit */
    L4_ROUTES_MAX = 4096,       /* over all listeners */

    L4_HOST_MAX = 253,        /* bytes of the host that a request asks for: the longest DNS name */
    L4_LABEL_MAX = 63,        /* ... and of one of its labels */
    L4_PATH_MATCH_MAX = 8192, /* bytes of a request's path as routes see it */
    L4_NAMES_MAX = 1 << 24,   /* names in one list of domains: 256 MiB */
    L4_NAMES_LABELS_MAX = 32, /* ... and labels of each */
    L4_NAMES_RUN_MAX = 256,   /* places that one look-up reads for a name; core/names.h */
    L4_NAMES_LINE_MAX = 8192, /* bytes of a line in a file of such names */
    L4_HTTP_HEAD_MAX = 60 << 10,       /* bytes of one head, whatever a listener allows */
    L4_HTTP_TEXTS_BYTES = 4 << 20,     /* bytes of one of the two copies of all texts for HTTP */
    L4_HTTP_PAGE_MAX = 64 << 10,       /* bytes of one error page */
    L4_HTTP_ROUTES_MAX = 4096,         /* routes of all HTTP listeners */
    L4_HTTP_ROUTES_BYTES = 4 << 20,    /* bytes of one of the two copies of all their routes */
    L4_QUERY_VALUE_MAX = 8192,         /* bytes of a query argument that a route looks at */
    L4_KEY_VALUE_MAX = 8192,           /* bytes of a request's value that a pool's key looks at */
    L4_HTTP_BLOCKS = 4096,             /* requests whose bytes one worker keeps at one time */
    L4_HTTP_BLOCK_BYTES = 64 << 10,    /* ... and bytes of each: a head, and the begin of a body */
    L4_HTTP_EXTRA_MIN = 4 << 10,       /* ... that a next request has, at least */
    L4_HTTP_BLOCKS_WARM = 32,          /* blocks whose memory is kept while nobody uses them */
    L4_HTTP_THRIFT_MS = 10000,         /* how often unused memory is given back */
    L4_HTTP_WRITTEN_HEAD = 72 << 10,   /* bytes of a request's head that is written anew, at most */
    L4_HTTP_ANSWER_ROOM = 16 << 10,    /* bytes by which an answer's head may grow */
    L4_HTTP_WRITTEN_BYTES = 160 << 10, /* ... with the begin of a body behind it */
    L4_HTTP_NOTES_BYTES = 16 << 10,    /* bytes of a Location that is written anew */
    L4_HTTP_COPY_BYTES = 48 << 10,     /* bytes of a body that are copied at once */
    L4_HTTP_ANSWER_HEAD_MAX = 48 << 10, /* bytes of an answer's head */
    L4_HTTP_INFORMED_MAX = 8,           /* answers of the kind 1xx before the final one */
    L4_HTTP_LINGER_MS = 2000,           /* how long the rest of a client's bytes is discarded */
    L4_HTTP_LINGER_BYTES = 1 << 20,     /* ... and how much of it */
    L4_HELD_BYTES_MAX = 256 << 20,      /* bodies that engines inspect, of one worker */
    L4_HELD_SLACK = 1 << 20,            /* bytes of one that may come beyond its limit */
    L4_ENGINES_MAX = 64,                /* engines whose options a worker remembers */
    L4_RECORD_RING_BYTES = 4 << 20,     /* of one worker's pieces that the recorder has not taken */
    L4_RECORD_PIECE_MAX = 96 << 10,     /* bytes of one piece: the longest head, with names */
    L4_RECORD_NAME_MAX = 64,            /* bytes of the name of a rule, or of a record */
    L4_RECORD_RESERVE = 256 << 10,      /* ... of the ring, for the ends of recordings */
    L4_H2_MEMORY = 512 << 20,           /* bytes for HTTP/2 of one worker: nghttp2, bodies, lists */
    L4_H2_STREAMS_MAX = 1000,           /* streams of one connection that a listener may allow */
    L4_H2_WINDOWS = 4,                  /* windows of a stream that a connection has in all */
    L4_H2_OUT_BYTES = 64 << 10,         /* frames that gather before they are sent */
    L4_H2_OUT_SLACK = 20 << 10,   /* ... and one more frame: 16 KiB by default (RFC 9113, 4.2) */
    L4_H2_FRAME_HEAD = 9,         /* bytes of a frame's head */
    L4_H2_FRAME_BYTES = 16 << 10, /* of a frame's payload, as nghttp2 sends bodies */
    L4_H2_LIST_FIRST = 4 << 10,   /* bytes of the memory for a header list, which grows */
    L4_H2_LIST_BYTES = 256 << 10, /* bytes of a header list at which its connection ends */
    L4_H2_QUEUE = 1000,           /* frames that wait for a client to read */
    L4_H2_RESETS = 1000,          /* streams that a client may reset at once; and each second */
    L4_H2_RESETS_A_S = 33,
    L4_H2_PROVOKED = 100, /* resets that a client may cause us to send at once; and each second */
    L4_H2_PROVOKED_A_S = 10,
    L4_H2_CONTINUATIONS = 8,     /* frames CONTINUATION of one header list */
    L4_H2_SETTINGS_ENTRIES = 32, /* of one frame SETTINGS */
    L4_H2_FRAMES = 100,          /* SETTINGS, PING, DATA without data at once; and each second */
    L4_H2_FRAMES_A_S = 10,
    L4_H2_PRIORITIES = 1000, /* frames PRIORITY at once; and each second */
    L4_H2_PRIORITIES_A_S = 100,
    L4_H2_GOODBYE_MS = 500,   /* between the notice that a connection ends, and its last stream */
    L4_H2_FAREWELL_MS = 2000, /* how long a client may take to read the last frames */
    L4_H2_RETRY_MS = 20,      /* a connection without a pipe for its frames retries */
    L4_SPARE_SWEEP_MS = 1000, /* how often old spare connections are looked for */
    L4_SPARE_LEARN_MS = 500, /* a backend that closes connections sooner than this has no timeout */
    L4_ROUTE_CHANGES_MAX = 64,  /* fields that one route changes, of a request or of an answer */
    L4_COOKIE_BYTES_MAX = 1024, /* bytes of a cookie that l4lb sets, with its attributes */
    L4_CACHES_MAX = 16,         /* caches of a configuration */
    L4_CACHE_IGNORED_MAX = 64,  /* names of arguments, or of cookies, that a cache ignores */
    L4_CACHE_IGNORED_NAME_MAX = 64, /* bytes of one of them */
    L4_CACHE_TARGETED_MAX = 8,      /* fields that come before Cache-Control (RFC 9213) */
    L4_CACHE_STATUSES_MAX = 32,     /* statuses whose lifetime a cache tells */
    L4_CACHE_TAGS_MAX = 4096,       /* bytes of an object's tags */
    L4_CACHE_BANS = 4096,      /* purges that are remembered; older ones count for all objects */
    L4_CACHE_PASS_S = 5,       /* how long nobody waits for an answer that was not kept */
    L4_CACHE_WAIT_MS = 10,     /* how often a client that waits looks for the object */
    L4_CACHE_SWEEP_MS = 500,   /* how often the memory of caches that are gone is looked for */
    L4_CACHE_PIN_MS = 10000,   /* how long a client may hold an object in its place */
    L4_RATE_GROUPS = 1 << 15,  /* groups of the table of rates (core/rate_table.h) */
    L4_RATE_WAYS = 8,          /* ... and entries of each group */
    L4_REQUEST_PLACES = 4096,  /* ended requests that one worker's log holds */
    L4_REQUEST_HOST_MAX = 255, /* bytes of the texts that are kept of a request */
    L4_REQUEST_TARGET_MAX = 512,
    L4_REQUEST_AGENT_MAX = 128,
    L4_REQUEST_REFERER_MAX = 128,
    L4_REQUEST_ID_MAX = 40,
    L4_REQUEST_FAULT_MAX = 24,
    L4_REQUEST_SNI_MAX = 255,
    L4_REQUEST_FILTER_MAX = 64,
    L4_REQUEST_LINE_MAX = 8192, /* bytes of its line in the access log, every byte escaped */

    L4_TLS_BYTES = 96 << 10,   /* bytes of plain text moved at once to or from TLS: six records */
    L4_TLS_RECORD = 16 << 10,  /* plain text in one record, at most (RFC 8446, 5.1) */
    L4_TLS_FRAGMENT_MIN = 512, /* ... and if a client asks for smaller records (RFC 6066, 4) */
    L4_TLS_OVERHEAD = 96,      /* header, IV, MAC and padding of one record, at most */
    L4_TLS_SLACK = 20 << 10, /* bytes that the records of L4_TLS_BYTES and an alert add, at most */
    L4_TLS_UNSENT_MAX = 32 << 10, /* bytes of a TLS socket's own buffer */
    L4_TLS_FDS_MAX = 1 << 21,     /* descriptors from this number on cannot use TLS */
    L4_TLS_PROFILES_MAX = 5120,   /* TLS settings of listeners and pools; the limit of their ids */
    L4_TLS_NAMES_MAX = 65536,     /* server names of one profile */
    L4_TLS_CONTEXTS_MAX = 16384,  /* sets of certificates of one profile */
    L4_TLS_TEXT_MAX = 4096,       /* bytes of a cipher list, ALPN list or name */
    L4_TLS_HOST_MAX = 254,        /* bytes of a server name that is looked up, one more than DNS */
    L4_TLS_KEYS = 3,              /* ticket keys: the previous, the present and the next one */
    L4_TLS_BUNDLE_MAX = 64 << 20, /* bytes of all certificates and keys */
    L4_TLS_SHAKE_TURN_US = 4000,  /* time in an iteration for handshakes */
    L4_TLS_LOAD_TURN_US = 2000,   /* time in an iteration for loading certificates */
    L4_TLS_THRIFT_MIN = 512,    /* from this many TLS sockets on, unused TLS memory is given back */
    L4_TLS_THRIFT_MS = 10000,   /* ... and how often it looks for such memory */
    L4_TLS_PLACE_RETRY_MS = 20, /* a handshake that waits for max_handshakes retries */
};

#define L4_NONE 0xffffffffu /* "no such row", for every 32-bit index */

#endif

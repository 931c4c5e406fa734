"""Every limit of the configuration, with a name, in one place.

A pair is the smallest and the largest value, both allowed. Times are milliseconds. Where the C code
has a limit of its own (csrc/base/bounds.h), its name follows `# =`; a test compares the two.
"""

from __future__ import annotations

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
DURATION_UNITS = {"ms": 1, "s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}

FILE_BYTES_MAX = 8 << 20
INCLUDES_MAX = 256  # files that one configuration includes, over all levels
ENVIRONMENT_BYTES_MAX = 1 << 20  # bytes that variables add, all references together
NESTING_MAX = 16  # tables and arrays inside one another in a file; the model needs 5
NAME_BYTES_MAX = 64  # = L4_NAME_MAX
UNIX_PATH_BYTES_MAX = 107  # = L4_PATH_MAX
HOST_NAME_MAX = 253  # RFC 1035, 2.3.4, as text
SHOWN_MAX = 60  # characters of a wrong value that a message repeats
ARRAY_MAX = 16_384  # elements of one array
PROBLEMS_MAX = 200  # reported at once
SUGGESTIONS_MAX = 1_024  # words compared with a misspelt one

PORT = (1, 65_535)
WORKERS = (1, 64)  # = L4_WORKERS_MAX - 2
MAX_CONNECTIONS = (1, 64 << 20)  # = (L4_WORKERS_MAX - 2) * L4_SESSIONS_MAX
MAX_UDP_SESSIONS = (1, 64 << 20)  # = (L4_WORKERS_MAX - 2) * L4_FLOWS_MAX
UDP_DESCRIPTORS_PERCENT = (1, 99)
DATAGRAMS = (0, 1_000_000)
AMPLIFICATION = (0, 10_000)
QUIC_CONFIG = (0, 6)  # 7: the connection id has no server id
SERVER_ID_LENGTH = (1, 15)  # = L4_SERVER_ID_MAX
MAX_LISTENERS = (1, 4_096)  # = L4_LISTENERS_MAX
NARROW_PORTS = 64  # of a range that always has a socket for each port
MAX_POOLS = (1, 1_024)  # = L4_POOLS_MAX
MAX_BACKENDS = (1, 16_384)  # = L4_BACKENDS_MAX

MAX_STICKY = (16, 4 << 20)  # = (L4_STICKY_WAYS, L4_STICKY_MAX)

WEIGHT = (0, 256)  # = L4_WEIGHT_MAX
RETRIES = (0, 8)  # = L4_RETRIES_MAX
HASH_SEED_CHARACTERS = (1, 256)
HASH_PREFIXES = ((0, 32), (0, 128))  # bits of an IPv4 and of an IPv6 address
HASH_BALANCE_PERCENT = (101, 100_000)
MAGLEV_SIZE = (3, 655_373)  # = L4_MAGLEV_MAX
SLOW_START_MS = (0, DAY_MS)
CONNECTIONS_CAP = (0, 64 << 20)  # of one pool or backend; 0: no limit

QUEUE_LENGTH = (1, 65_536)  # = L4_QUEUE_MAX

# why: deadlines are compared in 32 bits of milliseconds, so nothing may wait longer than 24 days.
DRAIN_TIMEOUT_MS = (0, DAY_MS)
QUEUE_TIMEOUT_MS = (1, DAY_MS)
CONNECT_TIMEOUT_MS = (1, 10 * MINUTE_MS)
IDLE_TIMEOUT_MS = (1, 7 * DAY_MS)
HALF_CLOSED_TIMEOUT_MS = (1, 7 * DAY_MS)

HEALTH_INTERVAL_MS = (10, DAY_MS)
HEALTH_TIMEOUT_MS = (1, 10 * MINUTE_MS)
RISE_FALL = (1, 1_000)
JITTER_PERCENT = (0, 100)

FAILURES = (1, 10_000)
EJECT_MS = (1, DAY_MS)
MAX_EJECTED_PERCENT = (0, 100)
STICKY_TTL_MS = (SECOND_MS, 20 * DAY_MS)

SOURCES_MAX = 64  # = L4_SOURCES_MAX: local addresses of one pool
INTERFACE_BYTES_MAX = 15  # = L4_INTERFACE_MAX
INTERFACES_MAX = 64  # that the kernel's programs are attached to
PACKET_FLOWS = (1_024, 16 << 20)  # that the kernel forwards at one time
MARK = (1, 0xFFFFFFFF)
DSCP = (0, 63)
KEEPALIVE_MS = (SECOND_MS, 32_767 * SECOND_MS)  # MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL
KEEPALIVE_PROBES = (1, 127)  # MAX_TCP_KEEPCNT
USER_TIMEOUT_MS = (1, DAY_MS)

ROUTES_MAX = 4_096  # = L4_ROUTES_MAX: over all listeners, each name and network counted
ALPN_BYTES_MAX = 255  # = L4_ALPN_MAX
CONNECTIONS_LIMIT = (1, 16_000_000)  # of a listener or source; 24 bits count them
NEW_PER_SECOND = (1, 10_000_000)
BYTES_PER_SECOND = (1 << 10, 1 << 40)
TARPIT_MS = (100, 10 * MINUTE_MS)
SHED_IDLE_MS = (100, DAY_MS)
AUTO_BLOCK_MS = (SECOND_MS, 20 * DAY_MS)
MAX_AGE_MS = (SECOND_MS, 20 * DAY_MS)
HANDSHAKE_TIMEOUT_MS = (1, 10 * MINUTE_MS)
ONE_IN = (1, 65_536)
WATCH_PICKS = (0, 1 << 20)
ACCESS_DURATION_MS = (0, DAY_MS)

MAX_HANDSHAKES = (0, 1_000_000)  # of one listener; 0: no limit
HANDSHAKE_RATE = (0, 1_000_000)  # a second; 0: no limit
TICKET_LIFETIME_MS = (SECOND_MS, 7 * DAY_MS)  # RFC 8446, 4.6.1: no longer than a week
WATCH_MS = (50, HOUR_MS)
CIPHERS_BYTES_MAX = 4_000  # L4_TLS_TEXT_MAX is above it
FILE_PATH_BYTES_MAX = 4_095  # PATH_MAX
PEM_BYTES_MAX = 4 << 20  # of one file of certificates or keys
TTL_MS = (100, DAY_MS)
DISCOVERY_INTERVAL_MS = (100, DAY_MS)
DISCOVERY_TIMEOUT_MS = (10, 10 * MINUTE_MS)
MAX_SHRINK_PERCENT = (0, 100)
URL_MAX = 2_048
DISCOVERY_TEXT_MAX = 512

RESOLVE_TIMEOUT_MS = 5_000  # for all host names of a configuration together

CHECK_TEXT_BYTES_MAX = 4_096  # each text that a check sends, expects or is called with
CHECK_WORDS_MAX = 32  # steps, headers, statuses or arguments of a check
SLOW_FACTOR = (1.5, 1_000.0)

HTTP_HEAD_TIMEOUT_MS = (1, 10 * MINUTE_MS)
HTTP_REST_TIMEOUT_MS = (1, DAY_MS)
HTTP_HEAD_BYTES = (1 << 10, 60 << 10)  # = (1024, L4_HTTP_HEAD_MAX)
HTTP_FIELDS = (1, 100)
HTTP_TARGET_BYTES = (64, 32 << 10)
FILTER_QUERY_BYTES = (0, 32 << 10)
HTTP_BODY_BYTES = (0, 1 << 40)  # 0: no limit
HTTP_BODY_RATE = (0, 1 << 30)  # bytes a second; 0: any
COOKIE_AGE_MS = (SECOND_MS, 400 * DAY_MS)  # browsers keep no cookie for longer
FAULT_STATUS = (500, 563)  # statuses that count as faults of a backend: bits of one word
HTTP2_STREAMS = (0, 1000)  # = (0, L4_H2_STREAMS_MAX)
HTTP2_WINDOW_BYTES = (16 << 10, 16 << 20)
HTTP_REQUESTS = (0, 1_000_000_000)  # of one connection; 0: no limit
FIELD_NAME_MAX = 64
HIDDEN_FIELDS_MAX = 32
ERROR_PAGE_BYTES_MAX = 64 << 10  # = L4_HTTP_PAGE_MAX
ERROR_PAGES_MAX = 32  # of one folder
HSTS_MS = (0, 3_650 * DAY_MS)
IDLE_CONNECTIONS = (0, 65_536)
ANSWER_TIMEOUT_MS = (1, DAY_MS)
ROUTE_TEXT_MAX = 4 << 10  # bytes of a text of a route of an HTTP listener
ROUTE_FIELDS_MAX = 32  # header fields that one route looks at, sets or removes
METHOD_MAX = 32
RESPOND_BYTES_MAX = 64 << 10  # of an answer that a route gives itself
ANSWER_STATUS = (200, 599)
ERRORS = (1, 1_000_000)  # error answers in a time
ERROR_WINDOW_MS = (SECOND_MS, DAY_MS)
ERROR_STATUS = (400, 599)  # statuses that can count as errors
ICAP_MAX = 64  # = L4_ENGINES_MAX
ICAP_HOST_MAX, ICAP_PATH_MAX = 64, 256  # csrc/http/icap.h
ICAP_TIMEOUT_MS = (10, 10 * MINUTE_MS)
ICAP_BODY_BYTES = (1, 128 << 20)  # half of what the bodies that a worker holds may have
INSPECT_RULES_MAX = 64  # of one listener
RECORDS_MAX = 16
RECORD_BYTES = (1 << 20, 64 << 40)
RECORD_BODY_BYTES = (0, 4 << 20)
RECORD_RULES_MAX = 64  # of one listener
RECORD_VALUES_MAX = 256  # names of values that are masked
INSPECT_ROWS = 6  # of each rule: one, and one for each verdict
HTTP_ROUTES_MAX = 4096  # = L4_HTTP_ROUTES_MAX
REQUESTS_PER_SECOND = (1, 10_000_000)
RETRY_BUDGET_PERCENT = (0, 100)
RETRY_BODY_BYTES = (0, 64 << 10)

CACHES_MAX = 16  # = L4_CACHES_MAX
CACHE_MEMORY_BYTES = (4 << 20, 256 << 30)
CACHE_OBJECT_BYTES = (1 << 10, 64 << 20)
CACHE_OBJECTS_MIN = 5  # of the largest size, in the part of the memory that one worker writes
CACHE_DISK_BYTES = (16 << 20, 64 << 40)
CACHE_DISK_OBJECT_BYTES = (64 << 10, 1 << 40)
CACHE_DISK_OBJECTS_MIN = 8  # of the largest size, on a disk
CACHE_DISK_PATH_BYTES_MAX = 4_000  # names in the folder are appended; FILE_PATH_BYTES_MAX is above
CACHE_TIME_MS = (0, 3_650 * DAY_MS)  # of lifetimes, which are whole seconds
CACHE_LIFETIME_MS = (SECOND_MS, 3_650 * DAY_MS)
HEURISTIC_PERCENT = (0, 100)
COLLAPSE_TIMEOUT_MS = (1, 10 * MINUTE_MS)
CACHE_VARIANTS = (1, 16)  # places of one URL in the index
IGNORED_NAMES_MAX = 64  # = L4_CACHE_IGNORED_MAX
IGNORED_NAME_MAX = 64  # = L4_CACHE_IGNORED_NAME_MAX
TARGETED_FIELDS_MAX = 8  # = L4_CACHE_TARGETED_MAX
CACHE_STATUSES_MAX = 32  # = L4_CACHE_STATUSES_MAX

FORWARDS_MAX = 64
FORWARD_NAME_BYTES_MAX = 56  # its pool's name has "forward:" before it
FORWARD_RULES_MAX = 1_000
USER_BYTES_MAX = 255
URL_PATTERN_MAX = 1_000  # characters of a pattern of URLs
NAME_LOOKUP_MS = (10, MINUTE_MS)
REMEMBER_MS = (0, DAY_MS)  # how long a password needs no new check
POLICY_TIMEOUT_MS = (10, MINUTE_MS)
LISTS_MAX = 64

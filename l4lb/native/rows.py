"""Rows of the shared table as Python reads them: plain, frozen, in user units.

Each is a snapshot. The fields of one row were read within microseconds; different rows may be from
different moments.
"""

from __future__ import annotations

from typing import NamedTuple

STATES = ("ready", "drain", "maint")
HEALTHS = ("unknown", "up", "down")
OUT = ("down", "ejected")  # a backend with this health gets no sessions
AGENT_WORDS = ("", "up", "down")
BALANCES = (
    "round_robin",
    "least_connections",
    "least_response_time",
    "random",
    "first",
    "ip_hash",
    "maglev",
)
HASH_KEYS = (  # enum l4_key_kind
    "none",
    "source_ip",
    "source_ip_port",
    "sni",
    "quic_cid",
    "header",
    "cookie",
    "query",
    "host",
    "path",
)
WHEN_ALL_DOWN = ("refuse", "try_all")
WORKER_STATES = ("off", "runs", "drains")
PROTOCOLS = ("tcp", "udp", "http")
REFUSALS = ("reject", "drop", "tarpit")
SETTING_WORDS = {  # of settings that are words in the configuration, by the last part of their path
    "balance": BALANCES,
    "forwarded": ("off", "append", "replace", "rfc7239"),
    "hash_key": HASH_KEYS,
    "key": HASH_KEYS,
    "protocol": PROTOCOLS,
    "proxy_protocol_udp": ("off", "first", "each"),
    "refusal": REFUSALS,
    "reset_sources": ("any", "several"),
    "reuse": ("safe", "always", "never"),
    "send_proxy": ("off", "v1", "v2"),
    "underscores": ("drop", "pass", "refuse"),
    "when_all_down": WHEN_ALL_DOWN,
}
EVENT_KINDS = (
    "accept_paused",
    "accept_resumed",
    "drained",
    "secrets_loaded",
    "secrets_failed",
    "unlistened",
    "handed",
    "shed",
    "portless",
    "engine",
)


class Address(NamedTuple):
    """Where a backend listens: an IP and port, or a unix path (then host is "" and port 0)."""

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ListenerRow(NamedTuple):
    """One bound address of a listener; active and accepted are sums over all workers."""

    index: int  # type: ignore[assignment]  # why: hides tuple.index, which no row needs
    name: str
    bind: str
    protocol: str
    pool: str
    active: int
    accepted: int
    refused: int


class PoolRow(NamedTuple):
    """One pool and its settings; timeouts in milliseconds."""

    index: int  # type: ignore[assignment]  # why: hides tuple.index, which no row needs
    name: str
    balance: str
    when_all_down: str
    retries: int
    connect_timeout_ms: int
    idle_timeout_ms: int
    half_closed_timeout_ms: int
    generation: int
    max_connections: int
    active: int
    hash_key: str
    hash_prefix: tuple[int, int]
    hash_balance_percent: int
    maglev_size: int
    all_backups: bool
    slow_start_ms: int
    queue_length: int
    queue_timeout_ms: int
    waiting: int
    sticky_ttl_ms: int
    sticky_key: str  # "": not sticky, or by a cookie of l4lb


class BackendRow(NamedTuple):
    """One backend: settings, health and counts summed over all workers.

    Times ending in `_at_ms` and `_since_ms` are CLOCK_MONOTONIC milliseconds, 0 for never. `serial`
    counts how often this row was assigned: (index, serial) names one backend for its life.
    """

    index: int  # type: ignore[assignment]  # why: hides tuple.index, which no row needs
    serial: int
    pool: str
    name: str
    address: Address
    weight: int
    max_connections: int
    backup: bool
    state: str
    health: str
    inflight: int
    active: int
    total: int
    connect_errors: int
    bytes_in: int
    bytes_out: int
    resets: int
    response_us: int
    check_result: int
    check_errno: int
    check_streak: int
    check_at_ms: int
    check_duration_us: int
    checks_passed: int
    checks_failed: int
    health_since_ms: int

    @property
    def is_usable(self) -> bool:
        """Returns whether it gets new sessions, apart from max_connections: not if an operator took
        it out, if its weight is 0, or if it is known to fail."""
        return self.state == "ready" and self.weight > 0 and self.health not in OUT


class WorkerRow(NamedTuple):
    """One worker's row. ended: number of its ended sessions by reason. held: number of its session
    rows in use, of TCP and UDP."""

    index: int  # type: ignore[assignment]  # why: hides tuple.index, which no row needs
    pid: int
    cpu: int | None
    state: str
    capacity: int
    restarts: int
    lost: int
    started_ms: int
    active: int
    paused: bool
    accepted: int
    turns: int
    beat_ms: int
    ended: dict[str, int]
    udp_active: int = 0
    udp_capacity: int = 0
    held: int = 0


class SessionRow(NamedTuple):
    """One live session. id: worker.slot.serial, as `kill` takes it. via: the proxy that sent a
    PROXY header for the client. sni: the server name asked for. tls, cipher, alpn: agreed on where
    TLS is terminated here. Each is "" if there is none. port: that the client connected to, of a
    range that is bound as a whole; else 0."""

    id: str
    worker: int
    state: str
    listener: str
    pool: str
    backend: str
    client: str
    bytes_in: int
    bytes_out: int
    age_ms: int
    idle_ms: int
    connect_us: int
    retries: int
    protocol: str = "tcp"
    via: str = ""
    sni: str = ""
    tls: str = ""
    cipher: str = ""
    alpn: str = ""
    port: int = 0


class Candidate(NamedTuple):
    """One backend at the time of a pick. usable: usable, full or unusable. tried: this client could
    not reach it before."""

    backend: str
    weight: int
    inflight: int
    usable: str
    state: str
    health: str
    tried: bool


class PickRow(NamedTuple):
    """One recorded pick. chosen: the backend's name, "?" if it was removed, None for none. full:
    there is none because all usable backends were full. sticky: the client belonged to it (sticky).
    named: bytes of the client name it (a QUIC connection id). candidates: the first of the pool's
    members."""

    at_us: int
    worker: int
    session: int
    client: str
    listener: str
    pool: str
    chosen: str | None
    balance: str
    tier: str
    full: bool
    sticky: bool
    named: bool
    retries: int
    members: int
    candidates: list[Candidate]


class Event(NamedTuple):
    """An event that a worker has reported to the supervisor; at_ms is CLOCK_MONOTONIC."""

    at_ms: int
    worker: int
    kind: str
    a: int
    b: int


class ExplainedBackend(NamedTuple):
    """One backend as a pick sees it. usable: yes, full or no. weight: smaller during a slow
    start."""

    index: int  # type: ignore[assignment]  # why: hides tuple.index, which no row needs
    usable: str
    weight: float
    response_us: int


class Choice(NamedTuple):
    """The choice for one client: its backend's row, and the values that decided."""

    backend: int | None
    full: bool  # there is none because all usable backends are full
    tier: str
    sticky: bool  # the client belongs to it (sticky)
    hash: str
    slot: int  # of the hash's table
    slots: int
    slot_backend: int | None
    ticket: int  # of round robin
    tickets: int
    candidates: list[ExplainedBackend]


class StickyRow(NamedTuple):
    """A sticky client and its backend. The entry expires after expires_ms without a session."""

    pool: str
    client: str
    backend: str
    idle_ms: int
    expires_ms: int


class Capacities(NamedTuple):
    """The number of rows of each kind in the table. sessions (TCP) and flows (UDP) are for each
    worker."""

    workers: int
    listeners: int
    pools: int
    backends: int
    sessions: int
    flows: int = 0
    sticky: int = 0


class UdpTally(NamedTuple):
    """The counts of one bound address of a UDP listener, over all workers. handed: sessions handed
    over to the kernel; kept: hand-overs that it had no room for; in_kernel: sessions there now.
    dropped: number of dropped datagrams by reason."""

    index: int  # type: ignore[assignment]  # why: hides tuple.index, which no row needs
    name: str
    bind: str
    datagrams_in: int
    datagrams_out: int
    evicted: int
    moved: int
    adopted: int
    handed: int
    kept: int
    in_kernel: int
    dropped: dict[str, int]


class HttpTally(NamedTuple):
    """The counts of one bound address's requests, over all workers. classes: number of requests by
    the class of their answer's status (2xx, ..., none: the client got no answer). bytes: of bodies.
    ended: number of requests that no backend answered in full, by reason. unrouted: requests that
    no route took. Of HTTP/2: connections of now, streams so far, and connections that ended for
    what their clients did too often, by kind."""

    requests: int
    classes: dict[str, int]
    bytes_in: int
    bytes_out: int
    ended: dict[str, int]
    unrouted: int
    http2_connections: int
    http2_streams: int
    http2_abuses: dict[str, int]


class HttpColumn(NamedTuple):
    """The counts of one backend's requests, over all workers. fresh, reused: requests that went
    over a new connection, or over one that was used before. stale: connections that had ended when
    they were to be used again. retries: requests that were sent again, by cause. spare: connections
    between two requests, now."""

    classes: dict[str, int]
    fresh: int
    reused: int
    stale: int
    retries: dict[str, int]
    spare: int


class RequestRow(NamedTuple):
    """One request in progress. session: its session's id. number: of the requests of that session.
    state: of the session. target: path and query. route: number of the listener's route, from
    1; None: no route took it. Texts are "" if there is none yet."""

    session: str
    number: int
    worker: int
    state: str
    listener: str
    pool: str
    backend: str
    client: str
    method: str
    scheme: str
    host: str
    target: str
    route: int | None
    age_ms: int
    retries: int

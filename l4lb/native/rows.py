"""Rows of the shared table as Python reads them: plain, frozen, in user units.

Each is a snapshot: one row's fields were read within microseconds of each other, different rows
are not from the same instant.
"""

from __future__ import annotations

from typing import NamedTuple

STATES = ("ready", "drain", "maint")
HEALTHS = ("unknown", "up", "down")
OUT = ("down", "ejected")  # as rows show health: nobody uses it
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
HASH_KEYS = ("none", "source_ip", "source_ip_port", "sni", "quic_cid")
WHEN_ALL_DOWN = ("refuse", "try_all")
WORKER_STATES = ("off", "runs", "drains")
PROTOCOLS = ("tcp", "udp")
REFUSALS = ("reject", "drop", "tarpit")
SETTING_WORDS = {  # of settings that are words in the configuration, by the last part of their path
    "balance": BALANCES,
    "hash_key": HASH_KEYS,
    "key": HASH_KEYS,
    "protocol": PROTOCOLS,
    "proxy_protocol_udp": ("off", "first", "each"),
    "refusal": REFUSALS,
    "reset_sources": ("any", "several"),
    "send_proxy": ("off", "v1", "v2"),
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


class BackendRow(NamedTuple):
    """One backend: settings, health and counts summed over all workers.

    Times ending in `_at_ms` and `_since_ms` are CLOCK_MONOTONIC milliseconds, 0 for never.
    `serial` counts how often this row was given: (index, serial) names one backend for life.
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
        """Does it get new sessions, if it has a place? Not if an operator took it out, gave it no
        weight, or if it is known to fail."""
        return self.state == "ready" and self.weight > 0 and self.health not in OUT


class WorkerRow(NamedTuple):
    """One worker's row; `ended` counts its ended sessions by reason word, `held` its session rows
    that are not free, of TCP and UDP."""

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
    """One live session. `id` is what `kill` takes: worker.slot.serial. via: the proxy that told its
    client by a PROXY header; sni: the server name asked for; tls, cipher, alpn: what was agreed on
    where TLS ends here. Each is "" if there is none."""

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


class Candidate(NamedTuple):
    """One backend as a pick found it. usable: usable, full or unusable; tried: this client could
    not reach it before."""

    backend: str
    weight: int
    inflight: int
    usable: str
    state: str
    health: str
    tried: bool


class PickRow(NamedTuple):
    """One pick that was watched. chosen: a backend's name, "?" if it is gone, None for none;
    full: none, because all that could serve were. stuck: the client belonged to it. named: what the
    client sent names it. candidates: the first of the pool's members."""

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
    stuck: bool
    named: bool
    retries: int
    members: int
    candidates: list[Candidate]


class Event(NamedTuple):
    """Something a worker told the supervisor; at_ms is CLOCK_MONOTONIC."""

    at_ms: int
    worker: int
    kind: str
    a: int
    b: int


class ExplainedBackend(NamedTuple):
    """One backend as a pick sees it; usable is yes, full or no, weight less while it starts."""

    index: int  # type: ignore[assignment]  # why: hides tuple.index, which no row needs
    usable: str
    weight: float
    response_us: int


class Choice(NamedTuple):
    """What one client would get: its backend's row, and what decided."""

    backend: int | None
    full: bool  # there is none because all that could serve are full
    tier: str
    stuck: bool  # the client belongs to it
    hash: str
    slot: int  # of the hash's table
    slots: int
    slot_backend: int | None
    ticket: int  # of round robin
    tickets: int
    candidates: list[ExplainedBackend]


class StickyRow(NamedTuple):
    """A client that belongs to a backend; it is forgotten after expires_ms without a session."""

    pool: str
    client: str
    backend: str
    idle_ms: int
    expires_ms: int


class Capacities(NamedTuple):
    """How many rows of each kind the table has; sessions (TCP) and flows (UDP) are per worker."""

    workers: int
    listeners: int
    pools: int
    backends: int
    sessions: int
    flows: int = 0
    sticky: int = 0


class UdpTally(NamedTuple):
    """What one bound address of a UDP listener has done, over all workers; `dropped` counts
    datagrams that went no further, by reason."""

    index: int  # type: ignore[assignment]  # why: hides tuple.index, which no row needs
    name: str
    bind: str
    datagrams_in: int
    datagrams_out: int
    evicted: int
    moved: int
    adopted: int
    dropped: dict[str, int]

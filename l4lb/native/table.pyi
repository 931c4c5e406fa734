"""The shared table from Python; see table.pyx and csrc/shm/layout.h."""

from typing import Self

from l4lb.native.rows import (
    Address,
    BackendRow,
    Capacities,
    Event,
    ListenerRow,
    PoolRow,
    SessionRow,
    WorkerRow,
)

reasons: tuple[str, ...]
"""The words for how sessions end, by number."""

class Table:
    """The shared table: made once by the supervisor, inherited by its children."""

    def __new__(cls, capacities: Capacities) -> Self:
        """Raises OSError."""

    def attach_copy(self) -> Table:
        """Maps the same table once more from its descriptor, with all its checks."""
    @property
    def capacities(self) -> Capacities: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def connections(self) -> int: ...
    @property
    def checker_beat_ms(self) -> int: ...

    generation: int
    max_connections: int
    drain_timeout_ms: int
    checker_pid: int

    @property
    def hash_key(self) -> bytes:
        """The 16 secret bytes of every hash of a client."""
    def set_hash_key(self, key: bytes) -> None:
        """The 16 secret bytes of every hash of a client. Before the first fork."""
    def beat_checker(self, now_ms: int) -> None: ...
    def set_listener(
        self, index: int, *, name: str, bind: str, protocol: str, pool: int
    ) -> None: ...
    def clear_listener(self, index: int) -> None: ...
    def set_pool(
        self,
        index: int,
        *,
        name: str,
        balance: str,
        when_all_down: str,
        retries: int,
        connect_timeout_ms: int,
        idle_timeout_ms: int,
        half_closed_timeout_ms: int,
        max_connections: int = 0,
        hash_key: str = "source_ip",
        hash_prefix: tuple[int, int] = (32, 128),
        hash_balance_percent: int = 0,
        maglev_size: int = 0,
        all_backups: bool = False,
        slow_start_ms: int = 0,
        queue_length: int = 0,
        queue_timeout_ms: int = 0,
    ) -> None: ...
    def clear_pool(self, index: int) -> None: ...
    def set_backend(
        self,
        index: int,
        *,
        pool: int,
        name: str,
        address: Address,
        weight: int,
        max_connections: int,
        backup: bool,
        health: str,
    ) -> None: ...
    def set_state(self, index: int, state: str) -> None:
        """A backend made ready again starts slowly from now, where its pool says so."""
    def set_weight(self, index: int, weight: int) -> None:
        """Raises ValueError outside 0..256. Publish the pool afterwards."""
    def set_hung(self, index: int, hung: bool) -> None: ...
    def set_max_connections(self, index: int, most: int) -> None: ...
    def publish(self, pool: int) -> None:
        """Rebuilds what picks read of a pool: after any change of membership or weight."""
    def schedule(self, pool: int) -> list[int]:
        """The round-robin schedule in force: backend indexes, one period."""
    def start_worker(self, index: int, *, pid: int, cpu: int | None, now_ms: int) -> None: ...
    def prepare_worker(self, index: int) -> None:
        """Before a process is started for this row: forgets commands for an earlier one."""
    def end_worker(self, index: int, *, restarted: bool) -> int:
        """Takes back what a dead worker held; returns how many sessions died with it."""
    def settle(self) -> bool:
        """Makes the counts over all workers exact again; False: try again in a moment."""
    def command(
        self, index: int, op: str, *, slot: int = 0, serial: int = 0, reason: str = "stopped"
    ) -> bool:
        """Queues drain, stop, kill or kill_backend for a worker. False: its queue is full."""
    def session_serial(self, worker: int, slot: int) -> int:
        """The serial of the session in that row; 0 if it is free. Raises IndexError."""
    def take_events(self, index: int) -> list[Event]:
        """What the worker has told since the last call."""
    def record_check(
        self,
        index: int,
        serial: int,
        *,
        health: str,
        passed: bool,
        result: int,
        errno: int,
        streak: int,
        at_ms: int,
        duration_us: int,
        kind: int = 0,
        code: int = 0,
        text: str = "",
        cert_end_s: int = 0,
        verdict: str | None = None,
    ) -> bool:
        """Writes one check's result. False: the row has been given to another backend."""
    def listeners(self) -> list[ListenerRow]: ...
    def pools(self) -> list[PoolRow]: ...
    def backends(self) -> list[BackendRow]: ...
    def backend(self, index: int) -> BackendRow | None: ...
    def workers(self) -> list[WorkerRow]: ...
    def all_workers(self) -> list[WorkerRow]:
        """As workers(), with rows that have no process any more and the supervisor's book."""
    def retire_worker(self, index: int) -> None:
        """Its process has ended and none is to follow: it is shown no more, its counts stay."""
    def sessions(self, now_ms: int, limit: int) -> list[SessionRow]:
        """Up to `limit` live sessions of all workers; now_ms is CLOCK_MONOTONIC."""

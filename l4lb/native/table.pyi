"""The shared table from Python; see table.pyx and csrc/shm/layout.h."""

from l4lb.native.rows import Address, Event
from l4lb.native.snapshots import Snapshots

class Table(Snapshots):
    """The shared table, with what the supervisor and the checker write."""

    def set_listener(self, index: int, *, name: str, bind: str, **values: object) -> None:
        """A listener's row: `values` are settings.PATHS["listener"]; sets of networks that are not
        given are not there. Routes add to it."""
    def clear_listener(self, index: int) -> None: ...
    def set_pool(self, index: int, *, name: str, **values: object) -> None:
        """A pool's row: `values` are settings.PATHS["pool"]."""
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
    def set_hung(self, index: int, hung: bool) -> None:
        """A worker gives no sign of life."""
    def retire_worker(self, index: int) -> None:
        """Its process has ended and none is to follow: it is shown no more, its counts stay."""

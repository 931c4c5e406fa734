"""The shared table from Python; see table.pyx and csrc/shm/layout.h."""

from l4lb.native.rows import Address, Event
from l4lb.native.snapshots import Snapshots

class Table(Snapshots):
    """The shared table, with what the supervisor and the checker write."""

    def set_listener(self, index: int, *, name: str, bind: str, **values: object) -> None:
        """Writes a listener's row. values: see settings.PATHS["listener"]; sets of networks that
        are not given are cleared. Routes are written by edge.publish_routes."""
    def clear_listener(self, index: int) -> None: ...
    def set_pool(self, index: int, *, name: str, **values: object) -> None:
        """Writes a pool's row. values: see settings.PATHS["pool"]."""
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
        """Sets a backend's state. A backend that becomes ready again starts slowly, if its pool has
        a slow start."""
    def set_weight(self, index: int, weight: int) -> None:
        """Sets a backend's weight; publish the pool afterwards. Raises ValueError outside
        0..256."""
    def set_max_connections(self, index: int, maximum: int) -> None: ...
    def publish(self, pool: int) -> None:
        """Rebuilds a pool's view, which picks read. Call it after any change of membership or
        weight."""
    def schedule(self, pool: int) -> list[int]:
        """Returns the round-robin schedule in force: the backends' rows, for one period."""
    def start_worker(self, index: int, *, pid: int, cpu: int | None, now_ms: int) -> None: ...
    def prepare_worker(self, index: int) -> None:
        """Drops commands for an earlier process of this row. Call it before a process is
        started."""
    def end_worker(self, index: int, *, restarted: bool) -> int:
        """Takes back everything that a dead worker held. Returns the number of sessions that died
        with it."""
    def settle(self) -> bool:
        """Makes the counts over all workers exact again. Returns False if it must be tried again
        later."""
    def command(
        self, index: int, op: str, *, slot: int = 0, serial: int = 0, reason: str = "stopped"
    ) -> bool:
        """Queues drain, stop, kill or kill_backend for a worker. Returns False if its queue is
        full."""
    def session_serial(self, worker: int, slot: int) -> int:
        """Returns the serial of the session in that row; 0 if the row is free. Raises
        IndexError."""
    def take_events(self, index: int) -> list[Event]:
        """Returns the worker's events since the last call."""
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
        """Writes one check's result. Returns False if the row has another backend by now."""
    def set_hung(self, index: int, hung: bool) -> None:
        """Marks whether a worker gives no sign of life."""
    def retire_worker(self, index: int) -> None:
        """Hides the row of a worker whose process has ended for good; its counts stay."""

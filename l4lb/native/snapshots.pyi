"""What anybody may read of the shared table; see snapshots.pyx."""

from l4lb.native.memory import Memory
from l4lb.native.rows import BackendRow, ListenerRow, PoolRow, SessionRow, WorkerRow

reasons: tuple[str, ...]
"""The words for how sessions end, by number."""

class Snapshots(Memory):
    """The rows of the shared table as plain tuples."""

    def listeners(self) -> list[ListenerRow]: ...
    def pools(self) -> list[PoolRow]: ...
    def backends(self) -> list[BackendRow]: ...
    def backend(self, index: int) -> BackendRow | None: ...
    def workers(self) -> list[WorkerRow]: ...
    def all_workers(self) -> list[WorkerRow]:
        """Returns the rows of workers(), rows without a process any more, and the book (the
        supervisor's own)."""
    def sessions(self, now_ms: int, limit: int) -> list[SessionRow]:
        """Returns up to `limit` live sessions of all workers. now_ms: CLOCK_MONOTONIC."""

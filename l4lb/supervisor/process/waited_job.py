"""Work whose memory must not be in this process: a child does it, and only its answer comes back.

The caller waits for the answer, other than with a job (job.py). A private key that the child read
or made is never in the memory of a process that is forked later.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterable

from l4lb.clock import monotonic_ms
from l4lb.supervisor.process import privileges
from l4lb.supervisor.process.child import fork_to_answer

TIMEOUT_MS = 30_000  # a child that takes longer is killed
READ_BYTES = 1 << 20


def run_and_wait(name: str, work: Callable[[], bytes], *, keep: Iterable[int]) -> bytes:
    """Returns the result of work, which runs in a child. The child has all rights of this process
    and the descriptors in keep. Other processes of its user cannot read its memory. Raises OSError
    if the child fails."""

    def answer(to: int) -> int:
        privileges.hide_memory()
        with os.fdopen(to, "wb") as pipe:
            pipe.write(work())
        return 0

    child, ours = fork_to_answer(name, answer, keep=keep, rights="all")
    said = _read(ours, TIMEOUT_MS)
    os.close(ours)
    if said is None:
        child.kill()
    how = child.reap()
    if said is None or how != "exited":
        raise OSError(f"the process {name} was {how}")
    return said


def _read(fd: int, timeout_ms: int) -> bytes | None:
    """Returns all bytes until the other end is closed; None if that takes too long."""
    end_ms = monotonic_ms() + timeout_ms
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    said = bytearray()
    while poll.poll(max(0, end_ms - monotonic_ms())):
        data = os.read(fd, READ_BYTES)
        if not data:
            return bytes(said)
        said += data
    return None

"""Building large sets of networks beside the service: half a second of work for a million of them,
in a child that writes into memory of its own. What it made is copied into the table by whoever
asked for it; a child that dies or hangs has changed nothing.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import setproctitle

from l4lb.errors import L4lbError
from l4lb.native import sets
from l4lb.supervisor.child import fork
from l4lb.supervisor.networks import Content, Stamp, bad_line
from l4lb.supervisor.reactor import Reactor, monotonic_ms

BUILD_TIMEOUT_MS = 60_000
ANSWER_MAX = 64 << 10  # bytes of what the child says


@dataclass(frozen=True)
class Batch:
    """Sets that are ready: (offset, bytes) of each in a memory file; and what told their files
    apart before they were read."""

    fd: int
    places: Mapping[Content, tuple[int, int]]
    stamps: Mapping[Content, dict[str, Stamp]]

    def close(self) -> None:
        """Gives the memory back."""
        os.close(self.fd)


class DiedError(L4lbError):
    """The child ended without an answer: another may succeed."""


class Build:
    """Builds some sets; exactly one of on_done (who closes the batch) and on_fault is called,
    later."""

    def __init__(
        self,
        reactor: Reactor,
        contents: Sequence[Content],
        on_done: Callable[[Batch], None],
        on_fault: Callable[[L4lbError], None],
    ) -> None:
        self._reactor = reactor
        self._contents = contents
        self._on_done = on_done
        self._on_fault = on_fault
        self._ended = True
        self._stamps = {content: content.stamps() for content in contents}
        self._memory = os.memfd_create("l4lb-sets", os.MFD_CLOEXEC)
        self._pipe, theirs = os.pipe()
        os.set_blocking(self._pipe, False)
        try:
            os.ftruncate(self._memory, sets.HALF_BYTES)
            self._child = fork(
                "builder",
                lambda: _write(contents, self._memory, theirs),
                keep=[theirs, self._memory],
                now_ms=monotonic_ms(),
            )
        except OSError as error:
            self._close()
            fault = DiedError(f"no process: {error.strerror}")
            reactor.after(0, lambda: on_fault(fault))
            return
        finally:
            os.close(theirs)
        self._ended = False
        reactor.watch(self._child.pidfd, self._reap)
        reactor.after(BUILD_TIMEOUT_MS, self.stop)

    @property
    def pid(self) -> int:
        """The child's."""
        return self._child.pid

    def stop(self) -> None:
        """Gives up; on_fault is called later."""
        if not self._ended:
            self._child.kill()

    def abandon(self) -> None:
        """Gives up and takes the child away; on_fault is called before this returns."""
        if not self._ended:
            self._child.kill()
            self._reap()

    def _close(self) -> None:
        os.close(self._pipe)
        os.close(self._memory)

    def _reap(self) -> None:
        self._ended = True
        self._reactor.unwatch(self._child.pidfd)
        took_ms = monotonic_ms() - self._child.started_ms
        how = self._child.reap()
        try:
            answer = json.loads(os.read(self._pipe, ANSWER_MAX))  # far less than a pipe holds
            places = [(int(at), int(size)) for at, size in answer.get("places", ())]
        except (BlockingIOError, ValueError):
            self._close()
            self._on_fault(DiedError(f"the process that built it was {how} after {took_ms} ms"))
            return
        if "error" in answer:
            self._close()
            self._on_fault(L4lbError(answer["error"]))
            return
        os.close(self._pipe)
        made = dict(zip(self._contents, places, strict=True))
        self._on_done(Batch(self._memory, made, self._stamps))


def _write(contents: Sequence[Content], memory: int, pipe: int) -> int:
    setproctitle.setproctitle("l4lb: builder")
    try:
        with mmap.mmap(memory, sets.HALF_BYTES) as area:
            answer = json.dumps({"places": _places(contents, area)})
    except L4lbError as error:
        answer = json.dumps({"error": error.message[: ANSWER_MAX // 8]})
    os.write(pipe, answer.encode())
    return 0


def _places(contents: Sequence[Content], area: mmap.mmap) -> list[tuple[int, int]]:
    at, places = 0, []
    for content in contents:
        texts = content.texts()
        try:
            size = sets.build(area, at, [text for text, _ in texts])
        except sets.BadLineError as error:
            raise bad_line(error, [name for _, name in texts]) from None
        except OverflowError as error:
            raise L4lbError(str(error)) from error
        places.append((at, size))
        at += size
    return places

"""Builds large sets of networks in a child, which takes half a second for a million networks. The
child writes into memory of its own, and the caller copies the sets into the table. A child that
dies or hangs has changed nothing."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from l4lb.errors import L4lbError
from l4lb.native import sets
from l4lb.supervisor.access.network_lists import Content, Stamp
from l4lb.supervisor.process.job import Job, Outcome
from l4lb.supervisor.process.reactor import Reactor

BUILD_TIMEOUT_MS = 60_000
ANSWER_MAX = 64 << 10  # maximum bytes of the child's answer


@dataclass(frozen=True)
class Batch:
    """Built sets: (offset, bytes) of each in a memory file; and the states of their files before
    they were read."""

    fd: int
    places: Mapping[Content, tuple[int, int]]
    stamps: Mapping[Content, dict[str, Stamp]]

    def close(self) -> None:
        """Frees the memory."""
        os.close(self.fd)


class DiedError(L4lbError):
    """The child ended without an answer; another attempt may succeed."""


class Build:
    """Builds some sets. Later exactly one of on_done (which must close the batch) and on_fault is
    called."""

    def __init__(
        self,
        reactor: Reactor,
        contents: Sequence[Content],
        on_done: Callable[[Batch], None],
        on_fault: Callable[[L4lbError], None],
    ) -> None:
        self._contents = contents
        self._on_done = on_done
        self._on_fault = on_fault
        self._stamps = {content: content.stamps() for content in contents}
        self._memory = os.memfd_create("l4lb-sets", os.MFD_CLOEXEC)
        os.ftruncate(self._memory, sets.HALF_BYTES)
        self._job = Job(
            reactor, "builder", lambda pipe: _write(contents, self._memory, pipe), self._end,
            keep=[self._memory], timeout_ms=BUILD_TIMEOUT_MS, max_bytes=ANSWER_MAX,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """The child's pid."""
        return self._job.pid

    def abandon(self) -> None:
        """Kills and reaps the child; on_fault is called before this returns."""
        self._job.abandon()

    def _end(self, outcome: Outcome) -> None:
        try:
            answer = json.loads(outcome.said)
            places = [(int(at), int(size)) for at, size in answer.get("places", ())]
        except ValueError:
            self._fail(
                DiedError(f"the process that built it was {outcome.how} after {outcome.took_ms} ms")
            )
            return
        if "error" in answer:
            self._fail(L4lbError(answer["error"]))
            return
        made = dict(zip(self._contents, places, strict=True))
        self._on_done(Batch(self._memory, made, self._stamps))

    def _fail(self, error: L4lbError) -> None:
        os.close(self._memory)
        self._on_fault(error)


def _write(contents: Sequence[Content], memory: int, pipe: int) -> int:
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
        size = content.build(area, at)
        places.append((at, size))
        at += size
    return places

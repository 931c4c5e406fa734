"""What workers leave in their rings (native/record), as pieces for the assembly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from l4lb.native import record as native
from l4lb.native.pieces import Piece as Raw
from l4lb.record.pieces import Answer, Begin, Data, End, Gone, Piece, Side

NO_PROCESS = 0
PIECES_A_TURN = 256  # of one worker, before the others have theirs
SIDES = {native.REQUEST: Side.REQUEST, native.BODY: Side.ANSWER}
CUT = {Side.REQUEST: 1, Side.ANSWER: 2}  # 1 << enum l4_side


class Worker(Protocol):
    """A worker of the table, which has only those that have begun and are not given up. pid:
    another one when another process has taken its place."""

    @property
    def index(self) -> int: ...
    @property
    def pid(self) -> int: ...


class Reader(Protocol):
    def take(self, worker: int, limit: int) -> list[Raw]: ...


class Rings:
    """Reads the rings of all workers. line_of: returns the line of the access log, as JSON, of the
    end of a request; raises ValueError. rows: of sessions, of each worker."""

    def __init__(self, reader: Reader, line_of: Callable[[int, bytes], bytes], rows: int) -> None:
        self._reader = reader
        self._line_of = line_of
        self._rows = rows
        self._pids: dict[int, int] = {}
        # By worker and row: the number of the recording there. No other process of that worker has
        # it.
        self._open: dict[tuple[int, int], int] = {}

    def take(self, workers: Iterable[Worker]) -> list[Piece]:
        """Returns what has come since the last call, up to PIECES_A_TURN of each worker."""
        found: list[Piece] = []
        pids = {worker.index: worker.pid for worker in workers}
        for index in sorted(self._pids.keys() | pids.keys()):
            pid = pids.get(index, NO_PROCESS)  # what a worker that was given up has left is taken
            gone = self._pids.setdefault(index, pid) != pid
            left = self._open_of(index) if gone else {}
            whole = self._take(index, found)
            if whole:  # all that the process before has left is read
                self._pids[index] = pid
                found += self._given_up(left)
        return found

    def end(self) -> list[Piece]:
        """Returns the ends of all that is not complete: no worker runs any more."""
        self._open.clear()
        return [Gone(worker) for worker in self._pids]

    def _take(self, worker: int, found: list[Piece]) -> bool:
        """Adds the next pieces of a worker. Returns whether there were no more."""
        raws = self._reader.take(worker, PIECES_A_TURN)
        for raw in raws:
            found += self._pieces(worker, raw)
        return len(raws) < PIECES_A_TURN

    def _open_of(self, worker: int) -> dict[tuple[int, int], int]:
        return {place: own for place, own in self._open.items() if place[0] == worker}

    def _given_up(self, left: Mapping[tuple[int, int], int]) -> Iterator[Piece]:
        """Yields the ends of those that a process has left, and that it has not ended."""
        for place, own in left.items():
            if self._open.get(place) == own:
                del self._open[place]
                yield End(place[0], own, {"end": "worker_died"}, frozenset(Side))

    def _pieces(self, worker: int, raw: Raw) -> Iterator[Piece]:
        place = worker, raw.slot
        own = self._open.get(place)
        if raw.slot >= self._rows:  # no worker of ours says that
            return
        if raw.kind == native.BEGIN:
            if own is not None:  # its end found no room
                yield End(worker, own, {}, frozenset(Side))
            self._open[place] = raw.number
            yield Begin(worker, raw.number, raw.record, raw.rule, raw.data)
        elif raw.kind in SIDES:
            yield Data(worker, raw.number, SIDES[raw.kind], raw.data)
        elif raw.kind == native.ANSWER:
            yield Answer(worker, raw.number, raw.data)
        elif raw.kind == native.END:
            about = self._about(worker, raw.data)
            known = own == raw.number and bool(about)
            if own == raw.number:
                del self._open[place]
            yield End(worker, raw.number, about, _sides(raw.cut) if known else frozenset(Side))

    def _about(self, worker: int, end: bytes) -> Mapping[str, Any]:
        try:
            found = json.loads(self._line_of(worker, end))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def _sides(bits: int) -> frozenset[Side]:
    return frozenset(side for side in Side if CUT[side] & bits)

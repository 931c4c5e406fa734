"""Puts recordings together from the pieces of all workers, in bounded memory.

Nothing here is written anywhere: what is not masked yet must never be on a disk. When memory is
full, bodies are cut, and requests that begin are refused. Heads of answers are always taken,
because a recording without one tells little: so memory can exceed its limit by one head of each
recording in progress.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from l4lb.record.head import split_head
from l4lb.record.pieces import Answer, Begin, Data, End, Gone, Piece, Side

MEMORY_MAX = 64 << 20  # bytes of all recordings in progress
RECORDINGS_MAX = 8_192  # in progress
UNKNOWN_MAX = 65_536  # numbers that are known not to be recorded
BOTH = frozenset(Side)
NOTHING: Mapping[str, object] = MappingProxyType({})


class Reason(StrEnum):
    """Why a recording has ended."""

    ENDED = "ended"  # the request has
    GONE = "worker_gone"  # its worker has died meanwhile
    BEGUN_AGAIN = "begun_again"  # the worker has used its number again, and has lost the end


class Recording(NamedTuple):
    """A request and its answer, not masked. answer_head: b"" if there was none. about: the line of
    the access log. cut: the sides whose bodies are not whole."""

    worker: int
    number: int
    record: str
    rule: str
    request_head: bytes
    request_body: bytes
    answer_head: bytes
    answer_body: bytes
    about: Mapping[str, object]
    cut: frozenset[Side]
    reason: Reason


@dataclass(slots=True)
class _Draft:
    """A recording in progress."""

    begin: Begin
    answer_head: bytes = b""
    bodies: dict[Side, bytearray] = field(default_factory=lambda: {s: bytearray() for s in Side})
    cut: set[Side] = field(default_factory=set)

    @property
    def size(self) -> int:
        bodies = sum(map(len, self.bodies.values()))
        return len(self.begin.head) + len(self.answer_head) + bodies

    def finished(self, about: Mapping[str, object], reason: Reason) -> Recording:
        return Recording(
            self.begin.worker,
            self.begin.number,
            self.begin.record,
            self.begin.rule,
            self.begin.head,
            bytes(self.bodies[Side.REQUEST]),
            self.answer_head,
            bytes(self.bodies[Side.ANSWER]),
            about,
            frozenset(self.cut),
            reason,
        )


class Assembly:
    """Recordings in progress. used: their bytes. refused: requests for which there was no room.
    lost: requests whose begin was never seen, because another recorder has got it. cut: bodies that
    were cut because memory was full."""

    def __init__(self, limit_bytes: int = MEMORY_MAX, limit_count: int = RECORDINGS_MAX) -> None:
        self._limit_bytes = limit_bytes
        self._limit_count = limit_count
        self._drafts: dict[int, dict[int, _Draft]] = {}  # by worker and number
        self._unknown: dict[int, set[int]] = {}  # likewise: refused or lost, and not ended
        self.used = 0
        self.refused = 0
        self.lost = 0
        self.cut = 0

    @property
    def in_progress(self) -> int:
        """The number of recordings in progress."""
        return sum(map(len, self._drafts.values()))

    def take(self, piece: Piece) -> list[Recording]:
        """Takes a piece. Returns the recordings that it has finished."""
        match piece:
            case Begin():
                return self._begin(piece)
            case Data():
                self._data(piece)
            case Answer():
                self._answer(piece)
            case End():
                return self._end(piece)
            case Gone():
                return self._gone(piece)
        return []

    def _begin(self, piece: Begin) -> list[Recording]:
        before = self._taken(piece.worker, piece.number)
        finished = [] if before is None else [_cut(before, Reason.BEGUN_AGAIN)]
        self._forget(piece.worker, piece.number)
        head, body = split_head(piece.head)
        has_room = self.used + len(head) <= self._limit_bytes
        if not has_room or self.in_progress >= self._limit_count:
            self.refused += 1
            self._remember(piece.worker, piece.number)
            return finished
        draft = _Draft(piece._replace(head=head))
        self._drafts.setdefault(piece.worker, {})[piece.number] = draft
        self.used += len(head)
        self._add(draft, Side.REQUEST, body)
        return finished

    def _data(self, piece: Data) -> None:
        draft = self._draft(piece)
        if draft is not None:
            self._add(draft, piece.side, piece.data)

    def _add(self, draft: _Draft, side: Side, data: bytes) -> None:
        """Adds to a body what there is room for. A body that was cut stays as it is: nothing may be
        missing in the middle."""
        if side in draft.cut or not data:
            return
        room = max(0, self._limit_bytes - self.used)
        if len(data) > room:
            draft.cut.add(side)
            self.cut += 1
        taken = data[:room]
        draft.bodies[side] += taken
        self.used += len(taken)

    def _answer(self, piece: Answer) -> None:
        draft = self._draft(piece)
        if draft is None:
            return
        self.used -= len(draft.answer_head) + len(draft.bodies[Side.ANSWER])
        draft.bodies[Side.ANSWER] = bytearray()
        draft.cut.discard(Side.ANSWER)
        draft.answer_head, body = split_head(piece.head)
        self.used += len(draft.answer_head)
        self._add(draft, Side.ANSWER, body)

    def _end(self, piece: End) -> list[Recording]:
        draft = self._draft(piece)
        self._forget(piece.worker, piece.number)
        if draft is None:
            return []
        self._taken(piece.worker, piece.number)
        draft.cut |= piece.cut
        return [draft.finished(piece.about, Reason.ENDED)]

    def _gone(self, piece: Gone) -> list[Recording]:
        self._unknown.pop(piece.worker, None)
        numbers = list(self._drafts.get(piece.worker, ()))
        drafts = [self._taken(piece.worker, number) for number in numbers]
        return [_cut(draft, Reason.GONE) for draft in drafts if draft is not None]

    def _draft(self, piece: Data | Answer | End) -> _Draft | None:
        """Returns the recording of a piece. None: there is none; once for each, it is counted."""
        draft = self._drafts.get(piece.worker, {}).get(piece.number)
        if draft is None and piece.number not in self._unknown.get(piece.worker, ()):
            self.lost += 1
            self._remember(piece.worker, piece.number)
        return draft

    def _taken(self, worker: int, number: int) -> _Draft | None:
        """Removes a recording from those in progress, and returns it."""
        drafts = self._drafts.get(worker, {})
        draft = drafts.pop(number, None)
        if not drafts:
            self._drafts.pop(worker, None)
        if draft is not None:
            self.used -= draft.size
        assert self.used >= 0
        return draft

    def _remember(self, worker: int, number: int) -> None:
        if sum(map(len, self._unknown.values())) < UNKNOWN_MAX:
            self._unknown.setdefault(worker, set()).add(number)

    def _forget(self, worker: int, number: int) -> None:
        numbers = self._unknown.get(worker, set())
        numbers.discard(number)
        if not numbers:
            self._unknown.pop(worker, None)


def _cut(draft: _Draft, reason: Reason) -> Recording:
    """Finishes a recording whose end is not known."""
    draft.cut |= BOTH
    return draft.finished(NOTHING, reason)

"""Pieces of all workers out of their rings: processes that come and go."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from l4lb.native import record as native
from l4lb.native.pieces import Piece as Raw
from l4lb.record.pieces import Answer, Begin, End, Side
from l4lb.record.rings import PIECES_A_TURN, Rings

ROWS = 100


@dataclass
class Worker:
    index: int
    pid: int


@dataclass
class Reader:
    """Rings as lists. asked: the workers whose ring was read."""

    raws: dict[int, list[Raw]] = field(default_factory=dict)

    def take(self, worker: int, limit: int) -> list[Raw]:
        waiting = self.raws.get(worker, [])
        self.raws[worker] = waiting[limit:]
        return waiting[:limit]


def line_of(_: int, end: bytes) -> bytes:
    return end


def begin(number: int, slot: int = 5) -> Raw:
    return Raw(native.BEGIN, slot, number, "rule", "record", b"GET / HTTP/1.1\r\n\r\n")


def answer(number: int, slot: int = 5) -> Raw:
    return Raw(native.ANSWER, slot, number, "", "", b"HTTP/1.1 204 X\r\n\r\n")


def end(number: int, slot: int = 5) -> Raw:
    told = {"status": 204, "request_bytes": 0, "answer_bytes": 0}
    return Raw(native.END, slot, number, "", "", json.dumps(told).encode())


def test_what_a_worker_has_left_that_is_no_more_is_taken() -> None:
    """A reload lowers the number of workers: the table has the second one no more."""
    reader = Reader({1: [begin(1), begin(2, slot=6)]})
    rings = Rings(reader, line_of, ROWS)
    assert len(rings.take([Worker(0, 10), Worker(1, 11)])) == 2
    reader.raws[1] = [answer(1), end(1)]
    found = rings.take([Worker(0, 10)])
    assert [type(one) for one in found] == [Answer, End, End]
    assert found[1].cut == frozenset()
    assert (found[2].number, found[2].about, found[2].cut) == (
        2, {"end": "worker_died"}, frozenset(Side),
    )  # fmt: skip
    assert rings.take([Worker(0, 10)]) == []
    reader.raws[1] = [begin(3)]
    assert [type(one) for one in rings.take([Worker(0, 10), Worker(1, 12)])] == [Begin]
    assert rings.take([Worker(0, 10), Worker(1, 12)]) == []


def test_nothing_of_a_worker_is_given_up_before_all_of_it_is_read() -> None:
    many = [answer(1)] * PIECES_A_TURN
    reader = Reader({1: [begin(1)]})
    rings = Rings(reader, line_of, ROWS)
    rings.take([Worker(1, 11)])
    reader.raws[1] = [*many, end(1)]
    assert all(isinstance(one, Answer) for one in rings.take([]))
    (last,) = rings.take([])
    assert isinstance(last, End)
    assert last.about["status"] == 204


def test_what_found_no_room_is_ended_when_its_row_is_used_again() -> None:
    reader = Reader({0: [begin(1), begin(2), answer(2), end(2)]})
    found = Rings(reader, line_of, ROWS).take([Worker(0, 10)])
    assert [type(one) for one in found] == [Begin, End, Begin, Answer, End]
    assert (found[1].number, found[1].cut) == (1, frozenset(Side))
    assert (found[4].number, found[4].cut) == (2, frozenset())


def test_the_worker_tells_what_is_cut() -> None:
    told = [end(1)._replace(cut=bits) for bits in range(4)]
    for bits, raw in enumerate(told):
        reader = Reader({0: [begin(1), raw]})
        _, last = Rings(reader, line_of, ROWS).take([Worker(0, 10)])
        assert isinstance(last, End)
        assert last.cut == {side for bit, side in enumerate(Side) if bits >> bit & 1}


def test_a_row_that_no_session_has_and_an_end_that_says_nothing_are_no_ends() -> None:
    broken = end(1)._replace(data=b"no line")
    reader = Reader({0: [begin(7, slot=ROWS), begin(1), broken]})
    found = Rings(reader, line_of, ROWS).take([Worker(0, 10)])
    assert [(type(one), one.number) for one in found] == [(Begin, 1), (End, 1)]
    assert found[1].cut == frozenset(Side)

"""Recordings are put together from pieces, in bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.record import assembly as module
from l4lb.record.assembly import Assembly, Reason, Recording
from l4lb.record.pieces import Answer, Begin, Data, End, Gone, Piece, Side

HEAD = b"GET / HTTP/1.1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n\r\n"
ASKED, TOLD = Side.REQUEST, Side.ANSWER


def begin(number: int, worker: int = 0, head: bytes = HEAD) -> Begin:
    return Begin(worker, number, "debug", "all", head)


def given_all(assembly: Assembly, *pieces: Piece) -> list[Recording]:
    """Returns what these pieces finish."""
    return [one for piece in pieces for one in assembly.take(piece)]


def test_a_request_and_its_answer_are_put_together() -> None:
    assembly = Assembly()
    pieces = [
        begin(1, head=HEAD + b"a"), Data(0, 1, ASKED, b"b"), Answer(0, 1, OK + b"c"),
        Data(0, 1, TOLD, b"d"), Data(0, 1, ASKED, b"e"), Data(0, 1, TOLD, b"f"),
    ]  # fmt: skip
    assert given_all(assembly, *pieces) == []
    assert assembly.in_progress == 1
    assert assembly.used == len(HEAD + OK) + 6
    assert assembly.take(End(0, 1, {"status": 200})) == [
        Recording(
            0, 1, "debug", "all", HEAD, b"abe", OK, b"cdf", {"status": 200}, frozenset(),
            Reason.ENDED,
        )
    ]  # fmt: skip
    assert (assembly.in_progress, assembly.used) == (0, 0)
    assert (assembly.refused, assembly.lost, assembly.cut) == (0, 0, 0)


def test_numbers_of_workers_are_told_apart() -> None:
    assembly = Assembly()
    found = given_all(
        assembly, begin(1, 0), begin(1, 1), begin(2, 1), Data(1, 1, ASKED, b"x"),
        Data(1, 2, ASKED, b"y"), End(1, 1, {}), End(0, 1, {}), End(1, 2, {}),
    )  # fmt: skip
    assert [(one.worker, one.number, one.request_body) for one in found] == [
        (1, 1, b"x"), (0, 1, b""), (1, 2, b"y"),
    ]  # fmt: skip


def test_what_the_worker_has_cut_is_told() -> None:
    [found] = given_all(Assembly(), begin(1), End(0, 1, {}, frozenset({ASKED})))
    assert found.cut == {ASKED}


def test_another_answer_takes_the_place_of_the_one_before() -> None:
    assembly = Assembly(limit_bytes=len(HEAD + OK) + 3)
    given_all(assembly, begin(1), Answer(0, 1, b"HTTP/1.1 100\r\n\r\n"), Answer(0, 1, OK + b"long"))
    assert assembly.cut == 1
    [found] = given_all(assembly, Answer(0, 1, OK + b"ab"), Data(0, 1, TOLD, b"c"), End(0, 1, {}))
    assert (found.answer_head, found.answer_body, found.cut) == (OK, b"abc", frozenset())


def test_what_a_dead_worker_had_begun_is_finished_as_cut() -> None:
    assembly = Assembly()
    found = given_all(
        assembly, begin(1), begin(2), begin(1, 1), Data(0, 1, ASKED, b"x"), Data(0, 7, ASKED, b""),
        Gone(0), Gone(5),
    )  # fmt: skip
    assert [(one.number, one.request_body, one.reason) for one in found] == [
        (1, b"x", Reason.GONE), (2, b"", Reason.GONE),
    ]  # fmt: skip
    assert {one.cut for one in found} == {frozenset(Side)}
    assert (assembly.in_progress, assembly.used, assembly.lost) == (1, len(HEAD), 1)
    # The next worker has the same number, and none of what was lost is known.
    [again] = given_all(assembly, begin(7), Data(0, 7, ASKED, b"y"), End(0, 7, {}))
    assert again.request_body == b"y"


def test_a_number_that_begins_again_finishes_the_one_before() -> None:
    assembly = Assembly()
    [found] = given_all(assembly, begin(1), Data(0, 1, ASKED, b"x"), begin(1))
    assert (found.request_body, found.reason, found.cut) == (
        b"x", Reason.BEGUN_AGAIN, frozenset(Side),
    )  # fmt: skip
    assert assembly.used == len(HEAD)


def test_when_memory_is_full_bodies_are_cut_and_heads_are_not() -> None:
    assembly = Assembly(limit_bytes=2 * len(HEAD) + 5)
    given_all(assembly, begin(1), begin(2), Data(0, 1, ASKED, b"abc"), Data(0, 2, ASKED, b"defg"))
    assert assembly.used == 2 * len(HEAD) + 5
    given_all(assembly, Answer(0, 1, OK + b"told"), begin(3))
    assert (assembly.refused, assembly.cut) == (1, 2)
    found = given_all(
        assembly, End(0, 1, {}), Data(0, 2, ASKED, b"h"), Data(0, 3, ASKED, b"i"), End(0, 2, {}),
        End(0, 3, {}),
    )  # fmt: skip
    assert [(one.request_body, one.answer_head, one.answer_body, one.cut) for one in found] == [
        (b"abc", OK, b"", {TOLD}), (b"de", b"", b"", {ASKED}),
    ]  # fmt: skip
    assert (assembly.used, assembly.lost) == (0, 0)


def test_a_body_that_was_cut_has_no_hole_when_there_is_room_again() -> None:
    assembly = Assembly(limit_bytes=2 * len(HEAD) + 1)
    given_all(assembly, begin(1), begin(2), Data(0, 1, ASKED, b"ab"), End(0, 2, {}))
    [found] = given_all(assembly, Data(0, 1, ASKED, b"c"), End(0, 1, {}))
    assert (found.request_body, found.cut) == (b"a", {ASKED})


def test_when_there_are_too_many_new_ones_are_refused_and_counted() -> None:
    assembly = Assembly(limit_count=2)
    given_all(assembly, begin(1), begin(2), begin(3), Data(0, 3, ASKED, b"x"), End(0, 3, {}))
    assert (assembly.in_progress, assembly.refused, assembly.lost) == (2, 1, 0)
    given_all(assembly, End(0, 1, {}), begin(4))
    assert (assembly.in_progress, assembly.refused) == (2, 1)


def test_what_another_recorder_has_seen_begin_is_counted_once() -> None:
    assembly = Assembly()
    pieces = [Data(0, 1, ASKED, b"x"), Answer(0, 1, OK), Data(0, 2, TOLD, b"x"), End(0, 1, {})]
    assert given_all(assembly, *pieces) == []
    assert assembly.lost == 2
    assert given_all(assembly, begin(1), End(0, 1, {})) != []
    assert (assembly.used, assembly.lost) == (0, 2)


def test_the_memory_of_what_is_unknown_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNKNOWN_MAX", 3)
    assembly = Assembly(limit_count=0)
    for number in range(9):
        given_all(assembly, begin(number))
    assert sum(map(len, assembly._unknown.values())) == 3
    given_all(assembly, *(End(0, number, {}) for number in range(9)))
    assert not assembly._unknown


WORKERS, NUMBERS = st.integers(0, 1), st.integers(0, 3)
BYTES = st.sampled_from([b"", b"abc", HEAD, HEAD + b"de"])
PIECES = st.one_of(
    st.builds(Begin, WORKERS, NUMBERS, st.just("a"), st.just("b"), BYTES),
    st.builds(Data, WORKERS, NUMBERS, st.sampled_from(Side), BYTES),
    st.builds(Answer, WORKERS, NUMBERS, BYTES),
    st.builds(End, WORKERS, NUMBERS, st.just({}), st.frozensets(st.sampled_from(Side))),
    st.builds(Gone, WORKERS),
)


@given(st.lists(PIECES, max_size=40))
def test_pieces_in_any_order_keep_the_counts_and_the_limits(pieces: list[Piece]) -> None:
    assembly = Assembly(limit_bytes=60, limit_count=3)
    begun = finished = 0
    for piece in pieces:
        begun += isinstance(piece, Begin)
        finished += len(assembly.take(piece))
        drafts = [one for ones in assembly._drafts.values() for one in ones.values()]
        assert assembly.used == sum(one.size for one in drafts)
        assert assembly.used <= 60 + sum(len(one.answer_head) for one in drafts)
        assert assembly.in_progress == len(drafts) <= 3
        assert begun == finished + assembly.in_progress + assembly.refused
    finished += sum(len(assembly.take(Gone(worker))) for worker in (0, 1))
    assert begun == finished + assembly.refused
    assert (assembly.used, assembly.in_progress, assembly._unknown) == (0, 0, {})

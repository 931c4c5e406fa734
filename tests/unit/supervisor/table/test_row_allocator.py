"""Rows for keys, compared with a list that remembers everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.supervisor.table.row_allocator import FullError, RowAllocator

SIZE = 4
STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "give", "busy", "idle"]), st.sampled_from("abcdefg")),
    max_size=60,
)


@given(STEPS)
def test_a_key_keeps_its_row_and_only_an_idle_row_is_given_on(
    steps: list[tuple[str, str]],
) -> None:
    busy: set[int] = set()
    recycled: list[int] = []
    rows: RowAllocator[str] = RowAllocator(
        SIZE, is_idle=lambda row: row not in busy, recycle=recycled.append
    )
    owner: dict[int, str] = {}  # the last key of every row that was given
    live: dict[str, int] = {}
    left: list[str] = []  # removed keys, oldest first
    for step, key in steps:
        if step == "take" and key not in live:
            room = rows.has_room([key])
            before = len(recycled)
            try:
                row, known = rows.take(key)
            except FullError:
                assert not room
                assert len(owner) == SIZE
                assert all(rows.gone[one] in busy for one in left)
                continue
            assert room
            assert known == (owner.get(row) == key)
            if known:
                left.remove(key)
            elif len(recycled) > before:
                was = owner[row]
                assert recycled[-1] == row
                assert row not in busy
                assert was == next(one for one in left if rows_of(one, owner) not in busy)
                left.remove(was)
            else:
                assert row not in owner
            owner[row], live[key] = key, row
        elif step == "give" and key in live:
            assert rows.give(key) == live.pop(key)
            left.append(key)
        elif step == "busy" and key in live:
            busy.add(live[key])
        elif step == "idle":
            busy.clear()
        assert dict(rows.live) == live
        assert list(rows.gone) == left


def rows_of(key: str, owner: dict[int, str]) -> int:
    """Returns the row that a key has or had."""
    return next(row for row, one in owner.items() if one == key)


def test_a_key_without_a_row_is_not_there() -> None:
    rows: RowAllocator[str] = RowAllocator(1, is_idle=lambda _: True, recycle=lambda _: None)
    assert "a" not in rows
    with pytest.raises(KeyError):
        rows["a"]

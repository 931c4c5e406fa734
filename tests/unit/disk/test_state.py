"""The state of a cache's folder: when its files may be used, and what purges it keeps."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.disk.state import (
    BYTES_MAX,
    EPOCH_MAX,
    PURGES_MAX,
    WORD_MAX,
    Purge,
    State,
    begun,
    merged,
    packed,
    unpacked,
)

WORDS = st.integers(0, WORD_MAX)
PURGES = st.builds(Purge, WORDS, WORDS, WORDS, WORDS, WORDS, st.booleans())
NAMES = st.text(max_size=64)
STATES = st.builds(
    State,
    key=st.binary(min_size=16, max_size=16),
    cache=NAMES,
    boot_id=NAMES,
    clean=st.booleans(),
    epoch=st.integers(0, EPOCH_MAX - 1),
    floor=WORDS,
    purges=st.lists(PURGES, max_size=5).map(tuple),
)
SOME = State(b"k" * 16, "pages", "boot 1", epoch=7, floor=3, purges=(Purge(4, 1, 1, 9, 9, True),))


@given(STATES)
def test_what_is_written_is_read_again(state: State) -> None:
    assert unpacked(packed(state)) == state


def test_the_longest_state_fits_the_file() -> None:
    purges = (Purge(WORD_MAX, WORD_MAX, WORD_MAX, WORD_MAX, WORD_MAX, True),) * PURGES_MAX
    state = replace(SOME, purges=purges)
    assert len(packed(state)) < BYTES_MAX
    assert unpacked(packed(state)) == state


@given(st.binary(max_size=200))
def test_any_bytes_are_a_state_or_an_error(data: bytes) -> None:
    try:
        unpacked(data)
    except ValueError:
        return


@given(STATES, st.data())
def test_a_damaged_state_is_a_state_or_an_error(state: State, data: st.DataObject) -> None:
    whole = bytearray(packed(state))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for damaged in (bytes(whole), cut):
        try:
            found = unpacked(damaged)
        except ValueError:
            continue
        assert unpacked(packed(found)) == found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", 2),
        ("key", b"short"),
        ("key", "x" * 16),
        ("cache", 5),
        ("cache", "x" * 1_000),
        ("boot_id", None),
        ("clean", 1),
        ("epoch", -1),
        ("epoch", EPOCH_MAX),
        ("epoch", True),
        ("floor", "0"),
        ("purges", 3),
        ("purges", [[1, 2, 3]]),
        ("purges", [[1, 2, 3, 4, 5, 6]]),
        ("purges", [[1, 2, 3, 4, -5, True]]),
        ("purges", [7]),
        ("purges", [[1, 2, 3, 4, 5, True]] * (PURGES_MAX + 1)),
    ],
)
def test_a_value_that_makes_no_sense_is_an_error(key: str, value: object) -> None:
    told = msgpack.unpackb(packed(SOME))
    with pytest.raises(ValueError, match=r"sense|format"):
        unpacked(msgpack.packb({**told, key: value}))


@pytest.mark.parametrize("key", ["format", "key", "clean", "epoch", "floor", "purges"])
def test_a_state_that_lacks_something_is_an_error(key: str) -> None:
    told = msgpack.unpackb(packed(SOME))
    del told[key]
    with pytest.raises(ValueError, match=r"sense|format"):
        unpacked(msgpack.packb(told))


def test_a_file_that_is_too_large_is_an_error() -> None:
    with pytest.raises(ValueError, match="too large"):
        unpacked(packed(SOME) + bytes(BYTES_MAX))


# ---- whose files may be used ----


def test_a_restart_of_the_service_keeps_the_files_and_the_purges() -> None:
    for before in (SOME, replace(SOME, clean=True)):
        state, why = begun(before, "pages", "boot 1")
        assert state == SOME
        assert why == ""


def test_a_restart_of_the_machine_keeps_them_if_the_service_had_ended_in_order() -> None:
    state, why = begun(replace(SOME, clean=True), "pages", "boot 2")
    assert state == replace(SOME, boot_id="boot 2")
    assert not state.clean
    assert why == ""


@pytest.mark.parametrize(
    ("before", "cache", "boot_id"),
    [
        (SOME, "pages", "boot 2"),  # a power failure
        (replace(SOME, boot_id=""), "pages", ""),  # a kernel that does not tell
        (SOME, "images", "boot 1"),
        (replace(SOME, clean=True), "images", "boot 1"),
    ],
)
def test_what_is_doubtful_begins_with_another_key(before: State, cache: str, boot_id: str) -> None:
    state, why = begun(before, cache, boot_id)
    assert why
    assert state.key != before.key
    assert len(state.key) == 16
    assert (state.cache, state.boot_id, state.clean) == (cache, boot_id, False)
    assert (state.purges, state.floor) == ((), 0)
    assert state.epoch == before.epoch  # stamps must grow all the same


def test_two_new_states_have_two_keys() -> None:
    assert begun(None, "a", "b")[0].key != begun(None, "a", "b")[0].key


# ---- purges ----


@given(st.lists(PURGES, max_size=8), st.lists(PURGES, max_size=8), WORDS)
def test_few_purges_are_all_kept_once_and_in_order(
    some: list[Purge], others: list[Purge], floor: int
) -> None:
    rows, least = merged([*some, *others, *some], floor)
    assert set(rows) == {*some, *others}
    assert list(rows) == sorted(rows)
    assert len(rows) == len(set(rows))
    assert least == floor


@pytest.mark.parametrize("floor", [0, 2, 10_000])
def test_of_many_purges_the_newest_are_kept_and_the_floor_stands_for_the_others(
    floor: int,
) -> None:
    purges = [Purge(stamp, 1, 1, 1, 1, False) for stamp in range(1, PURGES_MAX + 6)]
    rows, least = merged(reversed(purges), floor)
    assert list(rows) == purges[5:]
    assert least == max(floor, 5)

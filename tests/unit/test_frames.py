"""Messages between processes: whole, in order, in parts if they are long; and hostile ones."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb import frames
from l4lb.supervisor.process.child import channel


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = channel()
    with ours, theirs:
        yield ours, theirs


def sent(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns what comes out when these messages are sent."""
    ours, theirs = channel()
    with theirs:
        inbox, found = frames.Inbox(theirs), []
        with ours:
            for message in messages:
                for frame in frames.packed(message):
                    assert len(frame) <= frames.MESSAGE_MAX
                    ours.send(frame)
                    while (one := inbox.take()) is not None:
                        found.append(one)
        assert inbox.take() is None
        assert inbox.ended
    return found


@given(st.lists(st.dictionaries(st.text(max_size=9), st.integers(0, 200_000)), max_size=5))
def test_what_goes_in_comes_out(plain: list[dict[str, int]]) -> None:
    messages: list[dict[str, Any]] = [
        {key: "x" * size for key, size in one.items() if key != "part"} for one in plain
    ]
    assert sent(messages) == messages


@pytest.mark.parametrize("near", [-1, 0, 1, frames.PART_BYTES])
def test_no_byte_is_lost_where_parts_begin(near: int) -> None:
    text = "x" * (frames.PART_BYTES + near - len(msgpack.packb({"a": "x" * 40_000})) + 40_000)
    assert sent([{"a": text}, {"b": 1}]) == [{"a": text}, {"b": 1}]


@pytest.mark.parametrize("junk", [b"\xc1", b"\x01", msgpack.packb([1]), msgpack.packb("text")])
def test_what_is_none_is_an_error_once_and_the_next_is_taken(
    ends: tuple[socket.socket, socket.socket], junk: bytes
) -> None:
    ours, theirs = ends
    inbox = frames.Inbox(theirs)
    ours.send(junk)
    ours.send(msgpack.packb({"part": junk, "last": True}))
    ours.send(msgpack.packb({"ok": 1}))
    for _ in range(2):
        with pytest.raises(ValueError):
            inbox.take()
    assert inbox.take() == {"ok": 1}
    assert inbox.take() is None
    assert not inbox.ended


def test_parts_without_end_are_given_up(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "WHOLE_MAX", 100_000)
    ours, theirs = ends
    inbox = frames.Inbox(theirs)
    for _ in range(3):
        ours.send(msgpack.packb({"part": b"\xc1" * 30_000}))
    assert inbox.take() is None
    ours.send(msgpack.packb({"part": b"\xc1" * 30_000}))
    with pytest.raises(ValueError):
        inbox.take()
    ours.send(msgpack.packb({"ok": 1}))
    assert inbox.take() == {"ok": 1}

"""Frames: however the bytes are cut the messages are the same, and no bytes do harm."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.control.serving import protocol
from l4lb.control.serving.protocol import FRAME_MAX, NESTING_MAX, Decoder, ProtocolError, encode

PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary()
VALUES = st.recursive(
    PLAIN,
    lambda one: st.lists(one, max_size=4) | st.dictionaries(st.text(), one, max_size=4),
    max_leaves=12,
)
MESSAGES = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=6)


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def decoded(data: bytes) -> list[dict[str, Any]]:
    return list(Decoder().feed(data))


@given(MESSAGES, st.data())
def test_any_cut_of_the_stream_gives_the_same_messages(
    messages: list[dict[str, Any]], data: st.DataObject
) -> None:
    stream = b"".join(map(encode, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    decoder, found = Decoder(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += decoder.feed(stream[start:end])
    assert found == messages
    assert not decoder.is_inside_frame


def test_one_byte_at_a_time_is_a_cut_like_any_other() -> None:
    message = {"id": 1, "command": "status", "args": {}}
    decoder, found = Decoder(), []
    for byte in encode(message) * 2:
        found += decoder.feed(bytes([byte]))
    assert found == [message, message]


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_random_bytes_raise_nothing_but_protocol_error(chunks: list[bytes]) -> None:
    decoder = Decoder()
    try:
        for chunk in chunks:
            for message in decoder.feed(chunk):
                assert isinstance(message, dict)
    except ProtocolError:
        pass


@given(st.binary(max_size=300))
def test_random_bytes_in_a_frame_are_a_map_or_a_protocol_error(body: bytes) -> None:
    try:
        messages = decoded(framed(body))
    except ProtocolError:
        return
    assert all(isinstance(key, str) for message in messages for key in message)


@pytest.mark.parametrize("length", [FRAME_MAX + 1, 1 << 31, (1 << 32) - 1])
def test_a_length_beyond_the_limit_is_refused_before_a_byte_of_it_came(length: int) -> None:
    with pytest.raises(ProtocolError, match=f"a frame of {length} bytes; at most {FRAME_MAX}"):
        decoded(struct.pack(">I", length))


def test_a_frame_of_exactly_the_limit_is_taken() -> None:
    message = {"text": "x" * (FRAME_MAX - len(msgpack.packb({"text": ""})) - 4)}
    assert len(encode(message)) == FRAME_MAX + 4
    assert decoded(encode(message)) == [message]


def test_a_message_beyond_the_limit_is_not_sent() -> None:
    with pytest.raises(ValueError, match="a frame holds"):
        encode({"text": "x" * FRAME_MAX})


def nested(levels: int) -> dict[str, Any]:
    value: Any = []
    for _ in range(levels - 2):
        value = [value]
    return {"deep": value}


def test_nesting_up_to_the_limit_is_taken() -> None:
    assert decoded(encode(nested(NESTING_MAX))) == [nested(NESTING_MAX)]


def test_nesting_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ProtocolError, match=f"more than {NESTING_MAX} levels"):
        decoded(encode(nested(NESTING_MAX + 1)))


@pytest.mark.parametrize("levels", [100, 1_000, 100_000, FRAME_MAX - 20])
def test_nesting_of_any_depth_is_refused_and_not_a_crash(levels: int) -> None:
    body = b"\x81\xa1a" + b"\x91" * levels + b"\xc0"
    with pytest.raises(ProtocolError):
        decoded(framed(body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        msgpack.packb([]),
        msgpack.packb(7),
        msgpack.packb({1: 2}),
        msgpack.packb({b"id": 2}),
        msgpack.packb({}) + b"\x00",
        msgpack.packb({"a": 1})[:-1],
        b"\x81\xa1\xff\x00",
        b"\x81\xdb\xff\xff\xff\xff",
    ],
    ids=[
        "empty", "no-msgpack", "a-list", "a-number", "number-key", "bytes-key", "bytes-after",
        "cut-short", "no-utf-8", "a-text-of-4-GiB",
    ],
)  # fmt: skip
def test_a_frame_that_is_not_one_map_with_text_keys_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decoded(framed(body))


@pytest.mark.parametrize("lie", [b"\xdf\xff\xff\xff\xff", b"\x81\xa1a\xdd\xff\xff\xff\xff"])
def test_a_map_or_list_that_lies_about_its_size_takes_no_memory(lie: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            decoded(framed(lie))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_the_messages_before_a_broken_frame_are_still_given() -> None:
    feed = Decoder().feed(encode({"id": 1}) + framed(b"\xc1"))
    assert next(feed) == {"id": 1}
    with pytest.raises(ProtocolError):
        next(feed)


def test_a_frame_that_has_begun_is_known_as_such() -> None:
    decoder = Decoder()
    assert not decoder.is_inside_frame
    list(decoder.feed(b"\x00"))
    assert decoder.is_inside_frame
    list(decoder.feed(encode({"id": 1})[1:]))
    assert not decoder.is_inside_frame


def test_a_length_is_four_bytes_in_network_order() -> None:
    assert encode({})[: protocol.LENGTH.size] == b"\x00\x00\x00\x01"


@pytest.mark.parametrize(
    "value",
    [[{}] * 1_000_000, [[]] * 500_000, [0] * 900_000, {str(n): 0 for n in range(90_000)},
     [[0] * 10_000] * 90],
    ids=["maps", "lists", "numbers", "keys", "lists of numbers"],
)  # fmt: skip
def test_a_request_of_many_elements_is_refused_before_they_are_looked_at(value: object) -> None:
    """A frame of 1 MiB can hold a million maps, each of which costs memory and time."""
    data = encode({"id": 1, "command": "status", "args": {"x": value}})
    with pytest.raises(ProtocolError, match=r"elements|exceeds"):
        list(Decoder(protocol.ELEMENTS_MAX).feed(data))
    assert list(Decoder().feed(data))  # an answer may have this many


def test_a_request_with_as_many_elements_as_may_be_is_taken() -> None:
    value = list(range(protocol.ELEMENTS_MAX - 20))
    message = {"id": 1, "command": "status", "args": {"x": value}}
    assert list(Decoder(protocol.ELEMENTS_MAX).feed(encode(message))) == [message]

"""ClientHellos are read whole, in part or in any pieces; their lengths are not trusted."""

from __future__ import annotations

from doors.wire import await_hello, read_hello
from hellos import hello, padded, records
from hypothesis import given
from hypothesis import strategies as st

NAME, PROTOCOLS = "Www.Example.COM", ("h2", "http/1.1")
SAID = hello(NAME, PROTOCOLS)
WHOLE = ("whole", "www.example.com", (b"h2", b"http/1.1"))


def test_openssls_hello_tells_its_name_in_lower_case_and_its_protocols() -> None:
    assert read_hello(SAID) == WHOLE
    assert read_hello(hello("a.b", ())) == ("whole", "a.b", ())
    assert read_hello(hello(None, ("h2",))) == ("whole", "", (b"h2",))
    assert read_hello(hello()) == ("whole", "", ())
    assert read_hello(SAID + b"more") == WHOLE


def test_the_dot_at_a_names_end_is_no_part_of_it() -> None:
    with_dot = hello("aa.b", ()).replace(b"aa.b", b"a.b.")
    assert read_hello(with_dot) == ("whole", "a.b", ())
    assert read_hello(with_dot.replace(b"a.b.", b"a.b\0")) == ("none",)


def test_every_beginning_of_a_hello_asks_for_bytes_that_are_there_in_the_whole() -> None:
    said = records(SAID[5:], 100)
    for length in range(len(said)):
        answer = read_hello(said[:length])
        if answer[0] == "more":
            assert length < answer[1] <= len(said)
        else:  # the padding at the end may be missing
            assert answer == WHOLE


def test_asking_again_when_due_ends_after_one_look_a_record() -> None:
    said, length, looks = records(SAID[5:], 100), 0, 0
    while (answer := read_hello(said[:length]))[0] == "more":
        length, looks = answer[1], looks + 1
    assert answer == WHOLE
    assert looks <= 2 * (len(said) // 105 + 1)


@given(st.lists(st.integers(1, len(SAID)), min_size=1, max_size=30))
def test_records_of_any_sizes_say_the_same(sizes: list[int]) -> None:
    message, said = SAID[5:], b""
    for size in sizes:
        said += records(message[:size]) if message else b""
        message = message[size:]
    assert read_hello(said + (records(message) if message else b"")) == WHOLE


def test_a_hello_of_64_kib_is_read_and_a_longer_one_is_none() -> None:
    large = padded(SAID, 65_536)
    assert read_hello(large) == WHOLE
    assert read_hello(large[:40_000])[0] == "more"
    longer = bytearray(large)
    longer[6:9] = (1 << 20).to_bytes(3, "big")
    assert read_hello(bytes(longer[:40_000])) == ("none",)


def test_other_protocols_are_known_by_their_first_byte() -> None:
    for said in (b"GET / HTTP/1.1\r\n", b"SSH-2.0-", b"\0", b"\x15\x03\x01\0\x02\x02\x28"):
        assert read_hello(said) == ("none",)
    assert read_hello(b"") == ("more", 5)


@given(st.binary(max_size=400))
def test_no_bytes_are_believed_to_be_what_they_are_not(data: bytes) -> None:
    assert read_hello(b"\x16\x03\x01" + data)[0] in ("more", "none", "whole")


@given(st.integers(0, len(SAID) - 1), st.integers(0, 255))
def test_a_changed_byte_never_makes_a_name_with_odd_bytes(at: int, value: int) -> None:
    said = bytearray(SAID)
    said[at] = value
    answer = read_hello(bytes(said))
    if answer[0] == "whole":
        assert all(" " < c <= "~" for c in answer[1])


@given(st.lists(st.integers(1, len(SAID)), min_size=1, max_size=30))
def test_a_hello_is_awaited_to_its_last_byte_in_records_of_any_sizes(sizes: list[int]) -> None:
    message, said = SAID[5:], b""
    for size in sizes:
        said += records(message[:size]) if message else b""
        message = message[size:]
    said += records(message) if message else b""
    for length in range(len(said)):
        answer, due = await_hello(said[:length])
        assert answer == "more"
        assert length < due <= len(said)
    assert await_hello(said) == await_hello(said + b"more") == ("whole",)


def test_what_is_no_hello_or_too_long_a_one_is_not_awaited() -> None:
    for said in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\0\x01\x02", b"\x16\x02\x01\0\x01\x01"):
        assert await_hello(said) == ("none", len(said))
    assert await_hello(records(b"\x01\x01\xff\x00")) == ("none", 0x1FF00)
    assert await_hello(records(b"\x01\x00\xff\x00")) == ("more", 14)

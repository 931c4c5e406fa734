"""PROXY headers: the examples of the specification, written and read in any pieces; and
refusals."""

from __future__ import annotations

import zlib

import pytest
from doors.wire import read_proxy, write_proxy
from hypothesis import given
from hypothesis import strategies as st

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
A4, B4 = ("192.168.0.1", 56324), ("192.168.0.11", 443)
A6, B6 = ("2001:db8::1", 56324), ("2001:db8::11", 443)
LONGEST_V1 = b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n"

GOOD_V1 = [
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
     ("255.255.255.255", 65535), ("255.255.255.255", 65535)),
    ((b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
     b" ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535),
     ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535)),
    (b"PROXY UNKNOWN\r\n", None, None),
    ((b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
     b" ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"), None, None),
    (b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", A4, B4),
    (b"PROXY TCP6 ::1 2001:db8::11 0 443\r\n", ("::1", 0), B6),
]  # fmt: skip

BROKEN_V1 = [
    b"PROXY \r\n",
    b"PROXY TCP4\r\n",
    b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
    b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n",
    b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
    b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
    b"PROXY UNKNOWNX\r\n",
    LONGEST_V1[:-2] + b"f\r\n",
    b"PROXY TCP4 " + b"9" * 200,
]


def v2(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


TCP4 = bytes([192, 168, 0, 1, 192, 168, 0, 11]) + b"\xdc\x04\x01\xbb"
BROKEN_V2 = [
    v2(0x11, 0x11, TCP4),
    v2(0x22, 0x11, TCP4),
    v2(0x21, 0x41, TCP4),
    v2(0x21, 0x13, TCP4),
    v2(0x21, 0x11, TCP4[:-1]),
    v2(0x21, 0x21, TCP4),
    v2(0x21, 0x31, TCP4),
    v2(0x21, 0x11, TCP4 + b"\x01"),
    v2(0x21, 0x11, TCP4 + b"\x01\0\x05h2"),
    v2(0x21, 0x11, TCP4 + b"\x03\0\x04\0\0\0\0"),
    v2(0x21, 0x11, TCP4 + b"\x03\0\x03\0\0\0"),
    v2(0x21, 0x11, TCP4 + bytes(4097 - 28)),
]


@pytest.mark.parametrize(("said", "source", "destination"), GOOD_V1)
def test_the_specifications_lines_are_read(
    said: bytes, source: object, destination: object
) -> None:
    want = ("whole", len(said), 1, source, destination, ())
    assert read_proxy(said) == want
    assert read_proxy(said + b"GET / HTTP/1.1\r\n") == want


def test_the_longest_line_is_107_bytes() -> None:
    assert len(LONGEST_V1) == 107
    assert read_proxy(LONGEST_V1)[0] == "whole"


@pytest.mark.parametrize("said", [one[0] for one in GOOD_V1])
def test_every_beginning_of_a_line_asks_for_more(said: bytes) -> None:
    for length in range(len(said)):
        kind, due = read_proxy(said[:length])
        assert kind == "more"
        assert length < due <= len(said)


@pytest.mark.parametrize("said", BROKEN_V1 + BROKEN_V2)
def test_what_begins_like_a_header_and_is_none_is_broken(said: bytes) -> None:
    assert read_proxy(said) == ("broken",)


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\n", b"PROXi ", b"PROXY\r\n", b"proxy ", b"\r\n\r\n\0\r\nQUIT\t"]
)
def test_what_does_not_begin_like_a_header_is_none(said: bytes) -> None:
    assert read_proxy(said) == ("none",)


def test_version_2_is_read_with_what_it_tells() -> None:
    tlvs = ((1, b"h2"), (2, b"example.com"), (4, b"\0\0"), (0xEE, b""))
    packed = b"".join(bytes([k]) + len(v).to_bytes(2, "big") + v for k, v in tlvs)
    said = v2(0x21, 0x11, TCP4 + packed)
    assert read_proxy(said + b"behind") == ("whole", len(said), 2, A4, B4, tlvs)
    for length in range(len(said)):
        kind, due = read_proxy(said[:length])
        assert kind == "more"
        assert length < due <= len(said)
    assert read_proxy(v2(0x20, 0x00, b"")) == ("whole", 16, 2, None, None, ())
    assert read_proxy(v2(0x20, 0x11, TCP4)) == ("whole", 28, 2, None, None, ())
    assert read_proxy(v2(0x21, 0x00, b"\x04\0\0")) == ("whole", 19, 2, None, None, ((4, b""),))
    assert read_proxy(v2(0x21, 0x31, bytes(216)))[3] == "unix:"


@pytest.mark.parametrize("said", [v2(0x20, family, b"junk") for family in (0x00, 0x41, 0x13, 0xFF)])
def test_of_a_local_header_neither_family_nor_block_is_looked_at(said: bytes) -> None:
    assert read_proxy(said) == ("whole", len(said), 2, None, None, ())


@pytest.mark.parametrize("block", [b"junk", bytes(12), bytes(36), b"x" * 216])
def test_a_header_of_no_family_tells_nothing_whatever_its_block(block: bytes) -> None:
    assert read_proxy(v2(0x21, 0x00, block))[:5] == ("whole", 16 + len(block), 2, None, None)


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_the_checksum_is_castagnolis_and_is_checked() -> None:
    assert crc32c(b"123456789") == 0xE3069283 != zlib.crc32(b"123456789")
    said = write_proxy(2, A4, B4, [(2, b"example.com")], crc32c=True)
    _, size, _, _, _, tlvs = read_proxy(said)
    assert size == len(said)
    assert tlvs[-1] == (3, crc32c(said[:-4] + bytes(4)).to_bytes(4, "big"))
    for at in range(16, len(said)):
        broken = bytearray(said)
        broken[at] ^= 1
        assert read_proxy(bytes(broken)) != read_proxy(said)


@pytest.mark.parametrize(("source", "destination"), [(A4, B4), (A6, B6)])
@pytest.mark.parametrize("version", [1, 2])
def test_what_is_written_is_read_back(version: int, source: tuple[str, int],
                                      destination: tuple[str, int]) -> None:  # fmt: skip
    tlvs = ((2, b"example.com"), (0xE0, b"x" * 300)) if version == 2 else ()
    said = write_proxy(version, source, destination, tlvs)
    assert read_proxy(said) == ("whole", len(said), version, source, destination, tlvs)


def test_version_1_says_what_the_specification_says() -> None:
    assert write_proxy(1, A4, B4) == b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
    assert write_proxy(1, A6, B6) == b"PROXY TCP6 2001:db8::1 2001:db8::11 56324 443\r\n"
    assert write_proxy(1) == b"PROXY UNKNOWN\r\n"
    assert write_proxy(2) == v2(0x20, 0, b"")
    assert write_proxy(2, A4, B4) == v2(0x21, 0x11, TCP4)


def test_families_that_differ_are_both_written_as_ipv6() -> None:
    assert b"PROXY TCP6 ::ffff:192.168.0.1 2001:db8::11 56324 443" in write_proxy(1, A4, B6)
    assert bytes((*bytes(10), 255, 255, 192, 168, 0, 1)) in write_proxy(2, A4, B6)


@pytest.mark.parametrize("version", [1, 2])
def test_an_ipv4_client_is_one_also_where_it_is_written_as_ipv6(version: int) -> None:
    assert read_proxy(write_proxy(version, A4, B6))[3:5] == (A4, B6)
    mapped = ("::ffff:192.168.0.1", 56324)
    assert read_proxy(write_proxy(version, mapped, B6))[3:5] == (A4, B6)
    assert read_proxy(write_proxy(version, A6, mapped))[3:5] == (A6, A4)


@given(st.binary(max_size=300))
def test_no_bytes_are_read_past_their_end(data: bytes) -> None:
    for start in (b"", b"PROXY ", SIGNATURE, SIGNATURE + b"\x21\x11"):
        answer = read_proxy(start + data)
        if answer[0] == "whole":
            assert answer[1] <= len(start + data)

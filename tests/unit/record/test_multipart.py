"""Secrets in forms of several parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.record.multipart import PART_HEAD_MAX, boundary_of, masked_multipart

from .making import MASKS, SECRET


def form(*parts: tuple[str, str], end: str = "--B--\r\n") -> bytes:
    told = [f"--B\r\n{head}\r\n\r\n{content}\r\n" for head, content in parts]
    return ("".join(told) + end).encode()


def named(name: str) -> str:
    return f'Content-Disposition: form-data; name="{name}"'


@pytest.mark.parametrize(
    "head",
    [
        named("token"),
        named("Pass%77ord"),
        named("pass\\word"),
        named("user[password]"),
        "content-disposition: form-data; filename=a; NAME = token; b=c",
        "Content-Disposition: form-data; name*=UTF-8''%74oken",
        "Content-Disposition: form-data; a=b;\r\n name=token",
        "A: 1\r\n" + named("token") + "\r\nContent-Type: text/plain",
        "Content-Disposition: form-data",  # no name
        'Content-Disposition: form-data; filename="token"',
        named("a") + "; " + "b" * PART_HEAD_MAX,
    ],
)
def test_secret_parts_are_masked(head: str) -> None:
    body = form((named("a"), "1"), (head, f"{SECRET}\r\n{SECRET}"), (named("b"), "2"))
    masked = form((named("a"), "1"), (head, "***"), (named("b"), "2"))
    if len(head) > PART_HEAD_MAX:
        masked = masked.replace(head.encode() + b"\r\n\r\n", b"\r\n")
    assert masked_multipart(body, b"B", MASKS) == masked
    assert masked_multipart(masked, b"B", MASKS) == masked


def test_what_cannot_be_read_is_masked() -> None:
    assert masked_multipart(b"secret", b"B", MASKS) == b"***"
    assert masked_multipart(b"secret", None, MASKS) == b"***"
    ok = form((named("a"), "1"))
    assert masked_multipart(b"secret\r\n" + ok, b"B", MASKS) == b"***\r\n" + ok
    assert masked_multipart(ok + b"secret", b"B", MASKS) == ok + b"***"
    assert masked_multipart(b"--B\r\nsecret\r\n" + ok, b"B", MASKS) == b"--B\r\n\r\n***\r\n" + ok
    assert masked_multipart(b"--Bsecret\r\n" + ok, b"B", MASKS) == b"--B\r\n\r\n***\r\n" + ok


@pytest.mark.parametrize(
    ("text", "boundary"),
    [
        (b"multipart/form-data; boundary=a-b", b"a-b"),
        (b'multipart/form-data; a=b; BOUNDARY = "a b,c"; d=e', b"a b,c"),
        (b"multipart/form-data; boundary=a; boundary=a", b"a"),
        (b"multipart/form-data; boundary=a; boundary=b", None),
        (b"multipart/form-data", None),
    ],
)
def test_the_boundary_is_known_if_there_is_one(text: bytes, boundary: bytes | None) -> None:
    assert boundary_of(text) == boundary


CONTENTS = st.text("ab-B \r\n", max_size=12).filter(lambda text: "--B" not in text)
PARTS = st.lists(
    st.tuples(st.sampled_from(["a", "b c", "tokens"]).map(named), CONTENTS), max_size=3
)


@given(PARTS, PARTS, st.sampled_from(["token", "PASSWORD", "%70wd"]), st.integers(0, 100))
def test_a_secret_part_is_masked_in_any_place_and_wherever_the_body_is_cut(
    before: list[tuple[str, str]], after: list[tuple[str, str]], name: str, percent: int
) -> None:
    body = form(*before, (named(name), SECRET), *after)
    masked = masked_multipart(body, b"B", MASKS)
    assert masked == form(*before, (named(name), "***"), *after)
    begin = body[: len(body) * percent // 100]
    assert SECRET[:4].encode() not in masked_multipart(begin, b"B", MASKS)


@given(st.binary() | st.text('--B\r\nname="a;', max_size=60).map(str.encode))
def test_any_bytes_are_taken_and_twice_is_the_same_as_once(body: bytes) -> None:
    once = masked_multipart(body, b"B", MASKS)
    assert masked_multipart(once, b"B", MASKS) == once

"""What a pool's key takes of a request: C against a naive twin."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.native.http import cookie_set, request_key
from l4lb.native.requests import Request

VALUE_MAX = 8192  # L4_KEY_VALUE_MAX
NAMES = [b"x", b"X", b"xy", b"cookie", b"Cookie", b"%78", b"%7", b"", b" x", b"x ", b"+"]
VALUES = [b"", b"1", b"a=b", b" 2 ", b"%31", b"x", b"\t", b'"q"', b"%"]
pieces = st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES), st.booleans()).map(
    lambda one: one[0] + b"=" * one[2] + one[1]
)
cookies = st.lists(pieces, max_size=4).map(b";".join)
fields = st.lists(
    st.tuples(st.sampled_from([b"X", b"x", b"xy", b"X-Y"]), st.sampled_from(VALUES))
    | st.tuples(st.sampled_from([b"cookie", b"Cookie"]), cookies),
    max_size=5,
)
requests = st.builds(
    Request,
    method=st.just("GET"),
    scheme=st.just("http"),
    host=st.sampled_from(["", "h.example"]),
    path=st.sampled_from([b"", b"/", b"/a"]),
    query=st.none() | st.lists(pieces, max_size=4).map(b"&".join),
    fields=fields.map(tuple),
    sni=st.just(""),
    source=st.just(""),
    random=st.just(0),
    body=st.just(0),
)
keys = st.sampled_from(
    ["host", "path", "source_ip", "sni", "none", "header:x", "header:x-y", "cookie:x", "cookie:xy",
     "query:x", "query:xy", "query: ", "query:+"]
)  # fmt: skip


def trimmed(text: bytes) -> bytes:
    return text.strip(b" \t")


def naive(key: str, request: Request) -> bytes | None:
    """The value of a key, by splitting."""
    kind, _, name = key.partition(":")
    if kind in ("host", "path"):
        return (request.host.encode() if kind == "host" else request.path) or None
    wanted = name.encode()
    found: list[bytes] = []
    if kind == "header":
        found = [value for one, value in request.fields if one.lower() == wanted]
    if kind == "cookie":
        crumbs = [
            crumb.partition(b"=")
            for one, value in request.fields
            if one.lower() == b"cookie"
            for crumb in value.split(b";")
        ]
        found = [trimmed(value) for one, _, value in crumbs if trimmed(one) == wanted]
    if kind == "query":
        arguments = [one.partition(b"=") for one in (request.query or b"").split(b"&")]
        found = [
            value
            for one, _, value in arguments
            if unquote_to_bytes(one.replace(b"+", b" ")) == wanted
        ]
    return (found[0][:VALUE_MAX] or None) if found else None


@given(keys, requests)
def test_a_key_takes_the_first_value_of_its_name(key: str, request: Request) -> None:
    assert request_key(key, request) == naive(key, request)


@pytest.mark.parametrize("size", [VALUE_MAX - 1, VALUE_MAX, VALUE_MAX + 1])
def test_no_more_than_its_limit_of_a_value_counts(size: int) -> None:
    request = Request("GET", "http", "h", b"/", fields=((b"X", b"a" * size),))
    found = request_key("header:x", request)
    assert found is not None
    assert len(found) == min(size, VALUE_MAX)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"sid=1", b"1"),
        (b"sid=1; Path=/; HttpOnly", b"1"),
        (b" sid = a=b ;Secure", b"a=b"),
        (b'sid="q"', b'"q"'),
        (b"sid=; Max-Age=0", b""),
        (b"sid", b""),
        (b"other=1; sid=2", None),
        (b"SID=1", None),
        (b"sidd=1", None),
        (b"", None),
    ],
)
def test_the_value_of_a_cookie_that_a_server_sets_is_found(
    field: bytes, value: bytes | None
) -> None:
    assert (cookie_set(field, b"sid") or b"") == (value or b"")

"""Secrets in heads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.record.head import masked_head, parsed, split_head

from .making import MASKS, SECRET, request


@pytest.mark.parametrize(
    ("field", "masked"),
    [
        ("Authorization: Basic dTpw", "Authorization: Basic ***"),
        ("authorization:Bearer  a b c", "authorization:Bearer ***"),
        ("Proxy-Authorization: Digest a=b, c=d", "Proxy-Authorization: Digest ***"),
        ("Authorization: secret", "Authorization: ***"),
        ("Authorization: a/b c", "Authorization: ***"),
        ("Authorization: Basic\tdTpw", "Authorization: ***"),
        (f"Authorization: {'a' * 33} b", "Authorization: ***"),
        ("Cookie: a=1; b=2=3;c=", "Cookie: a=***; b=***;c=***"),
        ("Cookie: secret; ; b=2", "Cookie: ***; ; b=***"),
        ('Cookie: a="x; y=z"; b=2', "Cookie: a=***; b=***"),
        ('Cookie: "x; y=z', "Cookie: ***"),
        (
            "Set-Cookie: a=1; Path=/; Expires=Wed, 09 Jun 2027 10:18:14 GMT; Secure;SameSite=Lax",
            "Set-Cookie: a=***; Path=/; Expires=Wed, 09 Jun 2027 10:18:14 GMT; Secure;SameSite=Lax",
        ),
        ("Set-Cookie: path=1; Path=/", "Set-Cookie: path=***; Path=/"),
        ("Set-Cookie: secret; Path=/", "Set-Cookie: ***; Path=/"),
        ('Set-Cookie: a="x; y"; Path=/', "Set-Cookie: a=***; Path=/"),
        ("Set-Cookie: a=1; Path=/, b=2; HttpOnly", "Set-Cookie: a=***; Path=***; HttpOnly"),
        ("Set-Cookie: a=1; other; more=2", "Set-Cookie: a=***; ***; more=***"),
        ("X-KEY: a b", "X-KEY: ***"),
        ("Access-Token: a", "Access-Token: ***"),
        ("Location: https://u:p@h/?token=x&y=z", "Location: https://u:***@h/?token=***&y=z"),
        ("Referer: http://h/?sig=x", "Referer: http://h/?sig=***"),
        ("X-Original-URI: /?sig=x", "X-Original-URI: /?sig=***"),
        ("Content-Location: /?sig=x", "Content-Location: /?sig=***"),
        ("Origin: http://u:p@h", "Origin: http://u:***@h"),
        ("Refresh: 5; url=https://u:p@h/?token=x", "Refresh: 5; url=https://u:***@h/?token=***"),
        (
            'Link: <https://u:p@h/?token=x>; rel="next", </b?c=1>; anchor="/?token=y"; a=b',
            'Link: <https://u:***@h/?token=***>; rel="next", </b?c=1>; anchor="/?token=***"; a=b',
        ),
    ],
)
def test_secrets_of_fields_are_masked(field: str, masked: str) -> None:
    head, wanted = request("A: 1", field, "B: 2"), request("A: 1", masked, "B: 2")
    assert masked_head(head, MASKS) == wanted
    assert masked_head(wanted, MASKS) == wanted


@pytest.mark.parametrize(
    ("start", "masked"),
    [
        ("GET /?token=x HTTP/1.1", "GET /?token=*** HTTP/1.1"),
        ("GET http://u:p@h/?a=b HTTP/1.0", "GET http://u:***@h/?a=b HTTP/1.0"),
        ("CONNECT u:p@h:443 HTTP/1.1", "CONNECT u:***@h:443 HTTP/1.1"),
        ("GET /?token=x y", "GET /?token=***"),
        ("GET /?a=b HTTP/?token=x", "GET /?a=b HTTP/?token=***"),
        ("HTTP/1.1 302 see /?token=x", "HTTP/1.1 302 see /?token=***"),
        ("HTTP/1.1 200 OK", "HTTP/1.1 200 OK"),
    ],
)
def test_secrets_of_the_first_line_are_masked(start: str, masked: str) -> None:
    assert masked_head(request(start=start), MASKS) == request(start=masked)
    assert masked_head(b"\r\n" + request(start=start), MASKS) == b"\r\n" + request(start=masked)


def test_a_line_that_begins_with_a_space_belongs_to_the_field_before() -> None:
    head = request("A: 1", " 2", "Authorization: Basic a", "\tsecret", "Location:  ", "  /?sig=x")
    masked = request("A: 1", " 2", "Authorization: Basic ***", "Location:  /?sig=***")
    assert masked_head(head, MASKS) == masked


@pytest.mark.parametrize(
    "line",
    [
        "Authorization : Basic secret",
        "no field secret",
        ": secret",
        "A\0: secret",
        "A: 1\rAuthorization: Basic secret",
        "A: 1\0secret",
        ":path: secret",
    ],
)
def test_from_the_first_line_that_is_no_field_everything_is_masked(line: str) -> None:
    masked = masked_head(request("A: 1", line, "Authorization: Basic secret"), MASKS)
    assert masked == request("A: 1", "***")
    assert masked_head(masked, MASKS) == masked


@pytest.mark.parametrize(
    "head",
    [
        " a: secret",
        "GET /\rsecret",
        "Cookie: a=secret",
        "secret",
        "GET\t/?token=secret",
        "\0 secret",
    ],
)
def test_a_first_line_that_cannot_be_read_leaves_nothing(head: str) -> None:
    assert masked_head(head.encode() + b"\r\nA: 1\r\n\r\n", MASKS) == b"***\r\n\r\n"


def test_what_stands_behind_the_empty_line_is_masked() -> None:
    assert masked_head(request("A: 1") + b"secret", MASKS) == request("A: 1") + b"***\r\n\r\n"


def test_a_head_that_was_cut_is_masked_as_far_as_it_goes() -> None:
    head = request(f"Authorization: Basic {SECRET}", "A: 1")
    for end in range(len(head)):
        assert SECRET[:4].encode() not in masked_head(head[:end], MASKS)


def test_lines_may_end_without_carriage_returns() -> None:
    assert masked_head(b"GET / HTTP/1.1\nCookie: a=b\n\n", MASKS) == (
        b"GET / HTTP/1.1\nCookie: a=***\n\n"
    )


@pytest.mark.parametrize("data", [b"", b"\r\n", b"A\r\n", b"A\r\nB: 1\r\n"])
def test_a_head_without_its_empty_line_has_nothing_behind_it(data: bytes) -> None:
    assert split_head(data) == (data, b"")


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\n\r\n"])
@pytest.mark.parametrize("before", [b"", b"\r\n\n"])
def test_a_head_ends_with_its_empty_line(before: bytes, end: bytes) -> None:
    head = before + b"A\r\nB: 1" + end
    assert split_head(head + b"\r\n\r\nbody") == (head, b"\r\n\r\nbody")


NAMES = st.sampled_from(["A", "Host", "X-Other", "Accept", "tokens", "Content-Type"])
FIELDS = st.builds("{}: {}".format, NAMES, st.text("ab ;=/,\"'", max_size=12).map(str.strip))


@given(st.lists(FIELDS, max_size=5), st.text("ab/=&", max_size=9))
def test_a_head_without_secrets_stays_byte_for_byte(fields: list[str], target: str) -> None:
    head = request(*fields, start=f"GET /{target} HTTP/1.1")
    assert masked_head(head, MASKS) == head


@given(
    st.lists(FIELDS, max_size=3),
    st.sampled_from(
        ["Authorization: Basic {}", "COOKIE: a=b; c={}", "set-cookie: a={}; Path=/", "x-key: {}",
         "Referer: /?a=b&Token={}", "proxy-authorization:{}", "Location: //u:{}@h/"]
    ),
    st.sampled_from(["{}", "\r\n {}", "x\r\n\t{}"]),
)  # fmt: skip
def test_a_secret_in_any_place_is_masked(fields: list[str], field: str, fold: str) -> None:
    secret = field.format(fold.format(SECRET))
    if "@" in field:
        secret = field.format(SECRET)
    for at in range(len(fields) + 1):
        head = masked_head(request(*fields[:at], secret, *fields[at:]), MASKS)
        assert SECRET.encode() not in head
        told = [one.raw for one in parsed(head).fields]
        del told[at]
        assert b"".join(told) == "".join(f"{one}\r\n" for one in fields).encode()


@given(st.binary() | st.text('a: \r\n\t;="cookie\0', max_size=60).map(str.encode))
def test_any_bytes_are_taken_and_twice_is_the_same_as_once(head: bytes) -> None:
    once = masked_head(head, MASKS)
    assert masked_head(once, MASKS) == once

"""Credentials of the scheme Basic: what is read, and what is refused without telling it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.policy.credentials import VALUE_MAX, Credentials, CredentialsError, read


def basic(said: bytes) -> bytes:
    return b"Basic " + base64.b64encode(said)


def test_the_example_of_the_rfc_is_read() -> None:
    assert read(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==") == Credentials("Aladdin", "open sesame")
    assert read(b"basic  dGVzdDoxMjPCow==") == Credentials("test", "123£")


def test_a_password_may_have_colons_or_be_empty() -> None:
    assert read(basic(b"a:b:c")) == Credentials("a", "b:c")
    assert read(basic(b"a:")) == Credentials("a", "")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "scheme"),
        (b"Basic", "scheme"),
        (b"Bearer YTpi", "scheme"),
        (b"BasicYTpi", "scheme"),
        (b"Basic\tYTpi", "scheme"),
        (b" Basic YTpi", "scheme"),
        (b"Basic YTpi ", "base64"),
        (b"Basic YTp", "base64"),
        (b"Basic YTpi=", "base64"),
        (b"Basic YTpi, Basic YTpi", "base64"),
        (b"Basic YTo_", "base64"),
        (b"Basic YTo=YTo=", "base64"),
        (b"Basic YTp=", "base64"),
        (b"Basic ", "colon"),
        (basic(b"nobody"), "colon"),
        (basic(b":secret"), "no user"),
        (basic(b"a:\0"), "control"),
        (basic(b"a\n:b"), "control"),
        (basic(b"a:\x7f"), "control"),
        (basic("a:\x85".encode()), "control"),
        (basic(b"a:\xe4"), "UTF-8"),
        (b"Basic " + b"Y" * VALUE_MAX, "more than"),
    ],
)
def test_what_two_readers_may_understand_differently_is_refused(value: bytes, why: str) -> None:
    with pytest.raises(CredentialsError, match=why):
        read(value)


def test_neither_a_fault_nor_a_text_of_them_tells_the_password() -> None:
    with pytest.raises(CredentialsError) as told:
        read(basic(b"user:sesame\0"))
    assert "sesame" not in str(told.value)
    assert "sesame" not in repr(read(basic(b"user:sesame")))


letters = st.characters(exclude_categories=("Cc", "Cs"))


@given(st.text(letters.filter(lambda c: c != ":"), min_size=1, max_size=40), st.text(letters))
def test_what_a_client_says_comes_back(user: str, password: str) -> None:
    value = basic(f"{user}:{password}".encode())
    if len(value) <= VALUE_MAX:
        assert read(value) == Credentials(user, password)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(value: bytes) -> None:
    for said in (value, b"Basic " + value, basic(value)):
        try:
            found = read(said)
        except CredentialsError:
            continue
        assert said.lower().startswith(b"basic ")
        assert basic(f"{found.user}:{found.password}".encode()).split()[1] == said.split()[1]

"""Types of the fields of health checks: text to send and to expect, questions, and programs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from l4lb.config import bounds
from l4lb.config.units import shown, wrong
from l4lb.config.values import payload
from l4lb.config.values.common import as_tuple

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)  # RFC 9110, 5.6.2
HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?", re.ASCII)
STATUS = re.compile(r"([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?", re.ASCII)


def _checked(check: Callable[[str], None]) -> AfterValidator:
    """Makes a validator from a function that raises ValueError with the reason."""

    def validate(text: str) -> str:
        if len(text.encode()) > bounds.CHECK_TEXT_BYTES_MAX:
            raise wrong(f"is longer than {bounds.CHECK_TEXT_BYTES_MAX} bytes")
        try:
            check(text)
        except ValueError as error:
            raise wrong(str(error)) from error
        return text

    return AfterValidator(validate)


def _matches(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(text: str) -> None:
        if not pattern.fullmatch(text):
            raise ValueError(f"{shown(text)} is not {what}")

    return _checked(check)


def _visible(text: str) -> None:
    if not text or any(not " " <= c <= "~" for c in text):
        raise ValueError("must be visible ASCII characters")


def _path(text: str) -> None:
    if not text.startswith("/") or any(not "!" <= c <= "~" for c in text):
        raise ValueError('must begin with "/" and be ASCII without spaces')


def _file(text: str) -> None:
    if not text.startswith("/") or "\0" in text:
        raise ValueError("must be an absolute path")


def _word(text: str) -> None:
    if "\0" in text:
        raise ValueError("holds a NUL")


def _dns_name(text: str) -> None:
    import dns.exception
    import dns.name

    try:
        dns.name.from_text(text)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise ValueError(f"{shown(text)} is not a DNS name: {error}") from None


def _dns_type(text: str) -> None:
    import dns.exception
    import dns.rdatatype

    try:
        dns.rdatatype.from_text(text)
    except (dns.exception.DNSException, ValueError):
        raise ValueError(f"{shown(text)} is not a DNS record type such as A") from None


def _rcode(text: str) -> None:
    import dns.exception
    import dns.rcode

    try:
        known = dns.rcode.to_text(dns.rcode.from_text(text)) == text
    except (dns.exception.DNSException, ValueError):
        known = False
    if not known:
        raise ValueError(f"{shown(text)} is not a DNS rcode such as NOERROR or NXDOMAIN")


def _statuses(value: object) -> object:
    """Accepts numbers and texts: [200, "300-399"]."""
    found = as_tuple(value)
    if not isinstance(found, tuple):
        return found
    return tuple(str(one) if type(one) is int else one for one in found)


def _status(text: str) -> None:
    match = STATUS.fullmatch(text)
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise ValueError(f'{shown(text)} is not a status such as 200, or a range such as "200-399"')


def _factor(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong("must be a number such as 3 or 2.5")
    minimum, maximum = bounds.SLOW_FACTOR
    if not minimum <= value <= maximum:
        raise wrong(f"must be between {minimum} and {maximum}, not {shown(value)}")
    return float(value)


def _header(text: str) -> None:
    name, colon, value = text.partition(":")
    if not colon or not TOKEN.fullmatch(name):
        raise ValueError(f'{shown(text)} is not a header such as "Name: value"')
    _visible(value.strip())


def _few(value: object) -> object:
    found = as_tuple(value)
    if isinstance(found, tuple) and len(found) > bounds.CHECK_WORDS_MAX:
        raise wrong(f"must have at most {bounds.CHECK_WORDS_MAX} elements")
    return found


def _tuple_of(text: Any, before: Callable[[object], object] = _few) -> Any:
    schema = Annotated[list[text], Field(min_length=1, max_length=bounds.CHECK_WORDS_MAX)]
    return Annotated[tuple[text, ...], BeforeValidator(before, json_schema_input_type=schema)]


SendText = Annotated[str, _checked(lambda text: payload.check(text, expected=False))]
ExpectText = Annotated[str, _checked(lambda text: payload.check(text, expected=True))]
RegexText = Annotated[str, _checked(lambda text: payload.check(f"regex:{text}", expected=True))]
HttpMethod = Annotated[str, _matches(TOKEN, "an HTTP method")]
HttpPath = Annotated[str, _checked(_path)]
HeaderText = Annotated[str, _checked(_visible)]
HttpHeaders = _tuple_of(Annotated[str, _checked(_header)])
HostName = Annotated[str, _matches(HOST_NAME, "a host name")]
FilePath = Annotated[str, _checked(_file)]
DnsName = Annotated[str, _checked(_dns_name)]
DnsType = Annotated[str, _checked(_dns_type)]
Rcodes = _tuple_of(Annotated[str, _checked(_rcode)])
Statuses = _tuple_of(Annotated[str, _checked(_status)], _statuses)
Command = _tuple_of(Annotated[str, _checked(_word)])
Factor = Annotated[
    float,
    BeforeValidator(_factor),
    Field(json_schema_extra={"minimum": bounds.SLOW_FACTOR[0], "maximum": bounds.SLOW_FACTOR[1]}),
]

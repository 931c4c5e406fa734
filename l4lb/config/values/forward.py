"""Types of fields about forward proxies: ports, domains, users, files of lists."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator

from l4lb.config import address, bounds
from l4lb.config.address import HostPort
from l4lb.config.units import check_bounds, shown, wrong
from l4lb.config.values import clients, common
from l4lb.config.values.http_route import Methods

__all__ = ["Methods"]
DNS_PORT = 53
Spans = tuple[tuple[int, int], ...]
PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)
REALM = re.compile(r"[ !#-\[\]-~]+", re.ASCII)  # without what ends a quoted string


def _port(value: object) -> str:
    """Checks a port, or a range of them. Returns it as a text."""
    if type(value) is int:
        return str(check_bounds(value, bounds.PORT))
    match = PORTS.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[2] or match[1]) < int(match[1]):
        hint = 'such as 443, or a range such as "1025-65535"'
        raise wrong(f"{shown(value)} is not a port", hint)
    for end in filter(None, match.groups()):
        check_bounds(int(end), bounds.PORT)
    return match[0]


def spans_of(ports: Iterable[str]) -> Spans:
    """Returns the lowest and the highest port of each text: "443", or "1025-65535"."""
    ends = (text.partition("-") for text in ports)
    return tuple((int(first), int(last or first)) for first, _, last in ends)


def _one_or_more_ports(value: object) -> object:
    """Accepts numbers and texts, in an array or one alone: [443, "1025-65535"]."""
    return common.as_tuple([value] if type(value) in (int, str) else value)


def _domain(value: str) -> str:
    """Checks the form of a name, of "*." before it, or of an IP address. What is not ASCII is
    looked at where the rules are compiled."""
    name = value.removeprefix("*.")
    odd = not name or not name.isprintable() or any(one in name for one in "*/ @")
    if odd or len(name) > bounds.HOST_NAME_MAX:
        raise wrong(f"{shown(value)} is not a domain", 'such as "example.com" or "*.example.com"')
    return value


def _forward_name(value: str) -> str:
    common.check_name(value)
    if len(value.encode()) > bounds.FORWARD_NAME_BYTES_MAX:
        raise wrong(f"the name is longer than {bounds.FORWARD_NAME_BYTES_MAX} bytes")
    return value


def _who(value: str) -> str:
    if not value or not value.isprintable() or len(value.encode()) > bounds.USER_BYTES_MAX:
        raise wrong(f"{shown(value)} is not the name of a user or a group")
    return value


def _realm(value: str) -> str:
    if not REALM.fullmatch(value) or len(value) > bounds.NAME_BYTES_MAX:
        raise wrong(f"{shown(value)} is not a realm", "plain letters, no quotes or backslashes")
    return value


def _expression(value: str) -> str:
    if len(value) > bounds.URL_PATTERN_MAX:
        raise wrong(f"is longer than {bounds.URL_PATTERN_MAX} characters")
    return common.check_regex(value, "it is compared with HOST/PATH?QUERY; RE2's syntax")


def _url(value: str) -> str:
    if not value or not value.isprintable() or " " in value or len(value) > bounds.URL_PATTERN_MAX:
        raise wrong(f"{shown(value)} is not the beginning of a URL", 'such as "example.com/ads/"')
    return value


def _name_server(value: object) -> HostPort:
    """Reads IP or IP:PORT."""
    if isinstance(value, str) and address.is_ip(value):
        return HostPort(address.parse_ip(value), DNS_PORT)
    found = address.parse_backend(value)
    if not address.is_ip(found.host):
        raise wrong(f"{shown(value)} is no name server's address", "write its IP address")
    return found


def _many(item: Any) -> BeforeValidator:
    """Makes a field one text, or an array of texts."""
    return BeforeValidator(clients.one_or_more, json_schema_input_type=item | list[item])


_ServerText = Annotated[
    str, Field(examples=["10.0.0.53"], json_schema_extra={"x-l4lb-type": "address"})
]
Port = Annotated[
    str,
    BeforeValidator(_port),
    Field(json_schema_extra={"pattern": PORTS.pattern, "x-l4lb-type": "port or range"}),
]
Ports = Annotated[
    tuple[Port, ...],
    BeforeValidator(_one_or_more_ports, json_schema_input_type=list[int | Port]),
]
ForwardName = Annotated[str, AfterValidator(_forward_name)]
Domain = Annotated[str, AfterValidator(_domain), Field(examples=["*.example.com"])]
Domains = Annotated[tuple[Domain, ...], _many(Domain)]
Excepted = Annotated[
    tuple[Domain, ...], BeforeValidator(clients.as_many, json_schema_input_type=list[Domain])
]
Who = Annotated[str, AfterValidator(_who), Field(examples=["alice"])]
Whom = Annotated[tuple[Who, ...], _many(Who)]
ListNames = Annotated[tuple[str, ...], _many(str)]
Url = Annotated[str, AfterValidator(_url), Field(examples=["example.com/ads/"])]
Urls = Annotated[tuple[Url, ...], _many(Url)]
Expression = Annotated[str, AfterValidator(_expression), Field(examples=["[.]exe$"])]
Expressions = Annotated[tuple[Expression, ...], _many(Expression)]
Realm = Annotated[str, AfterValidator(_realm)]
NameServer = Annotated[
    HostPort,
    PlainValidator(_name_server, json_schema_input_type=_ServerText),
    PlainSerializer(str, return_type=str),
]
NameServers = Annotated[
    tuple[NameServer, ...],
    BeforeValidator(clients.as_many, json_schema_input_type=list[NameServer]),
]
ListFiles = Annotated[tuple[clients.ListFile, ...], _many(clients.ListFile)]

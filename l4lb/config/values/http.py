"""Types of fields about HTTP: names of header fields, a proxy's name, a host, a folder of pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from l4lb.config import address, bounds
from l4lb.config.units import check_bounds, shown, whole, wrong
from l4lb.config.values import clients, common
from l4lb.config.values.health import TOKEN

# Fields that frame a message or belong to one connection: l4lb writes them itself.
OWN_FIELDS = frozenset({
    "connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
# What a key of a pool can take of a request: these whole, and those by a name.
WHOLE_KEYS = ("host", "path")
NAMED_KEYS = {"header": "header field", "cookie": "cookie", "query": "query argument"}
REQUEST_KEYS = (*WHOLE_KEYS, *NAMED_KEYS)
KEY_NAMES = {"header": TOKEN, "cookie": TOKEN, "query": re.compile(r"[!-~]+", re.ASCII)}
STATUSES = re.compile(r"([0-9]{3})(?:-([0-9]{3}))?", re.ASCII)
HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:(?P<port>[0-9]{1,5}))?", re.ASCII)


def _field_name(value: str) -> str:
    if not TOKEN.fullmatch(value) or len(value) > bounds.FIELD_NAME_MAX:
        raise wrong(f"{shown(value)} is not the name of a header field")
    if value.lower() in OWN_FIELDS:
        raise wrong(f"{shown(value)} frames a message or belongs to a connection: l4lb writes it")
    return value


def _field_or_off(value: str) -> str:
    return value if value == "off" else _field_name(value)


def _proxy_name(value: str) -> str:
    """Checks the name of a proxy in the field Via (a pseudonym: RFC 9110, 7.6.3)."""
    if not TOKEN.fullmatch(value) or len(value) > bounds.NAME_BYTES_MAX:
        raise wrong(f"{shown(value)} is not a name for the field Via", 'such as "l4lb", or "off"')
    return value


def _few_names(value: object) -> object:
    found = clients.as_many(value)
    if isinstance(found, tuple) and len(found) > bounds.HIDDEN_FIELDS_MAX:
        raise wrong(f"must have at most {bounds.HIDDEN_FIELDS_MAX} elements, not {len(found)}")
    return found


class RequestKey(NamedTuple):
    """A key of a pool in two parts: "header:X-User" is header and x-user; "sni" has no name."""

    kind: str
    name: str


def request_key(value: str) -> RequestKey:
    """Splits a key that workers take of a client. Header fields are compared in lower case."""
    # why: workers see no frames. They serve only this host's own clients at a pool with source_mac.
    kind, _, name = ("source_ip" if value == "source_mac" else value).partition(":")
    return RequestKey(kind, name.lower() if kind == "header" else name)


def _key_of(words: tuple[str, ...]) -> Callable[[str], str]:
    """Returns a check for a key that is one of these words, or that takes a value of a request."""

    def check(value: str) -> str:
        if value in (*words, *WHOLE_KEYS):
            return value
        kind, name = request_key(value)
        if kind not in NAMED_KEYS:
            said = [*words, *WHOLE_KEYS, *(f"{one}:NAME" for one in NAMED_KEYS)]
            raise wrong(f"{shown(value)} is not one of {', '.join(map(shown, said))}")
        if kind == "header" and name in OWN_FIELDS:
            hint = 'there is "host"' if name == "host" else None
            raise wrong(f"{shown(value)} frames a message or belongs to a connection", hint)
        if len(name) > bounds.FIELD_NAME_MAX or not KEY_NAMES[kind].fullmatch(name):
            raise wrong(f"{shown(value)} has no name of a {NAMED_KEYS[kind]} after its colon")
        return value

    return check


def _key_schema(words: tuple[str, ...]) -> WithJsonSchema:
    pattern = f"^({'|'.join(NAMED_KEYS)}):.+$"
    return WithJsonSchema(
        {
            "anyOf": [
                {"enum": [*words, *WHOLE_KEYS], "type": "string"},
                {
                    "type": "string",
                    "pattern": pattern,
                    "x-l4lb-type": " or ".join(f'`"{one}:NAME"`' for one in NAMED_KEYS),
                },
            ]
        }
    )


def _host(value: str) -> str:
    """Checks "keep", "backend", or a host with an optional port."""
    match = HOST.fullmatch(value)
    if match is None or not (_is_host(match["host"]) and _is_port(match["port"])):
        hint = '"keep", "backend", or a name such as "app.example"'
        raise wrong(f"{shown(value)} is not a host", hint)
    return value


def _is_host(host: str) -> bool:
    if host.startswith("["):
        inner = host[1:-1]
        return ":" in inner and address.is_ip(inner)
    labels = host.lower().removesuffix(".").split(".")
    return len(host) <= bounds.HOST_NAME_MAX and all(map(address.LABEL.fullmatch, labels))


def _is_port(port: str | None) -> bool:
    return port is None or bounds.PORT[0] <= int(port) <= bounds.PORT[1]


def _folder(value: str) -> str:
    if not value.startswith("/") or not value.isprintable():
        raise wrong(f"{shown(value)} is not an absolute path")
    return value


def _cookie_path(value: str) -> str:
    if not value.startswith("/") or not re.fullmatch(r"[!-:<-~]*", value):
        raise wrong(f"{shown(value)} is not the path of a cookie", 'such as "/" or "/shop"')
    return value


def _one_or_more(value: object) -> object:
    """Accepts numbers and texts, in an array or one alone: [404, "500-503"]."""
    return common.as_tuple([value] if type(value) in (int, str) else value)


def _error_status(value: object) -> str:
    """Checks a status, or a range of them. Returns it as a text."""
    if type(value) is int:
        return str(check_bounds(value, bounds.ERROR_STATUS))
    match = STATUSES.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[2] or match[1]) < int(match[1]):
        hint = 'such as 404, or a range such as "400-499"'
        raise wrong(f"{shown(value)} is not a status", hint)
    for end in filter(None, match.groups()):
        check_bounds(int(end), bounds.ERROR_STATUS)
    return match[0]


def error_statuses(values: Iterable[str]) -> frozenset[int]:
    """Returns the statuses that are named: "404", or a range such as "400-499"."""
    ends = (value.partition("-") for value in values)
    return frozenset(
        status for first, _, last in ends for status in range(int(first), int(last or first) + 1)
    )


CookiePath = Annotated[str, AfterValidator(_cookie_path), Field(examples=["/"])]
FieldName = Annotated[str, AfterValidator(_field_name)]
FieldOrOff = Annotated[str, AfterValidator(_field_or_off)]
ProxyName = Annotated[str, AfterValidator(_proxy_name)]
FieldNames = Annotated[
    tuple[FieldName, ...],
    BeforeValidator(
        _few_names,
        json_schema_input_type=Annotated[
            list[FieldName], Field(max_length=bounds.HIDDEN_FIELDS_MAX)
        ],
    ),
]
HASH_KEYS = ("source_ip", "source_ip_port", "source_mac", "sni", "quic_cid")
STICKY_KEYS = ("source_ip", "sni")
HashKey = Annotated[str, AfterValidator(_key_of(HASH_KEYS)), _key_schema(HASH_KEYS)]
StickyKey = Annotated[str, AfterValidator(_key_of(STICKY_KEYS)), _key_schema(STICKY_KEYS)]
RequestKeyOf = Annotated[str, AfterValidator(_key_of(())), _key_schema(())]
HostText = Annotated[str, AfterValidator(_host)]
Folder = Annotated[str, AfterValidator(_folder), Field(json_schema_extra={"x-l4lb-type": "path"})]
Status = Annotated[int, *whole(bounds.FAULT_STATUS)]
Statuses = Annotated[
    tuple[Status, ...],
    BeforeValidator(clients.as_many, json_schema_input_type=list[Status]),
]
ErrorStatus = Annotated[
    str,
    BeforeValidator(_error_status),
    Field(json_schema_extra={"pattern": STATUSES.pattern, "x-l4lb-type": "status or range"}),
]
ErrorStatuses = Annotated[
    tuple[ErrorStatus, ...],
    BeforeValidator(_one_or_more, json_schema_input_type=list[int | ErrorStatus]),
]
RetryOn = Annotated[
    tuple[Literal["connect", "reuse", "reset", "timeout", "502", "503", "504"], ...],
    BeforeValidator(
        clients.as_many,
        json_schema_input_type=list[
            Literal["connect", "reuse", "reset", "timeout", "502", "503", "504"]
        ],
    ),
]

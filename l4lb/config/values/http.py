"""Types of fields about HTTP: names of header fields, a proxy's name, a host, a folder of pages."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from l4lb.config import address, bounds
from l4lb.config.units import shown, whole, wrong
from l4lb.config.values import clients
from l4lb.config.values.health import TOKEN

# Fields that frame a message or belong to one connection: l4lb writes them itself.
OWN_FIELDS = frozenset({
    "connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
RETRIES = ("connect", "reuse", "reset", "timeout", "502", "503", "504")  # enum l4_http_retry_on


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


def _host(value: str) -> str:
    """Checks "keep", "backend", or a host with an optional port."""
    if value in ("keep", "backend"):
        return value
    hint = '"keep", "backend", or a name such as "app.example"'
    name, _, port = value.rpartition(":") if not value.endswith("]") else (value, "", "")
    host = name or port
    is_port = not name or (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= 65_535)
    bare = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    labels = host.lower().removesuffix(".").split(".")
    is_name = len(host) <= bounds.HOST_NAME_MAX and all(map(address.LABEL.fullmatch, labels))
    is_v6 = host.startswith("[") and host.endswith("]") and address.is_ip(bare) and ":" in bare
    if not is_port or not (is_name or is_v6):
        raise wrong(f"{shown(value)} is not a host", hint)
    return value


def _folder(value: str) -> str:
    if not value.startswith("/") or not value.isprintable():
        raise wrong(f"{shown(value)} is not an absolute path")
    return value


def _cookie_path(value: str) -> str:
    if not value.startswith("/") or not re.fullmatch(r"[!-:<-~]*", value):
        raise wrong(f"{shown(value)} is not the path of a cookie", 'such as "/" or "/shop"')
    return value


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
HostText = Annotated[str, AfterValidator(_host)]
Folder = Annotated[str, AfterValidator(_folder), Field(json_schema_extra={"x-l4lb-type": "path"})]
Status = Annotated[int, *whole(bounds.FAULT_STATUS)]
Statuses = Annotated[
    tuple[Status, ...],
    BeforeValidator(clients.as_many, json_schema_input_type=list[Status]),
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

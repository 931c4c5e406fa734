"""Types of fields about clients: server names, ALPN protocols, networks, percentages."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from l4lb.config import address, bounds
from l4lb.config.units import check_bounds, shown, wrong
from l4lb.config.values import common


def server_name(value: str) -> str:
    """Returns a server name in lower case; `*.` may precede it, and `*` stands for all. Raises
    ValueError."""
    name = value.lower()
    below = name.removeprefix("*.")
    if name == "*":
        return name
    labels = below.split(".")
    if len(below) > bounds.HOST_NAME_MAX or not all(map(address.LABEL.fullmatch, labels)):
        hint = 'a name, "*.name" or "*"'
        raise wrong(f"{shown(value)} is not a server name", hint)
    return name


def protocol(value: str) -> str:
    """Returns an ALPN protocol. Raises ValueError."""
    if not 0 < len(value.encode()) <= bounds.ALPN_BYTES_MAX:
        raise wrong(f'{shown(value)} is not the name of a protocol such as "h2"')
    return value


def network(value: str) -> str:
    """Returns a network or an address in canonical form. Raises ValueError."""
    if "%" in value:
        raise wrong(f"{shown(value)} has a zone, which is not supported")
    try:
        return str(address.unmapped(ipaddress.ip_network(value)))
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise wrong(f'{shown(value)} is not a network such as "10.0.0.0/8"') from None
    raise wrong(f"{shown(value)} has bits set after its prefix", f'write "{meant}"')


def mac(value: str) -> str:
    """Returns the hardware address of a network card in lower case. Raises ValueError."""
    if not MAC.fullmatch(value):
        raise wrong(f'{shown(value)} is not a MAC address such as "02:00:00:00:00:01"')
    if int(value[:2], 16) & GROUP_BIT:
        raise wrong(f"{shown(value)} is a group's MAC address, which no frame comes from")
    return value.lower()


def one_or_more(value: object) -> object:
    """Turns one text into an array of one element."""
    return (value,) if isinstance(value, str) else common.as_tuple(value)


def as_many(value: object) -> object:
    """Turns one text into an array of one element; an array may be empty."""
    return () if value == [] else common.as_tuple(value)


MAC = re.compile("[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", re.ASCII)
GROUP_BIT = 1  # of the first byte: IEEE 802, 8.2.2

ServerName = Annotated[str, AfterValidator(server_name), Field(examples=["www.example.com"])]
Protocol = Annotated[str, AfterValidator(protocol), Field(examples=["h2"])]
Network = Annotated[str, AfterValidator(network), Field(examples=["10.0.0.0/8"])]
Mac = Annotated[
    str,
    AfterValidator(mac),
    Field(examples=["02:00:00:00:00:01"], json_schema_extra={"pattern": f"^{MAC.pattern}$"}),
]
ServerNames = Annotated[
    tuple[ServerName, ...],
    BeforeValidator(one_or_more, json_schema_input_type=ServerName | list[ServerName]),
]
Protocols = Annotated[
    tuple[Protocol, ...],
    BeforeValidator(one_or_more, json_schema_input_type=Protocol | list[Protocol]),
]
Networks = Annotated[
    tuple[Network, ...],
    BeforeValidator(one_or_more, json_schema_input_type=Network | list[Network]),
]
Macs = Annotated[
    tuple[Mac, ...], BeforeValidator(one_or_more, json_schema_input_type=Mac | list[Mac])
]


def list_file(value: str) -> str:
    """Returns the absolute path of a file. Raises ValueError."""
    if not value.startswith("/") or not value.isprintable():
        raise wrong(f"{shown(value)} is not an absolute path")
    return value


SHARE = re.compile(r"^[0-9]{1,3}(\.[0-9]{1,9})? *%$")


def _share_text(value: object) -> object:
    """Accepts a percentage in the usual form, such as "5%", too."""
    if not isinstance(value, str):
        return value
    if not SHARE.match(value):
        raise wrong(f"{shown(value)} is not a percentage", 'write a number, or one such as "5%"')
    return float(value.rstrip("% "))


def _share(value: float) -> float:
    if not 0 < value <= 100:
        raise wrong(f"must be more than 0 and at most 100 percent, not {shown(value)}")
    return value


ManyNetworks = Annotated[
    tuple[Network, ...], BeforeValidator(as_many, json_schema_input_type=list[Network])
]
Share = Annotated[
    float,
    BeforeValidator(
        _share_text,
        json_schema_input_type=float | Annotated[str, Field(pattern=SHARE.pattern)],
    ),
    AfterValidator(_share),
    Field(json_schema_extra={"maximum": 100}),
]
ListFile = Annotated[str, AfterValidator(list_file)]
CountOf = Annotated[
    int,
    AfterValidator(lambda n: check_bounds(n, bounds.CONNECTIONS_LIMIT)),
    Field(json_schema_extra={"minimum": 1, "maximum": bounds.CONNECTIONS_LIMIT[1]}),
]
RateOf = Annotated[
    int,
    AfterValidator(lambda n: check_bounds(n, bounds.NEW_PER_SECOND)),
    Field(json_schema_extra={"minimum": 1, "maximum": bounds.NEW_PER_SECOND[1]}),
]
ProxyTlvs = Annotated[
    tuple[Literal["authority", "alpn", "unique_id", "crc32c", "received", "ssl"], ...],
    BeforeValidator(
        as_many,
        json_schema_input_type=list[
            Literal["authority", "alpn", "unique_id", "crc32c", "received", "ssl"]
        ],
    ),
]

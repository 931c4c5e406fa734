"""Types of socket options: marks, DSCP, interfaces, local addresses."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from l4lb.config import bounds
from l4lb.config.units import check_bounds, duration, shown, wrong
from l4lb.config.values import clients, common

# RFC 2474 (class selectors), 2597 (assured), 3246 (expedited), 5865 (voice-admit), 8622 (le).
DSCP_NAMES = {
    **{f"cs{n}": n << 3 for n in range(8)},
    **{f"af{n}{drop}": (n << 3) + 2 * drop for n in range(1, 5) for drop in range(1, 4)},
    "ef": 46,
    "va": 44,
    "le": 1,
}


def dscp(value: object) -> int:
    """Returns a codepoint, given as a number or by its name. Raises ValueError."""
    if isinstance(value, str) and value.lower() in DSCP_NAMES:
        return DSCP_NAMES[value.lower()]
    if type(value) is not int:
        raise wrong(f'{shown(value)} is no DSCP: 0 to 63, or a name such as "ef", "cs1" or "af41"')
    return check_bounds(value, bounds.DSCP)


def interface(value: str) -> str:
    """Returns the name of a network interface. Raises ValueError."""
    fits = 0 < len(value.encode()) <= bounds.INTERFACE_BYTES_MAX
    if not fits or not value.isprintable() or "/" in value or " " in value or value in (".", ".."):
        raise wrong(f'{shown(value)} is not the name of a network interface such as "eth0"')
    return value


def _some_interfaces(value: tuple[str, ...]) -> tuple[str, ...]:
    """Checks the interfaces of the packet path. Raises ValueError."""
    if not 0 < len(value) <= bounds.INTERFACES_MAX:
        raise wrong(f"names {len(value)} interfaces", f"name 1 to {bounds.INTERFACES_MAX}")
    return tuple(dict.fromkeys(value))


def pin_folder(value: object) -> str:
    """Returns the absolute path of a folder in a BPF file system. Raises ValueError."""
    if not isinstance(value, str) or not value.startswith("/") or not value.isprintable():
        raise wrong("must be an absolute path")
    if len(value.encode()) > bounds.FILE_PATH_BYTES_MAX:
        raise wrong(f"the path is longer than {bounds.FILE_PATH_BYTES_MAX} bytes")
    path = "/" + "/".join(filter(None, value.split("/")))
    if "." in path:
        raise wrong(f"{shown(value)} has a point, which a BPF file system has in no name")
    return path


MODE = re.compile("0?[0-7]{3}", re.ASCII)


def unix_mode(value: object) -> str:
    """Returns the mode of a unix socket's file, as four octal digits. Raises ValueError."""
    if not isinstance(value, str) or not MODE.fullmatch(value):
        raise wrong(f"{shown(value)} is not a mode: octal digits in quotes", 'such as "0660"')
    return f"{int(value, 8):04o}"


def _one_or_many(value: object) -> object:
    """Turns one text into an array of one element; an array may be empty."""
    return (value,) if isinstance(value, str) else clients.as_many(value)


def _few(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > bounds.SOURCES_MAX:
        raise wrong(f"must have at most {bounds.SOURCES_MAX} addresses, not {len(value)}")
    for address in value:
        if value.count(address) > 1:
            raise wrong(f"names {address} twice")
    return value


Interface = Annotated[str, AfterValidator(interface), Field(examples=["eth0"])]
Interfaces = Annotated[
    tuple[Interface, ...],
    BeforeValidator(clients.as_many, json_schema_input_type=list[Interface]),
    AfterValidator(_some_interfaces),
]
PinFolder = Annotated[
    str,
    BeforeValidator(pin_folder, json_schema_input_type=str),
    Field(examples=["/sys/fs/bpf/l4lb"], json_schema_extra={"x-l4lb-type": "path"}),
]
UnixMode = Annotated[
    str,
    BeforeValidator(unix_mode, json_schema_input_type=str),
    Field(examples=["0660"], json_schema_extra={"pattern": f"^{MODE.pattern}$"}),
]
Dscp = Annotated[int, BeforeValidator(dscp, json_schema_input_type=int | str)]
Mark = Annotated[
    int,
    AfterValidator(lambda n: check_bounds(n, bounds.MARK)),
    Field(json_schema_extra={"minimum": bounds.MARK[0], "maximum": bounds.MARK[1]}),
]
KeepaliveTime = Annotated[int, *duration(bounds.KEEPALIVE_MS)]
KeepaliveProbes = Annotated[
    int,
    AfterValidator(lambda n: check_bounds(n, bounds.KEEPALIVE_PROBES)),
    Field(
        json_schema_extra={
            "minimum": bounds.KEEPALIVE_PROBES[0],
            "maximum": bounds.KEEPALIVE_PROBES[1],
        }
    ),
]
Sources = Annotated[
    tuple[common.IpText, ...],
    BeforeValidator(_one_or_many, json_schema_input_type=common.IpText | list[common.IpText]),
    AfterValidator(_few),
]

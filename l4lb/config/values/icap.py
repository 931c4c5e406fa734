"""Types of fields about engines of ICAP: their names and the URLs of their services."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field

from l4lb.config import address, bounds
from l4lb.config.units import shown, wrong

USUAL_PORT = 1344  # RFC 3507, 4.2
URL = re.compile(r"icap://(?P<host>[^/?#]+)(?P<path>/[!-~]*)", re.ASCII)


class Service(NamedTuple):
    """A service of an engine: its IP address, its port, the host as the URL has it, the path with
    its query."""

    ip: str
    port: int
    host: str
    path: str


def service(value: str) -> Service:
    """Returns what an URL names. Raises ValueError."""
    match = URL.fullmatch(value)
    example = "such as icap://127.0.0.1:1344/avscan"
    if match is None or "#" in value:
        raise wrong(f"{shown(value)} is not the URL of a service of ICAP", example)
    host = match["host"]
    name = host if re.search(r":[0-9]+$", host) else f"{host}:{USUAL_PORT}"
    try:
        found = address.parse_backend(name)
    except ValueError as error:
        raise wrong(f"{shown(host)} is not an address: {error}", example) from None
    if not address.is_ip(found.host):
        raise wrong(f"{shown(found.host)} is a name", "write the engine's IP address")
    if len(host) > bounds.ICAP_HOST_MAX or len(match["path"]) > bounds.ICAP_PATH_MAX:
        raise wrong(f"has a path of more than {bounds.ICAP_PATH_MAX} bytes")
    return Service(found.host, found.port, host, match["path"])


def _checked(value: str) -> str:
    service(value)
    return value


ServiceUrl = Annotated[
    str, AfterValidator(_checked), Field(examples=["icap://127.0.0.1:1344/avscan"])
]

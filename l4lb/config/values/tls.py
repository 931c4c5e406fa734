"""Types of the fields of TLS: files, cipher lists, names, limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from l4lb.config import address, bounds
from l4lb.config.units import shown, wrong
from l4lb.config.values import clients


def file_path(value: str) -> str:
    """Returns the absolute path of a file. Raises ValueError."""
    if not value.startswith("/"):
        raise wrong(f"{shown(value)} is not an absolute path")
    if not value.isprintable() or len(value.encode()) > bounds.FILE_PATH_BYTES_MAX:
        raise wrong(f"{shown(value)} is not the path of a file")
    return value


def ciphers(value: str) -> str:
    """Returns a list in OpenSSL's syntax. Whether OpenSSL accepts it is checked when it is
    loaded."""
    if not value or not value.isascii() or not value.isprintable():
        raise wrong(f"{shown(value)} is not a list of ciphers")
    if len(value) > bounds.CIPHERS_BYTES_MAX:
        raise wrong(f"is longer than {bounds.CIPHERS_BYTES_MAX} bytes")
    return value


def host_name(value: str) -> str:
    """Returns a host name. Raises ValueError."""
    labels = value.lower().removesuffix(".").split(".")
    if len(value) > bounds.HOST_NAME_MAX or not all(map(address.LABEL.fullmatch, labels)):
        raise wrong(f"{shown(value)} is not a host name")
    return value.lower().removesuffix(".")


FilePath = Annotated[
    str, AfterValidator(file_path), Field(json_schema_extra={"x-l4lb-type": "path"})
]
Ciphers = Annotated[str, AfterValidator(ciphers)]
HostName = Annotated[str, AfterValidator(host_name)]
Protocols = Annotated[
    tuple[clients.Protocol, ...],
    BeforeValidator(clients.as_many, json_schema_input_type=list[clients.Protocol]),
]

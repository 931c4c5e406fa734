"""What clients and proxies say first, read and written; see wire.pyx."""

from collections.abc import Iterable
from typing import Any

def read_hello(data: bytes) -> tuple[Any, ...]:
    """("more", bytes due), ("none",) or ("whole", name, protocols)."""

def await_hello(data: bytes) -> tuple[Any, ...]:
    """("more", bytes due), ("none", bytes due) or ("whole",)."""

def read_proxy(data: bytes) -> tuple[Any, ...]:
    """("more", bytes due), ("none",), ("broken",) or ("whole", bytes, version, from, to, tlvs);
    from and to are (IP, port), "unix:", or None where it tells none."""

def write_proxy(
    version: int,
    source: tuple[str, int] | None = None,
    destination: tuple[str, int] | None = None,
    tlvs: Iterable[tuple[int, bytes]] = (),
    *,
    crc32c: bool = False,
) -> bytes:
    """A PROXY header of version 1 or 2; without a source the sender speaks for itself (LOCAL)."""

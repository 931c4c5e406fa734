"""Settings of the access log for the writer: destination and form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """target: stdout, syslog, journald or the path of a file. style: text, json, combined or squid.
    syslog: the server's address, as unix:/PATH, udp://HOST:PORT or tcp://HOST:PORT. open_every_ms:
    interval of lines for a live session; 0: none. query: lines of requests have their queries.
    mask: bits of an IPv4 and of an IPv6 address of a client that lines have."""

    target: str
    style: str = "text"
    syslog: str = "unix:/dev/log"
    facility: str = "local0"
    open_every_ms: int = 0
    query: bool = True
    mask: tuple[int, int] = (32, 128)

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> Settings:
        """Reads the plain map that comes over the channel. Raises TypeError."""
        found = {one.name: values[one.name] for one in fields(cls) if one.name in values}
        if "mask" in found:
            found["mask"] = tuple(found["mask"])  # why: JSON has lists only
        return cls(**found)

"""The rows of packet.pyx as plain tuples. They are here because that module is only built where
libbpf is."""

from __future__ import annotations

from typing import NamedTuple


class Service(NamedTuple):
    """What a listener listens on. protocol: tcp or udp. address 0.0.0.0 or ::: any of that
    family."""

    address: str
    port: int
    protocol: str


class Policy(NamedTuple):
    """The rules of one listener. The first five are numbers of sets; 0: there is none."""

    proxies: int = 0
    blocks: int = 0
    speakers: int = 0
    rules: int = 0
    access: int = 0
    judges_access: bool = False
    others_denied: bool = False
    dry_run: bool = False


class Counts(NamedTuple):
    """Packets that were dropped, their bytes, and packets that a dry run would have dropped."""

    denied: int = 0
    blocked: int = 0
    denied_bytes: int = 0
    blocked_bytes: int = 0
    dry_denied: int = 0
    dry_blocked: int = 0

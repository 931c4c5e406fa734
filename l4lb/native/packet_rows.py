"""The rows of packet.pyx as plain tuples. They are here because that module is only built where
libbpf is."""

from __future__ import annotations

from typing import NamedTuple

PACKET_ROW = 64  # the packet process's row of workers in the shared table: after all workers


class Service(NamedTuple):
    """What a listener listens on. protocol: tcp or udp. address 0.0.0.0 or ::: any of that
    family."""

    address: str
    port: int
    protocol: str


class Rate(NamedTuple):
    """A limit of new connections of each source. step_ns: the time in which one token comes back;
    burst: how many there are; listener: the row by which sources are counted; prefix4, prefix6:
    bits of an address that make a source; alone: no worker counts, so each SYN takes a token."""

    step_ns: int
    burst: int
    listener: int
    prefix4: int = 32
    prefix6: int = 64
    alone: bool = False


class Policy(NamedTuple):
    """The rules of one listener. The first five are numbers of sets; 0: there is none. denied_pass:
    workers turn away whom the sets deny."""

    proxies: int = 0
    blocks: int = 0
    speakers: int = 0
    rules: int = 0
    access: int = 0
    judges_access: bool = False
    others_denied: bool = False
    dry_run: bool = False
    denied_pass: bool = False
    rate: Rate | None = None


class Counts(NamedTuple):
    """Packets that were dropped, their bytes, and packets that a dry run would have dropped."""

    denied: int = 0
    blocked: int = 0
    denied_bytes: int = 0
    blocked_bytes: int = 0
    dry_denied: int = 0
    dry_blocked: int = 0
    source_rate: int = 0
    source_rate_bytes: int = 0
    dry_source_rate: int = 0

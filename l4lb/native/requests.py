"""Requests, and what happens with them, as l4lb/native/http gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Target(NamedTuple):
    """The parts of a request's target, as bytes that came. scheme: "" except in the absolute form.
    host: None in the other forms without one. path: b"" in the authority form. query: without its
    question mark; None: there is none."""

    scheme: str
    host: bytes | None
    path: bytes
    query: bytes | None


class Host(NamedTuple):
    """A host in lower case without its port; port: None if it has none."""

    name: str
    port: int | None


class Request(NamedTuple):
    """A request as routes see it: host and path as read_host and read_path return them. source:
    an IP address; "": a client of a unix socket. random: for percentages, below 2^32.
    body: its length, if the head says it."""

    method: str
    scheme: str
    host: str
    path: bytes
    query: bytes | None = None
    fields: tuple[tuple[bytes, bytes], ...] = ()
    sni: str = ""
    source: str = ""
    random: int = 0
    body: int = 0


class Chosen(NamedTuple):
    """The route that a request takes, or a rule that it meets. number: in its listener, from 0.
    action: "pool", "redirect", "respond", "deny", "tarpit", "limit", "log". pool: a row.
    target: what the backend gets; b"": as it came. limits: (rate, burst, status, dry
    run), or None, of all requests and of each source. cache: number of its cache; 0: none."""

    number: int
    slot: int
    action: str
    pool: int
    status: int
    timeout_ms: int
    location: bytes
    target: bytes
    content_type: bytes
    body: bytes
    set_request: Mapping[bytes, bytes]
    remove_request: tuple[bytes, ...]
    set_answer: Mapping[bytes, bytes]
    remove_answer: tuple[bytes, ...]
    requests: tuple[int, int, int, bool] | None
    requests_per_source: tuple[int, int, int, bool] | None
    name: str = ""
    dry_run: bool = False
    cache: int = 0

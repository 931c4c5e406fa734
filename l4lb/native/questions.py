"""Questions of workers to the policy process, as l4lb/native/gate gives them."""

from __future__ import annotations

from typing import NamedTuple


class Question(NamedTuple):
    """May this client connect there? worker, row, serial: which question this is; a serial is used
    once. key: of its answer. forward: the number of the forward, from 1. source:
    the client's address. path: with the query; empty where rules do not look at it. credentials:
    the value of Proxy-Authorization; with `socks`, the name, a NUL and the password."""

    worker: int
    row: int
    serial: int
    key: tuple[int, int]
    forward: int
    source: str
    port: int
    host: bytes
    method: bytes
    path: bytes
    credentials: bytes
    socks: bool

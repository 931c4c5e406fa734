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


class Subject(NamedTuple):
    """What the uses of an answer are counted for. verdict: a number of policy/counts.py. list: the
    list of domains that has decided; "" if none has."""

    forward: str
    verdict: int
    host: str
    list: str = ""


class Uses(NamedTuple):
    """How often workers have used an answer since the last look."""

    uses: int
    rule: str
    user: str
    subject: Subject

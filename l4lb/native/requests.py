"""Parts of requests as l4lb/native/http reads them."""

from __future__ import annotations

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

"""The texts of listeners and pools for HTTP, as one run of bytes: csrc/core/http_texts.h has its
form. Pure: plain data in, bytes out.

Every number is 32 bits in this machine's order, and every struct begins at a multiple of four.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

HEAD = struct.Struct("=7I")  # struct l4_texts_head


class Page(NamedTuple):
    """An error page: its media type, and its bytes."""

    type: str
    body: bytes


class ListenerTexts(NamedTuple):
    """The texts of a listener. An empty text: the field is not written. limit_key: name of the
    values of a request that requests_per_key counts by. pages: by status."""

    request_id: str = ""
    via: str = ""
    hsts: str = ""
    hide: tuple[str, ...] = ()
    pages: Mapping[int, Page] = {}
    limit_key: str = ""


class PoolTexts(NamedTuple):
    """The texts of a pool: the host that its backends are sent, if it has one of its own; name and
    attributes of the cookie that names a client's backend; names of the values of a request that
    hash_key and sticky.key take. pages: of a forward proxy, by the names of its rules."""

    host: str = ""
    cookie: str = ""
    cookie_attributes: str = ""
    hash_name: str = ""
    sticky_name: str = ""
    pages: Mapping[str, Page] = {}


class CacheTexts(NamedTuple):
    """The texts of a cache. status: name of the field that tells what it did; tags: of the field
    with an answer's tags; purge: the method that purges. An empty text: there is none. ignored:
    names of arguments; `*` ends a prefix. cookies: names of cookies, likewise. targeted: names
    of fields that come before Cache-Control. statuses: lifetimes in seconds."""

    status: str = ""
    tags: str = ""
    purge: str = ""
    ignored: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()
    targeted: tuple[str, ...] = ()
    statuses: Mapping[int, int] = {}


def compiled(
    listeners: Iterable[tuple[Sequence[int], ListenerTexts]],
    pools: Iterable[tuple[int, PoolTexts]],
    caches: Iterable[tuple[int, CacheTexts]] = (),
) -> bytes:
    """Returns the texts of these listeners, each with the rows of its addresses, of pools and of
    caches, each with its row. Rows that are not named have no texts."""
    listeners, pools, caches = list(listeners), list(pools), list(caches)
    listener_rows = 1 + max((row for rows, _ in listeners for row in rows), default=-1)
    pool_rows = 1 + max((row for row, _ in pools), default=-1)
    cache_rows = 1 + max((row for row, _ in caches), default=-1)
    run = _Run(HEAD.size + 4 * (listener_rows + pool_rows + cache_rows))
    listeners_at = HEAD.size
    pools_at = listeners_at + 4 * listener_rows
    caches_at = pools_at + 4 * pool_rows
    for rows, texts in listeners:
        at = run.listener(texts)
        for row in rows:
            run.set(listeners_at + 4 * row, at)
    for row, its in pools:
        run.set(pools_at + 4 * row, run.pool(its))
    for row, one in caches:
        run.set(caches_at + 4 * row, run.cache(one))
    run.bytes[: HEAD.size] = HEAD.pack(
        len(run.bytes), listeners_at, listener_rows, pools_at, pool_rows, caches_at, cache_rows
    )
    return bytes(run.bytes)


class _Run:
    """The bytes that grow. Equal texts are in them once."""

    def __init__(self, size: int) -> None:
        self.bytes = bytearray(size)
        self._known: dict[bytes, tuple[int, int]] = {}

    def set(self, at: int, number: int) -> None:
        self.bytes[at : at + 4] = struct.pack("=I", number)

    def text(self, text: str | bytes) -> tuple[int, int]:
        """Returns where a text is, and its length: a struct l4_texts_at."""
        content = text.encode() if isinstance(text, str) else text
        if content not in self._known:
            self._known[content] = (len(self.bytes), len(content))
            self.bytes += content
        return self._known[content]

    def numbers(self, *numbers: int) -> int:
        """Adds numbers. Returns where they begin."""
        self.bytes += bytes(-len(self.bytes) % 4)
        at = len(self.bytes)
        self.bytes += struct.pack(f"={len(numbers)}I", *numbers)
        return at

    def listener(self, texts: ListenerTexts) -> int:
        """Adds a struct l4_texts_of_listener. Returns where it is."""
        named = (texts.request_id, texts.via, texts.hsts, texts.limit_key)
        fields = [number for text in named for number in self.text(text)]
        hide = [number for name in texts.hide for number in self.text(name.lower())]
        pages = [
            number
            for status, page in sorted(texts.pages.items())
            for number in (status, *self.text(page.type), *self.text(page.body))
        ]
        hide_at, pages_at = self.numbers(*hide), self.numbers(*pages)
        return self.numbers(*fields, hide_at, len(texts.hide), pages_at, len(texts.pages))

    def pool(self, texts: PoolTexts) -> int:
        """Adds a struct l4_texts_of_pool. Returns where it is."""
        named = (
            texts.host, texts.cookie, texts.cookie_attributes, texts.hash_name, texts.sticky_name,
        )  # fmt: skip
        fields = [number for text in named for number in self.text(text)]
        pages = [
            number
            for rule, page in texts.pages.items()
            for text in (rule, page.type, page.body)
            for number in self.text(text)
        ]
        pages_at = self.numbers(*pages)
        return self.numbers(*fields, pages_at, len(texts.pages))

    def cache(self, texts: CacheTexts) -> int:
        """Adds a struct l4_texts_of_cache. Returns where it is."""
        named = (texts.status, texts.tags.lower(), texts.purge)
        fields = [number for text in named for number in self.text(text)]
        ignored = [number for name in texts.ignored for number in self.text(name)]
        cookies = [number for name in texts.cookies for number in self.text(name)]
        targeted = [number for name in texts.targeted for number in self.text(name.lower())]
        statuses = [number for pair in sorted(texts.statuses.items()) for number in pair]
        lists = (ignored, cookies, targeted, statuses)
        placed = [number for one in lists for number in (self.numbers(*one), len(one) // 2)]
        return self.numbers(*fields, *placed)

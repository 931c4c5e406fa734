"""What operators ask of caches: purges, and the keys of a URL."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from l4lb.config.model import Cache
from l4lb.errors import AdminError
from l4lb.native import cache as native
from l4lb.supervisor.table.caches import Caches

UNSAVED = (
    "it holds now, but perhaps not after a restart, because it cannot be written to the disk of"
)
PORTS = {"http": 80, "https": 443}


class Url(NamedTuple):
    """The parts of a URL as they are in keys. query: without its question mark; None: there is
    none."""

    scheme: str
    host: str
    path: str
    query: str | None


def read_url(text: str) -> Url:
    """Reads a URL as clients send it. Raises AdminError bad_argument."""
    try:
        parts = urllib.parse.urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urllib.parse.SplitResult("", "", "", "", ""), None
    host = (parts.hostname or "").lower()
    clean = text.isascii() and text.isprintable() and " " not in text and "#" not in text
    if not clean or parts.scheme not in PORTS or not host or "@" in parts.netloc:
        raise AdminError("bad_argument", f"{text} is no URL such as http://www.example.com/a?b=c")
    host = f"[{host}]" if ":" in host else host
    if port is not None and port != PORTS[parts.scheme]:
        host = f"{host}:{port}"
    query = parts.query if "?" in text else None
    return Url(parts.scheme, host, parts.path or "/", query)


class CacheRequests:
    """Answers questions about caches, and purges. rules: returns the caches in force."""

    def __init__(self, caches: Caches, rules: Callable[[], Mapping[str, Cache]]) -> None:
        self._caches = caches
        self._rules = rules

    def keys(self, args: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Returns the key of a URL in each cache, or in the one that is named."""
        url = read_url(str(args.get("url")))
        return [{"cache": cache.name, "key": _key(url, cache)} for cache in self._named(args)]

    def purge(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Purges what `kind` and `text` mean: a URL, the beginning of URLs, a host, a tag, or
        all. The answer has a `warning` if a disk could not take the purge."""
        kind, text = str(args.get("kind")), str(args.get("text") or "")
        soft = bool(args.get("soft"))
        found = [(cache, _meant(cache, kind, text)) for cache in self._named(args)]
        able = [(cache, what) for cache, what in found if what is not None]
        if not able:
            why = {"host": "tells hosts apart", "tag": "has tags"}[kind]
            raise AdminError("bad_argument", f"no cache {why}; purge by URL, or --all")
        with self._caches.purges() as purges:
            for cache, what in able:
                native.purge(purges, cache.name, kind, what, soft)
            names = [cache.name for cache, _ in able]
            unsaved = self._caches.disks.purged(purges, names)
        answer = {"kind": kind, "text": text, "soft": soft, "caches": names}
        if unsaved:
            answer["warning"] = f"{UNSAVED} {', '.join(unsaved)}: see the log"
        return answer

    def _named(self, args: Mapping[str, Any]) -> Iterator[Cache]:
        name, known = args.get("cache"), self._rules()
        if name is not None and name not in known:
            raise AdminError("not_found", f"no cache is named {name}; see `l4lb admin cache`")
        if not known:
            raise AdminError("not_found", "there is no cache")
        yield from (cache for cache in known.values() if name in (None, cache.name))


def _meant(cache: Cache, kind: str, text: str) -> bytes | None:
    """Returns what a purge compares; None: this cache has no such thing."""
    match kind:
        case "url" | "prefix":
            return _key(read_url(text), cache)
        case "host":
            return text.lower().encode() if "host" in cache.key else None
        case "tag":
            return text.encode() if cache.tags != "off" else None
        case "all":
            return b""
    raise AdminError("bad_argument", f"{kind} cannot be purged")


def _key(url: Url, cache: Cache) -> bytes:
    parts = sum(native.KEY_PARTS[one] for one in cache.key)
    query = None if url.query is None else url.query.encode()
    ignored = [name.encode() for name in cache.ignore_query]
    try:
        return native.key(
            url.scheme.encode(), url.host.encode(), url.path.encode(), query, parts, ignored
        )
    except ValueError as error:
        raise AdminError("bad_argument", str(error)) from None

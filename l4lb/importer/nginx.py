"""nginx.conf, its stream part. Files that it includes are read by the kept parser; lines keep their
own file's name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from l4lb.errors import L4lbError, UsageError
from l4lb.importer.draft import Draft, Place, name_of, scaled

TIME = re.compile(r"(\d{1,12})(ms|s|m|h|d|)")
NOTHING = ("include", "pid", "error_log", "load_module", "tcp_nodelay", "events", "use",
           "multi_accept", "proxy_next_upstream", "zone", "access_log", "log_format")  # fmt: skip

Directive = Mapping[str, Any]


def duration(text: str) -> str:
    """A time as this program writes it; bare numbers are seconds. Raises ValueError."""
    match = TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is not a time")
    return f"{match[1]}{match[2] or 's'}"


class _Reader:
    def __init__(self) -> None:
        self.draft = Draft()
        self._files: list[Mapping[str, Any]] = []
        self._per_worker = 0

    # ---- the parser's output ---------------------------------------------------------------------

    def read(self, payload: Mapping[str, Any]) -> None:
        self._files = payload["config"]
        for one in payload["errors"]:
            place = Place(str(one["file"]), int(one.get("line") or 0), "")
            self.draft.leave(place, str(one["error"]).split(" in /")[0])
        found = list(self._inside(self._files[0]["parsed"], self._files[0]["file"]))
        for place, one in found:
            self._top(place, one)

    def _inside(self, block: list[Directive], file: str) -> Iterator[tuple[Place, Directive]]:
        """Each directive of a block with its place, those of included files among them."""
        for one in block:
            for index in one.get("includes", ()):
                more = self._files[index]
                yield from self._inside(more["parsed"], more["file"])
            words = " ".join([one["directive"], *one["args"]])
            yield Place(file, one["line"], words), one

    def _top(self, place: Place, one: Directive) -> None:
        match one["directive"], one["args"]:
            case "stream", _:
                self._stream(place, one)
            case "worker_processes", [count]:
                if count.isdigit():
                    self.draft.process["workers"] = min(64, int(count))
            case "user", [name, *_]:
                self.draft.process["user"] = name
            case "worker_shutdown_timeout", [time]:
                self._try(place, lambda: self._set(self.draft.process, "drain_timeout", time))
            case "events", _:
                for inner_place, inner in self._inside(one["block"], place.file):
                    if inner["directive"] == "worker_connections":
                        self._per_worker = int(inner["args"][0])
                    elif inner["directive"] not in NOTHING:
                        self.draft.leave(inner_place, "there is nothing like it here")
            case ("http" | "mail") as kind, _:
                self._all_left(place, one, f"{kind} is not about TCP as such")
            case name, _ if name not in NOTHING:
                self.draft.leave(place, "there is nothing like it here")

    def _all_left(self, place: Place, one: Directive, why: str) -> None:
        self.draft.leave(place, why)
        for inner_place, inner in self._inside(one.get("block", []), place.file):
            self._all_left(inner_place, inner, why)

    def _set(self, table: dict[str, Any], key: str, time: str) -> None:
        table[key] = duration(time)

    def _try(self, place: Place, change: Callable[[], None]) -> None:
        try:
            change()
        except (ValueError, IndexError) as error:
            self.draft.leave(place, f"not understood: {error}")

    # ---- stream ----------------------------------------------------------------------------------

    def _stream(self, place: Place, stream: Directive) -> None:
        inside = list(self._inside(stream["block"], place.file))
        common: dict[str, Any] = {}
        for where, one in inside:
            if one["directive"] == "upstream":
                self._upstream(where, one)
            elif one["directive"] not in ("server", *NOTHING):
                self._setting(where, one, common)
        for where, one in inside:
            if one["directive"] == "server":
                self._server(where, one, dict(common))

    def _setting(self, place: Place, one: Directive, pool: dict[str, Any]) -> None:
        """What a stream or a server says of how it is proxied."""
        match one["directive"], one["args"]:
            case "proxy_connect_timeout", [time]:
                self._try(place, lambda: self._set(pool, "connect_timeout", time))
            case "proxy_timeout", [time]:
                self._try(place, lambda: self._set(pool, "idle_timeout", time))
            case "proxy_next_upstream_tries", [count] if count.isdigit():
                pool["retries"] = min(8, max(0, int(count) - 1))
            case "proxy_bind", [address] if not address.startswith("$"):
                pool["source"] = address
            case "proxy_bind", ["$remote_addr" | "$remote_addr:$remote_port", "transparent"]:
                pool["transparent"] = True
            case "proxy_socket_keepalive", [word]:
                if word == "on":
                    pool["keepalive"] = True
            case name, _ if name not in NOTHING:
                self.draft.leave(place, "there is nothing like it here")

    def _upstream(self, place: Place, upstream: Directive) -> None:
        pool: dict[str, Any] = {}
        backends: dict[str, dict[str, Any]] = {}
        for where, one in self._inside(upstream["block"], place.file):
            match one["directive"], one["args"]:
                case "server", _:
                    self._try(where, partial(self._backend, where, one, pool, backends))
                case "least_conn", _:
                    pool["balance"] = "least_connections"
                case "random", []:
                    pool["balance"] = "random"
                case "hash", ["$remote_addr" | "$binary_remote_addr", *how]:
                    pool["balance"] = "maglev" if how == ["consistent"] else "ip_hash"
                case name, _ if name not in NOTHING:
                    self.draft.leave(where, "there is nothing like it here")
        weights = scaled({name: one.get("weight", 1) for name, one in backends.items()})
        for name, one in backends.items():
            if "weight" in one:
                one["weight"] = weights[name]
        self.draft.pools[name_of(upstream["args"][0])] = pool | {
            "backends": list(backends.values())
        }

    def _backend(
        self,
        place: Place,
        one: Directive,
        pool: dict[str, Any],
        backends: dict[str, dict[str, Any]],
    ) -> None:
        address = one["args"][0]
        entry: dict[str, Any] = {"address": address}
        for word in one["args"][1:]:
            key, _, value = word.partition("=")
            match key:
                case "weight":
                    entry["weight"] = int(value)
                case "max_conns":
                    entry["max_connections"] = int(value)
                case "backup":
                    entry["backup"] = True
                case "max_fails" if int(value):
                    pool.setdefault("passive", {})["failures"] = int(value)
                case "fail_timeout":
                    pool.setdefault("passive", {})["eject"] = duration(value)
                case "down":
                    entry["weight"] = 0
                    self.draft.leave(place, "down: it has weight 0 instead")
                case _:
                    self.draft.leave(place, f"{word}: there is nothing like it here")
        if not address.startswith("unix:") and ":" not in address:
            self.draft.leave(place, "a server without a port cannot be carried over")
            return
        backends[address] = entry

    def _server(self, place: Place, server: Directive, settings: dict[str, Any]) -> None:
        binds: list[str] = []
        protocol, target, proxy = "tcp", "", False
        keepalive: dict[str, Any] | None = None
        for where, one in self._inside(server["block"], place.file):
            match one["directive"], one["args"]:
                case "listen", [address, *words]:
                    binds.append(_listen(address))
                    protocol = "udp" if "udp" in words else protocol
                    proxy = proxy or "proxy_protocol" in words
                    found = _keepalive(words)
                    keepalive = keepalive if found is None else found
                    more = [w for w in words if not _is_known(w)]
                    if more:
                        self.draft.leave(where, f"{' '.join(more)}: not carried over")
                case "proxy_pass", [to]:
                    target = to
                case _:
                    self._setting(where, one, settings)
        if not binds or not target or "$" in target:
            self.draft.leave(place, "a server without a fixed proxy_pass was left out")
            return
        pool = self._pool(target, settings)
        table: dict[str, Any] = {"bind": binds, "pool": pool}
        if protocol == "udp":
            table["protocol"] = protocol
        if proxy:
            table["proxy_protocol"] = "accept"
        if keepalive is not None:
            table["keepalive"] = keepalive or True
        self.draft.listeners[self._free(f"{pool}-{protocol}")] = table

    def _free(self, name: str) -> str:
        taken = self.draft.listeners
        return next(
            one for one in (name, *(f"{name}-{n}" for n in range(2, 1 << 16))) if one not in taken
        )

    def _pool(self, target: str, settings: dict[str, Any]) -> str:
        """The pool of a proxy_pass with a server's settings: an upstream's, or one for an address.
        An upstream that two servers use in different ways becomes two pools."""
        name = name_of(target)
        if name not in self.draft.pools:
            self.draft.pools[name] = {"backends": [{"address": target}]}
        pool = self.draft.pools[name]
        mine = {key: pool[key] for key in SERVER_KEYS if key in pool}
        used = any(one["pool"] == name for one in self.draft.listeners.values())
        if used and mine != settings:
            name, pool = f"{name}-{len(self.draft.pools)}"[:64], dict(pool)
            for key in SERVER_KEYS:
                pool.pop(key, None)
            self.draft.pools[name] = pool
        backends = pool.pop("backends")
        pool.update(settings)
        pool["backends"] = backends
        return name

    def finish(self) -> None:
        if self._per_worker:
            # A worker of nginx counts both of a session's connections.
            workers = self.draft.process.get("workers", 1)
            self.draft.limits["max_connections"] = max(1, self._per_worker * workers // 2)


SERVER_KEYS = ("connect_timeout", "idle_timeout", "retries", "source", "transparent", "keepalive")


def _is_known(word: str) -> bool:
    """Is this word of `listen` carried over, or of no use here?"""
    return word in ("udp", "reuseport", "proxy_protocol") or word.startswith("so_keepalive=")


def _keepalive(words: list[str]) -> dict[str, Any] | None:
    """What so_keepalive=on|[idle]:[interval]:[count] says; None: nothing, or off."""
    found = next((w.partition("=")[2] for w in words if w.startswith("so_keepalive=")), "off")
    if found == "off":
        return None
    times = [*found.split(":"), "", ""][:3] if ":" in found else ["", "", ""]
    keys: list[tuple[str, Callable[[str], Any]]] = [
        ("idle", duration), ("interval", duration), ("probes", int)
    ]  # fmt: skip
    return {key: make(text) for (key, make), text in zip(keys, times, strict=True) if text}


def _listen(address: str) -> str:
    if address.isdigit():
        return f"*:{address}"
    return address


def read(file: str) -> Draft:
    """What the file nginx.conf and those that it includes say. Raises L4lbError."""
    import crossplane

    try:
        payload = crossplane.parse(
            file, strict=False, check_ctx=False, check_args=False, comments=False
        )
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    except Exception as error:  # the parser has no base class of its own faults
        raise L4lbError(f"{file}: not understood: {error}") from error
    if not payload["config"] or not payload["config"][0]["parsed"]:
        said = "; ".join(str(one["error"]) for one in payload["errors"])
        raise UsageError(f"{file}: nothing of nginx's is in it{': ' + said if said else ''}")
    reader = _Reader()
    reader.read(payload)
    reader.finish()
    return reader.draft

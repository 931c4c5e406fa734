"""haproxy.cfg, as far as it is about TCP.

A section is read to the end with the defaults before it; what each keyword means is in
haproxy_words.py, and every line that means nothing here is named. `mode http` sections are relayed
as TCP: what they do with HTTP is named too.
"""

from __future__ import annotations

from typing import Any

from l4lb.errors import UsageError
from l4lb.importer.draft import Draft, Place, name_of, scaled
from l4lb.importer.haproxy_words import (
    GLOBAL,
    KEYWORDS,
    SEND_PROXY,
    SERVER,
    Section,
    Settings,
    address_of,
    is_nothing,
    options_of,
    words_of,
)

SECTIONS = ("global", "defaults", "frontend", "backend", "listen")
OTHER_SECTIONS = (
    "userlist", "peers", "resolvers", "mailers", "cache", "program", "ring", "http-errors",
    "fcgi-app", "log-forward", "crt-store", "traces",
)  # fmt: skip


class _Reader:
    def __init__(self, file: str) -> None:
        self.draft = Draft()
        self.sections: list[Section] = []
        self._file = file
        self._defaults = Settings()
        self._section: Section | None = None
        self._skipped = False

    def read(self, text: str) -> None:
        for number, line in enumerate(text.splitlines(), 1):
            words = words_of(line)
            if words:
                self._line(Place(self._file, number, " ".join(words)), words)

    def _line(self, place: Place, words: list[str]) -> None:
        if words[0] in SECTIONS:
            self._begin(place, words)
        elif words[0] in OTHER_SECTIONS:
            self._skipped = True
            self.draft.leave(place, "there is no such section here")
        elif self._skipped or self._section is None:
            self.draft.leave(place, "in a section that is not carried over")
        else:
            self._keyword(place, words, self._section)

    def _begin(self, place: Place, words: list[str]) -> None:
        self._skipped = False
        kind = words[0]
        if kind == "defaults":
            self._defaults = Settings()
        settings = self._defaults if kind == "defaults" else self._defaults.copy()
        self._section = Section(kind, words[1] if len(words) > 1 else kind, settings)
        if kind == "listen":
            self._section.pool = self._section.name
        if "from" in words[2:]:
            self.draft.leave(place, "the defaults just before are used, whatever `from` names")
        self.sections.append(self._section)

    def _keyword(self, place: Place, words: list[str], section: Section) -> None:
        handler = GLOBAL.get(words[0]) if section.kind == "global" else KEYWORDS.get(words[0])
        section.at = place
        try:
            if handler is not None:
                why = handler(self.draft, section, words)
            else:
                why = "" if is_nothing(words) else "there is nothing like it here"
        except (IndexError, ValueError) as error:
            why = f"not understood: {error}"
        if why:
            self.draft.leave(place, why)

    # ---- sections to tables ----------------------------------------------------------------------

    def finish(self) -> None:
        for one in self.sections:
            if one.kind in ("backend", "listen"):
                self._pool(one)
        for one in self.sections:
            if one.kind in ("frontend", "listen") and one.binds:
                self._listener(one)

    def _listener(self, section: Section) -> None:
        table: dict[str, Any] = {
            "bind": section.binds, "pool": name_of(section.pool), **section.settings.listener
        }  # fmt: skip
        if section.proxy:
            table["proxy_protocol"] = "accept"
        if not section.pool or name_of(section.pool) not in self.draft.pools:
            place = Place(self._file, 0, f"{section.kind} {section.name}")
            missing = f"pool {section.pool}" if section.pool else "default_backend"
            self.draft.leave(place, f"it has no {missing}: the listener was left out")
            return
        self.draft.listeners[name_of(section.name)] = table

    def _pool(self, section: Section) -> None:
        checked: list[bool] = []
        backends: dict[str, dict[str, Any]] = {}
        greeted: dict[str, tuple[Place, str]] = {}
        for place, words in section.servers:
            self._server(place, words, section, backends, checked, greeted)
        if not backends:
            return
        self._greet(section, backends, greeted)
        for name, weight in scaled(
            {n: one.get("weight", 1) for n, one in backends.items()}
        ).items():
            if "weight" in backends[name]:
                backends[name]["weight"] = weight
        table = dict(section.settings.pool)
        if section.settings.idle_ms:
            table["idle_timeout"] = f"{max(section.settings.idle_ms.values())}ms"
        table["backends"] = list(backends.values())
        if any(checked):
            table["health"] = {"type": "tcp"} | section.settings.health
        self.draft.pools[name_of(section.name)] = table

    def _greet(
        self,
        section: Section,
        backends: dict[str, dict[str, Any]],
        greeted: dict[str, tuple[Place, str]],
    ) -> None:
        """A PROXY header is a pool's here: all servers get the same, or none."""
        versions = {SEND_PROXY[key] for _, key in greeted.values()}
        if len(versions) == 1 and greeted.keys() == backends.keys():
            section.settings.pool["send_proxy"] = versions.pop()
            return
        for place, key in greeted.values():
            self.draft.leave(place, f"{key}: all servers of a pool get the same, or none")

    def _server(
        self,
        place: Place,
        words: list[str],
        section: Section,
        backends: dict[str, dict[str, Any]],
        checked: list[bool],
        greeted: dict[str, tuple[Place, str]],
    ) -> None:
        name = name_of(words[1])
        address = words[2].removeprefix("ipv4@").removeprefix("ipv6@")
        if not address.startswith("unix@") and ":" not in address:
            self.draft.leave(place, "a server without a port cannot be carried over")
            return
        entry: dict[str, Any] = {"name": name, "address": address_of(address)}
        for key, value in options_of(section.settings.server + words[3:]):
            if key == "check":
                checked.append(True)
            elif key in SEND_PROXY:
                greeted[name] = (place, key)
            elif key in SERVER:
                try:
                    SERVER[key](entry, section.settings.health, value)
                except ValueError as error:
                    self.draft.leave(place, f"{key}: not understood: {error}")
            elif key not in ("no-check", "init-addr", "resolvers", "on-marked-down"):
                self.draft.leave(place, f"{key}: there is nothing like it here")
        backends[name] = entry


def read(text: str, file: str) -> Draft:
    """What haproxy.cfg says. Raises UsageError if it has no section of HAProxy's."""
    reader = _Reader(file)
    reader.read(text)
    if not reader.sections:
        raise UsageError(f"{file}: no section of HAProxy's is in it (global, frontend, ...)")
    reader.finish()
    return reader.draft

"""The supervisor's part of TLS: it reads certificates and keys, watches their files, rotates ticket
keys, and has workers load what is new. Nothing that does not load here ever reaches a worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import l4lb.log
from l4lb.certificates.bundle import Bundle, Profiles, build, days_left
from l4lb.certificates.files import Files, Stamp
from l4lb.certificates.vault import TicketKeys, Vault
from l4lb.config.model import Config
from l4lb.errors import ConfigError
from l4lb.native import tls
from l4lb.native.table import Table
from l4lb.supervisor.apply import Bindings
from l4lb.supervisor.reactor import Reactor

PAGE = 16  # certificates of one answer: a message of a channel holds them
NAMES_SHOWN = 8
SOON_DAYS = 14
REMIND_MS = 86_400_000
LOG = l4lb.log.get("supervisor")


class Secrets:
    """Certificates, keys and ticket keys of one service. notify tells every worker to look."""

    def __init__(self, reactor: Reactor, table: Table, known: Mapping[str, Any]) -> None:
        """known: what a program before this one carried over; empty if there was none."""
        self._reactor = reactor
        self._table = table
        self._files = files_of(known)
        self._profiles = Profiles()
        self._keys = TicketKeys(bytes.fromhex(known.get("ticket_keys", "")))
        self._vault = Vault()
        self._bundle = Bundle()
        self._generation = 0
        self._config: Config | None = None
        self._bindings: Bindings | None = None
        self._seen: dict[str, Stamp | None] = {}
        self._timers = 0
        self.notify: Callable[[], None] = lambda: None

    @property
    def fd(self) -> int:
        """The vault, for workers."""
        return self._vault.fd

    def carried(self) -> dict[str, Any]:
        """For the program that takes over from this one."""
        return {"ticket_keys": self._keys.data.hex(), "tls_files": self._files.in_force()}

    # ---- a configuration -------------------------------------------------------------------------

    def take(self, config: Config, bindings: Bindings) -> None:
        """All of it: prepare, then adopt. Raises ConfigError, then nothing has changed."""
        self.adopt(config, self.prepare(config), bindings)

    def prepare(self, config: Config) -> Bundle:
        """What this configuration needs, tried. Raises ConfigError; nothing has changed yet."""
        return build(config, self._files, self._profiles)

    def adopt(self, config: Config, bundle: Bundle, bindings: Bindings) -> None:
        """Puts it into force: workers first load it, then listeners and pools name it."""
        self._config = config
        self._bindings = bindings
        self._bundle = bundle
        self._files.settle(_paths(config))
        self._seen = self._files.stamps_read()
        self._publish()
        self._write_rows(config, bindings)
        self._write_ends()

    def _write_rows(self, config: Config, bindings: Bindings) -> None:
        for name, listener in config.listeners.items():
            for bind in listener.bind:
                rule = listener.tls
                tls.set_listener_tls(
                    self._table,
                    bindings.listener_rows[name, str(bind)],
                    profile=self._profiles.of("listeners", name) if rule else 0,
                    most=rule.max_handshakes if rule else 0,
                    rate=rule.handshake_rate if rule else 0,
                    burst=rule.handshake_burst if rule else 0,
                )
        for name, pool in config.pools.items():
            number = self._profiles.of("pools", name) if pool.tls else 0
            tls.set_pool_tls(self._table, bindings.pool_rows[name], number)

    def _publish(self) -> None:
        self._generation += 1
        self._vault.write(self._keys, self._bundle.data, self._generation)
        self.notify()

    # ---- time ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to watch files and to rotate keys."""
        self._look()
        self._rotate_later()
        self._reactor.after(REMIND_MS, self._remind)

    def _remind(self) -> None:
        """Nothing may change for months, and a certificate end all the same."""
        self._reactor.after(REMIND_MS, self._remind)
        self._write_ends()

    def _look(self) -> None:
        config = self._config
        if config is None:
            return
        self._reactor.after(config.process.tls.watch_ms, self._look)
        seen = self._files.stamps()
        if seen != self._seen:
            self._tell_gone(seen)
            self._seen = seen
            self._reread(config)

    def _tell_gone(self, seen: Mapping[str, Stamp | None]) -> None:
        for path, now in seen.items():
            if now is None and self._seen.get(path) is not None:
                LOG.warning(
                    "a file of TLS is gone or cannot be looked at any more; what was read of it"
                    " stays in force, but the service could not start again",
                    file=path,
                )

    def _reread(self, config: Config) -> None:
        try:
            bundle = self.prepare(config)
        except ConfigError as error:
            LOG.warning(
                "certificates have changed and cannot be used; those before stay",
                problem="; ".join(str(problem) for problem in error.problems),
            )
            return
        self._files.settle(_paths(config))
        if bundle.data == self._bundle.data:
            return
        self._bundle = bundle
        self._publish()
        LOG.info(
            "certificates have changed",
            certificates=len(bundle.certificates),
            generation=self._generation,
        )
        self._write_ends()

    def _rotate_later(self) -> None:
        if self._config is not None:
            self._reactor.after(self._config.process.tls.ticket_lifetime_ms, self._rotate)

    def _rotate(self) -> None:
        self._rotate_later()
        self._keys.rotate()
        self._vault.write(self._keys, self._bundle.data, self._generation)
        self.notify()

    def _write_ends(self) -> None:
        """Tells when certificates end: the table always, the log when it is soon."""
        now_s = int(time.time())
        first: dict[str, int] = {}
        for one in self._bundle.certificates:
            first[one.owner] = min(first.get(one.owner, one.facts.not_after), one.facts.not_after)
            left = days_left(one.facts.not_after, now_s)
            if left < SOON_DAYS:
                what = "a certificate has ended" if left < 0 else "a certificate ends soon"
                LOG.warning(what, of=one.owner, file=one.file, days_left=left)
        if self._bindings is not None:
            for (name, _), row in self._bindings.listener_rows.items():
                tls.set_listener_end(self._table, row, max(0, first.get(f"listeners.{name}", 0)))

    # ---- telling ---------------------------------------------------------------------------------

    def certificates(self, args: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A page of the certificates in force, from args["offset"] on; docs/admin.md, certs."""
        offset = args.get("offset")
        start = offset if isinstance(offset, int) and offset > 0 else 0
        now_s = int(time.time())
        workers = [row.index for row in self._table.workers() if row.pid]
        loaded = min((tls.loaded(self._table, index) for index in workers), default=0)
        return [
            {
                "of": one.owner,
                "names": list(one.facts.names[:NAMES_SHOWN]),
                "names_count": len(one.facts.names),
                "days_left": days_left(one.facts.not_after, now_s),
                "ends_s": one.facts.not_after,
                "key": f"{one.facts.key_type} {one.facts.bits}",
                "issuer": one.facts.issuer,
                "serial": one.facts.serial,
                "sha256": one.facts.sha256,
                "file": one.file,
                "generation": self._generation,
                "loaded": loaded,
            }
            for one in self._bundle.certificates[start : start + PAGE]
        ]

    def close(self) -> None:
        self._vault.close()


def files_of(known: Mapping[str, Any]) -> Files:
    """The files of TLS that a program before this one had in force."""
    return Files(known.get("tls_files"))


def _paths(config: Config) -> set[str]:
    """Every file that the configuration's TLS names."""
    found: set[str | None] = set()
    for listener in config.listeners.values():
        if listener.tls is not None:
            found.add(listener.tls.ca)
            for one in listener.tls.certificates:
                found |= {one.cert, one.key}
    for pool in config.pools.values():
        if pool.tls is not None:
            found |= {pool.tls.ca, pool.tls.cert, pool.tls.key}
    return {path for path in found if path}

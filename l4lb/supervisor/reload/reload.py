"""Changes of the configuration at run time: reload, plan, confirm, add, remove.

The configuration in force is the file's with run-time changes over it (overlay.py). A child reads
and checks a new one completely (loader.py). Then everything that can fail is done first (sockets,
room in the table); the rest cannot fail. A change therefore happens completely or not at all. After
a fault of l4lb itself the configuration before is put back (install.py). One change is under way at
a time; phase.py draws its phases.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import l4lb.log
from l4lb.config import diff
from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.config.plain import to_plain, to_stated
from l4lb.config.reading.resolve import resolve
from l4lb.errors import AdminError, L4lbError
from l4lb.supervisor.process.faults import fault
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.reload.discovery import FirstAnswers, Prepare
from l4lb.supervisor.reload.loader import Loader
from l4lb.supervisor.reload.overlay import Overlay
from l4lb.supervisor.reload.phase import Phase, Progress
from l4lb.supervisor.reload.source import Load, Source

CHANGE_MAX_MS = 90_000  # time after which a change is given up
LOG = l4lb.log.get("supervisor")

Reply = Callable[[Any], object]  # a result, or an AdminError


@dataclass(frozen=True)
class _Trial:
    """A reload that goes back to `before` unless it is confirmed. began: the overlay at its
    start."""

    before: Source
    began: Overlay


@dataclass(frozen=True, eq=False)
class _Change:
    """A change under way. what: its name in words. apply: installs the configuration that was read,
    or compares it; gets also the warnings. installs: whether there is anything to prepare."""

    what: str
    apply: Callable[[Config, list[str]], Any]
    reply: Reply
    installs: bool


class Reloads:
    """The configuration in force, and every way to change it. load: reads a file. marked: says how
    ranges of ports are bound. prepare: does the slow part of an installation. send: sends the
    control process an order to follow sources of discovery. install: puts a configuration in force,
    given the old one and the changes. If it raises L4lbError, it has changed nothing."""

    def __init__(
        self,
        reactor: Reactor,
        source: Source,
        *,
        load: Load,
        marked: Callable[[Config], Config],
        prepare: Prepare,
        send: Callable[[Mapping[str, Any]], object],
        install: Callable[[Config, Config, list[diff.Change]], None],
        tell: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self._reactor = reactor
        self.source = source
        self._load, self._marked = load, marked
        self.first_answers = FirstAnswers(reactor, lambda: self.source, send, prepare)
        self._prepare = prepare
        self._install = install
        self._tell = tell
        self._progress = Progress()
        self._under_way: _Change | None = None
        self._trial: _Trial | None = None
        self._loader: Loader | None = None

    def begin_upgrade(self) -> None:
        """Forbids changes of the configuration until end_upgrade. Raises AdminError if one is under
        way."""
        self._progress.refuse_unless(Phase.IDLE)
        self._progress.go(Phase.UPGRADING)

    def end_upgrade(self) -> None:
        """Allows changes again: the program was not replaced."""
        self._progress.go(Phase.IDLE)

    # ---- reload --------------------------------------------------------------------------------

    def reload(self, args: Mapping[str, Any], reply: Reply) -> None:
        """args: file (default: the file in force), confirm_ms (0: no confirmation is needed)."""
        path, confirm_ms = self._path(args), args.get("confirm_ms") or 0

        def apply(config: Config, warnings: list[str]) -> Any:
            overlay, dropped = self.source.overlay.rebased(self.source.file, config)
            before = self.source
            after = Source(path, config, self.first_answers.over(overlay))
            result = self._install_source(after)
            if confirm_ms:
                self._begin_trial(before, confirm_ms)
            return result | {
                "file": path, "warnings": warnings, "replaced": dropped, "confirm_ms": confirm_ms
            }  # fmt: skip

        self._begin(f"a reload of {path}", lambda: self._load(path), apply, reply)

    def plan(self, args: Mapping[str, Any], reply: Reply) -> None:
        """Answers what a reload would change, and changes nothing."""
        path = self._path(args)

        def compare(config: Config, warnings: list[str]) -> Any:
            overlay, dropped = self.source.overlay.rebased(self.source.file, config)
            changes = _changes(self.source.running, overlay.over(config))
            return {
                "file": path,
                "warnings": warnings,
                "replaced": dropped,
                "changes": [change.plain() for change in changes],
                "needs_restart": diff.needs_start(changes),
                "after": to_plain(overlay.over(config)),
                "before": to_plain(self.source.running),
            }

        self._begin(f"a plan of {path}", lambda: self._load(path), compare, reply, installs=False)

    def _path(self, args: Mapping[str, Any]) -> str:
        path = args.get("file") or self.source.path
        if not path:
            raise AdminError("bad_argument", "this service was started without a file: name one")
        if not isinstance(path, str) or not os.path.isabs(path):
            raise AdminError("bad_argument", "the file must be an absolute path")
        return path

    def _begin(
        self,
        what: str,
        load: Callable[[], Config],
        apply: Callable[[Config, list[str]], Any],
        reply: Reply,
        *,
        installs: bool = True,
    ) -> None:
        """Loads a configuration in a child, then calls apply with it. Raises AdminError."""
        self._progress.refuse_unless(Phase.IDLE)
        change = _Change(what, apply, reply, installs)
        self._loader = Loader(
            self._reactor,
            load,
            lambda config, warnings: self._loaded(change, config, warnings),
            lambda error: self._failed(change, error),
        )
        self._under_way = change
        self._progress.go(Phase.LOADING, what)
        # why: other code must call back here; a fault of it must not block all later changes.
        self._reactor.after(
            CHANGE_MAX_MS,
            lambda: self._failed(change, AdminError("internal", f"{what} did not end")),
        )

    def _loaded(self, change: _Change, config: Config, warnings: list[str]) -> None:
        if self._under_way is not change:  # this change was given up
            return
        try:
            config = self._marked(config)
        except L4lbError as error:
            self._failed(change, error)
            return
        if not change.installs:
            self._end(change, _outcome(change.what, lambda: change.apply(config, warnings)))
            return
        self._progress.go(Phase.PREPARING)
        try:
            self.first_answers(
                config,
                lambda: self._prepared(change, config, warnings),
                lambda error: self._failed(change, error),
            )
        except Exception:
            self._failed(change, fault(change.what))

    def _prepared(self, change: _Change, config: Config, warnings: list[str]) -> None:
        if self._under_way is change:
            self._progress.go(Phase.INSTALLING)
            self._end(change, _outcome(change.what, lambda: change.apply(config, warnings)))

    def _failed(self, change: _Change, error: L4lbError) -> None:
        if self._under_way is change:
            known = isinstance(error, AdminError)
            self._end(change, error if known else AdminError("failed", error.message))

    def _end(self, change: _Change, outcome: Any) -> None:
        self._under_way = None
        self._progress.go(Phase.ON_TRIAL if self._trial else Phase.IDLE)
        if isinstance(outcome, AdminError):
            for line in outcome.message.splitlines():
                LOG.error("nothing was changed", change=change.what, reason=line)
        change.reply(outcome)

    def stop(self) -> None:
        """Stops reading, because the service ends."""
        if self._loader is not None:
            self._loader.stop()

    def _install_at_once(self, what: str, after: Source) -> dict[str, Any]:
        """Installs a configuration without reading a file. Raises AdminError."""
        before = self._progress.phase
        self._progress.go(Phase.INSTALLING, what)
        try:
            return self._install_source(after)
        except AdminError:
            raise
        except L4lbError as error:
            raise AdminError("failed", error.message) from error
        finally:
            self._progress.go(before)

    def _install_source(self, after: Source) -> dict[str, Any]:
        """Installs a configuration. Raises L4lbError; then nothing was changed."""
        before = self.source.running
        running = after.running
        changes = _changes(before, running)
        self._install(before, running, changes)
        self.source = after
        for change in changes:
            LOG.info("changed", what=str(change))
        restart = diff.needs_start(changes)
        if restart:
            LOG.warning("takes effect at the next upgrade or restart", keys=restart)
        result = {"changes": [change.plain() for change in changes], "needs_restart": restart}
        self._tell("reloaded", {"changes": len(changes)})
        return result

    # ---- confirm -------------------------------------------------------------------------------

    def _begin_trial(self, before: Source, confirm_ms: int) -> None:
        trial = self._trial = _Trial(before, self.source.overlay)
        LOG.warning("goes back unless `l4lb admin confirm` comes", within_ms=confirm_ms)

        def too_late() -> None:
            if self._trial is trial:
                LOG.warning("not confirmed: going back to the configuration before")
                self._go_back(trial, lambda _: None)

        self._reactor.after(confirm_ms, too_late)

    def _go_back(self, trial: _Trial, reply: Reply) -> None:
        self._trial = None
        self._progress.go(Phase.GOING_BACK)

        def before() -> Source:
            of_old, now = trial.before, self.source.overlay
            same = [
                name
                for name, pool in of_old.file.pools.items()
                if name in self.source.file.pools
                and self.source.file.pools[name].discovery == pool.discovery
            ]
            overlay = of_old.overlay.followed(trial.began, now, of_old.file, same)
            return replace(of_old, overlay=overlay)

        def install() -> None:
            result = _outcome("going back", lambda: self._install_source(before()))
            if isinstance(result, AdminError):
                failed(result)
                return
            self._progress.go(Phase.IDLE)
            self._tell("rolled_back", {})
            reply(result)

        def failed(error: L4lbError) -> None:
            self._progress.go(Phase.IDLE)
            LOG.error("cannot go back", reason=error.message)
            self._tell("rollback_failed", {"reason": error.message})
            reply(AdminError("failed", error.message))

        try:
            self._prepare(before().running, install, failed)
        except Exception:
            failed(fault("going back"))

    def _waiting(self) -> _Trial:
        if self._trial is None:
            raise AdminError("not_found", "no reload waits for a confirmation")
        return self._trial

    def confirm(self, _: Mapping[str, Any], reply: Reply) -> None:
        self._waiting()
        self._trial = None
        self._progress.go(Phase.IDLE)
        LOG.info("the reload is confirmed")
        reply({"file": self.source.path})

    def rollback(self, _: Mapping[str, Any], reply: Reply) -> None:
        self._go_back(self._waiting(), reply)

    # ---- run-time changes ----------------------------------------------------------------------

    def note_state(self, pool: str, name: str, state: str) -> None:
        """Notes a backend's state that an operator has set."""
        self._lay(self.source.overlay.with_state((pool, name), state))

    def note_weight(self, pool: str, name: str, weight: int) -> None:
        """Notes a backend's weight that an operator has set."""
        self._lay(self.source.overlay.with_weight((pool, name), weight))

    def _lay(self, overlay: Overlay) -> None:
        self.source = replace(self.source, overlay=overlay)

    def add(self, args: Mapping[str, Any], reply: Reply) -> None:
        """args: pool, address; name and weight if given."""
        pool = str(args.get("pool"))
        backend = {key: args[key] for key in ("address", "name", "weight") if args.get(key)}
        stated = to_stated(self.source.running)
        if pool not in stated["pools"]:
            raise AdminError("not_found", f"no pool is named {pool}; see `l4lb admin pools`")
        if args.get("weight") == 0:
            backend["weight"] = 0
        stated["pools"][pool].setdefault("backends", []).append(backend)

        def apply(config: Config, _: list[str]) -> Any:
            new = config.pools[pool].backends[-1]
            overlay = self.source.overlay.with_added(pool, new)
            self._install_source(replace(self.source, overlay=overlay))
            return {
                "pool": pool, "name": new.name, "address": str(new.address), "weight": new.weight
            }  # fmt: skip

        def load() -> Config:
            return resolve(build(stated, Origin()))

        self._begin(f"adding a backend to {pool}", load, apply, reply)

    def remove(self, args: Mapping[str, Any], reply: Reply) -> None:
        self._progress.refuse_unless(Phase.IDLE)
        pool, _, name = str(args.get("backend")).partition("/")
        members = self.source.running.pools.get(pool)
        if members is None or all(one.name != name for one in members.backends):
            raise AdminError(
                "not_found", f"no backend is named {pool}/{name}; see `l4lb admin backends`"
            )
        if self.source.overlay.is_found((pool, name)):
            raise AdminError(
                "refused",
                f"{pool}/{name} was found by the pool's discovery: take it out of its source, or"
                " use `maint`",
            )
        if len(members.backends) == 1 and members.discovery is None:
            raise AdminError("refused", f"{pool} would have no backend; use `maint` instead")
        overlay = self.source.overlay.with_removed((pool, name))
        self._install_at_once(f"removing {pool}/{name}", replace(self.source, overlay=overlay))
        reply({"pool": pool, "name": name})

    def discovered(self, args: Mapping[str, Any], reply: Reply) -> None:
        """args: pool; backends: all that discovery has found now, each as in a file."""
        from l4lb.config.model import Backend

        pool = str(args.get("pool"))
        try:
            found = tuple(Backend.model_validate(one) for one in args.get("backends") or ())
        except ValueError as error:
            raise AdminError("bad_argument", str(error)) from error
        if self.first_answers.is_stale(pool, int(args.get("number") or 0)):
            raise AdminError("busy", f"the pool {pool} has another source now")
        if self.first_answers.take(pool, found):
            reply({"changes": []})
            return
        self._progress.refuse_unless(Phase.IDLE, Phase.ON_TRIAL)
        if pool not in self.source.file.pools:
            raise AdminError("not_found", f"no pool is named {pool}")
        overlay = self.source.overlay.with_discovered(pool, found)
        what = f"what discovery found for {pool}"
        reply(self._install_at_once(what, replace(self.source, overlay=overlay)))


def _outcome(what: str, work: Callable[[], Any]) -> Any:
    """Returns the result of work, or its failure as an AdminError."""
    try:
        return work()
    except AdminError as error:
        return error
    except L4lbError as error:
        return AdminError("failed", error.message)
    except Exception:
        return fault(what)


def _changes(before: Config, after: Config) -> list[diff.Change]:
    return diff.compare(to_plain(before), to_plain(after))

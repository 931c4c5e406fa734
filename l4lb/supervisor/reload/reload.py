"""Changes of the configuration while the service runs: reload, plan, confirm, add, remove, diff,
save.

What runs is a file's configuration with what was changed at run time over it (overlay.py). A change
is read and checked whole beside the service (loader.py); then everything that can fail is done
first (sockets, room in the table); the rest cannot fail. So a change happens whole or not at all.
One change is under way at a time.
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
from l4lb.config.plain import as_written, digest, to_plain, to_stated
from l4lb.config.resolve import resolve
from l4lb.errors import AdminError, L4lbError
from l4lb.supervisor.process.faults import fault
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.reload.loader import Loader
from l4lb.supervisor.reload.overlay import Overlay, differences
from l4lb.supervisor.reload.source import Load, Source

CHANGE_MAX_MS = 90_000  # a change that has not ended by then never will
LOG = l4lb.log.get("supervisor")

Reply = Callable[[Any], None]  # a result, or an AdminError

# A configuration; what to do when all is prepared, at once or later; what to do if it cannot be.
Prepare = Callable[[Config, Callable[[], None], Callable[[L4lbError], None]], None]


@dataclass(frozen=True)
class _Trial:
    """A reload that goes back to `before` unless it is confirmed. began: what lay over it then."""

    before: Source
    began: Overlay


class Reloads:
    """The configuration in force, and every way to change it.

    load reads a file. prepare does what takes long of an installation. install makes a
    configuration the running one, given the one before and the changes; it raises L4lbError and
    then has changed nothing."""

    def __init__(
        self,
        reactor: Reactor,
        source: Source,
        *,
        load: Load,
        prepare: Prepare,
        install: Callable[[Config, Config, list[diff.Change]], None],
        tell: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self._reactor = reactor
        self.source = source
        self._load = load
        self._prepare = prepare
        self._install = install
        self._tell = tell
        self._busy = ""
        self._trial: _Trial | None = None
        self._loader: Loader | None = None
        self.operations: Mapping[str, Callable[[Mapping[str, Any], Reply], None]] = {
            "reload": self.reload,
            "plan": self.plan,
            "confirm": self._confirm,
            "rollback": self._rollback,
            "add": self._add,
            "remove": self._remove,
            "discovered": self._discovered,
            "diff": self._diff,
            "save": self._save,
        }

    @property
    def busy(self) -> str:
        """What is under way; "" if nothing is."""
        return self._busy or ("a reload that waits for `confirm`" if self._trial else "")

    def occupy(self, what: str) -> None:
        """Something else than a change of the configuration is under way; "" ends it. Raises
        AdminError if another change is."""
        if what and self.busy:
            raise AdminError("busy", f"{self.busy} is under way; try again when it has ended")
        self._busy = what

    # ---- reload --------------------------------------------------------------------------------

    def reload(self, args: Mapping[str, Any], reply: Reply) -> None:
        """args: file (absent: the same again), confirm_ms (0: for good)."""
        path, confirm_ms = self._path(args), args.get("confirm_ms") or 0

        def read(config: Config, warnings: list[str]) -> Any:
            overlay, dropped = self.source.overlay.rebased(self.source.file, config)
            before = self.source
            result = self._change(Source(path, config, overlay))
            if confirm_ms:
                self._begin_trial(before, confirm_ms)
            return result | {
                "file": path, "warnings": warnings, "replaced": dropped, "confirm_ms": confirm_ms
            }  # fmt: skip

        self._begin(f"a reload of {path}", lambda: self._load(path), read, reply)

    def plan(self, args: Mapping[str, Any], reply: Reply) -> None:
        """What reload would change; changes nothing."""
        path = self._path(args)

        def read(config: Config, warnings: list[str]) -> Any:
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

        self._begin(f"a plan of {path}", lambda: self._load(path), read, reply, prepares=False)

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
        read: Callable[[], Config],
        then: Callable[[Config, list[str]], Any],
        reply: Reply,
        *,
        prepares: bool = True,
    ) -> None:
        """Reads a configuration in a child; then does something with it, and answers. prepares:
        that will be to install it."""
        if self.busy:
            raise AdminError("busy", f"{self.busy} is under way; try again when it has ended")
        self._busy = what
        ended = False

        def on_config(config: Config, warnings: list[str]) -> None:
            if not prepares:
                do(config, warnings)
                return
            try:
                self._prepare(
                    config,
                    lambda: do(config, warnings),
                    lambda error: on_fault(AdminError("failed", error.message)),
                )
            except Exception:
                on_fault(fault(what))

        def do(config: Config, warnings: list[str]) -> None:
            if not ended:
                end(_outcome(what, lambda: then(config, warnings)))

        def on_fault(error: AdminError) -> None:
            if not ended:
                end(error)

        def end(outcome: Any) -> None:
            nonlocal ended
            ended, self._busy = True, ""
            if isinstance(outcome, AdminError):
                for line in outcome.message.splitlines():
                    LOG.error("nothing was changed", change=what, reason=line)
            reply(outcome)

        try:
            self._loader = Loader(self._reactor, read, on_config, on_fault)
        except Exception:
            self._busy = ""
            raise
        # why: what answers is called by others, and a fault of theirs must not end all changes.
        self._reactor.after(
            CHANGE_MAX_MS, lambda: on_fault(AdminError("internal", f"{what} did not end"))
        )

    def stop(self) -> None:
        """The service ends: nothing is read any more."""
        if self._loader is not None:
            self._loader.stop()

    def _change(self, after: Source) -> dict[str, Any]:
        """Makes it the running one. Raises L4lbError; then everything is as it was."""
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
        self._busy = "going back to the configuration before"

        def before() -> Source:
            of_old, now = trial.before, self.source.overlay
            overlay = of_old.overlay.followed(trial.began, now, of_old.file)
            return replace(of_old, overlay=overlay)

        def do() -> None:
            self._busy = ""
            result = _outcome("going back", lambda: self._change(before()))
            if isinstance(result, AdminError):
                on_fault(result)
                return
            self._tell("rolled_back", {})
            reply(result)

        def on_fault(error: L4lbError) -> None:
            self._busy = ""
            LOG.error("cannot go back", reason=error.message)
            self._tell("rollback_failed", {"reason": error.message})
            reply(AdminError("failed", error.message))

        self._prepare(before().running, do, on_fault)

    def _waiting(self) -> _Trial:
        if self._trial is None:
            raise AdminError("not_found", "no reload waits for a confirmation")
        return self._trial

    def _confirm(self, _: Mapping[str, Any], reply: Reply) -> None:
        self._waiting()
        self._trial = None
        LOG.info("the reload is confirmed")
        reply({"file": self.source.path})

    def _rollback(self, _: Mapping[str, Any], reply: Reply) -> None:
        self._go_back(self._waiting(), reply)

    # ---- run-time changes ----------------------------------------------------------------------

    def note_state(self, pool: str, name: str, state: str) -> None:
        """An operator set a backend's state."""
        self._lay(self.source.overlay.with_state((pool, name), state))

    def note_weight(self, pool: str, name: str, weight: int) -> None:
        """An operator set a backend's weight."""
        self._lay(self.source.overlay.with_weight((pool, name), weight))

    def _lay(self, overlay: Overlay) -> None:
        self.source = replace(self.source, overlay=overlay)

    def _add(self, args: Mapping[str, Any], reply: Reply) -> None:
        """args: pool, address, name and weight if they are said."""
        pool = str(args.get("pool"))
        backend = {key: args[key] for key in ("address", "name", "weight") if args.get(key)}
        stated = to_stated(self.source.running)
        if pool not in stated["pools"]:
            raise AdminError("not_found", f"no pool is named {pool}; see `l4lb admin pools`")
        if args.get("weight") == 0:
            backend["weight"] = 0
        stated["pools"][pool].setdefault("backends", []).append(backend)

        def read(config: Config, _: list[str]) -> Any:
            new = config.pools[pool].backends[-1]
            self._change(replace(self.source, overlay=self.source.overlay.with_added(pool, new)))
            return {
                "pool": pool, "name": new.name, "address": str(new.address), "weight": new.weight
            }  # fmt: skip

        def made() -> Config:
            return resolve(build(stated, Origin()))

        self._begin(f"adding a backend to {pool}", made, read, reply)

    def _remove(self, args: Mapping[str, Any], reply: Reply) -> None:
        if self.busy:
            raise AdminError("busy", f"{self.busy} is under way; try again when it has ended")
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
        try:
            self._change(replace(self.source, overlay=overlay))
        except L4lbError as error:
            raise AdminError("failed", error.message) from error
        reply({"pool": pool, "name": name})

    def _discovered(self, args: Mapping[str, Any], reply: Reply) -> None:
        """args: pool; backends, as a file would say them: all that a provider found now."""
        from l4lb.config.model import Backend

        if self._busy:
            raise AdminError("busy", f"{self._busy} is under way; try again when it has ended")
        pool = str(args.get("pool"))
        if pool not in self.source.file.pools:
            raise AdminError("not_found", f"no pool is named {pool}")
        try:
            found = tuple(Backend.model_validate(one) for one in args.get("backends") or ())
        except ValueError as error:
            raise AdminError("bad_argument", str(error)) from error
        overlay = self.source.overlay.with_discovered(pool, found)
        try:
            result = self._change(replace(self.source, overlay=overlay))
        except L4lbError as error:
            raise AdminError("failed", error.message) from error
        reply(result)

    # ---- what differs --------------------------------------------------------------------------

    def _diff(self, _: Mapping[str, Any], reply: Reply) -> None:
        reply(list(differences(self.source.file, self.source.overlay)))

    def _save(self, _: Mapping[str, Any], reply: Reply) -> None:
        """stated: what a file has to say for it; digest: of what must come of reading it; left_out:
        what was changed at run time and no file can say."""
        lasting = self.source.lasting
        reply(
            {
                "file": self.source.path,
                "stated": to_stated(as_written(lasting)),
                "digest": digest(lasting),
                "left_out": list(self.source.overlay.unsayable(lasting)),
            }
        )


def _outcome(what: str, work: Callable[[], Any]) -> Any:
    """What it gives; where it failed, why, as an AdminError."""
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

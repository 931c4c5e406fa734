"""A configuration in force for tests of its changes: reading and installing happen when the test
says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.errors import AdminError, L4lbError
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.reload.reload import Reloads
from l4lb.supervisor.reload.source import Source

TRIAL_MS = 5_000


def config(*backends: str, **more: Any) -> Config:
    return build(
        {
            "listeners": {"web": {"bind": ["127.0.0.1:8080"], "pool": "web"}},
            "pools": {"web": {"backends": [f"127.0.0.1:{port}" for port in backends], **more}},
        },
        Origin(),
    )


SOURCE = {"type": "file", "path": "/old"}
OLD, NEW = config("1", discovery=SOURCE), config("1", "2", discovery=SOURCE)


class Loads:
    """Stands in for loaders: a configuration is read when the test says so."""

    def __init__(self) -> None:
        self.begun: list[tuple[Callable[..., None], Callable[..., None]]] = []

    def __call__(self, _reactor: Any, _load: Any, on_config: Any, on_fault: Any) -> Loads:
        self.begun.append((on_config, on_fault))
        return self

    def end(self, config: Config = NEW) -> None:
        self.begun.pop(0)[0](config, [])

    def fail(self, error: AdminError) -> None:
        self.begun.pop(0)[1](error)


class Running:
    """A configuration in force, with a reactor whose time the test sets."""

    def __init__(self, loads: Loads) -> None:
        self.loads = loads
        self.timers: list[tuple[int, Callable[[], None]]] = []
        self.installed: list[Config] = []
        self.told: list[str] = []
        self.answers: list[Any] = []
        self.refuses: L4lbError | None = None
        self.prepares: list[tuple[Callable[[], None], Callable[[L4lbError], None]]] = []
        self.waits = self.faulty = False
        self.orders: list[Mapping[str, Any]] = []
        self.reloads = Reloads(
            cast(Reactor, self),
            Source("/l4lb.toml", OLD),
            load=lambda _: NEW,
            marked=lambda config: config,
            prepare=self._prepare,
            install=self._install,
            tell=lambda kind, _: self.told.append(kind),
            send=self.orders.append,
        )

    def after(self, delay_ms: int, call: Callable[[], None]) -> None:
        self.timers.append((delay_ms, call))

    def passes(self, delay_ms: int) -> None:
        """Runs all timers that are due within this time."""
        due = [call for ms, call in self.timers if ms == delay_ms]
        self.timers = [one for one in self.timers if one[0] != delay_ms]
        for call in due:
            call()

    def _prepare(self, _: Config, then: Callable[[], None], failed: Any) -> None:
        if self.faulty:
            raise RuntimeError("a fault of ours")
        if self.waits:
            self.prepares.append((then, failed))
        else:
            then()

    def _install(self, _before: Config, after: Config, _changes: Any) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.installed.append(after)

    def ask(self, op: str, **args: Any) -> None:
        getattr(self.reloads, op)(args, self.answers.append)

    def code(self, op: str, **args: Any) -> str:
        """Returns the code of an immediate refusal."""
        with pytest.raises(AdminError) as caught:
            self.ask(op, **args)
        return caught.value.code

    def found(self, *backends: Mapping[str, Any]) -> None:
        """The present source of `web` has found these backends."""
        number = self.orders[-1]["number"]
        self.ask("discovered", pool="web", backends=backends, number=number)

    def answered(self, *pools: str) -> None:
        """The sources of these pools have answered or failed since the last order."""
        self.reloads.first_answers.answered(pools, self.orders[-1]["number"])

    @property
    def ports(self) -> list[int | None]:
        """Returns the ports of the backends in force."""
        return [one.port for one in self.reloads.source.running.pools["web"].backends]

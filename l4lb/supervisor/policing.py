"""The policy process as the supervisor runs it: it answers what workers ask for the clients of
forward proxies. A service without a forward proxy has none."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from l4lb.config.model import Config
from l4lb.native.table import Table
from l4lb.supervisor.access.gate import Gate
from l4lb.supervisor.process.helper import Helper
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.process.seccomp import Guards

OTHER_RULES = "the configuration of forward proxies has changed"


class Policing(Helper):
    """Runs the policy process, if there is a forward proxy."""

    def __init__(
        self, reactor: Reactor, table: Table, config: Config, gate: Gate, guards: Guards
    ) -> None:
        self._table = table
        self._config = config
        self._gate = gate
        self._began = False
        super().__init__(
            reactor,
            "policy",
            self._run,
            keep=gate.fds,
            on_message=_ignore,
            on_start=lambda _: None,
            guard=guards.policy,
        )

    def start(self) -> None:
        if self._config.forward:
            # why here: a service without forward proxies needs none of these modules, and a process
            # that takes a dead one's place must not depend on their files.
            import l4lb.policy.main  # noqa: F401

            self._began = True
            super().start()

    def configure(self, config: Config) -> None:
        """Another configuration is in force. Its rules need another process: answers of the one
        before hold no more as soon as the new one runs."""
        before, self._config = self._config, config
        if not self._began:
            self.start()
        elif _rules(before) != _rules(config):
            self.replace(OTHER_RULES)

    def _run(self, channel: socket.socket) -> int:
        from l4lb.policy.main import PolicySetup, run

        gate = self._gate
        return run(PolicySetup(self._table, channel, gate.fd, gate.wake_fd, self._config))


def _rules(config: Config) -> tuple[object, ...]:
    """Returns what the policy process knows of a configuration."""
    binds = {name: one.bind for name, one in config.listeners.items()}
    return config.forward, config.lists, binds


def _ignore(_: Mapping[str, Any]) -> None:
    """Ignores messages of the policy process; it sends none."""

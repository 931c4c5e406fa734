"""The policy process as the supervisor runs it: it answers what workers ask for the clients of
forward proxies. A service without a forward proxy has none."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Mapping
from typing import Any

from l4lb.config.model import Config
from l4lb.errors import AdminError
from l4lb.native.table import Table
from l4lb.supervisor.access.gate import Gate
from l4lb.supervisor.process.helper import Helper
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.process.seccomp import Guards

ASK_MS = 4_000  # less than the control process waits
Reply = Callable[[Any], object]
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
        self._asked: dict[int, Reply] = {}
        self._numbers = itertools.count(1)
        self._after = reactor.after
        super().__init__(
            reactor,
            "policy",
            self._run,
            keep=[*gate.fds, gate.tally_fd, gate.tops_fd],
            on_message=self._answered,
            guard=guards.policy,
        )

    def start(self) -> None:
        self._began = bool(self._config.forward)
        if self._began:
            # why here: a service without forward proxies needs none of these modules, and a process
            # that takes a dead one's place must not depend on their files.
            import l4lb.policy.main  # noqa: F401

            super().start()

    def configure(self, config: Config) -> None:
        """Another configuration is in force. Its rules need another process: answers of the one
        before hold no more as soon as the new one runs."""
        before, self._config = self._config, config
        if not self._began:
            self.start()
        elif _rules(before) != _rules(config):
            self.replace(OTHER_RULES)

    def ask(self, op: str, args: Mapping[str, Any], reply: Reply, within_ms: int = ASK_MS) -> None:
        """Asks the process; op: a question of policy/operators.py. Calls reply with its answer, or
        with AdminError, later. Raises AdminError."""
        if not self._config.forward:
            raise AdminError("not_found", "there is no forward proxy")
        number = next(self._numbers)
        if not self.send({"op": op, "number": number, "args": dict(args)}):
            raise AdminError("refused", "the policy process does not run now; try again")
        self._asked[number] = reply
        self._after(within_ms, lambda: self._is_late(number))

    def _is_late(self, number: int) -> None:
        if number in self._asked:
            self._asked.pop(number)(AdminError("timeout", "the policy process does not answer"))

    def _answered(self, message: Mapping[str, Any]) -> None:
        reply = self._asked.pop(int(message.get("number") or 0), None)
        if reply is not None:
            fault = message.get("error")
            reply(AdminError(*fault) if fault else message.get("result"))

    def _run(self, channel: socket.socket) -> int:
        from l4lb.policy.main import PolicySetup, run

        gate = self._gate
        fds = {"gate_fd": gate.fd, "wake_fd": gate.wake_fd}
        kept = {"tally_fd": gate.tally_fd, "tops_fd": gate.tops_fd}
        return run(PolicySetup(self._table, channel, **fds, **kept, config=self._config))


def _rules(config: Config) -> tuple[object, ...]:
    """Returns what the policy process knows of a configuration."""
    binds = {name: one.bind for name, one in config.listeners.items()}
    return config.forward, config.lists, binds

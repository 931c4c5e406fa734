"""Run-time access rules: networks that an operator allows or denies on one listener.

Run-time rules come before the configuration's access list. The longest matching network among them
decides. A client that matches none of them is looked up in the configuration's list. Rules are
therefore in force at once, however long the configuration's lists are, and never affect clients in
other networks. The rules of each listener are one set of networks (network_sets.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import l4lb.log
from l4lb.config.model import Listener
from l4lb.config.tables.admission import Access
from l4lb.errors import AdminError, L4lbError
from l4lb.native import sets, settings
from l4lb.native.table import Table
from l4lb.supervisor.access.network_lists import network_of, term
from l4lb.supervisor.access.network_sets import NetworkSets, Tell

LOG = l4lb.log.get("supervisor")
RULES_MAX = 16_384  # rules of all listeners together
SHOWN_MAX = 256  # maximum of a listener's configured networks that are shown one by one
VALUES = {"allow": sets.ALLOW, "deny": sets.DENY}


@dataclass(frozen=True)
class Rule:
    """One network on one listener. Times are CLOCK_MONOTONIC. until_ms: None, the rule has no
    end."""

    listener: str
    network: str
    word: str  # allow or deny
    since_ms: int
    until_ms: int | None


class RuntimeRules:
    """The rules of one table. Methods get the time as an argument."""

    def __init__(self, table: Table, sets: NetworkSets) -> None:
        self._table = table
        self._sets = sets
        self._rules: dict[str, dict[str, Rule]] = {}  # by listener and network
        self._numbers: dict[str, int] = {}
        self._rows: Mapping[str, Sequence[int]] = {}
        self.tell: Tell = lambda _kind, _fields: None

    # ---- what is in force ----------------------------------------------------------------------

    def number(self, listener: str) -> int | None:
        """Returns the number of the set with a listener's rules; None: it has no rules."""
        return self._numbers.get(listener)

    def follow(self, rows: Mapping[str, Sequence[int]]) -> None:
        """Sets the present listeners and their rows. The rules of other listeners are dropped."""
        self._rows = rows
        for listener in self._rules.keys() - rows.keys():
            rules = self._rules.pop(listener)
            self._forget_set(listener)
            LOG.warning("access rules are gone with their listener", listener=listener,
                        rules=len(rules))  # fmt: skip

    @property
    def rows(self) -> list[Rule]:
        """All rules."""
        return [rule for rules in self._rules.values() for rule in rules.values()]

    def restore(self, rules: Iterable[Rule]) -> None:
        """Restores the old program's rules for listeners that still exist."""
        found: dict[str, dict[str, Rule]] = {}
        for rule in rules:
            if rule.listener in self._rows:
                found.setdefault(rule.listener, {})[rule.network] = rule
        for listener, own in found.items():
            self._put(listener, own)

    # ---- changes -------------------------------------------------------------------------------

    def change(self, word: str, args: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
        """Allows or denies (word) `network` on `listener` for `for_ms`, or without an end. Replaces
        the rule for that network, if there is one."""
        listener, network = self._of(args)
        for_ms, until_ms = term(args, now_ms)
        own = self._rules.get(listener, {})
        if network not in own and len(self.rows) >= RULES_MAX:
            raise AdminError(
                "refused", f"there are {RULES_MAX} rules; `forget` some, or use a file"
            )
        self._put(listener, own | {network: Rule(listener, network, word, now_ms, until_ms)})
        LOG.warning("access rule", listener=listener, network=network, rule=word, for_ms=for_ms)
        self._told(listener, network, word, for_ms=for_ms)
        return {"listener": listener, "network": network, "rule": word, "for_ms": for_ms}

    def forget(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Removes the rule for exactly this `network` on `listener`."""
        listener, network = self._of(args)
        own = self._rules.get(listener, {})
        if network not in own:
            raise AdminError(
                "not_found",
                f"there is no rule for {network} on {listener}; see `l4lb admin access`",
            )
        self._put(listener, {key: rule for key, rule in own.items() if key != network})
        LOG.warning("access rule forgotten", listener=listener, network=network)
        self._told(listener, network, "forgotten")
        return {"listener": listener, "network": network}

    def tick(self, now_ms: int) -> None:
        """Removes rules whose time is over."""
        for listener, own in list(self._rules.items()):
            over = {
                network
                for network, rule in own.items()
                if rule.until_ms is not None and rule.until_ms <= now_ms
            }
            if over:
                self._put(listener, {key: rule for key, rule in own.items() if key not in over})
            for network in over:
                LOG.info("an access rule has run out", listener=listener, network=network)
                self._told(listener, network, "expired")

    def _of(self, args: Mapping[str, Any]) -> tuple[str, str]:
        listener = str(args.get("listener"))
        if listener not in self._rows:
            raise AdminError(
                "not_found", f"no listener is named {listener[:64]}; see `l4lb admin listeners`"
            )
        return listener, network_of(args.get("network"))

    def _told(self, listener: str, network: str, rule: str, **more: Any) -> None:
        self.tell(
            "access_changed", {"listener": listener, "network": network, "rule": rule, **more}
        )

    def _put(self, listener: str, rules: dict[str, Rule]) -> None:
        """Puts a listener's rules in force. Raises AdminError; then nothing has changed."""
        if not rules:
            self._rules.pop(listener, None)
            self._forget_set(listener)
            return
        lists = [
            ("\n".join(key for key, rule in rules.items() if rule.word == word).encode(), value)
            for word, value in VALUES.items()
        ]
        try:
            number = self._sets.put(listener, lists)
        except L4lbError as error:
            raise AdminError("failed", error.message) from error
        self._rules[listener] = rules
        self._numbers[listener] = number
        for row in self._rows[listener]:
            settings.put(self._table, "listener", row, rules_set=number)

    def _forget_set(self, listener: str) -> None:
        self._numbers.pop(listener, None)
        for row in self._rows.get(listener, ()):
            settings.put(self._table, "listener", row, rules_set=None)
        self._sets.drop(listener)

    # ---- telling -------------------------------------------------------------------------------

    def shown(
        self, listeners: Mapping[str, Listener], args: Mapping[str, Any], now_ms: int
    ) -> list[dict[str, Any]]:
        """Returns the rules of every listener, or of args["listener"], in the order of the look-up
        (docs/admin.md, access)."""
        only = args.get("listener")
        if only is not None and only not in listeners:
            raise AdminError(
                "not_found", f"no listener is named {str(only)[:64]}; see `l4lb admin listeners`"
            )
        return [
            row
            for name, listener in listeners.items()
            if only in (None, name)
            for row in self._shown(name, listener.access or Access(), now_ms)
        ]

    def _shown(self, name: str, access: Access, now_ms: int) -> Iterator[dict[str, Any]]:
        for rule in self._rules.get(name, {}).values():
            left = None if rule.until_ms is None else max(0, rule.until_ms - now_ms) // 1000
            yield _row(name, rule.network, rule.word, "admin", left)
        for word, networks in (("allow", access.allow), ("deny", access.deny)):
            for network in networks if len(networks) <= SHOWN_MAX else (None,):
                yield _row(name, network, word, "configuration")
        for word, path in (("allow", access.allow_file), ("deny", access.deny_file)):
            if path:
                yield _row(name, None, word, path)
        yield _row(name, "others", "deny" if access.others_denied else "allow", "configuration")


def _row(
    listener: str, network: str | None, rule: str, source: str, left_s: int | None = None
) -> dict[str, Any]:
    return {
        "listener": listener, "network": network, "rule": rule, "from": source, "left_s": left_s
    }  # fmt: skip

"""Checks of the rules in http.inspect and http.record, each of which names a table. They are rows
of checks.RULES and checks.ADVICE."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from l4lb.config.draft import Draft, Table, table
from l4lb.config.origin import Finding
from l4lb.config.position import Path
from l4lb.config.rules.names import unknown


class Kind(NamedTuple):
    """Rules in http.KEY of listeners. table: each names one of these tables. what: such a table, in
    a word."""

    key: str
    table: str
    what: str


KINDS = (Kind("inspect", "icap", "engine"), Kind("record", "record", "record"))


def _known_tables(draft: Draft) -> Iterator[Finding]:
    for kind in KINDS:
        known = table(draft.data, kind.table)
        for path, rule in _rules(draft, kind):
            name = rule.get(kind.table)
            if isinstance(name, str) and name not in known:
                yield unknown((*path, kind.table), kind.what, kind.table, name, known)


def _used_tables(draft: Draft) -> Iterator[Finding]:
    for kind in KINDS:
        used = {rule.get(kind.table) for _, rule in _rules(draft, kind)}
        for name in table(draft.data, kind.table):
            if name not in used:
                hint = f"add a rule to http.{kind.key} of a listener"
                yield Finding((kind.table, name), f"no rule uses this {kind.what}", hint)


def _rules(draft: Draft, kind: Kind) -> Iterator[tuple[Path, Table]]:
    """Yields each rule of a kind: its path, and what it says."""
    for listener in draft.listeners:
        rules = table(listener.table, "http").get(kind.key)
        for index, rule in enumerate(rules if isinstance(rules, list) else ()):
            if isinstance(rule, dict):
                yield (*listener.path, "http", kind.key, index), rule


RULES = (_known_tables,)
ADVICE = (_used_tables,)

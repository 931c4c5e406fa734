"""Checks of records. They are rows of checks.RULES and checks.ADVICE."""

from __future__ import annotations

from collections.abc import Iterator

from l4lb.config.draft import Draft, Table, table
from l4lb.config.origin import Finding
from l4lb.config.position import Path
from l4lb.config.rules.names import unknown


def _known_records(draft: Draft) -> Iterator[Finding]:
    known = table(draft.data, "record")
    for path, rule in _rules(draft):
        name = rule.get("record")
        if isinstance(name, str) and name not in known:
            yield unknown((*path, "record"), "record", "record", name, known)


def _used_records(draft: Draft) -> Iterator[Finding]:
    used = {rule.get("record") for _, rule in _rules(draft)}
    for name in table(draft.data, "record"):
        if name not in used:
            hint = "add a rule to http.record of a listener"
            yield Finding(("record", name), "no rule uses this record", hint)


def _rules(draft: Draft) -> Iterator[tuple[Path, Table]]:
    """Yields each rule: its path, and what it says."""
    for listener in draft.listeners:
        rules = table(listener.table, "http").get("record")
        for index, rule in enumerate(rules if isinstance(rules, list) else ()):
            if isinstance(rule, dict):
                yield (*listener.path, "http", "record", index), rule


RULES = (_known_records,)
ADVICE = (_used_records,)

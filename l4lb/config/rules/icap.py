"""Checks of the engines that inspect requests and answers. They are rows of checks.RULES and
checks.ADVICE."""

from __future__ import annotations

from collections.abc import Iterator

from l4lb.config.draft import Draft, Table, table
from l4lb.config.origin import Finding
from l4lb.config.position import Path
from l4lb.config.rules.names import unknown


def _known_engines(draft: Draft) -> Iterator[Finding]:
    known = table(draft.data, "icap")
    for path, rule in _rules(draft):
        name = rule.get("icap")
        if isinstance(name, str) and name not in known:
            yield unknown((*path, "icap"), "engine", "icap", name, known)


def _used_engines(draft: Draft) -> Iterator[Finding]:
    used = {rule.get("icap") for _, rule in _rules(draft)}
    for name in table(draft.data, "icap"):
        if name not in used:
            hint = "add a rule to http.inspect of a listener"
            yield Finding(("icap", name), "no rule uses this engine", hint)


def _rules(draft: Draft) -> Iterator[tuple[Path, Table]]:
    """Yields each rule: its path, and what it says."""
    for listener in draft.listeners:
        rules = table(listener.table, "http").get("inspect")
        for index, rule in enumerate(rules if isinstance(rules, list) else ()):
            if isinstance(rule, dict):
                yield (*listener.path, "http", "inspect", index), rule


RULES = (_known_engines,)
ADVICE = (_used_engines,)

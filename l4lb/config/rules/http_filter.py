"""Checks of the filters of HTTP listeners. They are rows of checks.RULES."""

from __future__ import annotations

from collections.abc import Iterator

from l4lb.config.draft import Draft, Table, table
from l4lb.config.origin import Finding, path_text
from l4lb.config.position import Path
from l4lb.config.tables.http_filter import OF_METHODS
from l4lb.config.units import shown


def unique_names(draft: Draft) -> Iterator[Finding]:
    """Finds two rules of a listener with one name: their requests could not be told apart."""
    seen: dict[tuple[Path, str], str] = {}
    for listener, path, rule, _ in _rules(draft):
        name = rule.get("name")
        if name == OF_METHODS:
            message = f"{shown(name)} is the name of what `methods` refuses"
            yield Finding((*path, "name"), message, "choose another name")
        elif isinstance(name, str) and (listener, name) in seen:
            message = f"another rule of this listener is named {shown(name)}"
            hint = f"{seen[listener, name]}; names are unique"
            yield Finding((*path, "name"), message, hint)
        elif isinstance(name, str):
            seen[listener, name] = path_text(path)


def names_of_tls(draft: Draft) -> Iterator[Finding]:
    """Requires TLS for what only TLS clients say."""
    for _, path, rule, its in _rules(draft):
        if "sni" in rule and "tls" not in its:
            message = "is a name that TLS clients ask for, and this listener has no tls"
            yield Finding((*path, "sni"), message, "use host")


def _rules(draft: Draft) -> Iterator[tuple[Path, Path, Table, Table]]:
    """Yields each rule: its listener's path, its own, what it says, and what its listener says."""
    for listener in draft.listeners:
        rules = table(listener.table, "filter").get("rules")
        for index, rule in enumerate(rules if isinstance(rules, list) else ()):
            if isinstance(rule, dict):
                path = (*listener.path, "filter", "rules", index)
                yield listener.path, path, rule, listener.table


RULES = (unique_names, names_of_tls)

"""Checks of what forward proxies name and what only the policy understands: patterns of rules, and
the files of users and lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from l4lb.config.model import Config, Forward
from l4lb.config.origin import Finding
from l4lb.config.position import Path
from l4lb.config.tables.forward import ForwardRule
from l4lb.errors import ConfigError, L4lbError, Problem
from l4lb.lists.build import build
from l4lb.policy.domains import domains_of
from l4lb.policy.times import parse
from l4lb.policy.urls import urls_of
from l4lb.policy.users import load


def check(config: Config) -> None:
    """Reads the rules and the users of all forward proxies. Raises ConfigError with all errors."""
    found = [
        finding
        for name, forward in config.forward.items()
        for finding in (
            *_of_users(("forward", name), forward),
            *_of_rules(("forward", name), forward),
        )
    ]
    if found:
        raise ConfigError([config.origin.problem(one) for one in found])


def faults_of_lists(config: Config) -> Iterator[Problem]:
    """Reads all lists. Yields what is wrong in their files: such lines count for nothing."""
    for name, one in config.lists.items():
        try:
            made = build(one.files, one.format, subdomains=one.subdomains, excepted=one.excepted)
        except L4lbError as error:
            faults = [error.message]
        else:
            made.close()
            left = made.wrong - len(made.faults)
            faults = [*made.faults, *([f"and {left:,} more lines like these"] if left > 0 else [])]
        for fault in faults:
            yield config.origin.problem(Finding(("lists", name, "files"), fault))


def _of_users(path: Path, forward: Forward) -> Iterator[Finding]:
    if forward.auth is None:
        return
    try:
        load(forward.auth.htpasswd, forward.auth.groups)
    except L4lbError as error:
        groups = forward.auth.groups
        key = "groups" if groups and error.message.startswith(f"{groups}:") else "htpasswd"
        yield Finding((*path, "auth", key), error.message)


def _of_rules(path: Path, forward: Forward) -> Iterator[Finding]:
    for index, rule in enumerate(forward.rules):
        for key, fault in _of_rule(rule):
            yield Finding((*path, "rules", index, key), fault)


def _of_rule(rule: ForwardRule) -> Iterator[tuple[str, str]]:
    """Yields the key of each pattern that is wrong, and why."""
    tried: tuple[tuple[str, Any, Callable[[Any], object]], ...] = (
        ("domain", rule.domain, domains_of),
        ("time", rule.time, parse),
        ("url", rule.url, urls_of),
        ("url_regex", rule.url_regex, lambda texts: urls_of((), texts)),
    )
    for key, value, read in tried:
        if value is not None:
            try:
                read(value)
            except ValueError as error:
                yield key, str(error)

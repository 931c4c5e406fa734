"""The rules of a forward proxy: the first rule that matches a question decides it. Pure.

All conditions of a rule must hold; of a condition's alternatives, one. A decision says for how long
it holds, and whether it depends on the path and on the user: one that does not holds for all paths
and all users, and may be remembered for them.

A rule that depends on a user nobody knows yet stops the search: the client is asked who it is.
Otherwise a later, weaker rule would decide, and a client could choose it by keeping silent. For the
same reason a path that is not known yet stops it. A tunnel has no path, and never gets one.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal, Protocol

from l4lb.policy.domains import Domains
from l4lb.policy.times import Times
from l4lb.policy.urls import Urls

Action = Literal["allow", "deny", "auth"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

RULES_MAX = 1_000  # of one forward proxy
ANY_USER = "*"
NOT_WHOLE = "the list is not whole"
SOCKS = ""  # the method of a question by SOCKS
TUNNELS = ("CONNECT", SOCKS)  # methods of clients that never tell a path


@dataclass(frozen=True)
class Rule:
    """A condition that is empty or None holds always.

    action: "auth" asks for a user and decides nothing more: the next rules do, once one is known.
    users: names, or "*" for any known one. lists: names of lists of domains. ports: (lowest,
    highest). methods: as the client writes them; a question by SOCKS has none."""

    name: str
    action: Action
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    sources: tuple[Network, ...] = ()
    domains: Domains | None = None
    lists: tuple[str, ...] = ()
    ports: tuple[tuple[int, int], ...] = ()
    methods: frozenset[str] = frozenset()
    urls: Urls | None = None
    times: Times | None = None


@dataclass(frozen=True)
class Rules:
    """otherwise: what happens if no rule matches."""

    rules: tuple[Rule, ...]
    otherwise: Literal["allow", "deny"] = "deny"


@dataclass(frozen=True)
class Question:
    """May this client go there? user: proven, None if not known. source: the client's address.
    host: in the form of lists.name. method: SOCKS for SOCKS. path: with its query; None if it is
    not known or there is none."""

    user: str | None
    source: Ip
    host: str
    port: int
    method: str
    path: str | None = None


class Facts(Protocol):
    """What a decision needs beside rules and question."""

    def now_s(self) -> float:
        """Returns seconds since 1970."""

    def groups_of(self, user: str) -> frozenset[str]:
        """Returns a user's groups."""

    def find(self, name: str, host: str) -> str | None:
        """Returns where a host is in a list, as `FILE:LINE`; None: it is not there."""

    def is_whole(self, name: str) -> bool:
        """Returns whether all files of a list could be read."""


@dataclass(frozen=True)
class Decision:
    """action: "auth" asks for a user (407). rule: its name, "" if none matched. list: the list with
    the host, and line: where it is in it. valid_until: seconds since 1970 at which a window of time
    may change the decision; None: no window does. needs_path: it depends on the path; if the path
    was not known, this is no decision yet, and the question must come again with it. needs_user: it
    depends on the user."""

    action: Action
    rule: str = ""
    list: str | None = None
    line: str | None = None
    valid_until: float | None = None
    needs_path: bool = False
    needs_user: bool = False


@dataclass
class _Search:
    """What the search has depended on so far."""

    now_s: float
    valid_until: float | None = None
    needs_path: bool = False
    needs_user: bool = False

    def is_time(self, times: Times | None) -> bool:
        if times is None:
            return True
        change = times.next_change(self.now_s)
        if change is not None:
            self.valid_until = min(change, self.valid_until or change)
        return times.is_in(self.now_s)

    def decision(
        self, action: Action, rule: Rule | None = None, hit: tuple[str, str] | None = None
    ) -> Decision:
        return Decision(
            action,
            rule.name if rule else "",
            hit[0] if hit else None,
            hit[1] if hit else None,
            self.valid_until,
            self.needs_path,
            self.needs_user,
        )


def decide(rules: Rules, question: Question, facts: Facts) -> Decision:
    """Returns what the first matching rule says."""
    search = _Search(facts.now_s())
    for rule in rules.rules:
        if not _is_asked(rule, question):
            continue
        hit = _hit(rule, question.host, facts)
        if (rule.lists and hit is None) or not search.is_time(rule.times):
            continue
        # What may be unknown comes last: a rule that fails otherwise depends on nothing.
        if rule.urls is not None and question.method not in TUNNELS:
            search.needs_path = True
            if question.path is None:
                return search.decision("deny", rule, hit)
        if rule.urls is not None and not _is_url(rule.urls, question):
            continue
        if rule.users or rule.groups or rule.action == "auth":
            search.needs_user = True
            if question.user is None:
                return search.decision("auth", rule, hit)
            if rule.action == "auth" or not _is_user(rule, question.user, facts):
                continue
        return search.decision(rule.action, rule, hit)
    return search.decision(rules.otherwise)


def _is_asked(rule: Rule, question: Question) -> bool:
    """True if the conditions hold that a question alone answers."""
    if rule.ports and not any(low <= question.port <= high for low, high in rule.ports):
        return False
    if rule.methods and question.method not in rule.methods:
        return False
    if rule.sources and not any(question.source in network for network in rule.sources):
        return False
    return rule.domains is None or rule.domains.has(question.host)


def _hit(rule: Rule, host: str, facts: Facts) -> tuple[str, str] | None:
    """Returns the first list with this host, and where the host is in it. A host may be in a list
    that is not whole: a rule that denies takes it for one that is."""
    for name in rule.lists:
        line = facts.find(name, host)
        if line is not None:
            return name, line
    missing = (name for name in rule.lists if rule.action == "deny" and not facts.is_whole(name))
    return next(((name, NOT_WHOLE) for name in missing), None)


def _is_url(urls: Urls, question: Question) -> bool:
    return question.path is not None and urls.match(question.host, question.port, question.path)


def _is_user(rule: Rule, user: str, facts: Facts) -> bool:
    if rule.users and user not in rule.users and ANY_USER not in rule.users:
        return False
    return not rule.groups or not rule.groups.isdisjoint(facts.groups_of(user))

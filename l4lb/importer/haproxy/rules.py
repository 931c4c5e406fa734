"""Converts tcp-request and http-request rules into access lists, limits and routes.

Rules about the source alone are all converted, in any order: see networks.py.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from l4lb.importer.branches import UnsaidError
from l4lb.importer.draft import Rank, Table
from l4lb.importer.haproxy.conditions import (
    COUNT,
    COUNTED,
    Alternatives,
    Test,
    condition,
    cut,
)
from l4lb.importer.haproxy.proxy import Proxy
from l4lb.importer.haproxy.words import Line
from l4lb.importer.networks import Network, by_longest_prefix, covered, network

REFUSALS = {"reject": "reject", "deny": "reject", "block": "reject", "silent-drop": "drop",
            "tarpit": "tarpit", "return": "reject"}  # fmt: skip
ACCEPTS = ("accept", "allow")
COUNTS = ("set-var", "unset-var", "sc-", "sc0", "capture", "do-log", "accept", "allow")
TIMES = ("inspect-delay",)
NEEDLESS = ("track-sc0", "track-sc1", "track-sc2", "track-sc")  # only counts, for other rules
LIST_MAX = 8 << 20  # bytes that are read of a file of networks
WITHIN_MAX = 10_000  # networks that are written into the result


@dataclass
class Access:
    """Rules by source, in order, each with its action."""

    rules: list[tuple[bool, Alternatives, Line]] = field(default_factory=list)
    refusal: str = "reject"
    shielded: bool = False  # was a rule lost that lets some clients in before later rules?
    listener: Table | None = None


def access(proxy: Proxy, rules: list[Line], listener: Table) -> list[tuple[Alternatives, Line]]:
    """Converts rules into the listener's access list and limits; returns the rules by server name
    or protocol that refuse, which become routes."""
    found, routed = Access(listener=listener), []
    last = len(rules) - 1
    for index, line in enumerate(rules):
        words, asked = cut(line.words)
        layered = words[0] in ("tcp-request", "tcp-response")
        action = words[2] if layered and len(words) > 2 else words[1] if len(words) > 1 else ""
        answers = words[0] in ("tcp-response", "http-response", "http-after-response")
        refuses = action in REFUSALS and not answers
        if layered and words[1] in TIMES:
            proxy.line = line
            _delay(proxy, line, listener)
        elif answers:
            proxy.leave(*_other(words, action), line)
        elif refuses or action in ACCEPTS:
            routed += _ruled(proxy, found, line, action, asked, index == last)
        elif action == "expect-proxy":
            _expects(proxy, line, asked, listener)
        elif action not in NEEDLESS:
            proxy.leave(*_other(words, action), line)
    if found.rules:
        _write(proxy, found, listener)
    return routed


def _other(words: tuple[str, ...], action: str) -> tuple[Rank, str]:
    if words[0] == "redirect":
        return Rank.CLEAR, "it looks into HTTP: clients are not sent elsewhere, to https say"
    if action == "auth":
        return Rank.OPEN, "l4lb asks nobody for a password"
    if action == "redirect" and {"scheme", "https"} <= set(words):
        return Rank.CLEAR, "it looks into HTTP: clients are not sent to https"
    if action.startswith(COUNTS):
        return Rank.NOTE, "nothing that is carried over looks at it"
    if words[0] in ("tcp-response", "http-response") and action in REFUSALS:
        return Rank.OPEN, "l4lb does not look at the answers of servers"
    if words[0].startswith("http"):
        return Rank.DIFFERENT, "it looks into HTTP, which is relayed as it is"
    return Rank.DIFFERENT, f"there is no {action or words[0]} here"


def _ruled(
    proxy: Proxy, found: Access, line: Line, action: str, asked: tuple[str, ...], last: bool
) -> list[tuple[Alternatives, Line]]:
    allowed = action in ACCEPTS
    try:
        alternatives = condition(asked, proxy.acls)
    except UnsaidError as error:
        proxy.leave(Rank.OPEN, f"l4lb cannot express it: {error}", line)
        return []
    kinds = {test.kind for tests in alternatives for test in tests}
    if found.shielded and not allowed:
        proxy.leave(Rank.OPEN, "l4lb cannot express which clients the rules before it let in", line)
    elif kinds <= {"source"}:
        if not (allowed and last):
            found.rules.append((allowed, alternatives, line))
        if not allowed:
            found.refusal = REFUSALS[action]
            if line[0] == "http-request" and found.refusal == "reject":
                proxy.leave(Rank.NOTE, "refused by a reset instead of an answer", line)
    elif allowed and kinds <= {"hello", "source"}:
        found.shielded = True  # otherwise it only waits, as routes do anyway
    elif not allowed and kinds == {"count"}:
        _counted(proxy, alternatives, line, REFUSALS[action], found)
    elif not allowed and kinds <= {"sni", "alpn", "source"} and not _negated(alternatives):
        return [(alternatives, line)]
    elif allowed:
        found.shielded = True
        proxy.leave(Rank.DIFFERENT, "who may come in is asked of the source only", line)
    else:
        proxy.leave(Rank.OPEN, f"l4lb has no test for {_asked(alternatives)}", line)
    return []


def _negated(alternatives: Alternatives) -> bool:
    return any(test.negated for tests in alternatives for test in tests)


def _asked(alternatives: Alternatives) -> str:
    texts = {test.text for tests in alternatives for test in tests if test.kind != "source"}
    return ", ".join(sorted(texts))


def _delay(proxy: Proxy, line: Line, listener: Table) -> None:
    try:
        proxy.time(listener, "handshake_timeout", line[2])
    except ValueError as error:
        proxy.leave(Rank.DIFFERENT, f"not understood: {error}", line)


def _expects(proxy: Proxy, line: Line, asked: tuple[str, ...], listener: Table) -> None:
    try:
        alternatives = condition(asked, proxy.acls)
        tests = [test for one in alternatives for test in one]
        if any(t.kind != "source" or t.negated or t.files for t in tests):
            raise UnsaidError("not of the source alone")
        networks = sorted({str(one) for test in tests for one in test.networks()})
    except ValueError as error:
        proxy.leave(Rank.OPEN, f"l4lb cannot express it: {error}", line)
        return
    listener.put("proxy_protocol", "accept" if networks else "require", line.place)
    listener.put("trusted", networks or ["0.0.0.0/0", "::/0"], line.place)


def _counted(
    proxy: Proxy, alternatives: Alternatives, line: Line, refusal: str, found: Access
) -> None:
    """Converts a count of a source that is too high into a limit."""
    assert found.listener is not None
    for tests in alternatives:
        match = COUNT.fullmatch(tests[0].text)
        words = list(tests[0].patterns)
        key = COUNTED.get(match["what"]) if match else None
        if len(tests) > 1 or tests[0].negated or key is None or not _is_bound(words):
            proxy.leave(Rank.OPEN, "l4lb has no such limit", line)
            continue
        assert match is not None
        limit = int(words[-1]) - (words[0] == "ge")
        limits = found.listener.table("limits", line.place)
        table = Table(line.place)
        if key == "rate_per_source":
            period = proxy.rates.get(match["what"]) or proxy.world.rates.get(match["what"])
            if period is None:
                proxy.leave(Rank.OPEN, f"no stick-table stores {match['what']}", line)
                continue
            table.put("limit", max(1, -(-limit * 1000 // period)), line.place)
            table.put("burst", max(1, limit), line.place)
            proxy.leave(Rank.DIFFERENT, "l4lb's rate limit is a token bucket", line)
        else:
            table.put("limit", max(1, limit), line.place)
        if refusal != "reject":
            table.put("refusal", refusal, line.place)
        limits.put(key, table, line.place)


def _is_bound(words: list[str]) -> bool:
    return len(words) == 2 and words[0] in ("gt", "ge") and words[1].isdigit()


def _write(proxy: Proxy, found: Access, listener: Table) -> None:
    line = found.rules[-1][2]
    table = Table(line.place)
    if not _one_file(found, table):
        try:
            known = _read_files(proxy, found)
            named = [one for nets in known.values() for one in nets]
        except ValueError as error:
            for _, _, one in found.rules:
                proxy.leave(Rank.OPEN, f"the rules cannot be carried over: {error}", one)
            return

        def comes_in(prefix: Network) -> bool:
            for allowed, alternatives, _ in found.rules:
                if any(all(_holds(t, prefix, known[t]) for t in tests) for tests in alternatives):
                    return allowed
            return True

        allow, deny = by_longest_prefix(named, comes_in)
        for key, value in (("allow", allow), ("deny", deny)):
            if value:
                table.put(key, value, line.place)
    if not table:
        return
    if found.refusal != "reject":
        table.put("refusal", found.refusal, line.place)
    listener.put("access", table, line.place)


def _holds(test: Test, prefix: Network, networks: set[Network]) -> bool:
    return covered(prefix, networks) != test.negated


def _one_file(found: Access, table: Table) -> bool:
    """True if the rules can be a watched file: one that names a file, then optionally one for all
    other clients."""
    allowed, alternatives, line = found.rules[0]
    rest = found.rules[1:]
    if len(alternatives) != 1 or len(alternatives[0]) != 1 or len(rest) > 1:
        return False
    test = alternatives[0][0]
    if len(test.files) != 1 or test.patterns or not test.files[0].startswith("/"):
        return False
    if rest and (rest[0][1] != [[]] or rest[0][0] or not allowed):
        return False
    if allowed and not rest:
        return False
    inverted = test.negated and not allowed
    if test.negated and not inverted:
        return False
    table.put("allow_file" if allowed or inverted else "deny_file", test.files[0], line.place)
    return True


def _read_files(proxy: Proxy, found: Access) -> dict[Test, set[Network]]:
    """Returns the networks of each test, those of files with their present contents. Raises
    ValueError."""
    known: dict[Test, set[Network]] = {}
    for _, alternatives, line in found.rules:
        for test in (test for tests in alternatives for test in tests):
            known[test] = set(test.networks())
            for file in test.files:
                known[test].update(_networks_of(file))
                proxy.leave(Rank.DIFFERENT, f"{file} is written out as it is now", line)
    if sum(map(len, known.values())) > WITHIN_MAX:
        raise ValueError(f"they name more than {WITHIN_MAX} networks")
    return known


def _networks_of(file: str) -> list[Network]:
    try:
        if os.path.getsize(file) > LIST_MAX:
            raise ValueError(f"{file} is larger than {LIST_MAX >> 20} MiB")
        with open(file, encoding="utf-8", errors="replace") as source:
            lines = [line.partition("#")[0].strip() for line in source]
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from error
    return [network(line) for line in lines if line]


def lost(proxy: Proxy, rules: list[Line]) -> None:
    """Reports rules of a backend that other listeners reach too, or that not all clients of a
    listener reach."""
    for line in proxy.picks:
        proxy.leave(Rank.MISSING, "a pool has no rules of its own here: see `routes`", line)
    for line in rules:
        words, _ = cut(line.words)
        layered = words[0] in ("tcp-request", "tcp-response")
        action = words[2] if layered and len(words) > 2 else words[1]
        if action in REFUSALS:
            proxy.leave(Rank.OPEN, "a pool has no rules of its own here: see `access`", line)
        elif words[1] not in TIMES and action not in NEEDLESS:
            proxy.leave(*_other(words, action), line)


def unused(proxy: Proxy, used: set[str]) -> None:
    """Reports conditions that no rule uses."""
    for name, several in proxy.acls.items():
        for line in several if name not in used else ():
            proxy.leave(Rank.NOTE, "no rule that is carried over asks for it", line)

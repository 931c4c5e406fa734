"""Counts of forward proxies: requests by verdict, hits of lists, and the users, hosts and rules
with the most requests.

Workers count each use of an answer where the answer lies (csrc/shm/gate.h), so remembered answers
count as others do. This process takes these uses once a second, and before it replaces an answer.
Totals are written at once where they outlive it; so its death loses those of a second at most. The
tables of names are written every SAVE_S seconds.
"""

from __future__ import annotations

import mmap
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from l4lb import tally
from l4lb.clock import monotonic_ms
from l4lb.native import gate
from l4lb.native.questions import Uses
from l4lb.policy.top import BY, Top

# What became of a request. "private": it was allowed, and all addresses of its host are inside.
VERDICTS = (*gate.KINDS, "private")
REFUSED = ("deny", "private")
OTHERWISE = "otherwise"  # the name of the rule where none has matched
SAVE_S = 10.0


class Counts:
    """The counts of all forward proxies. area: the gate. tally_fd: the memory of totals. tops_fd:
    of tables. forwards, lists: the names whose counts go on; those of others are dropped."""

    def __init__(
        self,
        area: mmap.mmap,
        tally_fd: int,
        tops_fd: int,
        forwards: Iterable[str],
        lists: Iterable[str],
    ) -> None:
        self._area = area
        self._tally, self._saved = (
            mmap.mmap(fd, os.fstat(fd).st_size) for fd in (tally_fd, tops_fd)
        )
        told, tops = tally.read(tally_fd), tally.read(tops_fd)
        requests, hits = told.get("requests", {}), told.get("hits", {})
        self.results = Counter(told.get("results", {}))
        self.requests = {name: Counter(requests.get(name, {})) for name in forwards}
        self.hits = Counter({name: hits.get(name, 0) for name in lists})
        self._tops = {name: {by: Top() for by in BY} for name in self.requests}
        for name, tables in self._tops.items():
            for by, top in tables.items():
                top.restore(tops.get(name, {}).get(by, ()))
        self._saved_ms = monotonic_ms()

    def take(self) -> None:
        """Counts all uses that workers have added since the last time."""
        for uses in gate.uses(self._area):
            self.add(uses)

    def add(self, uses: Uses | None) -> None:
        """Counts uses of one answer."""
        of = uses.subject if uses else None
        if uses is None or of is None or of.forward not in self.requests:
            return
        if not of.host:
            return  # why: a log-in of SOCKS; its request comes next
        verdict = VERDICTS[of.verdict] if of.verdict < len(VERDICTS) else "deny"
        self.requests[of.forward][verdict] += uses.uses
        if of.list in self.hits:
            self.hits[of.list] += uses.uses
        if verdict == "auth":
            return  # why: the client comes again, with its name, and counts then
        tops, denied = self._tops[of.forward], verdict in REFUSED
        rule = uses.rule or OTHERWISE
        why = verdict if verdict == "private" else rule
        if uses.user:
            tops["user"].add(uses.user, uses.uses, denied=denied, rule=why)
        tops["domain"].add(of.host, uses.uses, denied=denied, rule=why)
        tops["rule"].add(rule, uses.uses, denied=denied)
        if denied:
            tops["denied"].add(of.host, uses.uses, denied=True, rule=why)

    def top(self, forward: str, by: str, limit: int) -> list[dict[str, Any]]:
        """Returns the names with the most requests, as docs/admin.md (forward) says."""
        return [
            {
                "name": place.name,
                "requests": place.count,
                "denied": place.denied,
                "overcount_max": place.error,
                "rule": place.rule or None,
            }
            for place in self._tops[forward][by].most(limit)
        ]

    def write(self, more: Mapping[str, Any]) -> None:
        """Writes the totals, and with them what else metrics and the dashboard show."""
        requests = {name: dict(counts) for name, counts in self.requests.items()}
        totals = {"results": dict(self.results), "requests": requests, "hits": dict(self.hits)}
        tally.write(self._tally, {**more, **totals})
        if monotonic_ms() - self._saved_ms >= SAVE_S * 1000:
            self.save()

    def save(self) -> None:
        """Writes the tables of names."""
        self._saved_ms = monotonic_ms()
        tables = {
            name: {by: top.plain() for by, top in tops.items()} for name, tops in self._tops.items()
        }
        tally.write(self._saved, tables)

"""What each event may have destroyed (its blast radius), and which failures it explains.

A worker that is killed takes along the connections that it had open, which the kernel tells while
it is stopped. An origin that is killed takes along the requests that it had begun, which its
journal tells, and those on their way to it, whose origin the access log names. A session that an
operator ends is one connection. Everything else must be served, whatever happens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .honest import FRAMED, UNTIL_CLOSE, Failure, Tally
from .talk import SAFE

Lines = Mapping[int, list[str]]  # of the access log, by the seed of the request


@dataclass(frozen=True)
class Blast:
    """An event. since, until: times before it was asked for and after it was done. ports: of the
    clients whose connections it could end. origin, seeds: the dead origin, and the requests that it
    had begun. by_kernel: the kernel closed the connections in order, so that an answer without a
    length may look whole."""

    what: str
    since: float
    until: float
    ports: frozenset[int] = frozenset()
    origin: str = ""
    seeds: frozenset[int] = frozenset()
    by_kernel: bool = False

    def _may_look_whole(self, one: Failure) -> tuple[str, ...]:
        """Returns the framings of answers that may look whole although this event cut them."""
        if self.origin and one.asked.plan.way == "until_close":
            return (UNTIL_CLOSE, FRAMED)
        return (UNTIL_CLOSE,) if self.by_kernel else ()

    def explains(self, one: Failure, lines: Lines) -> bool:
        """Returns whether the failure is within its radius."""
        if one.ended < self.since:
            return False
        if one.looks_whole and one.looks_whole not in self._may_look_whole(one):
            return False
        if one.port in self.ports and one.opened <= self.until:  # why: ports are used again
            return True
        seed = one.asked.plan.seed
        if not self.origin or one.asked.begun > self.until:
            return False
        logged = lines.get(seed, [])
        if one.may_be_sent_again and any(_was_given_up(line) for line in logged):
            return False
        return seed in self.seeds or any(f" backend={self.origin} " in line for line in logged)


def _was_given_up(line: str) -> bool:
    """Was the request's connection a reused one, and was it not sent again?"""
    return " reused=yes " in line and " retries=0 " in line


def by_cause(failures: Iterable[Failure], blasts: list[Blast], lines: Lines) -> Counter[str]:
    """Returns the number of failures by the event that explains them."""
    return Counter(
        next((blast.what for blast in blasts if blast.explains(one, lines)), "nothing")
        for one in failures
    )


def unexplained(
    tally: Tally, blasts: list[Blast], begun: Mapping[tuple[str, int], int], lines: Lines
) -> list[str]:
    """Returns, in words, what no event explains. begun: how often origins have begun each request,
    by method and seed."""

    def lost(one: Failure) -> bool:
        return not any(blast.explains(one, lines) for blast in blasts)

    def said(one: Failure) -> str:
        begun, ended = one.asked.begun, one.ended
        near = [x for x in blasts if begun <= x.until and x.since <= ended]
        beside = [f"{x.what} {x.origin}".rstrip() for x in near] or "nothing"
        return f"{one}; meanwhile: {beside}; logged: {lines.get(one.asked.plan.seed)}"

    wrong = [f"nothing explains this failure: {said(one)}" for one in tally.failed if lost(one)]
    seeds = {seed for _, seed in begun}
    wrong += [
        f"a client may send this again, but an origin has it: {said(one)}"
        for one in tally.again
        if one.asked.plan.seed in seeds and lost(one)
    ]
    # why not those of dead origins: l4lb sends them again if their connection was a reused one.
    died = {seed for blast in blasts for seed in blast.seeds}
    wrong += [
        f"{method} was sent {count} times: {seed}; logged: {lines.get(seed)}"
        for (method, seed), count in begun.items()
        if count > 1 and method not in SAFE and seed not in died
    ]
    return wrong

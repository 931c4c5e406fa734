"""Finds backends in DNS: A, AAAA or SRV records. Each question has its own time to live, and is
asked again when its answer is no longer valid.

A question that fails removes nothing: its last answer stays, and the answers of others are used
without waiting for it. The source fails only if all questions fail (or the SRV question itself).
The lowest SRV priority that has addresses serves; higher priorities are backups.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.name

from l4lb.config.address import Address, parse_backend
from l4lb.config.tables.discovery import Discovery
from l4lb.config.units import shown
from l4lb.discovery import entries, shares
from l4lb.discovery.pace import Backoff
from l4lb.discovery.resolver import Found, GoneError, Key, Resolver
from l4lb.discovery.types import (
    MS,
    REAL_CLOCK,
    Answer,
    Clock,
    DiscoveryError,
    Member,
    one_line,
)

FIRST_RETRY_S = 0.5
JITTER = 0.1  # of a time to live, so that pools do not ask all at once
LATE_S = 0.5  # a question that takes longer no longer delays the answers of others
ASKED_AT_ONCE = 16  # questions of one pool
RESOLV_CONF_LOOK_S = 1.0
RECORDS = {"A": "ipv4", "AAAA": "ipv6"}


@dataclass
class Question:
    """A question that is asked repeatedly. found: its last answer. fault: why there is none since.
    gone: the name does not exist. due_s: when it is asked again. task: while it is asked."""

    key: Key
    backoff: Backoff
    found: Found | None = None
    fault: str = ""
    gone: bool = False
    due_s: float = 0.0
    task: asyncio.Task[None] | None = None

    @property
    def hosts(self) -> list[str]:
        """Returns the addresses in the last answer to an A or AAAA question."""
        return [str(one.address) for one in self.found.records] if self.found else []

    @property
    def is_open(self) -> bool:
        """True if it has neither an answer nor a fault yet."""
        return self.found is None and not self.fault


class Dns:
    """Follows one name."""

    def __init__(self, settings: Discovery, clock: Clock = REAL_CLOCK) -> None:
        self._settings = settings
        self._clock = clock
        self._resolver = Resolver(settings)
        self._questions: dict[Key, Question] = {}
        self._places = asyncio.Semaphore(ASKED_AT_ONCE)
        name = settings.name or ""
        self._wants_srv = settings.record == "srv" or (
            settings.record == "auto" and name.startswith("_")
        )
        one_type = settings.record.upper()
        self._types = tuple(
            record
            for record, family in RECORDS.items()
            if one_type in (record, "AUTO", "SRV") and settings.family in (family, "auto", "any")
        )
        try:
            self._name = dns.name.from_text(name)
        except (dns.exception.DNSException, ValueError):
            self._name = dns.name.root

    async def follow(
        self, before: Sequence[Member]
    ) -> AsyncGenerator[Answer | DiscoveryError, None]:
        if self._name == dns.name.root:
            raise DiscoveryError(f"{shown(self._settings.name)} is no name")
        self._resolver.refresh()
        self._remember(before)
        try:
            while True:
                await self._round()
                try:
                    yield self._answer()
                except DiscoveryError as error:
                    yield error
                await self._until_due()
        finally:
            tasks = self._running()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _remember(self, before: Sequence[Member]) -> None:
        """Keeps the A and AAAA answers of an earlier process for questions that fail now."""
        if self._wants_srv:
            return
        known = [parse_backend(one.address) for one in before]
        for record in self._types:
            hosts = [
                _Record(one.host)
                for one in known
                if one.port == self._settings.port and (":" in one.host) == (record == "AAAA")
            ]
            question = self._question((self._name, record))
            if question.is_open and hosts:
                question.found = Found(tuple(hosts), 0.0)

    # ---- asking --------------------------------------------------------------------------------

    def _question(self, key: Key) -> Question:
        if key not in self._questions:
            backoff = Backoff(self._clock, FIRST_RETRY_S, self._settings.interval_ms / MS)
            self._questions[key] = Question(key, backoff)
        return self._questions[key]

    def _addresses(self, name: dns.name.Name) -> list[Question]:
        return [self._question((name, record)) for record in self._types]

    def _wanted(self) -> list[Question]:
        """Returns all present questions: an SRV answer adds questions about its targets."""
        if not self._wants_srv:
            return self._addresses(self._name)
        return [self._question((self._name, "SRV")), *self._of_targets()]

    def _of_targets(self) -> list[Question]:
        targets = dict.fromkeys(one.target for one in self._services())
        targets.pop(dns.name.root, None)
        return [one for name in targets for one in self._addresses(name)]

    def _services(self) -> tuple[Any, ...]:
        found = self._question((self._name, "SRV")).found
        return found.records if found else ()

    def _running(self) -> list[asyncio.Task[None]]:
        return [one.task for one in self._questions.values() if one.task and not one.task.done()]

    async def _round(self) -> None:
        """Asks what is due: SRV records first, because they name the next questions."""
        if not self._wants_srv:
            await self._ask_due(self._addresses(self._name))
            return
        await self._ask_due([self._question((self._name, "SRV"))])
        wanted = {one.key for one in self._wanted()}
        for key in [key for key in self._questions if key not in wanted]:
            task = self._questions.pop(key).task
            if task is not None:
                task.cancel()
        await self._ask_due(self._of_targets())

    async def _ask_due(self, questions: Sequence[Question]) -> None:
        """Returns when all questions are answered, or when only late ones are open and there are
        members without them."""
        now_s = self._clock.now_s()
        for one in questions:
            if one.due_s <= now_s and (one.task is None or one.task.done()):
                one.task = asyncio.create_task(self._ask(one))
        while running := [one.task for one in questions if one.task and not one.task.done()]:
            _, late = await asyncio.wait(running, timeout=LATE_S)
            if late and self._has_members():
                return

    async def _ask(self, question: Question) -> None:
        try:
            async with self._places:
                found = await self._resolver.ask(*question.key)
        except GoneError as error:
            question.fault, question.gone = str(error), True
            question.due_s = self._good_until(error.ttl_s)
        except Exception as error:  # a bug of ours is asked again no faster than a server's failure
            ours = "" if isinstance(error, DiscoveryError) else "a fault of l4lb: "
            question.fault, question.gone = one_line(f"{ours}{error}"), False
            question.due_s = self._clock.now_s() + question.backoff.next_s()
        else:
            self._take(question, found)
            if question.key[1] == "SRV":
                self._take_beside(found.beside)

    def _take(self, question: Question, found: Found) -> None:
        question.found, question.fault, question.gone = found, "", False
        question.due_s = self._good_until(found.ttl_s)
        question.backoff.reset()

    def _take_beside(self, beside: Mapping[Key, Found]) -> None:
        """Uses additional addresses of an SRV answer, which need no question."""
        for one in self._wanted():
            if one.key in beside and (one.task is None or one.task.done()):
                self._take(one, beside[one.key])

    def _good_until(self, ttl_s: float) -> float:
        minimum, maximum = self._settings.min_ttl_ms / MS, self._settings.max_ttl_ms / MS
        wait_s = min(max(ttl_s, minimum), maximum)
        return self._clock.now_s() + wait_s * (1 + JITTER * random.random())

    async def _until_due(self) -> None:
        """Returns when a question is due, when a late one is answered, or when the name servers
        have changed: then failed questions are due, and questions to the old servers are asked
        again."""
        while True:
            running = self._running()
            resting = [one for one in self._wanted() if one.task is None or one.task.done()]
            due_s = min((one.due_s for one in resting), default=float("inf"))
            wait_s = max(0.0, due_s - self._clock.now_s())
            if not wait_s:
                return
            if self._resolver.is_hosts:
                wait_s = min(wait_s, RESOLV_CONF_LOOK_S)
            if await self._is_answered(running, wait_s):
                return
            with contextlib.suppress(DiscoveryError):
                if self._resolver.refresh():
                    self._ask_anew()
                    return

    async def _is_answered(self, running: Sequence[asyncio.Task[None]], wait_s: float) -> bool:
        """True if one of these ends within this time."""
        if not running:
            await self._clock.sleep(wait_s)
            return False
        max_s = None if wait_s == float("inf") else wait_s
        done, _ = await asyncio.wait(running, timeout=max_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)

    def _ask_anew(self) -> None:
        for one in self._questions.values():
            if one.task is not None and not one.task.done():
                one.task.cancel()
                one.task = None
                one.due_s = 0.0
            if one.fault:
                one.due_s = 0.0

    # ---- what was found ------------------------------------------------------------------------

    def _has_members(self) -> bool:
        return any(one.found and one.found.records for one in self._wanted() if one.key[1] != "SRV")

    def _answer(self) -> Answer:
        """Returns the answer of the whole source. Raises DiscoveryError if all of it fails."""
        if self._wants_srv:
            return self._of_services()
        questions = self._addresses(self._name)
        if all(one.gone for one in questions):
            raise DiscoveryError(f"{shown(self._settings.name)} does not exist")
        faults = [one.fault for one in questions if one.fault]
        if len(faults) == len(questions):
            raise DiscoveryError("; ".join(faults))
        port = self._settings.port or 0
        return entries.of_entries(
            [entries.found(str(Address(host, port))) for one in questions for host in one.hosts],
            faults,
        )

    def _of_services(self) -> Answer:
        service = self._question((self._name, "SRV"))
        if service.fault:
            raise DiscoveryError(service.fault)
        records = self._services()
        entries.check_count(len(records))
        if all(one.target == dns.name.root for one in records):
            return Answer(())  # RFC 2782: the service is not available
        faults: list[str] = []
        found: list[tuple[int, str, int]] = []  # priority, address, weight
        for one in records:
            name = shown(one.target.to_text(omit_final_dot=True))
            if one.target == dns.name.root or one.port == 0:
                faults.append(f"SRV target {name} with port {one.port} cannot be reached")
                continue
            questions = self._addresses(one.target)
            faults += (question.fault for question in questions if question.fault)
            found += (
                (one.priority, str(Address(host, one.port)), one.weight)
                for question in questions
                for host in question.hosts
            )
            entries.check_count(len(found))
        return entries.of_entries(_of_priorities(found), faults)


@dataclass(frozen=True)
class _Record:
    """An address that was known before any answer, in the form of an A or AAAA record."""

    address: str


def _of_priorities(found: Sequence[tuple[int, str, int]]) -> list[Member | DiscoveryError]:
    """Returns backends of (priority, address, weight). An address with two priorities has the lower
    one."""
    lowest = min((priority for priority, _, _ in found), default=0)
    first = shares.scaled((address, weight) for at, address, weight in found if at == lowest)
    rest = shares.scaled((address, weight) for at, address, weight in found if address not in first)
    return [
        entries.found(address, weight, backup=backup)
        for weights, backup in ((first, False), (rest, True))
        for address, weight in weights.items()
    ]

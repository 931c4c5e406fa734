"""Types that all checks share: settings, target, outcome.

Each type of check is a file with a `probe` in the form of Probe, and an entry in probes.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from l4lb.native.results import Result
from l4lb.native.rows import Address

Step = Mapping[str, str]  # {"send": payload}, {"expect": payload} or both, in this order


@dataclass(frozen=True)
class Way:
    """How a check leaves this host: its local addresses (the first one of the right family is
    used), and socket options by the names of native/egress.pyx."""

    sources: Sequence[str] = ()
    options: Mapping[str, int | str] = field(default_factory=dict)

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> Way:
        """Reads the plain map that comes over the channel."""
        return cls(tuple(values.get("sources", ())), dict(values.get("options", {})))


@dataclass(frozen=True)
class Settings:
    """Settings of a pool's checks; docs/configuration.md describes each.

    port and address: checked instead of the backend's own. as_sessions: without sni, TLS asks for
    the name that the pool's sessions ask for. None: the default of the check's type.
    """

    type: str
    interval_ms: int
    timeout_ms: int
    rise: int
    fall: int
    jitter_percent: int
    port: int | None = None
    address: str | None = None
    way: Way = field(default_factory=Way)
    fast_interval_ms: int | None = None
    down_interval_ms: int | None = None
    send_proxy: str = "off"
    send: str | None = None
    expect: str | None = None
    steps: Sequence[Step] = ()
    reply: str = "required"
    method: str = "GET"
    path: str = "/"
    host: str | None = None
    headers: Sequence[str] = ()
    status: Sequence[str] = ("200-399",)
    body: str | None = None
    sni: str | None = None
    as_sessions: bool = False
    verify: bool = True
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    query: str = "."
    record: str = "NS"
    rcode: Sequence[str] = ("NOERROR",)
    command: Sequence[str] = ()

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> Settings:
        """Reads the plain map that comes over the channel; None or a missing value is the default.
        Raises TypeError."""
        names = {one.name for one in fields(cls)}
        known = {k: v for k, v in values.items() if k in names and v is not None}
        if isinstance(known.get("way"), Mapping):
            known["way"] = Way.from_map(known["way"])
        return cls(**known)

    def all_steps(self) -> Sequence[Step]:
        """Returns steps, or the one step of send and expect."""
        if self.steps:
            return self.steps
        one = {"send": self.send, "expect": self.expect}
        given = {key: value for key, value in one.items() if value is not None}
        return (given,) if given else ()


@dataclass(frozen=True)
class Target:
    """The target of a check: its address, and the backend. asked: the host name that was looked up,
    "" if the address is an IP address."""

    address: Address
    pool: str = ""
    name: str = ""
    asked: str = ""


@dataclass(frozen=True)
class Attempt:
    """A check in progress. until_s: the event loop's time at which it fails. ends: the things to
    close when its outcome is known. why: an orderly close must not delay the outcome."""

    until_s: float
    ends: AsyncExitStack


@dataclass(frozen=True)
class Outcome:
    """The result of one check. text: the reason in words. code: what the protocol answered (a
    status, an exit code, an rcode). cert_end_s: expiry of the target's certificate, Unix time."""

    result: Result
    errno: int = 0
    text: str = ""
    code: int = 0
    cert_end_s: int = 0

    @property
    def passed(self) -> bool:
        return self.result == Result.OK


class ProbeError(Exception):
    """A check that failed."""

    def __init__(self, result: Result, text: str, *, code: int = 0, cert_end_s: int = 0) -> None:
        super().__init__(text)
        self.outcome = Outcome(result, 0, text, code, cert_end_s)

    def with_end(self, cert_end_s: int) -> ProbeError:
        """Returns the error with the expiry of the target's certificate."""
        was = self.outcome
        return type(self)(was.result, was.text, code=was.code, cert_end_s=cert_end_s)


class LateError(ProbeError):
    """A check whose time was over, with the data that had come until then."""


class Probe(Protocol):
    """Checks one target once. Each of its waits ends at attempt.until_s, and it does little between
    two waits (limits.py). Things that it leaves open are in attempt.ends. It raises ProbeError,
    TimeoutError, or OSError for network errors."""

    async def __call__(self, target: Target, settings: Settings, attempt: Attempt) -> Outcome: ...

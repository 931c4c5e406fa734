"""What every kind of check has in common: its settings, its target, its outcome.

One file a kind; each has a `probe` of the shape of Probe and an entry in probes.py.
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
    """How a check leaves this host: its local addresses, of which the first of the right family is
    used, and socket options by the names of native/egress.pyx."""

    sources: Sequence[str] = ()
    options: Mapping[str, int | str] = field(default_factory=dict)

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> Way:
        """From a plain map, as it comes over the channel."""
        return cls(tuple(values.get("sources", ())), dict(values.get("options", {})))


@dataclass(frozen=True)
class Settings:
    """How the backends of one pool are checked; docs/configuration.md says what each means.

    port and address: checked instead of the backend's own. as_sessions: without sni, TLS asks for
    the name that the pool's sessions ask for. None: the kind's default."""

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
        """From a plain map, as it comes over the channel; what is None or missing is the default.
        Raises TypeError."""
        names = {one.name for one in fields(cls)}
        known = {k: v for k, v in values.items() if k in names and v is not None}
        if isinstance(known.get("way"), Mapping):
            known["way"] = Way.from_map(known["way"])
        return cls(**known)

    def all_steps(self) -> Sequence[Step]:
        """steps, or the one that send and expect make."""
        if self.steps:
            return self.steps
        one = {"send": self.send, "expect": self.expect}
        given = {key: value for key, value in one.items() if value is not None}
        return (given,) if given else ()


@dataclass(frozen=True)
class Target:
    """What is checked: where, and the backend it stands for. asked: the host name in its address
    that was looked up, "" if it was an IP address."""

    address: Address
    pool: str = ""
    name: str = ""
    asked: str = ""


@dataclass(frozen=True)
class Attempt:
    """One check under way. until_s: the event loop's time at which it has failed; ends: what is to
    be ended when its outcome is known: an orderly end must not make the outcome late."""

    until_s: float
    ends: AsyncExitStack


@dataclass(frozen=True)
class Outcome:
    """How one check ended. text says why in words, code what the protocol answered (a status, an
    exit code, an rcode); cert_end_s: when the target's certificate ends, seconds since 1970."""

    result: Result
    errno: int = 0
    text: str = ""
    code: int = 0
    cert_end_s: int = 0

    @property
    def passed(self) -> bool:
        return self.result == Result.OK


class ProbeError(Exception):
    """A check that ended without what it wanted."""

    def __init__(self, result: Result, text: str, *, code: int = 0, cert_end_s: int = 0) -> None:
        super().__init__(text)
        self.outcome = Outcome(result, 0, text, code, cert_end_s)

    def with_end(self, cert_end_s: int) -> ProbeError:
        """The same of a target whose certificate ends then."""
        was = self.outcome
        return type(self)(was.result, was.text, code=was.code, cert_end_s=cert_end_s)


class LateError(ProbeError):
    """A check whose time was over; said with what had come until then."""


class Probe(Protocol):
    """Checks one target once. Each of its waits ends at attempt.until_s, and between two of them it
    does little (limits.py); what it leaves open is in attempt.ends. It raises ProbeError,
    TimeoutError, or OSError for what the network says."""

    async def __call__(self, target: Target, settings: Settings, attempt: Attempt) -> Outcome: ...

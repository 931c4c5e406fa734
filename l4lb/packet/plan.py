"""What the shield should say of each listener: the configuration as rules of the kernel's program.
Pure.

The shield takes over what a worker would do without a word: refusals by `drop`, and those of UDP.
A reset and the tarpit are answers, which only a worker can give. A rule in dry run stays with the
workers too, who count it.

The shield counts a source's connections by itself (csrc/packet/rate.h). So it has a rate limit only
where a worker counts every connection: not those that wait for a PROXY header, and not those that
another limit answers first. Where the kernel serves a listener itself (data_path), nobody else
counts: the shield limits SYNs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from l4lb.config.tables.admission import Access
from l4lb.config.tables.listener import Listener
from l4lb.native.packet_rows import Rate

NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class Numbers:
    """The sets of a listener in the shared table; None: it has no such set. blocks: only if a
    source is blocked. served_by_kernel: no worker sees the clients."""

    trusted: int | None = None
    blocks: int | None = None
    forwarders: int | None = None
    rules: int | None = None
    access: int | None = None
    served_by_kernel: bool = False


@dataclass(frozen=True)
class Wanted:
    """The rules of one listener for the program, with sets of the shared table. denied_pass:
    workers turn away whom the lists deny."""

    proxies: int | None = None
    blocks: int | None = None
    speakers: int | None = None
    rules: int | None = None
    access: int | None = None
    judges_access: bool = False
    others_denied: bool = False
    denied_pass: bool = False
    rate: Rate | None = None

    @property
    def sets(self) -> frozenset[int]:
        """The sets that it names."""
        named = (self.proxies, self.blocks, self.speakers, self.rules, self.access)
        return frozenset(one for one in named if one is not None)

    @property
    def says_something(self) -> bool:
        denies = self.judges_access and not self.denied_pass
        return self.blocks is not None or denies or self.rate is not None

    def without(self, missing: Callable[[int], bool]) -> Wanted:
        """Returns the rules as far as they can be applied without these sets. The program must not
        be stricter than a worker, so a rule goes together with its exceptions."""

        def lacks(*numbers: int | None) -> bool:
            return any(one is not None and missing(one) for one in numbers)

        if lacks(self.proxies):
            return Wanted()
        # why no rate: it is not to count those whom workers turn away.
        left = replace(self, blocks=None, rate=None) if lacks(self.blocks) else self
        if lacks(self.speakers, self.rules, self.access):
            left = Wanted(proxies=left.proxies, blocks=left.blocks)
        return left


def wanted(listener: Listener, numbers: Numbers, block_refusal: str, head: int = 0) -> Wanted:
    """Returns the rules of a listener. block_refusal: how blocked clients are turned away. head:
    the row by which its sources are counted."""
    silent = listener.transport == "udp"
    # why: a SYN may be another path of a session in progress.
    if listener.mptcp and not silent:
        return Wanted()
    access = listener.access or Access()
    listed = numbers.access is not None or numbers.rules is not None
    in_force = listed and not access.dry_run
    denies = in_force and (silent or access.refusal == "drop")
    rate = None if why_no_rate(listener, block_refusal) else _rate(listener, head, numbers)
    judges = denies or (in_force and rate is not None)
    blocks = numbers.blocks if silent or block_refusal == "drop" else None
    return Wanted(
        proxies=numbers.trusted if listener.proxy_protocol != "off" else None,
        blocks=blocks,
        speakers=numbers.forwarders if judges and listener.protocol == "http" else None,
        rules=numbers.rules if judges else None,
        access=numbers.access if judges else None,
        judges_access=judges,
        others_denied=judges and access.others_denied,
        denied_pass=judges and not denies,
        rate=rate,
    )


def _rate(listener: Listener, head: int, numbers: Numbers) -> Rate | None:
    limits = listener.limits
    if limits is None or limits.rate_per_source is None:
        return None
    often = limits.rate_per_source
    step = max(1, NS_PER_S // often.limit)  # as core/token_bucket.h has it
    return Rate(
        step, often.burst or often.limit, head, *limits.source_prefix, numbers.served_by_kernel
    )


def why_no_rate(listener: Listener, block_refusal: str) -> str | None:
    """Returns why the rate limit of a listener's sources is the workers'; None: the shield has it,
    or there is none."""
    limits = listener.limits
    often = None if limits is None else limits.rate_per_source
    if limits is None or often is None:
        return None
    if often.dry_run:
        return "limits.rate_per_source.dry_run"
    if often.refusal != "drop":
        return f"limits.rate_per_source.refusal = {often.refusal}"
    if listener.proxy_protocol != "off":
        return f"limits.rate_per_source with proxy_protocol = {listener.proxy_protocol}"
    if block_refusal != "drop":
        return f"limits.rate_per_source with auto_block.refusal = {block_refusal}"
    many = limits.connections_per_source
    if many is not None and not many.dry_run and many.refusal != "drop":
        return f"limits.connections_per_source.refusal = {many.refusal}"
    return None


def left_to_workers(listener: Listener, block_refusal: str) -> str | None:
    """Returns why workers turn this listener's clients away themselves; None: the shield does."""
    if listener.transport == "udp":
        return None
    if listener.mptcp:
        return "mptcp"
    access = listener.access
    whys = [why_no_rate(listener, block_refusal)]
    if access is not None and access.dry_run:
        whys.append("access.dry_run")
    elif access is not None and access.refusal != "drop":
        whys.append(f"access.refusal = {access.refusal}")
    if block_refusal != "drop":
        whys.append(f"auto_block.refusal = {block_refusal}")
    return ", ".join(filter(None, whys)) or None
